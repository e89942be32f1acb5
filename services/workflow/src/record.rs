//! What is written down about a transition: journal lines, events of the incident, the approval. Pure.

use kubernaut_core::{
    model::{Approval, ApprovalState, DryRun, JournalEntry, JournalKind, Observation, Run, Step, Timestamp, veil},
    port::NewEvent,
    service::Signal,
};
use serde_json::{Map, Value, json};

use crate::state::{Transition, TryOutcome, UndoOutcome, pair, pairs};

/// Everything beside the run itself that is stored with a transition.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) journal: Vec<JournalEntry>,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) approval: Option<Approval>,
    pub(crate) consumed_signals: Option<u64>,
}

impl Record {
    fn line(&mut self, kind: JournalKind, step: Option<&str>, at: Timestamp, data: Value) {
        self.journal.push(JournalEntry { kind, step: step.map(str::to_owned), at, data });
    }

    fn event(&mut self, kind: &'static str, data: Value) {
        self.events.push(NewEvent::system(kind, "workflow", data));
    }

    fn both(&mut self, kind: JournalKind, event: &'static str, step: Option<&str>, at: Timestamp, data: Value) {
        self.line(kind, step, at, data.clone());
        self.event(event, data);
    }
}

/// What to write about `transition`, which made `after`.
pub(crate) fn record(after: &Run, transition: &Transition, now: Timestamp) -> Record {
    let mut record = Record::default();
    let write = &mut record;
    match transition {
        Transition::Started => write.both(JournalKind::Started, "run.started", None, now, started(after)),
        Transition::Signalled { up_to, signals } => {
            write.consumed_signals = Some(*up_to);
            signals.iter().filter_map(signal).for_each(|(event, name)| write.both(JournalKind::StateChanged, event, None, now, state(after, name)));
        }
        Transition::Held { .. } => write.both(JournalKind::StateChanged, "run.held", None, now, state(after, "held")),
        Transition::Allowed => write.both(JournalKind::StateChanged, "run.resumed", None, now, state(after, "allowed")),
        Transition::Compensating { .. } => write.both(JournalKind::StateChanged, "run.compensating", None, now, state(after, "compensating")),
        Transition::Skipped { .. } => write.line(JournalKind::StateChanged, None, now, state(after, "skipped")),
        Transition::Finished { .. } => write.both(JournalKind::StateChanged, "run.ended", None, now, finished(after)),
        Transition::Asked { approval, dry_run } => {
            shown(write, after, &approval.step_id, dry_run.as_deref(), now);
            write.both(JournalKind::ApprovalRequested, "approval.requested", Some(&approval.step_id), now, asked(approval));
            write.approval = Some((**approval).clone());
        }
        Transition::Lapsed { step } => {
            let data = about(after, step, json!({"message": "agreed to too long ago; a person is asked anew"}));
            write.both(JournalKind::StateChanged, "approval.lapsed", Some(step), now, data);
        }
        Transition::Superseded { approval } => {
            write.line(JournalKind::ApprovalDecided, Some(&approval.step_id), now, decided(approval));
            if approval.state == ApprovalState::Expired {
                write.event("approval.superseded", decided(approval));
                write.approval = Some((**approval).clone());
            }
        }
        Transition::Approved { approval } => write.line(JournalKind::ApprovalDecided, Some(&approval.step_id), now, decided(approval)),
        Transition::Declined { approval } | Transition::Withdrawn { approval } => declined(write, approval, now),
        _ => record_step(write, after, transition, now),
    }
    record
}

fn record_step(write: &mut Record, after: &Run, transition: &Transition, now: Timestamp) {
    match transition {
        Transition::Shown { step, dry_run } => shown(write, after, step, Some(dry_run), now),
        Transition::NotShown { step, error, .. } => {
            write.line(JournalKind::DryRun, Some(step), now, about(after, step, json!({"error": error})));
            if pair(after, step).is_some_and(|(_, is)| is.ended_at.is_some()) {
                write.both(
                    JournalKind::StepEnded,
                    "step.ended",
                    Some(step),
                    now,
                    about(after, step, json!({"outcome": "failed", "message": error, "error": error})),
                );
            }
        }
        Transition::Denied { step, error, dry_run } => {
            shown(write, after, step, dry_run.as_deref(), now);
            let outcome = if dry_run.is_some() { "refused" } else { "skipped" };
            write.both(
                JournalKind::StepEnded,
                "step.ended",
                Some(step),
                now,
                about(after, step, json!({"outcome": outcome, "message": error, "error": error})),
            );
        }
        Transition::Began { step, digest, dry_run } => {
            shown(write, after, step, dry_run.as_deref(), now);
            let data = json!({"digest": digest, "agreed_by": agreed_by(after, step)});
            write.both(JournalKind::StepStarted, "step.started", Some(step), now, about(after, step, data));
        }
        Transition::Ended { step, observed, outcome } => {
            observation(write, after, step, *observed, now);
            write.both(JournalKind::StepEnded, "step.ended", Some(step), now, about(after, step, ended(after, step, outcome)));
        }
        Transition::UndoBegan { step } => {
            write.both(JournalKind::StepStarted, "step.undo_started", Some(step), now, about(after, step, json!({"undo": true})));
        }
        Transition::UndoEnded { step, observed, outcome } => {
            observation(write, after, step, *observed, now);
            write.both(JournalKind::Compensated, "step.undo_ended", Some(step), now, about(after, step, undone(after, step, outcome)));
        }
        // The rest is about the run as a whole.
        _ => {}
    }
}

/// The run, and what else is known of it.
fn of_run(run: &Run, more: Value) -> Value {
    merged(json!({"run_id": run.id, "attempt": run.attempt}), more)
}

