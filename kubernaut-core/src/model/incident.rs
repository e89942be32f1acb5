//! One incident and its lifecycle states.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Analysis, Classification, Decision, IncidentId, ObjectRef, Outcome, Plan, RunId, Severity, Timestamp, Verification};

/// Version of the stored shape of [`Incident`].
pub const INCIDENT_SCHEMA: u32 = 1;

/// Where an incident stands. See [`Phase::is_terminal`] and [`Phase::is_waiting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Committed; no worker has looked at it.
    Received,
    /// Being classified and enriched.
    Processing,
    /// Being analysed.
    Investigating,
    /// Its plan is running.
    Executing,
    /// Its effect is being checked.
    Verifying,
    /// A person has to agree.
    AwaitingApproval,
    /// Held back until a time, for a reason.
    Blocked,
    /// Fixed and verified.
    Resolved,
    /// Ended by itself.
    Recovered,
    /// Restraint was right.
    NoAction,
    /// A person has to take over.
    ManualReview,
    /// The action did not help.
    Ineffective,
    /// The action was taken back.
    RolledBack,
    /// It could not be carried out.
    Failed,
    /// A phase took too long.
    TimedOut,
    /// Cancelled by a person.
    Cancelled,
}

impl Phase {
    /// All phases.
    pub const ALL: &'static [Self] = &[
        Self::Received,
        Self::Processing,
        Self::Investigating,
        Self::Executing,
        Self::Verifying,
        Self::AwaitingApproval,
        Self::Blocked,
        Self::Resolved,
        Self::Recovered,
        Self::NoAction,
        Self::ManualReview,
        Self::Ineffective,
        Self::RolledBack,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
    ];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Processing => "processing",
            Self::Investigating => "investigating",
            Self::Executing => "executing",
            Self::Verifying => "verifying",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Blocked => "blocked",
            Self::Resolved => "resolved",
            Self::Recovered => "recovered",
            Self::NoAction => "no_action",
            Self::ManualReview => "manual_review",
            Self::Ineffective => "ineffective",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self >= Self::Resolved
    }

    /// Whether it waits for a person or a time.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::AwaitingApproval | Self::Blocked)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an incident is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockReason {
    /// Another incident of the same owner is in progress.
    DuplicateInProgress,
    /// Another run holds the target.
    ResourceBusy,
    /// The owner was remediated a moment ago.
    RecentlyRemediated,
    /// The last attempts failed in a row.
    ConsecutiveFailures,
    /// The last actions did not help.
    IneffectiveChain,
    /// The target is not opted in.
    Unmanaged,
    /// Waiting before another attempt.
    Backoff,
}

/// A hold with its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Block {
    /// Why.
    pub reason: BlockReason,
    /// Until when.
    pub until: Timestamp,
    /// One line with the values.
    pub text: String,
}

/// How far Kubernaut may go; it can only make a decision stricter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Analyse and tell.
    Observe,
    /// Also show what would be done.
    #[default]
    DryRun,
    /// Act after a person agreed, each time.
    Approve,
    /// Act where the decision says so.
    Auto,
}

/// One incident: what is alerted, found, decided and done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Version of this shape.
    pub schema: u32,
    /// The tracking id.
    pub id: IncidentId,
    /// Tenant; empty for the only one.
    #[serde(default)]
    pub tenant: String,
    /// Cluster id.
    pub cluster: String,
    /// What tells incidents apart.
    pub fingerprint: String,
    /// Where it stands.
    pub phase: Phase,
    /// Attempt, from 1.
    pub attempt: u32,
    /// Name of the alert that opened it.
    pub alert_name: String,
    /// Highest severity seen.
    pub severity: Severity,
    /// The alerted object.
    pub target: ObjectRef,
    /// Its top owner.
    pub owner: ObjectRef,
    /// Whether the owner walk was complete.
    #[serde(default)]
    pub owner_resolved: bool,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// When it reached its phase.
    pub phase_since: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// Alerts counted on it, the first included.
    pub occurrences: u64,
    /// Alerts that fire now, by the sender's word.
    pub firing: u64,
    /// When the last firing alert was resolved by the sender; `None` while any fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_resolved_at: Option<Timestamp>,
    /// Environment, priority, business context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Why it was decided so; one line.
    #[serde(default)]
    pub decision_reason: String,
    /// The plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// What verification found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Why it is held back, in phase `blocked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
    /// How it ended, for the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// One line on why it stands where it stands.
    #[serde(default)]
    pub message: String,
}
