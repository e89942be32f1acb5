//! The lifecycle of an incident as a pure state machine: which phase follows, and until when a phase may last.

use std::time::Duration;

use jiff::SignedDuration;
use kubernaut_core::{
    Error, Result,
    model::{BlockReason, Incident, Outcome, Phase, Timestamp},
};
use serde::{Deserialize, Serialize};

/// What can happen to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// A worker took it.
    Claimed,
    /// It is held back.
    Held(BlockReason),
    /// The hold is over.
    Released,
    /// It is classified, and nothing holds it back.
    Classified,
    /// Analysis found that restraint is right.
    NothingToDo,
    /// A person has to take over.
    HandedOver,
    /// Its plan runs.
    RunStarted,
    /// The run waits for a person.
    ApprovalAsked,
    /// The run goes on.
    ApprovalGiven,
    /// A person said no, nobody answered, or the gate refused.
    RunRefused,
    /// All steps ended well.
    RunSucceeded,
    /// The run failed, and it may have changed something.
    RunFailed,
    /// The run failed before it changed anything, and another try is allowed.
    RunToRetry,
    /// It cannot be told what the run did.
    RunUnknown,
    /// What the run did was taken back.
    RunTakenBack,
    /// The run was cancelled by a person.
    RunCancelled,
    /// It helped.
    FoundEffective,
    /// It did not help.
    FoundIneffective,
    /// Whether it helped cannot be told.
    FoundUnknown,
    /// The alert ended before anything was done.
    AlertEnded,
    /// A person asked to end it.
    CancelRequested,
    /// The phase, or the incident as a whole, took too long.
    TimedOut,
    /// A step cannot be carried out.
    Broken,
}

impl Input {
    /// All inputs, one of each kind.
    pub const ALL: &'static [Self] = &[
        Self::Claimed,
        Self::Held(BlockReason::ResourceBusy),
        Self::Released,
        Self::Classified,
        Self::NothingToDo,
        Self::HandedOver,
        Self::RunStarted,
        Self::ApprovalAsked,
        Self::ApprovalGiven,
        Self::RunRefused,
        Self::RunSucceeded,
        Self::RunFailed,
        Self::RunToRetry,
        Self::RunUnknown,
        Self::RunTakenBack,
        Self::RunCancelled,
        Self::FoundEffective,
        Self::FoundIneffective,
        Self::FoundUnknown,
        Self::AlertEnded,
        Self::CancelRequested,
        Self::TimedOut,
        Self::Broken,
    ];
}

/// The phase that follows.
///
/// # Errors
/// `Conflict` if the input has no meaning in that phase; a terminal phase has no successor at all.
pub fn next(phase: Phase, input: Input) -> Result<Phase> {
    use Phase as P;
    let illegal = || {
        Error::conflict("lifecycle.next", "this cannot happen in this phase; read the incident again")
            .with("phase", phase)
            .with("input", format!("{input:?}"))
    };
    if phase.is_terminal() {
        return Err(illegal());
    }
    let acting = matches!(phase, P::Executing | P::AwaitingApproval);
    let after_acting = acting || phase == P::Verifying;
    match (phase, input) {
        (_, Input::CancelRequested) => Ok(P::Cancelled),
        (_, Input::TimedOut) => Ok(P::TimedOut),
        (_, Input::Broken) => Ok(P::Failed),
        (P::Received, Input::Claimed) | (P::Blocked, Input::Released) => Ok(P::Processing),
        (P::Processing, Input::Held(_)) => Ok(P::Blocked),
        (P::Processing, Input::Classified) => Ok(P::Investigating),
        (P::Investigating, Input::NothingToDo) => Ok(P::NoAction),
        (P::Processing | P::Investigating, Input::HandedOver) => Ok(P::ManualReview),
        (P::Investigating, Input::RunStarted) | (P::AwaitingApproval, Input::ApprovalGiven) => Ok(P::Executing),
        (P::Executing, Input::ApprovalAsked) => Ok(P::AwaitingApproval),
        (_, Input::RunSucceeded) if acting => Ok(P::Verifying),
        (_, Input::RunToRetry) if acting => Ok(P::Blocked),
        (_, Input::RunRefused) if acting => Ok(P::ManualReview),
        (_, Input::RunFailed) if acting => Ok(P::Failed),
        (_, Input::RunUnknown) if after_acting => Ok(P::ManualReview),
        (_, Input::RunTakenBack) if after_acting => Ok(P::RolledBack),
        (_, Input::RunCancelled) if acting => Ok(P::Cancelled),
        (P::Verifying, Input::FoundEffective) => Ok(P::Resolved),
        (P::Verifying, Input::FoundIneffective) => Ok(P::Ineffective),
        (P::Verifying, Input::FoundUnknown) => Ok(P::ManualReview),
        (P::Received | P::Processing | P::Investigating | P::Blocked | P::AwaitingApproval, Input::AlertEnded) => Ok(P::Recovered),
        _ => Err(illegal()),
    }
}

