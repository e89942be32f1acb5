//! How runs are driven: who is asked, what is tried again, what is taken back, what stops a run.

mod common;

use std::time::Duration;

use kubernaut_core::{
    ErrorKind,
    model::{ApprovalState, JournalKind, Mode, NotificationKind, ObjectRef, Observation, RetryPolicy, Run, RunState, Step, StepState},
    service::{Signal, WorkflowEngine},
    testkit::{Behaviour, Operation, workflow_engine::step},
};

use common::{World, ctx, quick};
use serde_json::json;

fn states(run: &Run) -> Vec<StepState> {
    run.steps.iter().map(|s| s.state).collect()
}

const NONE: [&str; 0] = [];

#[tokio::test]
async fn policy_agrees_to_the_digest_that_was_shown() {
    let world = World::new().await;
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    let run = world.reaches(&run, RunState::Succeeded).await;
    let calls = world.executor.calls();
    assert_eq!(calls.iter().map(|c| c.operation).collect::<Vec<_>>(), [Operation::DryRun, Operation::Execute]);
    assert!(calls[1].approved_digest.is_some() && !calls[1].approved_by_person);
    assert_eq!(run.steps[0].approved_digest, calls[1].approved_digest);
    assert_eq!(world.event_kinds(&run).await, ["run.started", "step.dry_run", "step.started", "step.ended", "run.ended"]);
    let journal: Vec<JournalKind> = world.ledger.journal(ctx(), run.id).await.unwrap().into_iter().map(|l| l.kind).collect();
    use JournalKind::{DryRun, Started, StateChanged, StepEnded, StepStarted};
    assert_eq!(journal, [Started, DryRun, StepStarted, StepEnded, StateChanged]);
    let events = world.events(&run).await;
    let ended = events.iter().find(|e| e.kind == "step.ended").unwrap();
    assert_eq!(ended.data["changes"][0]["path"], "/spec/value");
    assert!(events.iter().all(|e| e.data["pre_state"].is_null()), "what is needed to take back is not told to subscribers");
}

#[tokio::test]
async fn an_agreement_that_lay_unused_too_long_is_asked_for_anew() {
    for (waits_s, anew) in [(890, false), (901, true)] {
        let world = World::new().await;
        let run = world.start(vec![step("a", &[])], Mode::Approve).await;
        let approval = world.asked(&run).await;
        world.ledger.set_stopped(ctx(), Some("drill".into())).await.unwrap();
        world.answer(&approval, true).await;
        world.until(&run, "held", |r| r.held).await;
        world.clock.advance(Duration::from_secs(waits_s));
        world.ledger.set_stopped(ctx(), None).await.unwrap();
        // It may have looked once more before the stop was lifted, so time goes on until it looks again.
        world.passing(&run, Duration::from_millis(10), "it goes on", |r| !r.held).await;
        if anew {
            let again = world.asked(&run).await;
            assert_ne!(again.id, approval.id);
            assert!(world.executor.called(Operation::Execute).is_empty());
            assert!(world.event_kinds(&run).await.contains(&"approval.lapsed".to_owned()));
            world.answer(&again, true).await;
        }
        let run = world.reaches(&run, RunState::Succeeded).await;
        assert_eq!(run.steps[0].approval_id != Some(approval.id), anew);
    }
}

#[tokio::test]
async fn a_value_that_is_set_is_told_to_nobody_but_the_executor() {
    let world = World::new().await;
    let patch = Step { action: "patch_env".into(), params: json!({"name": "PASSWORD", "value": "s3cret"}), ..step("a", &[]) };
    let run = world.start(vec![patch], Mode::Approve).await;
    let approval = world.asked(&run).await;
    world.answer(&approval, true).await;
    let run = world.reaches(&run, RunState::Succeeded).await;
    // What the fake executor shows as its effect is its own.
    let started = world.events(&run).await.into_iter().find(|e| e.kind == "run.started").unwrap().data;
    let journal = world.ledger.journal(ctx(), run.id).await.unwrap().remove(0).data;
    for told in [json!(approval.request), started, journal] {
        assert!(told.to_string().contains("PASSWORD") && !told.to_string().contains("s3cret"), "{told:#}");
    }
    assert_eq!(run.plan.steps[0].params["value"], "s3cret", "the action itself needs it");
}

