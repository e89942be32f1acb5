//! What is next for a run.

use std::collections::{BTreeMap, BTreeSet};

use kubernaut_core::{
    model::{Approval, ApprovalId, ApprovalState, Mode, Run, RunState, Step, StepRun, StepState, Timestamp},
    service::Signal,
};

use super::{Call, Goal, Next, Preview, Transition, pair, pairs};
use crate::{approval, plan::same_target, rollback};

/// What the driver knows beside the run itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) now: Timestamp,
    /// Whether the journal is empty.
    pub(crate) fresh: bool,
    /// Whether this process is about to end: nothing is begun.
    pub(crate) draining: bool,
    /// Why all acting is stopped.
    pub(crate) stopped: Option<&'a str>,
    /// Unread signals.
    pub(crate) signals: &'a [(u64, Signal)],
    /// The requests for approval that steps wait for, or that agree to steps which have not begun.
    pub(crate) approvals: &'a BTreeMap<ApprovalId, Approval>,
    /// What steps would do now, as shown to this process.
    pub(crate) previews: &'a BTreeMap<String, Preview>,
    /// Steps with a call that this process waits for.
    pub(crate) in_flight: &'a BTreeSet<String>,
    /// Calls at once.
    pub(crate) max_parallel: usize,
}

/// The next thing to do. The caller does it and asks again, until it is told to wait or that all is over.
pub(crate) fn decide(run: &Run, facts: &Facts<'_>) -> Next {
    if let Some(news) = news(facts) {
        return Next::Record(news);
    }
    if run.state.is_terminal() {
        return Next::Over;
    }
    if facts.draining {
        return Next::Wait(None);
    }
    if let Some(call) = unresolved(run, facts) {
        return Next::Call(call);
    }
    if let Some(void) = superseded(run, facts) {
        return Next::Record(void);
    }
    if let Some(answer) = answer(run, facts) {
        return Next::Record(answer);
    }
    match Goal::of(run) {
        Some(goal) => wind_down(run, facts, goal),
        None => forward(run, facts),
    }
}

fn news(facts: &Facts<'_>) -> Option<Transition> {
    if facts.fresh {
        return Some(Transition::Started);
    }
    let (up_to, _) = facts.signals.last()?;
    Some(Transition::Signalled { up_to: *up_to, signals: facts.signals.iter().map(|(_, s)| s.clone()).collect() })
}

/// A step whose call ended unseen, as after a crash. It is looked at before anything else; looking is not acting, so nothing holds it up.
fn unresolved(run: &Run, facts: &Facts<'_>) -> Option<Call> {
    let unseen = |step: &&StepRun| !facts.in_flight.contains(&step.id);
    run.steps.iter().filter(unseen).find_map(|step| match step.state {
        StepState::Executing => Some(Call::Observe(step.id.clone())),
        StepState::Compensating => Some(Call::ObserveUndo(step.id.clone())),
        _ => None,
    })
}

fn asked<'a>(run: &'a Run, facts: &Facts<'a>) -> impl Iterator<Item = &'a Approval> {
    let approvals = facts.approvals;
    run.steps.iter().filter(|s| s.state == StepState::AwaitingApproval).filter_map(|s| approvals.get(&s.approval_id?))
}

/// A question about parameters that were changed since. An answer that came in between is about the old ones.
fn superseded(run: &Run, facts: &Facts<'_>) -> Option<Transition> {
    let edited = run.steps.iter().filter(|s| s.edited && s.state == StepState::AwaitingApproval);
    let open = edited.filter_map(|s| Some((s, facts.approvals.get(&s.approval_id?)?))).next();
    open.map(|(step, approval)| {
        let why = format!("parameters were changed by {}", step.edited_by.as_deref().unwrap_or("a person"));
        let approval = if approval.state == ApprovalState::Pending { approval::withdrawn(approval, facts.now, &why) } else { approval.clone() };
        Transition::Superseded { approval: Box::new(approval) }
    })
}

