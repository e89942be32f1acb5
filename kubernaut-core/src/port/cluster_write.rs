//! Writing to Kubernetes. Only the executor gets this port.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    Error, Result,
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

/// A new object.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRequest {
    /// The whole object: `apiVersion`, `kind`, `metadata.name`, and `metadata.namespace` where its kind has one.
    pub object: Value,
    /// Field manager that the write is recorded under.
    pub field_manager: String,
    /// Whether the server only says what would happen.
    pub dry_run: bool,
}

/// What becomes of the objects that belong to a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They go after it.
    #[default]
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

impl Propagation {
    /// The name that the API has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// The end of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteRequest {
    /// The object. If it has a uid, the write is refused with `Conflict` for any other.
    pub target: ObjectRef,
    /// The resource version that was read under the lock; another is a `Conflict`.
    pub resource_version: Option<String>,
    /// Seconds to stop in; `None` for the object's own. Zero takes a pod off the server whether its containers ended or not.
    pub grace_period_s: Option<u32>,
    /// What becomes of the objects that belong to it.
    pub propagation: Propagation,
    /// Whether the server only says what would happen.
    pub dry_run: bool,
}

/// A copy of a Secret. Its values stay inside the implementation: the caller never sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct CopySecretRequest {
    /// The Secret to read. If it has a uid, any other is a `Conflict`.
    pub source: ObjectRef,
    /// The Secret to write, without values: `metadata` and, where it is not the source's, `type`. The values come from the source.
    pub object: Value,
    /// Whether an existing Secret of that name gets the values; if not, it is a `Conflict`.
    pub replace: bool,
    /// Field manager that the write is recorded under.
    pub field_manager: String,
    /// Whether the server only says what would happen.
    pub dry_run: bool,
}

/// A command in a running container.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecRequest {
    /// The pod. If it has a uid, any other is a `Conflict`.
    pub pod: ObjectRef,
    /// The container.
    pub container: String,
    /// The command and its arguments; no shell is put around it.
    pub command: Vec<String>,
    /// At most this many bytes of its output are kept; more is an error, so that nothing is cut in silence.
    pub limit_bytes: usize,
}

/// What a command said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code.
    pub exit_code: i32,
    /// Its output.
    pub stdout: Vec<u8>,
    /// The beginning of its error output, as text.
    pub stderr: String,
}

/// What a write did, or would do.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteOutcome {
    /// The object as read just before; for a new object it is the object after.
    pub before: Object,
    /// The object as the server returned it; for an eviction and a deletion the object before.
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

    /// Creates one object.
    ///
    /// Rules: with `dry_run` nothing changes and the answer is what would be stored; an object of that name that exists is a `Conflict`.
    ///
    /// # Errors
    /// `Conflict` as above; `NotFound` if its namespace does not exist, `InvalidInput` for an object without kind or name and where the server
    /// refuses the content; else as [`ClusterWrite::patch`].
    async fn create(&self, _ctx: CallContext, _request: CreateRequest) -> Result<WriteOutcome> {
        Err(Error::unsupported("cluster.create", "this cluster port cannot create objects"))
    }

    /// Deletes one object.
    ///
    /// Rules: with `dry_run` nothing changes; preconditions (uid, resource version) that do not hold are a `Conflict` and nothing changes. An
    /// object with finalizers, or a pod with time to stop, is still there afterwards and marked as ending.
    ///
    /// # Errors
    /// As [`ClusterWrite::patch`].
    async fn delete(&self, _ctx: CallContext, _request: DeleteRequest) -> Result<WriteOutcome> {
        Err(Error::unsupported("cluster.delete", "this cluster port cannot delete objects"))
    }

    /// Copies the values of a Secret into another one.
    ///
    /// Rules: neither answer nor errors hold a value; with `dry_run` nothing changes.
    ///
    /// # Errors
    /// As [`ClusterWrite::create`]; `NotFound` if the source does not exist.
    async fn copy_secret(&self, _ctx: CallContext, _request: CopySecretRequest) -> Result<WriteOutcome> {
        Err(Error::unsupported("cluster.copy_secret", "this cluster port cannot copy Secrets"))
    }

    /// Runs a command in a running container and waits for its end.
    ///
    /// # Errors
    /// `NotFound` for the pod; `Conflict` for another uid; `Unsupported` on a recorded cluster, and if the container has no such program;
    /// `PayloadTooLarge` beyond the limit; else as [`ClusterWrite::patch`].
    async fn exec(&self, _ctx: CallContext, _request: ExecRequest) -> Result<ExecOutput> {
        Err(Error::unsupported("cluster.exec", "this cluster port cannot run commands in containers"))
    }

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
    async fn create(&self, ctx: CallContext, request: CreateRequest) -> Result<WriteOutcome>;
    async fn delete(&self, ctx: CallContext, request: DeleteRequest) -> Result<WriteOutcome>;
    async fn copy_secret(&self, ctx: CallContext, request: CopySecretRequest) -> Result<WriteOutcome>;
    async fn exec(&self, ctx: CallContext, request: ExecRequest) -> Result<ExecOutput>;
    async fn can_i(&self, ctx: CallContext, review: AccessReview) -> Result<bool>;
} sync {});
