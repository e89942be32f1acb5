//! The run after a transition.

use kubernaut_core::{
    model::{Approval, ApprovalId, DryRun, Execution, ExecutionOutcome, RetryPolicy, Run, RunState, StepRun, StepState, Timestamp},
    service::Signal,
};

use super::{Goal, Transition, TryOutcome, UndoOutcome, pair};
use crate::{
    approval,
    plan::edited_key,
    retry,
    rollback::{any_in_effect, in_effect},
};

/// The run after `transition` at `now`. Total: a transition for a step that the run does not have changes nothing of its steps.
pub(crate) fn apply(run: &Run, transition: &Transition, now: Timestamp) -> Run {
    let mut next = run.clone();
    next.updated_at = now;
    match transition {
        Transition::Started => next.message = "started".into(),
        Transition::Signalled { signals, .. } => signals.iter().for_each(|s| signalled(&mut next, s)),
        Transition::Held { reason } => hold(&mut next, reason),
        Transition::Allowed => go_on(&mut next, "acting is allowed again"),
        Transition::Shown { step, .. } => on(&mut next, step, |s, _| end(s, StepState::Skipped, None, now)),
        Transition::NotShown { step, error, cause } => on(&mut next, step, |s, retry| {
            s.attempts += 1;
            not_applied(s, retry, error, *cause, now);
        }),
        Transition::Denied { step, error, dry_run } => denied(&mut next, step, error, dry_run.as_deref(), now),
        Transition::Asked { approval, .. } => asked(&mut next, approval),
        Transition::Approved { approval } => on(&mut next, &approval.step_id, |s, _| {
            s.state = StepState::Pending;
            s.approved_digest = Some(approval.digest.clone());
            s.not_before = None;
        }),
        Transition::Lapsed { step } => on(&mut next, step, |s, _| {
            s.approval_id = None;
            s.approved_digest = None;
        }),
        Transition::Declined { approval } => {
            on(&mut next, &approval.step_id, |s, _| end(s, StepState::Skipped, Some(approval::refusal(approval)), now));
            next.ending = Some(RunState::Rejected);
        }
        Transition::Withdrawn { approval } => on(&mut next, &approval.step_id, |s, _| end(s, StepState::Skipped, approval.comment.clone(), now)),
        Transition::Superseded { approval } => on(&mut next, &approval.step_id, |s, _| {
            s.state = StepState::Pending;
            s.approval_id = None;
            s.approved_digest = None;
            s.edited = false;
        }),
        Transition::Began { step, digest, .. } => began(&mut next, step, digest, now),
        Transition::Ended { step, outcome, .. } => on(&mut next, step, |s, retry| ended(s, retry, outcome, now)),
        Transition::Skipped { why } => skip(&mut next, why, now),
        Transition::Compensating { why } => {
            next.state = RunState::Compensating;
            next.message = format!("taking back completed steps: {why}");
        }
        Transition::UndoBegan { step } => on(&mut next, step, |s, _| {
            s.state = StepState::Compensating;
            s.undo_attempts += 1;
            s.not_before = None;
        }),
        Transition::UndoEnded { step, outcome, .. } => on(&mut next, step, |s, retry| undo_ended(s, retry, outcome, now)),
        Transition::Finished { state, message } => finish(&mut next, *state, message),
    }
    settle(&mut next);
    next
}

fn on(run: &mut Run, id: &str, change: impl FnOnce(&mut StepRun, &RetryPolicy)) {
    let Some(index) = run.plan.steps.iter().position(|s| s.id == id) else { return };
    if let (Some(step), Some(planned)) = (run.steps.get_mut(index), run.plan.steps.get(index)) {
        change(step, &planned.retry);
    }
}

fn signalled(run: &mut Run, signal: &Signal) {
    match signal {
        // The ledger has recorded the answer; it is read from there.
        Signal::Decide { .. } => {}
        Signal::Rollback => roll_back(run),
        _ if run.state.is_terminal() => {}
        Signal::Edit { approval_id, params, by } => edit(run, *approval_id, params, by),
        Signal::Cancel => {
            run.cancel_requested = true;
            run.rollback_requested = false;
            run.message = "to be cancelled".into();
        }
        Signal::Pause if run.state == RunState::Paused => run.held = false,
        Signal::Pause => {
            run.paused_from = Some(run.state);
            run.state = RunState::Paused;
            run.message = "paused on request".into();
        }
        Signal::Resume => go_on(run, "resumed"),
    }
}