/// A person's answer, or that there was none in time.
fn answer(run: &Run, facts: &Facts<'_>) -> Option<Transition> {
    asked(run, facts).find_map(|approval| {
        let approval = Box::new(approval::as_of(approval, facts.now));
        match approval.state {
            ApprovalState::Pending => None,
            ApprovalState::Approved => Some(Transition::Approved { approval }),
            ApprovalState::Rejected | ApprovalState::Expired => Some(Transition::Declined { approval }),
        }
    })
}

/// The way to an end other than the regular one: calls in flight end, nothing further begins.
fn wind_down(run: &Run, facts: &Facts<'_>, goal: Goal) -> Next {
    if !facts.in_flight.is_empty() {
        return Next::Wait(None);
    }
    if let Some(open) = asked(run, facts).next() {
        let approval = Box::new(approval::withdrawn(open, facts.now, &why(run, goal)));
        return Next::Record(Transition::Withdrawn { approval });
    }
    let why = why(run, goal);
    if run.steps.iter().any(|s| matches!(s.state, StepState::Pending | StepState::AwaitingApproval)) {
        return Next::Record(Transition::Skipped { why });
    }
    match goal {
        Goal::RollBack => compensate(run, facts, why),
        Goal::Unknown | Goal::Cancel | Goal::Reject => Next::Record(Transition::Finished { state: goal.state(), message: ending(run, why) }),
    }
}

fn why(run: &Run, goal: Goal) -> String {
    let failed = || rollback::names(run, |s| s.state == StepState::Failed && pair(run, &s.id).is_some_and(|(step, _)| step.critical));
    match goal {
        Goal::Unknown => format!("it cannot be told whether this took effect: {}", rollback::names(run, |s| s.state == StepState::Unknown)),
        Goal::Cancel => "cancelled on request".into(),
        Goal::Reject => rollback::names(run, |s| s.state == StepState::Skipped && s.approval_id.is_some() && !approval::void(s.error.as_deref())),
        Goal::RollBack if run.rollback_requested => "taken back on request".into(),
        Goal::RollBack => format!("failed: {}", failed()),
    }
}

fn ending(run: &Run, why: String) -> String {
    let stay = rollback::names(run, rollback::in_effect);
    if stay.is_empty() { why } else { format!("{why}; in place: {stay}") }
}

fn compensate(run: &Run, facts: &Facts<'_>, why: String) -> Next {
    let Some(step) = rollback::next(run) else {
        let (state, message) = rollback::end(run, &why);
        return Next::Record(Transition::Finished { state, message });
    };
    if let Some(held) = held_up(run, facts) {
        return held;
    }
    if run.state != RunState::Compensating {
        return Next::Record(Transition::Compensating { why });
    }
    match step.not_before {
        Some(at) if at > facts.now => Next::Wait(Some(at)),
        _ => Next::Call(Call::Undo(step.id.clone())),
    }
}

/// Why nothing may begin now.
fn held_up(run: &Run, facts: &Facts<'_>) -> Option<Next> {
    match (facts.stopped, run.held) {
        (None, true) => Some(Next::Record(Transition::Allowed)),
        _ if run.state == RunState::Paused => Some(Next::Wait(expiry(run, facts))),
        (Some(reason), false) => Some(Next::Record(Transition::Held { reason: reason.to_owned() })),
        (Some(_), true) | (None, false) => None,
    }
}

fn expiry(run: &Run, facts: &Facts<'_>) -> Option<Timestamp> {
    asked(run, facts).map(|a| a.expires_at).min()
}

fn forward(run: &Run, facts: &Facts<'_>) -> Next {
    if let Some(denied) = pairs(run).find_map(|(step, is)| barred(run, step, is)) {
        return Next::Record(denied);
    }
    if let Some((step, is)) = ready(run, facts) {
        return held_up(run, facts).unwrap_or_else(|| go_on(run, step, is, facts));
    }
    if run.held && facts.stopped.is_none() {
        return Next::Record(Transition::Allowed);
    }
    let open = |s: &StepRun| matches!(s.state, StepState::Pending | StepState::AwaitingApproval | StepState::Executing);
    if facts.in_flight.is_empty() && !run.steps.iter().any(open) {
        let (state, message) = regular_end(run);
        return Next::Record(Transition::Finished { state, message });
    }
    let backoff = pairs(run).filter(|(step, is)| is.state == StepState::Pending && satisfied(run, step)).filter_map(|(_, is)| is.not_before);
    Next::Wait(backoff.filter(|at| *at > facts.now).chain(expiry(run, facts)).min())
}

