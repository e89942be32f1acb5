//! Ports: what services need from outside. Only hosts and tests provide them.

mod chat_model;
mod clock;
mod cluster_read;
mod cluster_write;
mod embedder;
mod ledger;
mod vector_index;
mod verifier;

pub use chat_model::{
    AnswerSchema, ChatMessage, ChatModel, ChatProgress, Completion, CompletionRequest, CompletionUsage, FinishReason, ModelInfo, ToolCall,
    ToolChoice, ToolSpec,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use cluster_read::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText, MetricSeries};
pub use cluster_write::{
    AccessReview, ClusterWrite, CopySecretRequest, CreateRequest, DeleteRequest, EvictRequest, ExecOutput, ExecRequest, PatchKind, PatchRequest,
    Propagation, ScaleRequest, WriteOutcome,
};
pub use embedder::{Embedder, EmbedderInfo, EmbeddingBasis};
pub use ledger::{Advance, IncidentFilter, Intake, IntakePolicy, Lease, Ledger, LedgerStats, NewEvent, OutboxItem, RunChange, RunLease};
pub use vector_index::{VectorFilter, VectorHit, VectorIndex, VectorIndexInfo, VectorItem, VectorQuery};
pub use verifier::{Verifier, VerifyRequest};
