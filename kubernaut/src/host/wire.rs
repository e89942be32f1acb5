//! What only travels between the engine and a host.

use kubernaut_core::{
    model::{Event, IncidentId, Mode, ObjectRef, RunId, Timestamp},
    service::{CallContext, Signal},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::eval::Prediction;

/// What goes with every call of a plug-in: who, for whom, until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CallContext")]
pub struct WireContext {
    /// Milliseconds until the answer is no longer wanted; absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_ms: Option<u64>,
    /// Tracking id for logs; the incident's id where there is one.
    pub trace: String,
    /// Who calls, such as `system:processor` or `user:ann`.
    pub actor: String,
    /// Tenant; empty for the only one.
    pub tenant: String,
    /// Cluster id; empty for the default one.
    pub cluster: String,
    /// How far actions may go.
    pub mode: Mode,
}

impl From<&CallContext> for WireContext {
    fn from(ctx: &CallContext) -> Self {
        Self {
            remaining_ms: ctx.remaining().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            trace: ctx.trace.to_string(),
            actor: ctx.actor.to_string(),
            tenant: ctx.tenant.to_string(),
            cluster: ctx.cluster.to_string(),
            mode: ctx.mode,
        }
    }
}

/// One page of the event stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// Events in order.
    pub events: Vec<Event>,
    /// Ask for those after this number next.
    pub next: u64,
    /// Whether the engine has shut down, so that nothing follows.
    pub ended: bool,
}

/// What a folder of recorded incidents was answered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    /// One answer a case.
    pub predictions: Vec<Prediction>,
    /// Shares of right answers, where the truth was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Value>,
    /// Cases that could not be read, with the reason.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// A recorded incident, as far as a program wants to know it before it analyses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bundle {
    /// Its id.
    pub id: String,
    /// The webhook that its alert sent, if recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Value>,
}

/// What was done to a resource since a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct HistoryRequest {
    /// The resource.
    pub(super) resource: ObjectRef,
    /// Since when.
    pub(super) since: Timestamp,
}

/// Which incident is to be forgotten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct ForgetRequest {
    /// The incident.
    pub(super) incident_id: IncidentId,
}

/// Which part of all that is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct ScanRequest {
    /// Where to go on; 0 for the beginning.
    pub(super) after: u64,
    /// At most this many.
    pub(super) limit: u32,
}

/// Which entries are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct FetchRequest {
    /// Their keys.
    pub(super) keys: Vec<String>,
}

/// Which run is meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct RunRequest {
    /// The run.
    pub(super) run_id: RunId,
}

/// What a run is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct SignalRequest {
    /// The run.
    pub(super) run_id: RunId,
    /// What.
    pub(super) signal: Signal,
}