/// A step that can never begin because one that it rests on did not end well.
fn barred(run: &Run, step: &Step, is: &StepRun) -> Option<Transition> {
    if is.state != StepState::Pending {
        return None;
    }
    let bars = |state| match state {
        StepState::Failed | StepState::Unknown | StepState::Compensated => true,
        // A dry run carries nothing out, so there every step that was shown is skipped.
        StepState::Skipped => run.mode != Mode::DryRun,
        _ => false,
    };
    let bad = step.depends_on.iter().find(|d| pair(run, d).is_some_and(|(_, is)| bars(is.state)))?;
    Some(Transition::Denied { step: step.id.clone(), error: format!("cannot begin, step {bad} did not end well"), dry_run: None })
}

fn satisfied(run: &Run, step: &Step) -> bool {
    let shown = |state| run.mode == Mode::DryRun && state == StepState::Skipped;
    step.depends_on.iter().all(|d| pair(run, d).is_some_and(|(_, is)| is.state == StepState::Completed || shown(is.state)))
}

/// The first step in plan order that may begin: what it rests on is done, its target is free, and there is room.
fn ready<'a>(run: &'a Run, facts: &Facts<'_>) -> Option<(&'a Step, &'a StepRun)> {
    if facts.in_flight.len() >= facts.max_parallel.max(1) {
        return None;
    }
    let busy = |step: &Step| facts.in_flight.iter().filter_map(|id| pair(run, id)).any(|(other, _)| same_target(&other.target, &step.target));
    pairs(run)
        .find(|(step, is)| is.state == StepState::Pending && is.not_before.is_none_or(|at| at <= facts.now) && satisfied(run, step) && !busy(step))
}

fn go_on(run: &Run, step: &Step, is: &StepRun, facts: &Facts<'_>) -> Next {
    let id = step.id.clone();
    if let (Some(approval), Some(digest)) = (is.approval_id, &is.approved_digest) {
        if facts.approvals.get(&approval).is_some_and(|a| approval::has_lapsed(a, run, facts.now)) {
            return Next::Record(Transition::Lapsed { step: id });
        }
        return Next::Call(Call::Execute { step: id, digest: digest.clone() });
    }
    let Some(preview) = facts.previews.get(&id) else { return Next::Call(Call::DryRun(id)) };
    if let Some(refusal) = &preview.refusal {
        return Next::Record(Transition::Denied { step: id, error: format!("refused: {refusal}"), dry_run: preview.dry_run.clone() });
    }
    match (run.mode, &preview.dry_run) {
        (Mode::Observe | Mode::DryRun, Some(dry_run)) => Next::Record(Transition::Shown { step: id, dry_run: dry_run.clone() }),
        (Mode::Observe | Mode::DryRun, None) => {
            let error = "the executor cannot show what it would do".to_owned();
            Next::Record(Transition::Denied { step: id, error, dry_run: None })
        }
        (Mode::Auto, _) if preview.asks.is_empty() && !step.requires_approval => {
            Next::Call(Call::Execute { step: id, digest: preview.digest.clone() })
        }
        (Mode::Auto | Mode::Approve, _) => Next::Call(Call::Ask(id)),
    }
}

/// The end of a run of which every step has ended and no critical one failed.
fn regular_end(run: &Run) -> (RunState, String) {
    let bad = rollback::names(run, |s| matches!(s.state, StepState::Failed | StepState::Skipped) && s.error.is_some());
    if run.mode == Mode::DryRun {
        return (RunState::Succeeded, "dry run: nothing was changed".into());
    }
    if !run.steps.iter().any(|s| s.state == StepState::Completed) {
        return (RunState::Failed, format!("no step completed: {bad}"));
    }
    let message = if bad.is_empty() { "all steps completed".into() } else { format!("completed without: {bad}") };
    (RunState::Succeeded, message)
}