/// Other parameters for a step that waits for an answer. It keeps its request until that is closed in the same transaction as this is left behind.
fn edit(run: &mut Run, approval: ApprovalId, params: &serde_json::Value, by: &str) {
    let waits = |s: &StepRun| s.approval_id == Some(approval) && s.state == StepState::AwaitingApproval;
    let Some(index) = run.steps.iter().position(waits) else { return };
    if let (Some(step), Some(planned)) = (run.steps.get_mut(index), run.plan.steps.get_mut(index)) {
        step.key = edited_key(step, params);
        planned.params = params.clone();
        step.edited_by = Some(by.to_owned());
        step.edited = true;
        run.message = format!("step {}: parameters changed by {by}", step.id);
    }
}

/// Asks for completed steps to be taken back, those included that could not be taken back before.
fn roll_back(run: &mut Run) {
    run.rollback_requested = true;
    run.cancel_requested = false;
    if run.state.is_terminal() {
        if !any_in_effect(run) {
            run.message = format!("nothing is left that could be taken back; {}", run.message);
            return;
        }
        run.state = RunState::Compensating;
    }
    go_on(run, "to be taken back");
    for step in run.steps.iter_mut().filter(|s| in_effect(s)) {
        step.error = None;
        step.undo_attempts = 0;
        step.not_before = None;
    }
    run.message = "to be taken back".into();
}

fn hold(run: &mut Run, reason: &str) {
    run.paused_from = Some(run.state);
    run.state = RunState::Paused;
    run.held = true;
    run.message = format!("held, all acting is stopped: {reason}");
}

fn go_on(run: &mut Run, message: &str) {
    if run.state == RunState::Paused {
        run.state = run.paused_from.take().unwrap_or(RunState::Running);
        run.held = false;
        run.message = message.into();
    }
}

fn denied(run: &mut Run, id: &str, error: &str, dry_run: Option<&DryRun>, now: Timestamp) {
    let critical = pair(run, id).is_some_and(|(step, _)| step.critical);
    let state = if dry_run.is_some() || critical { StepState::Failed } else { StepState::Skipped };
    on(run, id, |s, _| {
        s.execution = dry_run.map(|shown| refused(shown, error));
        end(s, state, Some(error.to_owned()), now);
    });
    run.message = format!("step {id}: {error}");
}

/// What the gate would have answered, had it been asked to act.
fn refused(shown: &DryRun, error: &str) -> Execution {
    Execution {
        outcome: ExecutionOutcome::Refused,
        report: shown.report.clone(),
        changes: Vec::new(),
        digest: String::new(),
        pre_state: serde_json::Value::Null,
        message: error.to_owned(),
        simulated: false,
    }
}

fn asked(run: &mut Run, approval: &Approval) {
    on(run, &approval.step_id, |s, _| {
        s.state = StepState::AwaitingApproval;
        s.approval_id = Some(approval.id);
        s.approved_digest = None;
    });
    run.message = format!("step {} waits for a person: {}", approval.step_id, approval.reasons.join("; "));
}

fn began(run: &mut Run, id: &str, digest: &str, now: Timestamp) {
    on(run, id, |s, _| {
        s.state = StepState::Executing;
        s.attempts += 1;
        s.approved_digest = Some(digest.to_owned());
        s.started_at = s.started_at.or(Some(now));
        s.error = None;
        s.not_before = None;
    });
    if let Some((step, _)) = pair(run, id) {
        run.message = format!("step {id}: {} on {}", step.action, step.target);
    }
}

fn end(step: &mut StepRun, state: StepState, error: Option<String>, now: Timestamp) {
    step.state = state;
    step.error = error;
    step.ended_at = Some(now);
    step.not_before = None;
}