#[tokio::test]
async fn a_person_is_told_what_why_and_until_when() {
    let world = World::new().await;
    world.executor.ask("a", "production asks for a person");
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    let approval = world.asked(&run).await;
    assert_eq!(approval.reasons, ["policy: production asks for a person"]);
    assert_eq!(approval.expires_at.duration_since(approval.requested_at).as_secs(), 900);
    assert_eq!(approval.changes[0].path, "/spec/value");
    let outbox = world.ledger.claim_outbox(ctx(), 10, Duration::from_secs(60)).await.unwrap();
    let asked: Vec<_> = outbox.iter().map(|o| &o.notification).filter(|n| n.kind == NotificationKind::ApprovalRequested).collect();
    assert_eq!(asked.len(), 1, "one message for one request");
    assert_eq!(asked[0].data["digest"], approval.digest.as_str());
    assert!(asked[0].title.contains("Deployment/shop/a") && asked[0].body.contains("production asks"), "{asked:?}");
    world.answer(&approval, true).await;
    world.reaches(&run, RunState::Succeeded).await;
    let kinds = world.event_kinds(&run).await;
    assert_eq!(kinds[..5], ["run.started", "step.dry_run", "approval.requested", "approval.decided", "step.started"]);
}

#[tokio::test]
async fn mode_approve_asks_for_each_step() {
    let world = World::new().await;
    let run = world.start(vec![step("a", &[]), step("b", &["a"])], Mode::Approve).await;
    for _ in 0..2 {
        let approval = world.asked(&run).await;
        world.answer(&approval, true).await;
        world
            .until(&run, "the answer is read", |r| r.steps.iter().any(|s| s.approval_id == Some(approval.id) && s.state == StepState::Completed))
            .await;
    }
    world.reaches(&run, RunState::Succeeded).await;
    assert!(world.executor.calls().iter().filter(|c| c.operation == Operation::Execute).all(|c| c.approved_by_person));
}

#[tokio::test]
async fn an_executor_that_cannot_show_always_asks() {
    let world = World::new().await;
    world.executor.without_dry_run();
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    let approval = world.asked(&run).await;
    assert!(!approval.digest.is_empty() && approval.reasons[0].contains("cannot show"), "{approval:?}");
    world.answer(&approval, true).await;
    world.reaches(&run, RunState::Succeeded).await;
}

#[tokio::test]
async fn another_effect_than_the_approved_one_asks_again() {
    let world = World::new().await;
    let run = world.start(vec![step("a", &[])], Mode::Approve).await;
    let first = world.asked(&run).await;
    world.executor.drift("a");
    world.answer(&first, true).await;
    let run = world.until(&run, "asked again", |r| r.steps[0].approval_id.is_some_and(|id| id != first.id)).await;
    let second = world.asked(&run).await;
    assert_ne!(second.digest, first.digest);
    assert_eq!(world.executor.effects(), NONE, "nothing is done under an approval for something else");
    world.answer(&second, true).await;
    let run = world.reaches(&run, RunState::Succeeded).await;
    assert_eq!(run.steps[0].attempts, 1, "a try that only asked is no try");
}

#[tokio::test]
async fn a_refusal_is_final_and_names_its_check() {
    let world = World::new().await;
    world.executor.refuse("a", "kube-system is protected");
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    let run = world.reaches(&run, RunState::Failed).await;
    assert_eq!(run.steps[0].error.as_deref(), Some("refused: policy: kube-system is protected"));
    assert!(run.steps[0].execution.as_ref().unwrap().report.refusal().is_some(), "the report says which check refused");
    assert_eq!(world.executor.called(Operation::Execute), NONE);
    world.executor.script(Operation::Execute, "late", [Behaviour::Refuse]);
    let late = world.start(vec![step("late", &[])], Mode::Auto).await;
    world.reaches(&late, RunState::Failed).await;
    assert_eq!(world.executor.called(Operation::Execute), ["late"], "what the gate refuses is not tried again");
}

#[tokio::test]
async fn transient_errors_are_tried_again_after_a_look_and_a_wait() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "a", [Behaviour::Fail(ErrorKind::Unavailable), Behaviour::Fail(ErrorKind::Timeout)]);
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    let waits = world.until(&run, "it waits", |r| r.steps[0].not_before.is_some()).await;
    assert_eq!(waits.steps[0].not_before.unwrap().duration_since(waits.created_at).as_millis(), 10);
    let run = world.passing(&run, Duration::from_millis(50), "it is tried again", |r| r.state.is_terminal()).await;
    assert_eq!((run.state, run.steps[0].attempts), (RunState::Succeeded, 3));
    let operations: Vec<Operation> = world.executor.calls().iter().map(|c| c.operation).collect();
    use Operation::{DryRun, Execute, Observe};
    assert_eq!(operations, [DryRun, Execute, Observe, DryRun, Execute, Observe, DryRun, Execute], "each try is looked at and shown anew");
    assert_eq!(world.executor.repeated(), NONE);
}

