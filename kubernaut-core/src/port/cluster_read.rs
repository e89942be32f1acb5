//! The window on Kubernetes, read only.

use std::{collections::BTreeMap, fmt::Debug};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result,
    model::{Object, ObjectRef, Timestamp, selector_matches},
    service::{CallContext, Capability, delegate},
};

/// What kind of window it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterInfo {
    /// Cluster id.
    pub id: String,
    /// Now, by the cluster: the API server's `Date`, or the bundle's `taken_at`. Rules use this time, never the system clock.
    pub now: Timestamp,
    /// Whether it is a recording: writes are simulated, nothing reconciles.
    pub recorded: bool,
    /// Server version, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Which objects to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListQuery {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Only this namespace; `None` for all.
    pub namespace: Option<String>,
    /// A label selector (`matchLabels`, `matchExpressions`); `Null` for all.
    pub selector: Value,
    /// At most this many; `None` for no limit.
    pub limit: Option<usize>,
}

impl ListQuery {
    /// All objects of a well-known kind in one namespace (`None`: in all).
    #[must_use]
    pub fn of(kind: &str, namespace: Option<&str>) -> Self {
        let reference = ObjectRef::new(kind, namespace, "");
        Self { group: reference.group, kind: kind.to_owned(), namespace: reference.namespace, selector: Value::Null, limit: None }
    }

    /// The same query with a label selector.
    #[must_use]
    pub fn with_selector(mut self, selector: Value) -> Self {
        self.selector = selector;
        self
    }

    /// Whether an object belongs to the answer, the limit aside.
    #[must_use]
    pub fn matches(&self, object: &Object) -> bool {
        object.kind() == self.kind
            && object.group() == self.group
            && self.namespace.as_deref().is_none_or(|n| object.namespace() == Some(n))
            && (self.selector.is_null() || selector_matches(&self.selector, &object.labels()))
    }
}

/// Which events to read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventQuery {
    /// Only of this namespace; `None` for all.
    pub namespace: Option<String>,
    /// Only about this object: kind, name, and uid where both have one.
    pub object: Option<ObjectRef>,
}

/// An event, of core/v1 or events.k8s.io alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KubeEvent {
    /// The object it is about.
    pub object: ObjectRef,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Reason, such as `BackOff`.
    pub reason: String,
    /// Message.
    pub message: String,
    /// How often, at least 1.
    pub count: u64,
    /// First time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Timestamp>,
    /// Last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// The component that wrote it.
    #[serde(default)]
    pub component: String,
}

/// Which log to read.
#[derive(Debug, Clone, PartialEq)]
pub struct LogQuery {
    /// Namespace of the pod.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Container.
    pub container: String,
    /// Whether the log of the container's previous run is wanted.
    pub previous: bool,
    /// At most this many lines from the end. Default 500.
    pub tail_lines: usize,
    /// At most this many bytes from the end. Default 64 KiB.
    pub limit_bytes: usize,
}

impl LogQuery {
    /// The end of a container's log.
    #[must_use]
    pub fn of(namespace: &str, pod: &str, container: &str, previous: bool) -> Self {
        Self { namespace: namespace.into(), pod: pod.into(), container: container.into(), previous, tail_lines: 500, limit_bytes: 64 * 1024 }
    }
}

/// The end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogText {
    /// Text, whole lines, oldest first.
    pub text: String,
    /// Whether older lines were left out.
    pub truncated: bool,
}

/// One series of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricSeries {
    /// The query it answers.
    pub query: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Time and value, oldest first.
    pub values: Vec<(Timestamp, f64)>,
}

/// Reads a cluster, live or recorded. Analysis, context and classification get this port and no other.
#[async_trait]
pub trait ClusterRead: Debug + Send + Sync + 'static {
    /// What kind of window it is, and its time.
    ///
    /// # Errors
    /// `Unavailable` if the cluster does not answer.
    async fn info(&self, ctx: CallContext) -> Result<ClusterInfo>;

    /// One object; `None` if it does not exist.
    ///
    /// Rules: a uid in the reference that is not the object's is `None`; the answer has `apiVersion` and `kind`; a live cluster is asked anew
    /// on every call; values of Secrets are left out (keys stay, with empty values).
    ///
    /// # Errors
    /// `Forbidden`, `Unavailable`, `Unsupported` for a kind that the cluster does not know.
    async fn get(&self, ctx: CallContext, reference: ObjectRef) -> Result<Option<Object>>;

    /// Objects of a kind, sorted by namespace and name.
    ///
    /// Rules: exactly those that match; a kind without objects gives an empty list; values of Secrets are left out.
    ///
    /// # Errors
    /// As [`ClusterRead::get`].
    async fn list(&self, ctx: CallContext, query: ListQuery) -> Result<Vec<Object>>;

    /// Owners from the nearest to the top, at most 5; empty for an object without a controller.
    ///
    /// Rules: the last one is the top owner; an owner that no longer exists ends the walk and is included by reference.
    ///
    /// # Errors
    /// `NotFound` if the object itself does not exist, else as [`ClusterRead::get`].
    async fn owners(&self, ctx: CallContext, reference: ObjectRef) -> Result<Vec<ObjectRef>>;

    /// Events, oldest last time first.
    ///
    /// # Errors
    /// As [`ClusterRead::get`].
    async fn events(&self, ctx: CallContext, query: EventQuery) -> Result<Vec<KubeEvent>>;

    /// The end of a container's log; `None` if there is none (never started, already gone, not recorded).
    ///
    /// Rules: whole lines only, never more than the limits.
    ///
    /// # Errors
    /// As [`ClusterRead::get`].
    async fn logs(&self, ctx: CallContext, query: LogQuery) -> Result<Option<LogText>>;

    /// Series whose recorded or live query mentions `name`, over the last hour.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::Metrics`].
    async fn metrics(&self, _ctx: CallContext, _name: String) -> Result<Vec<MetricSeries>> {
        Err(Error::unsupported("cluster.metrics", "no metrics source; configure Prometheus"))
    }

    /// Optional operations offered.
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
}

delegate!(ClusterRead {
    async fn info(&self, ctx: CallContext) -> Result<ClusterInfo>;
    async fn get(&self, ctx: CallContext, reference: ObjectRef) -> Result<Option<Object>>;
    async fn list(&self, ctx: CallContext, query: ListQuery) -> Result<Vec<Object>>;
    async fn owners(&self, ctx: CallContext, reference: ObjectRef) -> Result<Vec<ObjectRef>>;
    async fn events(&self, ctx: CallContext, query: EventQuery) -> Result<Vec<KubeEvent>>;
    async fn logs(&self, ctx: CallContext, query: LogQuery) -> Result<Option<LogText>>;
    async fn metrics(&self, ctx: CallContext, name: String) -> Result<Vec<MetricSeries>>;
} sync { fn capabilities(&self) -> Vec<Capability>; });
