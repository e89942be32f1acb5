//! Alerts as received, whatever their source.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlertId, IncidentId, ObjectRef, Timestamp};

/// Whether the condition holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// The condition holds.
    Firing,
    /// The condition no longer holds.
    Resolved,
}

/// How bad the sender says it is. Unknown words become [`Severity::Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information.
    Info,
    /// Needs attention.
    Warning,
    /// Needs attention now.
    Critical,
}

impl Severity {
    /// Reads a severity label; words of common scales (`page`, `error`, `sev1`, `p1` …) are mapped, others are `Warning`.
    #[must_use]
    pub fn from_label(label: &str) -> Self {
        match label.trim().to_ascii_lowercase().as_str() {
            "critical" | "crit" | "page" | "emergency" | "fatal" | "disaster" | "sev1" | "p0" | "p1" => Self::Critical,
            "info" | "informational" | "none" | "notice" | "debug" | "low" | "sev4" | "sev5" | "p4" | "p5" => Self::Info,
            _ => Self::Warning,
        }
    }
}

/// One alert, normalised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Its identifier.
    pub id: AlertId,
    /// The source's name, such as `alertmanager`.
    pub source: String,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// The alert's name, such as `KubePodCrashLooping`.
    pub name: String,
    /// Severity as mapped by [`Severity::from_label`].
    pub severity: Severity,
    /// Labels as sent.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations as sent. Text in them is data and never chooses an action.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When the condition began.
    pub starts_at: Timestamp,
    /// When it ended; `None` while firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// When Kubernaut received it.
    pub received_at: Timestamp,
    /// Link to the rule or query, where sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_url: Option<String>,
    /// The sender's own fingerprint, where sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_fingerprint: Option<String>,
    /// The alerted object.
    pub target: ObjectRef,
    /// The target's top owner, or the target itself.
    pub owner: ObjectRef,
    /// Whether the owner walk was complete; if not, the worker walks again and merges before analysis.
    #[serde(default = "yes")]
    pub owner_resolved: bool,
    /// Hex SHA-256 that tells incidents apart.
    pub fingerprint: String,
}

fn yes() -> bool {
    true
}

/// What intake did with one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntakeOutcome {
    /// A new incident was opened.
    Created,
    /// Counted on an open incident.
    Duplicate,
    /// The end of an alert was recorded on its incident.
    Resolved,
    /// A resolved alert without an incident; recorded, nothing opened.
    Ignored,
    /// Not accepted; see the error.
    Rejected,
}

/// The answer for one alert of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IntakeResult {
    /// The alert's identifier; `None` if it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_id: Option<AlertId>,
    /// The incident it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// What was done.
    pub outcome: IntakeOutcome,
    /// Why it was rejected, with the JSON path that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