fn about(run: &Run, step: &str, more: Value) -> Value {
    let data = of_run(run, json!({"step": step}));
    let Some((planned, is)) = pair(run, step) else { return merged(data, more) };
    let step = json!({"action": planned.action, "target": planned.target.to_string(), "key": is.key, "try": is.attempts, "state": is.state});
    merged(merged(data, step), more)
}

fn merged(into: Value, more: Value) -> Value {
    let mut fields = match into {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    Value::Object(fields)
}

fn started(run: &Run) -> Value {
    let step = |step: &Step| json!({"step": step.id, "action": step.action, "target": step.target.to_string(), "params": veil::params(&step.action, &step.params)});
    let steps: Vec<Value> = run.plan.steps.iter().map(step).collect();
    of_run(run, json!({"plan_id": run.plan.id, "reason": run.plan.reason, "mode": run.mode, "steps": steps}))
}

fn state(run: &Run, what: &str) -> Value {
    of_run(run, json!({"what": what, "state": run.state, "message": run.message}))
}

fn finished(run: &Run) -> Value {
    let steps: Vec<Value> = pairs(run)
        .map(|(step, is)| json!({"step": step.id, "action": step.action, "target": step.target.to_string(), "state": is.state, "error": is.error}))
        .collect();
    of_run(run, json!({"state": run.state, "message": run.message, "steps": steps}))
}

/// The event and the name of a signal that changes something. Answers to requests are written by the ledger.
fn signal(signal: &Signal) -> Option<(&'static str, &'static str)> {
    match signal {
        Signal::Decide { .. } => None,
        Signal::Edit { .. } => Some(("run.edited", "edit")),
        Signal::Pause => Some(("run.paused", "pause")),
        Signal::Resume => Some(("run.resumed", "resume")),
        Signal::Rollback => Some(("run.rollback_requested", "rollback")),
        Signal::Cancel => Some(("run.cancel_requested", "cancel")),
    }
}

fn shown(write: &mut Record, run: &Run, step: &str, dry_run: Option<&DryRun>, now: Timestamp) {
    let Some(dry_run) = dry_run else { return };
    let data = json!({
        "changes": dry_run.changes,
        "digest": dry_run.digest,
        "server_side": dry_run.server_side,
        "warnings": dry_run.warnings,
        "checks": dry_run.report.checks,
    });
    let data = about(run, step, data);
    // What is needed to take it back concerns only the engine.
    write.line(JournalKind::DryRun, Some(step), now, merged(data.clone(), json!({"pre_state": dry_run.pre_state})));
    write.event("step.dry_run", data);
}

fn asked(approval: &Approval) -> Value {
    json!({
        "run_id": approval.run_id,
        "approval_id": approval.id,
        "step": approval.step_id,
        "action": approval.request.action,
        "target": approval.request.target.to_string(),
        "reasons": approval.reasons,
        "changes": approval.changes,
        "digest": approval.digest,
        "expires_at": approval.expires_at,
    })
}

fn decided(approval: &Approval) -> Value {
    json!({
        "run_id": approval.run_id,
        "approval_id": approval.id,
        "step": approval.step_id,
        "state": approval.state,
        "by": approval.decided_by,
        "comment": approval.comment,
        "digest": approval.digest,
    })
}

fn declined(write: &mut Record, approval: &Approval, now: Timestamp) {
    write.line(JournalKind::ApprovalDecided, Some(&approval.step_id), now, decided(approval));
    // A person's answer is in the ledger already, with its event; that there was none is ours to write.
    if approval.state == ApprovalState::Expired {
        write.event("approval.decided", decided(approval));
        write.approval = Some(approval.clone());
    }
}

fn agreed_by(run: &Run, step: &str) -> &'static str {
    match pair(run, step) {
        Some((_, is)) if is.approval_id.is_some() => "person",
        _ => "policy",
    }
}

fn observation(write: &mut Record, run: &Run, step: &str, observed: Option<Observation>, now: Timestamp) {
    if let Some(observed) = observed {
        write.both(JournalKind::Observed, "step.observed", Some(step), now, about(run, step, json!({"observed": observed})));
    }
}

fn ended(run: &Run, step: &str, outcome: &TryOutcome) -> Value {
    match outcome {
        TryOutcome::Done(e) | TryOutcome::Refused(e) | TryOutcome::NeedsApproval(e) => json!({
            "outcome": e.outcome,
            "message": e.message,
            "changes": e.changes,
            "digest": e.digest,
            "checks": e.report.checks,
            "simulated": e.simulated,
        }),
        TryOutcome::NotApplied { error, .. } => {
            let again_at = pair(run, step).and_then(|(_, is)| is.not_before);
            json!({"outcome": "not_applied", "message": error, "error": error, "again_at": again_at})
        }
        TryOutcome::Unknown { error } => json!({"outcome": "unknown", "message": error, "error": error}),
    }
}

fn undone(run: &Run, step: &str, outcome: &UndoOutcome) -> Value {
    match outcome {
        UndoOutcome::Done(e) => json!({"outcome": e.outcome, "message": e.message, "changes": e.changes, "simulated": e.simulated}),
        UndoOutcome::NotUndone { error, .. } => {
            let again_at = pair(run, step).and_then(|(_, is)| is.not_before);
            json!({"outcome": "not_undone", "message": error, "error": error, "again_at": again_at})
        }
        UndoOutcome::Unknown { error } => json!({"outcome": "unknown", "message": error, "error": error}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_fields_win_and_what_is_no_object_adds_nothing() {
        assert_eq!(merged(json!({"a": 1, "b": 1}), json!({"b": 2})), json!({"a": 1, "b": 2}));
        assert_eq!(merged(json!({"a": 1}), Value::Null), json!({"a": 1}));
    }
}
