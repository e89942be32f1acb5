//! The state machine of a run: values in, values out.
//!
//! [`decide`] says what is next for a run as it stands; [`apply`] gives the run after a transition. The driver stores what `apply` gives before
//! it goes on, so a crash loses at most a decision, never a fact.

mod apply;
mod decide;
mod transition;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod rules;

pub(crate) use apply::{apply, refusal};
pub(crate) use decide::{Facts, decide};
pub(crate) use transition::{Call, Next, Preview, Transition, TryOutcome, UndoOutcome};

use kubernaut_core::model::{Run, RunState, Step, StepRun, StepState};

/// What keeps a run from beginning further steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// It cannot be told what a step did.
    Unknown,
    /// Somebody asked to end it.
    Cancel,
    /// Completed steps are to be taken back.
    RollBack,
    /// A person said no.
    Reject,
}

impl Goal {
    /// Where the run is heading, if not to its regular end.
    ///
    /// Taking back is never begun on its own while it cannot be told what a step did, only if a person asks for it.
    pub(crate) fn of(run: &Run) -> Option<Self> {
        if !run.rollback_requested && run.steps.iter().any(|s| s.state == StepState::Unknown) {
            return Some(Self::Unknown);
        }
        if run.cancel_requested {
            return Some(Self::Cancel);
        }
        if run.rollback_requested || pairs(run).any(|(step, is)| step.critical && is.state == StepState::Failed) {
            return Some(Self::RollBack);
        }
        (run.ending == Some(RunState::Rejected)).then_some(Self::Reject)
    }

    fn state(self) -> RunState {
        match self {
            Self::Unknown => RunState::Unknown,
            Self::Cancel => RunState::Cancelled,
            Self::RollBack => RunState::RolledBack,
            Self::Reject => RunState::Rejected,
        }
    }
}

/// Steps as planned, with how they stand.
pub(crate) fn pairs(run: &Run) -> impl Iterator<Item = (&Step, &StepRun)> {
    run.plan.steps.iter().zip(&run.steps)
}

/// One step as planned, with how it stands.
pub(crate) fn pair<'a>(run: &'a Run, id: &str) -> Option<(&'a Step, &'a StepRun)> {
    pairs(run).find(|(step, _)| step.id == id)
}
