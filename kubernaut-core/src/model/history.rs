//! What is remembered of an incident.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Category, IncidentId, ObjectRef, Timestamp};

/// How an incident ended, as the memory keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Fixed and verified.
    Resolved,
    /// Ended by itself.
    Recovered,
    /// The action did not help.
    Ineffective,
    /// The action was taken back.
    RolledBack,
    /// Restraint was right.
    NoAction,
    /// A person took over.
    Escalated,
    /// It could not be carried out.
    Failed,
}

/// One remembered incident. Also the shape of a bundle's `history.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// The incident, where it is one of this ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// Its fingerprint; empty where unknown.
    #[serde(default)]
    pub fingerprint: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// The alert's name.
    #[serde(default)]
    pub alert_name: String,
    /// The top owner.
    pub resource: ObjectRef,
    /// Kind of cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// The causing object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ObjectRef>,
    /// The first action taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Its parameters, and what was seen afterwards where the recorder adds it.
    #[serde(default)]
    pub parameters: Value,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// 0 to 1, from verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effectiveness: Option<f64>,
    /// Text that is searched: alert, cause and evidence.
    #[serde(default)]
    pub text: String,
}
