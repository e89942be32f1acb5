//! What people and systems are told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{IncidentId, NotificationId, Severity, Timestamp};

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// A person is asked to agree.
    ApprovalRequested,
    /// A person has to take over.
    Escalated,
    /// The incident ended.
    Closed,
    /// For information, as `notify_only` sends it.
    Information,
}

/// One message, independent of its channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// Its identifier; receivers can use it to drop repetitions.
    pub id: NotificationId,
    /// The incident.
    pub incident_id: IncidentId,
    /// Why.
    pub kind: NotificationKind,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// A few lines: cause, evidence, what was or would be done.
    pub body: String,
    /// Structured details; never a secret.
    #[serde(default)]
    pub data: Value,
    /// When.
    pub at: Timestamp,
}
