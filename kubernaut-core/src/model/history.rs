//! What is remembered of an incident.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Category, Environment, IncidentId, ObjectRef, Timestamp};

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

impl Outcome {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Recovered => "recovered",
            Self::Ineffective => "ineffective",
            Self::RolledBack => "rolled_back",
            Self::NoAction => "no_action",
            Self::Escalated => "escalated",
            Self::Failed => "failed",
        }
    }
}

/// One remembered incident. Also the shape of a bundle's `history.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// The incident, where it is one of this ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// Whose incident it is; empty for the only tenant. Given by the caller's context where it is remembered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
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
    /// Kind of environment, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
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

impl HistoryEntry {
    /// What makes an entry the same as one before: its incident, else its whole content.
    #[must_use]
    pub fn key(&self) -> String {
        match self.incident_id {
            Some(id) => format!("i:{id}"),
            // A value without maps of foreign keys always becomes JSON.
            None => format!("c:{}", hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))),
        }
    }

    /// How it ended, in one line, such as `resolved by rollback_deployment, effectiveness 0.95`.
    #[must_use]
    pub fn ended(&self) -> String {
        let Some(outcome) = self.outcome else { return "not ended".to_owned() };
        let mut line = outcome.as_str().replace('_', " ");
        if let Some(action) = &self.action {
            line = format!("{line} {} {action}", if outcome == Outcome::Resolved { "by" } else { "after" });
        }
        if let Some(effectiveness) = self.effectiveness {
            line = format!("{line}, effectiveness {effectiveness:.2}");
        }
        line
    }
}
