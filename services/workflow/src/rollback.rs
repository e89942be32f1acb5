//! Which step is taken back next, and how taking back ends. Pure.

use std::collections::BTreeSet;

use kubernaut_core::model::{ExecutionOutcome, Run, RunState, StepRun, StepState};

/// Whether a step has an effect that could be taken back.
pub(crate) fn in_effect(step: &StepRun) -> bool {
    let acted = |outcome| matches!(outcome, ExecutionOutcome::Applied | ExecutionOutcome::AlreadyApplied);
    step.state == StepState::Completed && step.execution.as_ref().is_some_and(|e| acted(e.outcome))
}

/// Whether any step has an effect.
pub(crate) fn any_in_effect(run: &Run) -> bool {
    run.steps.iter().any(in_effect)
}

/// The step to take back next: the one that completed last, and none before those that rest on it.
///
/// A step that could not be taken back keeps what it rests on in place, too.
pub(crate) fn next(run: &Run) -> Option<&StepRun> {
    let held = foundations(run);
    let free = |step: &&StepRun| in_effect(step) && step.error.is_none() && !held.contains(step.id.as_str());
    let order = |(index, step): &(usize, &StepRun)| (step.ended_at, *index);
    run.steps.iter().enumerate().filter(|(_, step)| free(step)).max_by_key(order).map(|(_, step)| step)
}

/// The steps that a step with an effect, or one of which it cannot be told, rests on.
fn foundations(run: &Run) -> BTreeSet<&str> {
    let stands = |step: &StepRun| in_effect(step) || matches!(step.state, StepState::Unknown | StepState::Executing | StepState::Compensating);
    let standing: BTreeSet<&str> = run.steps.iter().filter(|s| stands(s)).map(|s| s.id.as_str()).collect();
    let mut held = BTreeSet::new();
    let mut todo: Vec<&str> = standing.into_iter().collect();
    while let Some(id) = todo.pop() {
        let Some(step) = run.plan.steps.iter().find(|s| s.id == id) else { continue };
        todo.extend(step.depends_on.iter().map(String::as_str).filter(|d| held.insert(*d)));
    }
    held
}

/// How a run ends when nothing more can be taken back; `cause` is why it was taken back.
pub(crate) fn end(run: &Run, cause: &str) -> (RunState, String) {
    let unknown = names(run, |s| s.state == StepState::Unknown);
    if !unknown.is_empty() {
        return (RunState::Unknown, format!("{cause}; it cannot be told whether this took effect: {unknown}"));
    }
    let left = names(run, in_effect);
    if !left.is_empty() {
        return (RunState::Failed, format!("{cause}; left in place: {left}"));
    }
    let undone = names(run, |s| s.state == StepState::Compensated);
    match (undone.is_empty(), run.rollback_requested) {
        (false, _) => (RunState::RolledBack, format!("{cause}; taken back: {undone}")),
        (true, true) => (RunState::RolledBack, format!("{cause}; nothing had been changed")),
        (true, false) => (RunState::Failed, cause.to_owned()),
    }
}

/// The steps for which `which` holds, with what is known about them.
pub(crate) fn names(run: &Run, which: impl Fn(&StepRun) -> bool) -> String {
    let name = |step: &StepRun| match &step.error {
        Some(error) => format!("{} ({error})", step.id),
        None => step.id.clone(),
    };
    run.steps.iter().filter(|s| which(s)).map(name).collect::<Vec<_>>().join(", ")
}