/// How a terminal phase is remembered; `None` for one that says nothing about the case.
#[must_use]
pub fn outcome(phase: Phase) -> Option<Outcome> {
    match phase {
        Phase::Resolved => Some(Outcome::Resolved),
        Phase::Recovered => Some(Outcome::Recovered),
        Phase::NoAction => Some(Outcome::NoAction),
        Phase::ManualReview => Some(Outcome::Escalated),
        Phase::Ineffective => Some(Outcome::Ineffective),
        Phase::RolledBack => Some(Outcome::RolledBack),
        Phase::Failed | Phase::TimedOut => Some(Outcome::Failed),
        _ => None,
    }
}

/// Longest times, in seconds. Every incident ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// `processing`. Default 300.
    pub processing_s: u64,
    /// `investigating`. Default 600.
    pub investigating_s: u64,
    /// `awaiting_approval`: how long an approval stays open; then it counts as "no". Default 900.
    pub awaiting_approval_s: u64,
    /// `executing`. Default 1800.
    pub executing_s: u64,
    /// `verifying`, beyond the time that verification itself may take. Default 60.
    pub verifying_slack_s: u64,
    /// From planning to the end of the run, all approvals included. Default 3600.
    pub run_s: u64,
    /// The whole incident, holds included. Default 86 400.
    pub max_age_s: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            processing_s: 300,
            investigating_s: 600,
            awaiting_approval_s: 900,
            executing_s: 1800,
            verifying_slack_s: 60,
            run_s: 3600,
            max_age_s: 86_400,
        }
    }
}

/// The engine ends an approval itself; this is how much later the processor does.
const APPROVAL_SLACK_S: u64 = 60;

/// When the incident must have left its phase. `verifying` is how long verification itself may take.
///
/// It counts only where there is nothing left to do but wait: after a downtime everything gets one more try first.
#[must_use]
pub fn deadline(incident: &Incident, timeouts: &Timeouts, verifying: Duration) -> Timestamp {
    let oldest = after(incident.opened_at, timeouts.max_age_s);
    let since = |seconds| after(incident.phase_since, seconds);
    let run_ends = after(planned_at(incident), timeouts.run_s);
    let phase = match incident.phase {
        Phase::Received | Phase::Blocked => oldest,
        Phase::Investigating => since(timeouts.investigating_s),
        Phase::AwaitingApproval => since(timeouts.awaiting_approval_s.saturating_add(APPROVAL_SLACK_S)).min(run_ends),
        Phase::Executing => since(timeouts.executing_s).min(run_ends),
        Phase::Verifying => since(verifying.as_secs().saturating_add(timeouts.verifying_slack_s)),
        _ => since(timeouts.processing_s),
    };
    phase.min(oldest)
}

/// When the run was planned: run ids carry their time.
fn planned_at(incident: &Incident) -> Timestamp {
    let stamp = incident.run_id.and_then(|id| id.0.get_timestamp());
    let at = stamp.and_then(|t| Timestamp::from_second(i64::try_from(t.to_unix().0).ok()?).ok());
    at.unwrap_or(incident.phase_since)
}

/// `at` plus seconds, saturating at the end of time.
pub(crate) fn after(at: Timestamp, seconds: u64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))).unwrap_or(Timestamp::MAX)
}

/// `at` plus milliseconds, saturating at the end of time.
pub(crate) fn after_ms(at: Timestamp, millis: u64) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