#[tokio::test]
async fn a_busy_target_is_waited_for_without_using_up_tries() {
    let world = World::new().await;
    // More often than there are tries: the lock of a process that crashed ends only by its time.
    world.executor.script(Operation::Execute, "a", (0..9).map(|_| Behaviour::Fail(ErrorKind::Overloaded)));
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    let run = world.passing(&run, Duration::from_secs(3), "its turn comes", |r| r.state.is_terminal()).await;
    assert_eq!((run.state, run.steps[0].attempts), (RunState::Succeeded, 1));
    assert_eq!(world.executor.called(Operation::Execute).len(), 10);
    assert_eq!(world.executor.repeated(), NONE);
}

#[tokio::test]
async fn a_lost_answer_is_no_lost_effect() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "a", [Behaviour::FailAfterEffect(ErrorKind::Unavailable)]);
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    let run = world.reaches(&run, RunState::Succeeded).await;
    assert_eq!((run.steps[0].attempts, world.executor.effects().len()), (1, 1));
    let execution = run.steps[0].execution.as_ref().unwrap();
    assert_eq!(
        (execution.changes[0].path.as_str(), &execution.pre_state["value"]),
        ("/spec/value", &serde_json::json!(0)),
        "what it did is known from the journal"
    );
    assert!(world.event_kinds(&run).await.contains(&"step.observed".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_told_goes_to_a_person_and_undoes_nothing() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "b", [Behaviour::FailAfterEffect(ErrorKind::Timeout)]);
    world.executor.observe_as("b", [Observation::Unknown; 3]);
    let run = world.start(vec![step("a", &[]), step("b", &["a"]), step("c", &["b"])], Mode::Auto).await;
    let run = world.reaches(&run, RunState::Unknown).await;
    assert_eq!(states(&run), [StepState::Completed, StepState::Unknown, StepState::Skipped]);
    assert!(run.message.contains("cannot be told") && run.message.contains('b'), "{}", run.message);
    assert_eq!(world.executor.called(Operation::Undo), NONE);
}

#[tokio::test]
async fn a_moment_of_blindness_is_not_unknown() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "a", [Behaviour::FailAfterEffect(ErrorKind::Unavailable)]);
    world.executor.script(Operation::Observe, "a", [Behaviour::Fail(ErrorKind::Unavailable), Behaviour::Fail(ErrorKind::Unavailable)]);
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    world.reaches(&run, RunState::Succeeded).await;
}

#[tokio::test]
async fn a_step_that_takes_too_long_is_looked_at() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "done", [Behaviour::HangAfterEffect]);
    world.executor.script(Operation::Execute, "not", [Behaviour::Hang]);
    let brief = |id| Step { timeout_s: 1, retry: RetryPolicy { max_attempts: 1, ..RetryPolicy::default() }, ..step(id, &[]) };
    let done = world.start(vec![brief("done")], Mode::Auto).await;
    let not = world.start(vec![brief("not")], Mode::Auto).await;
    world.reaches(&done, RunState::Succeeded).await;
    let not = world.reaches(&not, RunState::Failed).await;
    assert!(not.message.contains("deadline"), "{}", not.message);
}

#[tokio::test]
async fn a_failed_critical_step_takes_back_what_was_done_last_first() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "c", [Behaviour::Fail(ErrorKind::Forbidden)]);
    world.executor.script(Operation::Undo, "a", [Behaviour::Fail(ErrorKind::Unavailable), Behaviour::FailAfterEffect(ErrorKind::Unavailable)]);
    let run = world.start(vec![step("a", &[]), step("b", &["a"]), step("c", &["b"]), step("d", &["c"])], Mode::Auto).await;
    let run = world.passing(&run, Duration::from_millis(50), "it is taken back", |r| r.state.is_terminal()).await;
    assert_eq!(run.state, RunState::RolledBack, "{run:#?}");
    assert_eq!(states(&run), [StepState::Compensated, StepState::Compensated, StepState::Failed, StepState::Skipped]);
    assert_eq!(world.executor.called(Operation::Undo), ["b", "a", "a"], "an undo that failed is tried again, one whose answer was lost is not");
    assert_eq!((world.executor.effects(), world.executor.repeated()), (vec![], vec![]));
    assert!(run.message.contains("failed: c") && run.message.contains("taken back: a, b"), "{}", run.message);
}

