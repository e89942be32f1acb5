//! Single rules of the state machine that the properties do not pin down.

use kubernaut_core::{
    model::{
        Execution, ExecutionOutcome, GateReport, IncidentId, Mode, ObjectRef, PLAN_VERSION, Plan, PlanId, RetryPolicy, Run, RunId, RunState, Step,
        StepState, Timestamp,
    },
    service::{Signal, StartRequest},
};
use serde_json::Value;

use super::{Transition, TryOutcome, UndoOutcome, apply};
use crate::{plan::new_run, retry::Cause, rollback};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn run(steps: &[(&str, &[&str], bool)]) -> Run {
    let step = |(id, depends_on, critical): &(&str, &[&str], bool)| Step {
        id: (*id).into(),
        action: "scale_deployment".into(),
        action_version: 1,
        target: ObjectRef::new("Deployment", Some("shop"), *id),
        params: Value::Null,
        depends_on: depends_on.iter().map(|d| (*d).to_owned()).collect(),
        retry: RetryPolicy::default(),
        timeout_s: 60,
        critical: *critical,
        requires_approval: false,
    };
    let plan =
        Plan { id: PlanId::new(NOW), version: PLAN_VERSION, reason: "t".into(), steps: steps.iter().map(step).collect(), approval_timeout_s: 60 };
    new_run(StartRequest { run_id: RunId::new(NOW), incident_id: IncidentId::new(NOW), attempt: 1, plan, mode: Mode::Auto }, NOW).unwrap()
}

fn done(run: &Run, step: &str, outcome: ExecutionOutcome) -> Run {
    let execution = Execution {
        outcome,
        report: GateReport::default(),
        changes: vec![],
        digest: "d".into(),
        pre_state: Value::Null,
        message: "m".into(),
        simulated: false,
    };
    let began = apply(run, &Transition::Began { step: step.into(), digest: "d".into(), dry_run: None }, NOW);
    apply(&began, &Transition::Ended { step: step.into(), observed: None, outcome: TryOutcome::Done(Box::new(execution)) }, NOW)
}

fn not_undone(run: &Run, step: &str) -> Run {
    let began = apply(run, &Transition::UndoBegan { step: step.into() }, NOW);
    let outcome = UndoOutcome::NotUndone { error: "somebody changed it".into(), cause: Cause::Permanent };
    apply(&began, &Transition::UndoEnded { step: step.into(), observed: None, outcome }, NOW)
}

fn signalled(run: &Run, signals: &[Signal]) -> Run {
    apply(run, &Transition::Signalled { up_to: 1, signals: signals.to_vec() }, NOW)
}

#[test]
fn what_a_step_rests_on_stays_while_the_step_cannot_be_taken_back() {
    let run = run(&[("base", &[], true), ("alone", &[], true), ("top", &["base"], true)]);
    let run = ["base", "alone", "top"].iter().fold(run, |run, step| done(&run, step, ExecutionOutcome::Applied));
    assert_eq!(rollback::next(&run).unwrap().id, "top");
    let run = not_undone(&run, "top");
    assert_eq!(rollback::next(&run).unwrap().id, "alone");
    let run = not_undone(&run, "alone");
    assert!(rollback::next(&run).is_none(), "base carries top");
    let (state, message) = rollback::end(&run, "failed: x");
    assert_eq!(state, RunState::Failed);
    assert!(message.contains("left in place: base, alone (cannot be taken back: somebody changed it), top"), "{message}");
}

#[test]
fn a_step_that_changed_nothing_is_not_taken_back() {
    let run = done(&run(&[("a", &[], true)]), "a", ExecutionOutcome::NoChange);
    assert!(rollback::next(&run).is_none());
    assert_eq!(rollback::end(&run, "failed: x"), (RunState::Failed, "failed: x".into()));
}

#[test]
fn a_second_request_tries_again_what_could_not_be_taken_back() {
    let run = not_undone(&done(&run(&[("a", &[], true)]), "a", ExecutionOutcome::Applied), "a");
    let run = apply(&run, &Transition::Finished { state: RunState::Failed, message: "left".into() }, NOW);
    let again = signalled(&run, &[Signal::Rollback]);
    assert_eq!((again.state, again.rollback_requested), (RunState::Compensating, true));
    assert_eq!(rollback::next(&again).unwrap().id, "a");
}

#[test]
fn an_ended_run_without_effects_says_so_and_stays_ended() {
    let run = apply(&run(&[("a", &[], true)]), &Transition::Finished { state: RunState::Cancelled, message: "cancelled".into() }, NOW);
    let asked = signalled(&run, &[Signal::Rollback]);
    assert_eq!((asked.state, asked.rollback_requested), (RunState::Cancelled, true));
    assert!(asked.message.contains("nothing is left"), "{}", asked.message);
}

#[test]
fn a_persons_pause_outlives_the_end_of_a_stop() {
    let held = apply(&run(&[("a", &[], true)]), &Transition::Held { reason: "drill".into() }, NOW);
    assert_eq!((held.state, held.held), (RunState::Paused, true));
    let allowed = apply(&held, &Transition::Allowed, NOW);
    assert_eq!((allowed.state, allowed.held), (RunState::Running, false));
    let paused = signalled(&held, &[Signal::Pause]);
    assert_eq!((paused.state, paused.held), (RunState::Paused, false));
    let resumed = signalled(&paused, &[Signal::Resume]);
    assert_eq!(resumed.state, RunState::Running);
}

#[test]
fn the_last_word_counts_between_cancel_and_rollback() {
    let run = run(&[("a", &[], true)]);
    let both = signalled(&run, &[Signal::Cancel, Signal::Rollback]);
    assert_eq!((both.cancel_requested, both.rollback_requested, both.ending), (false, true, Some(RunState::RolledBack)));
    let both = signalled(&run, &[Signal::Rollback, Signal::Cancel]);
    assert_eq!((both.cancel_requested, both.rollback_requested, both.ending), (true, false, Some(RunState::Cancelled)));
}

#[test]
fn an_approval_that_the_gate_does_not_take_is_not_asked_for_again() {
    let mut run = run(&[("a", &[], true)]);
    run.steps[0].approval_id = Some(kubernaut_core::model::ApprovalId::new(NOW));
    let began = apply(&run, &Transition::Began { step: "a".into(), digest: "d".into(), dry_run: None }, NOW);
    let asks = |digest: &str| {
        let execution = Execution {
            outcome: ExecutionOutcome::NeedsApproval,
            report: GateReport::default(),
            changes: vec![],
            digest: digest.into(),
            pre_state: Value::Null,
            message: "m".into(),
            simulated: false,
        };
        apply(&began, &Transition::Ended { step: "a".into(), observed: None, outcome: TryOutcome::NeedsApproval(Box::new(execution)) }, NOW)
    };
    assert_eq!(asks("d").steps[0].state, StepState::Failed);
    let other = asks("e");
    assert_eq!((other.steps[0].state, other.steps[0].approval_id), (StepState::Pending, None));
}
