//! Parameters of the operations. Every field that may be left out says what that means.

use std::path::PathBuf;

use kubernaut_core::{
    Error, Result,
    model::{ApprovalId, IncidentId, ObjectRef, RunId, Timestamp},
    port::{EventQuery, ListQuery, LogQuery},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A Kubernetes object: `Kind/namespace/name`, `Kind/name` where cluster-scoped, or an object reference.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Target {
    Short(String),
    Full(ObjectRef),
}

impl Target {
    pub(super) fn resolve(self) -> Result<ObjectRef> {
        match self {
            Self::Short(text) => text.parse(),
            Self::Full(reference) => Ok(reference),
        }
    }
}

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name { $($(#[$fdoc])* pub(super) $field: $type,)* }
    )*};
}

params! {
    /// Nothing.
    Nothing {}
    /// The body of a webhook.
    Ingest {
        /// The body: JSON text, or the value that it stands for.
        body: Value,
        /// The configured source whose format it has. Default `alertmanager`.
        #[serde(default = "alertmanager")]
        source: String,
    }
    /// An object to look at.
    OfTarget {
        /// `Kind/namespace/name`, `Kind/name` where cluster-scoped, or an object reference.
        target: Target,
    }
    /// A namespace to look at.
    OfNamespace {
        /// The namespace.
        namespace: String,
    }
    /// An incident.
    OfIncident {
        /// The incident.
        incident_id: IncidentId,
    }
    /// A run.
    OfRun {
        /// The run.
        run_id: RunId,
    }
    /// A request for approval.
    OfApproval {
        /// The request for approval.
        approval_id: ApprovalId,
    }
    /// Which requests for approval.
    Approvals {
        /// Only those that nobody answered yet. Default false.
        #[serde(default)]
        pending_only: bool,
    }
    /// A person's answer.
    Answer {
        /// The request for approval.
        approval_id: ApprovalId,
        /// Who answers; your program vouches for it.
        by: String,
        /// The digest that was seen; if given it must be the one asked for.
        #[serde(default)]
        digest: Option<String>,
        /// What they say.
        #[serde(default)]
        comment: Option<String>,
        /// Groups they are in; your program vouches for it. Default: none.
        #[serde(default)]
        groups: Vec<String>,
    }
    /// An action to look at.
    DryRunParams {
        /// Canonical name or alias.
        action: String,
        /// The object to change.
        target: Target,
        /// Parameters after the action's schema. Default: none.
        #[serde(default)]
        params: Value,
    }
    /// An action to carry out.
    Execute {
        /// Canonical name or alias.
        action: String,
        /// The object to change.
        target: Target,
        /// Parameters after the action's schema. Default: none.
        #[serde(default)]
        params: Value,
        /// Idempotency key: the same key never acts twice. Default: a new one.
        #[serde(default)]
        key: Option<String>,
        /// The incident it serves. Default: none.
        #[serde(default)]
        incident_id: Option<IncidentId>,
        /// Digest of the dry-run that a person has seen and agrees to; needed where the gate asks for a person. Needs `by`.
        #[serde(default)]
        approved_digest: Option<String>,
        /// Who agreed; your program vouches for it.
        #[serde(default)]
        by: Option<String>,
    }
    /// An action to take back.
    Undo {
        /// Idempotency key of the action that is to be taken back.
        key: String,
        /// Who asks for it; your program vouches for it.
        #[serde(default)]
        by: Option<String>,
    }
    /// What was done to a resource.
    History {
        /// The resource.
        target: Target,
        /// Since when. Default: the last 24 hours.
        #[serde(default)]
        since: Option<Timestamp>,
    }
    /// Why all acting is stopped.
    Stop {
        /// The reason, for those who find it stopped.
        reason: String,
    }
    /// Which events.
    Events {
        /// Those after this sequence number. Default 0: from the beginning.
        #[serde(default)]
        after: u64,
        /// Only of this incident.
        #[serde(default)]
        incident_id: Option<IncidentId>,
        /// At most this many. Default 500, at most 1000.
        #[serde(default)]
        limit: Option<u32>,
        /// Milliseconds to wait for the first one if there is none yet. Default 0.
        #[serde(default)]
        wait_ms: u64,
    }
    /// How long to wait for the end.
    Shutdown {
        /// Milliseconds to wait for workers to come to a safe point. Default 10 000.
        #[serde(default = "ten_seconds")]
        limit_ms: u64,
    }
    /// A recorded incident.
    OfBundle {
        /// The folder.
        path: PathBuf,
    }
    /// A recorded incident to analyse.
    AnalyzeBundle {
        /// The folder.
        path: PathBuf,
        /// Configuration of the default services. Default: their defaults.
        #[serde(default)]
        config: Value,
    }
    /// Recorded incidents to analyse and grade.
    Evaluate {
        /// A folder with one bundle a case.
        cases: PathBuf,
        /// A folder with the truth of each case. Default: no grading.
        #[serde(default)]
        expected: Option<PathBuf>,
        /// Configuration of the default services. Default: their defaults.
        #[serde(default)]
        config: Value,
    }
    /// Which objects.
    ClusterList {
        /// Kind, such as `Deployment`.
        kind: String,
        /// Only this namespace. Default: all.
        #[serde(default)]
        namespace: Option<String>,
        /// API group, for kinds that are not built in.
        #[serde(default)]
        group: Option<String>,
        /// A label selector (`matchLabels`, `matchExpressions`). Default: all.
        #[serde(default)]
        selector: Value,
        /// At most this many. Default: no limit.
        #[serde(default)]
        limit: Option<usize>,
    }
    /// Which events of Kubernetes.
    ClusterEvents {
        /// Only of this namespace. Default: all.
        #[serde(default)]
        namespace: Option<String>,
        /// Only about this object.
        #[serde(default)]
        target: Option<Target>,
    }
    /// Which log.
    ClusterLogs {
        /// Namespace of the pod.
        namespace: String,
        /// Pod.
        pod: String,
        /// Container.
        container: String,
        /// Whether the log of the container's previous run is wanted. Default false.
        #[serde(default)]
        previous: bool,
        /// At most this many lines from the end. Default 500.
        #[serde(default)]
        tail_lines: Option<usize>,
    }
}

fn alertmanager() -> String {
    "alertmanager".to_owned()
}

fn ten_seconds() -> u64 {
    10_000
}

impl Ingest {
    /// The body as it was sent.
    pub(super) fn bytes(self) -> Result<bytes::Bytes> {
        match self.body {
            Value::String(text) => Ok(text.into()),
            value => serde_json::to_vec(&value).map(Into::into).map_err(|e| Error::invalid("host.ingest", "the body is no JSON").source(e)),
        }
    }
}

impl ClusterList {
    pub(super) fn query(self) -> ListQuery {
        let mut query = ListQuery::of(&self.kind, self.namespace.as_deref()).with_selector(self.selector);
        if let Some(group) = self.group {
            query.group = group;
            query.namespace = self.namespace;
        }
        query.limit = self.limit;
        query
    }
}

impl ClusterEvents {
    pub(super) fn query(self) -> Result<EventQuery> {
        Ok(EventQuery { namespace: self.namespace, object: self.target.map(Target::resolve).transpose()? })
    }
}

impl ClusterLogs {
    pub(super) fn query(self) -> LogQuery {
        let query = LogQuery::of(&self.namespace, &self.pod, &self.container, self.previous);
        LogQuery { tail_lines: self.tail_lines.unwrap_or(query.tail_lines), ..query }
    }
}