#[tokio::test]
async fn what_somebody_changed_since_stays_and_is_named() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "b", [Behaviour::Fail(ErrorKind::Forbidden)]);
    world.executor.script(Operation::Undo, "a", [Behaviour::Fail(ErrorKind::Conflict)]);
    let run = world.start(vec![step("a", &[]), step("b", &["a"])], Mode::Auto).await;
    let run = world.reaches(&run, RunState::Failed).await;
    assert_eq!(states(&run), [StepState::Completed, StepState::Failed]);
    assert!(run.message.contains("left in place: a (cannot be taken back"), "{}", run.message);
    assert_eq!(world.executor.called(Operation::Undo), ["a"], "a conflict is not tried again");
}

#[tokio::test]
async fn a_failed_step_that_is_not_critical_ends_only_what_rests_on_it() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "a", [Behaviour::Fail(ErrorKind::Forbidden)]);
    let steps = vec![Step { critical: false, ..step("a", &[]) }, Step { critical: false, ..step("b", &["a"]) }, step("c", &[])];
    let run = world.start(steps, Mode::Auto).await;
    let run = world.reaches(&run, RunState::Succeeded).await;
    assert_eq!(states(&run), [StepState::Failed, StepState::Skipped, StepState::Completed]);
    assert!(run.message.contains("completed without: a"), "{}", run.message);
}

#[tokio::test]
async fn independent_steps_run_at_once_but_never_on_one_target() {
    let world = World::new().await;
    for action in ["a", "b"] {
        world.executor.script(Operation::Execute, action, [Behaviour::Wait]);
    }
    let same = ObjectRef::new("Deployment", Some("shop"), "a");
    let run = world.start(vec![step("a", &[]), Step { target: same, ..step("a2", &[]) }, step("b", &[])], Mode::Auto).await;
    world.executor.until_called(Operation::Execute, "a", 1).await;
    world.executor.until_called(Operation::Execute, "b", 1).await;
    assert!(!world.executor.called(Operation::DryRun).contains(&"a2".to_owned()), "a step on a busy target is not even shown");
    world.executor.release();
    world.executor.release();
    world.reaches(&run, RunState::Succeeded).await;
    assert_eq!(world.executor.overlaps(), NONE);
}

#[tokio::test]
async fn a_pause_takes_effect_between_steps_and_lasts_until_resumed() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "a", [Behaviour::Wait]);
    let run = world.start(vec![step("a", &[]), step("b", &["a"])], Mode::Auto).await;
    world.executor.until_called(Operation::Execute, "a", 1).await;
    world.signal(&run, Signal::Pause).await;
    world.reaches(&run, RunState::Paused).await;
    world.executor.release();
    let paused = world.until(&run, "the step in flight ends", |r| r.steps[0].state == StepState::Completed).await;
    assert_eq!((paused.state, paused.steps[1].state), (RunState::Paused, StepState::Pending));
    world.signal(&run, Signal::Resume).await;
    world.reaches(&run, RunState::Succeeded).await;
}

#[tokio::test]
async fn a_rollback_ends_what_waits_and_takes_back_what_is_done() {
    let world = World::new().await;
    world.executor.ask("b", "a person must agree");
    let run = world.start(vec![step("a", &[]), step("b", &["a"])], Mode::Auto).await;
    let approval = world.asked(&run).await;
    world.signal(&run, Signal::Rollback).await;
    let run = world.reaches(&run, RunState::RolledBack).await;
    assert_eq!(states(&run), [StepState::Compensated, StepState::Skipped]);
    assert_eq!(world.ledger.approval(ctx(), approval.id).await.unwrap().state, ApprovalState::Expired, "a question that is void is closed");
    assert!(world.ledger.approvals(ctx(), true).await.unwrap().is_empty());
}

#[tokio::test]
async fn while_all_acting_is_stopped_nothing_begins_but_cancelling_works() {
    let world = World::new().await;
    world.ledger.set_stopped(ctx(), Some("game day".into())).await.unwrap();
    let goes_on = world.start(vec![step("a", &[])], Mode::Auto).await;
    let cancelled = world.start(vec![step("b", &[])], Mode::Auto).await;
    let held = world.until(&goes_on, "it is held", |r| r.held).await;
    assert!(held.state == RunState::Paused && held.message.contains("game day"), "{held:?}");
    world.until(&cancelled, "it is held", |r| r.held).await;
    world.engine.cancel(ctx(), cancelled.id).await.unwrap();
    world.reaches(&cancelled, RunState::Cancelled).await;
    assert_eq!(world.executor.calls(), [], "not even shown");
    world.ledger.set_stopped(ctx(), None).await.unwrap();
    let run = world.passing(&goes_on, Duration::from_millis(10), "it goes on", |r| r.state.is_terminal()).await;
    assert_eq!(run.state, RunState::Succeeded);
}

