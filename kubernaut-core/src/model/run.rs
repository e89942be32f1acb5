//! Runs of plans, the journal and intents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ActionRequest, ApprovalId, Execution, IncidentId, Mode, Plan, RunId, Timestamp};

/// Version of the stored shape of [`Run`].
pub const RUN_SCHEMA: u32 = 1;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Steps are being carried out.
    Running,
    /// A step waits for a person.
    AwaitingApproval,
    /// Paused by a person.
    Paused,
    /// Completed steps are being taken back.
    Compensating,
    /// All steps ended well.
    Succeeded,
    /// A critical step failed; nothing is left half done as far as it can be told.
    Failed,
    /// Completed steps were taken back.
    RolledBack,
    /// A person said no, or nobody answered in time.
    Rejected,
    /// Cancelled.
    Cancelled,
    /// It cannot be told whether a step took effect; a person decides.
    Unknown,
}

impl RunState {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Running | Self::AwaitingApproval | Self::Paused | Self::Compensating)
    }

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Paused => "paused",
            Self::Compensating => "compensating",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Waits for a person.
    AwaitingApproval,
    /// Being carried out; the journal says how far.
    Executing,
    /// Ended well.
    Completed,
    /// Failed.
    Failed,
    /// Not carried out because of another step or a cancellation.
    Skipped,
    /// Being taken back; the journal says how far.
    Compensating,
    /// Taken back.
    Compensated,
    /// It cannot be told whether it took effect, or whether it was taken back.
    Unknown,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRun {
    /// The step's name in the plan.
    pub id: String,
    /// Where it stands.
    pub state: StepState,
    /// Tries so far.
    pub attempts: u32,
    /// Idempotency key; the same over all tries.
    pub key: String,
    /// The open or last approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<ApprovalId>,
    /// Who changed its parameters last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_by: Option<String>,
    /// Whether its parameters were changed since the open request was made, which that makes void.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
    /// Digest of the effect that was agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_digest: Option<String>,
    /// What was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
    /// Why it failed, was skipped, or could not be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Tries to take it back so far.
    #[serde(default)]
    pub undo_attempts: u32,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Not before this time: backoff before another try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

/// One run of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Version of this shape.
    pub schema: u32,
    /// Its identifier.
    pub id: RunId,
    /// The incident it serves.
    pub incident_id: IncidentId,
    /// Attempt of the incident.
    pub attempt: u32,
    /// Where it stands.
    pub state: RunState,
    /// The state to return to after a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_from: Option<RunState>,
    /// What is to be done.
    pub plan: Plan,
    /// How far it may go.
    pub mode: Mode,
    /// Whether a person asked to cancel; honoured between steps.
    #[serde(default)]
    pub cancel_requested: bool,
    /// Whether completed steps are to be taken back.
    #[serde(default)]
    pub rollback_requested: bool,
    /// Whether it is paused only because all acting is stopped; it goes on by itself when acting is allowed again.
    #[serde(default)]
    pub held: bool,
    /// The end it is on its way to: no further step begins, what is in flight ends first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<RunState>,
    /// Steps in plan order.
    pub steps: Vec<StepRun>,
    /// When it began.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// One line on why it stands where it stands.
    #[serde(default)]
    pub message: String,
}

/// What a journal entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalKind {
    /// The run was created.
    Started,
    /// A step was dry-run.
    DryRun,
    /// A person was asked.
    ApprovalRequested,
    /// A person answered, or nobody did.
    ApprovalDecided,
    /// A try began.
    StepStarted,
    /// A try ended.
    StepEnded,
    /// After a crash the executor was asked about a key.
    Observed,
    /// A step was taken back.
    Compensated,
    /// The run changed state.
    StateChanged,
}

/// One line of the journal of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalEntry {
    /// What it records.
    pub kind: JournalKind,
    /// The step, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Details.
    #[serde(default)]
    pub data: Value,
}

/// How far an intent came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Committed; the effect may or may not be there.
    Open,
    /// The effect is there.
    Applied,
    /// It was not carried out.
    Abandoned,
    /// It was taken back.
    Undone,
}

/// The promise to act, committed before acting, with what is needed to take it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// Idempotency key.
    pub key: String,
    /// The incident it serves; `None` for an ad-hoc call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// What is asked for.
    pub request: ActionRequest,
    /// Identity of the effect.
    pub digest: String,
    /// Fields before the change.
    pub pre_state: Value,
    /// How far it came.
    pub state: IntentState,
    /// When it was committed.
    pub at: Timestamp,
    /// What was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
}
