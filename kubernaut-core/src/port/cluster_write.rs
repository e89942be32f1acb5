//! Writing to Kubernetes. Only the executor gets this port.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    Result,
    model::{Object, ObjectRef},
    service::{CallContext, delegate},
};

/// How a patch body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 7396 merge patch.
    Merge,
    /// Kubernetes strategic merge patch (lists merge by their key); built-in kinds only.
    Strategic,
    /// RFC 6902 JSON patch.
    Json,
}

/// A patch of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchRequest {
    /// The object. If it has a uid, the write is refused with `Conflict` for any other.
    pub target: ObjectRef,
    /// How the body is to be read.
    pub kind: PatchKind,
    /// The patch.
    pub body: Value,
    /// The resource version that was read under the lock; another is a `Conflict`.
    pub resource_version: Option<String>,
    /// Field manager that the write is recorded under.
    pub field_manager: String,
    /// Whether the server only says what would happen.
    pub dry_run: bool,
}

/// An eviction of one pod.
#[derive(Debug, Clone, PartialEq)]
pub struct EvictRequest {
    /// The pod. If it has a uid, the eviction is refused with `Conflict` for any other.
    pub pod: ObjectRef,
    /// Seconds to stop in; `None` for the pod's own.
    pub grace_period_s: Option<u32>,
    /// Whether the server only says what would happen.
    pub dry_run: bool,
}

/// A change of the replica count through the scale subresource.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaleRequest {
    /// The workload. If it has a uid, the write is refused with `Conflict` for any other.
    pub target: ObjectRef,
    /// Wanted replicas.
    pub replicas: u32,
    /// The resource version that was read under the lock; another is a `Conflict`.
    pub resource_version: Option<String>,
    /// Field manager that the write is recorded under.
    pub field_manager: String,
    /// Whether the server only says what would happen.
    pub dry_run: bool,
}

/// What a write did, or would do.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteOutcome {
    /// The object as read just before.
    pub before: Object,
    /// The object as the server returned it; for an eviction the object before.
    pub after: Object,
    /// Warnings of the server.
    pub warnings: Vec<String>,
    /// Whether the effect is only simulated, as on a recorded bundle.
    pub simulated: bool,
}

/// A question about rights (SelfSubjectAccessReview).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessReview {
    /// Verb, such as `patch`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Resource in the plural; a subresource after a slash, such as `pods/eviction`.
    pub resource: String,
    /// Namespace; `None` for cluster-scoped.
    pub namespace: Option<String>,
    /// Name; `None` for any.
    pub name: Option<String>,
}

/// Writes to a cluster, live or recorded.
#[async_trait]
pub trait ClusterWrite: Debug + Send + Sync + 'static {
    /// Patches one object.
    ///
    /// Rules: with `dry_run` nothing changes and the answer is what would be stored; preconditions (uid, resource version) that do not hold
    /// are a `Conflict` and nothing changes.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Forbidden`, `InvalidInput` if the server refuses the content, `Unavailable`, `Timeout`.
    async fn patch(&self, ctx: CallContext, request: PatchRequest) -> Result<WriteOutcome>;

    /// Evicts one pod, so that disruption budgets hold.
    ///
    /// # Errors
    /// As [`ClusterWrite::patch`]; a budget that leaves no room is `Refused`.
    async fn evict(&self, ctx: CallContext, request: EvictRequest) -> Result<WriteOutcome>;

    /// Changes the replica count. `before` and `after` are the workload, not the Scale object.
    ///
    /// # Errors
    /// As [`ClusterWrite::patch`]; `Unsupported` for a kind without a replica count.
    async fn scale(&self, ctx: CallContext, request: ScaleRequest) -> Result<WriteOutcome>;

    /// Whether these credentials may do it.
    ///
    /// # Errors
    /// `Unavailable` if the cluster does not answer.
    async fn can_i(&self, ctx: CallContext, review: AccessReview) -> Result<bool>;
}

delegate!(ClusterWrite {
    async fn patch(&self, ctx: CallContext, request: PatchRequest) -> Result<WriteOutcome>;
    async fn evict(&self, ctx: CallContext, request: EvictRequest) -> Result<WriteOutcome>;
    async fn scale(&self, ctx: CallContext, request: ScaleRequest) -> Result<WriteOutcome>;
    async fn can_i(&self, ctx: CallContext, review: AccessReview) -> Result<bool>;
} sync {});