#[tokio::test]
async fn shutdown_lets_calls_end_and_gives_runs_back() {
    let mut world = World::new().await;
    world.executor.script(Operation::Execute, "a", [Behaviour::Wait]);
    let run = world.start(vec![step("a", &[]), step("b", &["a"])], Mode::Auto).await;
    world.executor.until_called(Operation::Execute, "a", 1).await;
    world.shutdown.cancel();
    world.executor.release();
    world.driver.take().unwrap().await.unwrap();
    let stands = world.engine.get(ctx(), run.id).await.unwrap();
    assert_eq!(states(&stands), [StepState::Completed, StepState::Pending], "the call in flight ended, nothing further began");
    world.shutdown = tokio_util::sync::CancellationToken::new();
    world.go();
    // No time has passed: lease and locks were given back, not waited out.
    world.reaches(&run, RunState::Succeeded).await;
    assert_eq!(world.executor.called(Operation::Execute), ["a", "b"]);
}

#[tokio::test]
async fn long_calls_keep_the_run() {
    let world = World::new().await;
    world.executor.script(Operation::Execute, "a", [Behaviour::Wait]);
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    world.executor.until_called(Operation::Execute, "a", 1).await;
    for _ in 0..15 {
        world.clock.advance(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let other = world.ledger.claim_run(ctx(), "other".into(), Duration::from_secs(30)).await.unwrap();
        assert!(other.is_none(), "the lease is renewed while a call takes its time");
    }
    assert!(
        !world.ledger.lock_target(ctx(), "run:Deployment/shop/a".into(), "other".into(), Duration::from_secs(1)).await.unwrap(),
        "and so are the locks"
    );
    world.executor.release();
    world.reaches(&run, RunState::Succeeded).await;
}

#[tokio::test]
async fn a_process_that_lost_its_run_gives_up_its_calls_and_leaves_the_targets_alone() {
    let mut world = World::with(kubernaut_workflow::EngineConfig { poll_ms: 5000, ..quick() }).await;
    world.go();
    world.executor.script(Operation::Execute, "a", [Behaviour::Wait]);
    let run = world.start(vec![step("a", &[])], Mode::Auto).await;
    world.executor.until_called(Operation::Execute, "a", 1).await;
    world.clock.advance(Duration::from_secs(31));
    let taken = world.ledger.claim_run(ctx(), "other".into(), Duration::from_secs(30)).await.unwrap();
    assert_eq!(taken.map(|l| l.run.id), Some(run.id), "the lease is over");
    let mine = || world.ledger.lock_target(ctx(), "run:Deployment/shop/a".into(), run.id.to_string(), Duration::from_secs(30));
    assert!(mine().await.unwrap(), "whoever takes the run over holds its targets under the same name");
    world.shutdown.cancel();
    world.driver.take().unwrap().await.unwrap();
    world.executor.release();
    assert_eq!(world.executor.effects(), NONE, "the call was given up");
    assert!(
        !world.ledger.lock_target(ctx(), "run:Deployment/shop/a".into(), "another".into(), Duration::from_secs(1)).await.unwrap(),
        "the targets are the other's"
    );
}

#[tokio::test]
async fn a_dry_run_shows_all_and_does_nothing() {
    let world = World::new().await;
    world.executor.ask("b", "a person must agree");
    let run = world.start(vec![step("a", &[]), step("b", &["a"])], Mode::DryRun).await;
    let run = world.reaches(&run, RunState::Succeeded).await;
    assert_eq!(run.message, "dry run: nothing was changed");
    assert_eq!(world.executor.called(Operation::DryRun), ["a", "b"]);
    assert_eq!(world.executor.called(Operation::Execute), NONE);
    assert_eq!(world.event_kinds(&run).await.iter().filter(|k| *k == "step.dry_run").count(), 2);
}

#[tokio::test]
async fn mode_observe_starts_nothing() {
    let world = World::idle().await;
    let request = kubernaut_core::testkit::workflow_engine::start_request(&world.clock, world.incident().await, vec![step("a", &[])], Mode::Observe);
    assert_eq!(world.engine.start(ctx(), request).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}
