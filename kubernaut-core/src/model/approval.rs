//! A person's agreement, bound to the digest of a dry-run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ActionRequest, ApprovalId, FieldChange, IncidentId, RunId, Timestamp};

/// Where a request for approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Nobody answered yet.
    Pending,
    /// A person agreed.
    Approved,
    /// A person said no.
    Rejected,
    /// Nobody answered in time; counts as no.
    Expired,
}

/// A request for approval, and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Its identifier.
    pub id: ApprovalId,
    /// The incident.
    pub incident_id: IncidentId,
    /// The run.
    pub run_id: RunId,
    /// The step.
    pub step_id: String,
    /// What would be done.
    pub request: ActionRequest,
    /// Fields that would change.
    pub changes: Vec<FieldChange>,
    /// Identity of the effect; the approval is worth nothing for another.
    pub digest: String,
    /// Why a person is asked.
    pub reasons: Vec<String>,
    /// Where it stands.
    pub state: ApprovalState,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// When it counts as "no".
    pub expires_at: Timestamp,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalDecision {
    /// Yes or no.
    pub approve: bool,
    /// Who.
    pub by: String,
    /// The digest they saw; if given it must be the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What they say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
