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
    /// What agreement takes.
    #[serde(default, skip_serializing_if = "ApprovalTerms::is_plain")]
    pub terms: ApprovalTerms,
    /// Who asked for this, or changed its parameters; with four eyes they may not agree to it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Who agreed so far; it is approved when there are as many as the terms ask for. One "no" is a no.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreed: Vec<Agreement>,
}

/// What agreement takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApprovalTerms {
    /// How many different people must agree; at least 1. Default 1.
    pub approvers: u32,
    /// Groups of which each of them must be in one; anybody where empty. Default: empty.
    pub groups: Vec<String>,
    /// Whether who asked for it, or changed its parameters, counts as one of them not at all. Default: true.
    pub four_eyes: bool,
    /// Seconds it stays open before it counts as "no"; the plan's own time if absent, and never longer than that. Default: absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
}

impl Default for ApprovalTerms {
    fn default() -> Self {
        Self { approvers: 1, groups: Vec::new(), four_eyes: true, expires_s: None }
    }
}

impl ApprovalTerms {
    /// Whether any one person may agree who did not ask for it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The stricter of both in every respect. A person must be in a group of each, so groups that exclude each other leave nobody.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let groups = match (self.groups.is_empty(), other.groups.is_empty()) {
            (true, _) => other.groups.clone(),
            (_, true) => self.groups.clone(),
            _ => self.groups.iter().filter(|g| other.groups.contains(g)).cloned().collect(),
        };
        let nobody = groups.is_empty() && !(self.groups.is_empty() && other.groups.is_empty());
        Self {
            approvers: self.approvers.max(other.approvers),
            // A list that names nobody is not the same as an empty one.
            groups: if nobody { vec![String::new()] } else { groups },
            four_eyes: self.four_eyes || other.four_eyes,
            expires_s: [self.expires_s, other.expires_s].into_iter().flatten().min(),
        }
    }

    /// Whether somebody in `groups` may answer.
    #[must_use]
    pub fn admits(&self, groups: &[String]) -> bool {
        self.groups.is_empty() || groups.iter().any(|g| self.groups.contains(g))
    }

    /// Whether these people are enough.
    #[must_use]
    pub fn met_by(&self, agreed: &[Agreement]) -> bool {
        let mut people: Vec<&str> = agreed.iter().filter(|a| self.admits(&a.groups)).map(|a| a.by.as_str()).collect();
        people.sort_unstable();
        people.dedup();
        u32::try_from(people.len()).unwrap_or(u32::MAX) >= self.approvers.max(1)
    }
}

/// One person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// Who.
    pub by: String,
    /// Groups they were in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When.
    pub at: Timestamp,
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
    /// Groups they are in, as the host vouches for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}