fn ended(step: &mut StepRun, retry: &RetryPolicy, outcome: &TryOutcome, now: Timestamp) {
    match outcome {
        TryOutcome::Done(execution) => {
            step.execution = Some((**execution).clone());
            end(step, StepState::Completed, None, now);
        }
        TryOutcome::Refused(execution) => {
            step.execution = Some((**execution).clone());
            end(step, StepState::Failed, Some(refusal(execution)), now);
        }
        TryOutcome::NeedsApproval(execution) => needs_approval(step, execution, now),
        TryOutcome::NotApplied { error, cause } => not_applied(step, retry, error, *cause, now),
        TryOutcome::Unknown { error } => end(step, StepState::Unknown, Some(error.clone()), now),
    }
}

/// One line on what the gate refused.
pub(crate) fn refusal(execution: &Execution) -> String {
    match execution.report.refusal() {
        Some(check) => format!("refused: {}: {}", check.name, check.text),
        None => format!("refused: {}", execution.message),
    }
}

fn needs_approval(step: &mut StepRun, execution: &Execution, now: Timestamp) {
    let agreed = step.approval_id.is_some() && step.approved_digest.as_deref() == Some(execution.digest.as_str());
    if agreed {
        // Asking for the same thing once more would go on for ever.
        return end(step, StepState::Failed, Some(format!("the gate does not take the approval it asked for: {}", execution.message)), now);
    }
    step.state = StepState::Pending;
    step.attempts = step.attempts.saturating_sub(1);
    step.approval_id = None;
    step.approved_digest = None;
}

fn not_applied(step: &mut StepRun, retry: &RetryPolicy, error: &str, cause: retry::Cause, now: Timestamp) {
    let cause = retry::judged(cause, step.started_at, now);
    step.attempts = retry::counted(step.attempts, cause);
    let Some(at) = retry::next_try(retry, step.attempts, cause, now) else {
        return end(step, StepState::Failed, Some(error.to_owned()), now);
    };
    step.state = StepState::Pending;
    step.error = Some(error.to_owned());
    step.not_before = Some(at);
    if step.approval_id.is_none() {
        // Policy agreed to what was shown then; it is shown anew. A person's word stays, bound to its digest.
        step.approved_digest = None;
    }
}

fn undo_ended(step: &mut StepRun, retry: &RetryPolicy, outcome: &UndoOutcome, now: Timestamp) {
    step.not_before = None;
    match outcome {
        UndoOutcome::Done(execution) => {
            step.state = StepState::Compensated;
            step.error = (execution.outcome == ExecutionOutcome::NoChange).then(|| format!("nothing to take back: {}", execution.message));
        }
        UndoOutcome::NotUndone { error, cause } => {
            step.state = StepState::Completed;
            step.undo_attempts = retry::counted(step.undo_attempts, *cause);
            step.not_before = retry::next_try(retry, step.undo_attempts, *cause, now);
            step.error = step.not_before.is_none().then(|| format!("cannot be taken back: {error}"));
        }
        UndoOutcome::Unknown { error } => {
            step.state = StepState::Unknown;
            step.error = Some(format!("taking it back: {error}"));
        }
    }
}

fn skip(run: &mut Run, why: &str, now: Timestamp) {
    for step in run.steps.iter_mut().filter(|s| matches!(s.state, StepState::Pending | StepState::AwaitingApproval)) {
        end(step, StepState::Skipped, Some(approval::not_begun(why)), now);
    }
}

fn finish(run: &mut Run, state: RunState, message: &str) {
    run.state = state;
    run.message = message.to_owned();
    run.paused_from = None;
    run.held = false;
    run.ending = None;
}

/// Brings the run's own state in line with its steps'.
fn settle(run: &mut Run) {
    if run.state.is_terminal() {
        return;
    }
    if let Some(goal) = Goal::of(run) {
        run.ending = Some(goal.state());
    }
    if matches!(run.state, RunState::Running | RunState::AwaitingApproval) {
        let any = |state| run.steps.iter().any(|s| s.state == state);
        let waits = any(StepState::AwaitingApproval) && !any(StepState::Executing);
        run.state = if waits { RunState::AwaitingApproval } else { RunState::Running };
    }
}
