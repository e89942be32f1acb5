//! The behaviour of every [`WorkflowEngine`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;

use super::{Behaviour, FakeExecutor, Operation};
use crate::{
    ErrorKind,
    model::{ApprovalDecision, IncidentId, Mode, ObjectRef, PLAN_VERSION, Plan, PlanId, RetryPolicy, Run, RunId, RunState, Step, StepState},
    port::{Clock, ManualClock},
    service::{CallContext, Capability, RunFilter, Signal, StartRequest, WorkflowEngine},
};

/// An engine at work over a fake executor. Every rule gets a fresh one.
#[async_trait]
pub trait EngineFixture: Send + Sync {
    /// The engine under test; its runs are being driven.
    fn engine(&self) -> Arc<dyn WorkflowEngine>;

    /// The executor that it acts through.
    fn executor(&self) -> FakeExecutor;

    /// The clock that it goes by; it looks at it at least every few milliseconds.
    fn clock(&self) -> ManualClock;

    /// An incident that runs can serve.
    async fn incident(&self) -> IncidentId;
}

/// Checks the rules of [`WorkflowEngine`]; `make` builds a fresh fixture for each.
///
/// # Panics
/// With the rule that does not hold.
pub async fn workflow_engine_suite<F, Fut>(make: impl Fn() -> F)
where
    F: Future<Output = Fut>,
    Fut: EngineFixture,
{
    an_id_starts_once(&make().await).await;
    a_bad_plan_is_refused(&make().await).await;
    steps_wait_for_what_they_rest_on(&make().await).await;
    one_run_holds_a_target(&make().await).await;
    targets_are_free_after_every_end(&make().await).await;
    unknown_ids_are_not_found(&make().await).await;
    an_answer_counts_once(&make().await).await;
    silence_counts_as_no(&make().await).await;
    another_digest_is_no_answer(&make().await).await;
    an_ended_run_takes_only_rollback(&make().await).await;
    cancelling_keeps_what_is_done(&make().await).await;
    listing_is_a_capability(&make().await).await;
}

fn ctx() -> CallContext {
    CallContext::system("suite")
}

/// A step with an action and a target of its own.
#[must_use]
pub fn step(id: &str, depends_on: &[&str]) -> Step {
    Step {
        id: id.into(),
        action: id.into(),
        action_version: 1,
        target: ObjectRef::new("Deployment", Some("shop"), id),
        params: json!({"of": id}),
        depends_on: depends_on.iter().map(|d| (*d).to_owned()).collect(),
        retry: RetryPolicy { max_attempts: 3, backoff_ms: 10, max_backoff_ms: 100 },
        timeout_s: 60,
        critical: true,
        requires_approval: false,
    }
}

/// A request to run `steps` in a mode.
pub fn start_request(clock: &ManualClock, incident_id: IncidentId, steps: Vec<Step>, mode: Mode) -> StartRequest {
    let now = clock.now();
    let plan = Plan { id: PlanId::new(now), version: PLAN_VERSION, reason: "suite".into(), steps, approval_timeout_s: 900 };
    StartRequest { run_id: RunId::new(now), incident_id, attempt: 1, plan, mode }
}

async fn start(fixture: &impl EngineFixture, steps: Vec<Step>) -> Run {
    let request = start_request(&fixture.clock(), fixture.incident().await, steps, Mode::Auto);
    fixture.engine().start(ctx(), request).await.expect("a valid plan is accepted")
}

/// The run, as soon as `enough` holds.
///
/// # Panics
/// If that takes more than 20 seconds.
pub async fn until(engine: &dyn WorkflowEngine, id: RunId, what: &str, enough: impl Fn(&Run) -> bool) -> Run {
    let look = async {
        loop {
            let run = engine.get(ctx(), id).await.expect("a started run is there");
            if enough(&run) {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), look).await {
        Ok(run) => run,
        Err(_) => panic!("{what}: the run stands at {:#?}", engine.get(ctx(), id).await),
    }
}

async fn ends(fixture: &impl EngineFixture, run: &Run, state: RunState) -> Run {
    let ended = until(&*fixture.engine(), run.id, "the run ends", |r| r.state.is_terminal()).await;
    assert_eq!(ended.state, state, "the run ends {}: {ended:#?}", state.as_str());
    ended
}

async fn an_id_starts_once(fixture: &impl EngineFixture) {
    let request = start_request(&fixture.clock(), fixture.incident().await, vec![step("a", &[])], Mode::Auto);
    let engine = fixture.engine();
    let first = engine.start(ctx(), request.clone()).await.expect("a valid plan is accepted");
    ends(fixture, &first, RunState::Succeeded).await;
    let other = StartRequest { plan: Plan { steps: vec![step("b", &[])], ..request.plan.clone() }, ..request };
    let again = engine.start(ctx(), other).await.expect("starting an id again is no error");
    assert_eq!(
        (again.id, &again.plan, again.state),
        (first.id, &first.plan, RunState::Succeeded),
        "start rule 1: the existing run is returned unchanged"
    );
    assert_eq!(fixture.executor().effects().len(), 1, "start rule 1: nothing is carried out again");
}

async fn a_bad_plan_is_refused(fixture: &impl EngineFixture) {
    let plans = [
        ("no step", vec![]),
        ("a repeated step id", vec![step("a", &[]), step("a", &[])]),
        ("an unknown dependency", vec![step("a", &["ghost"])]),
        ("a cycle", vec![step("a", &["b"]), step("b", &["a"])]),
    ];
    for (what, steps) in plans {
        let request = start_request(&fixture.clock(), fixture.incident().await, steps, Mode::Auto);
        let id = request.run_id;
        let error = fixture.engine().start(ctx(), request).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "start rule 2: {what} is refused: {error}");
        let stored = fixture.engine().get(ctx(), id).await.expect_err(what);
        assert_eq!(stored.kind(), ErrorKind::NotFound, "start rule 2: nothing is stored of a plan with {what}");
    }
}

async fn steps_wait_for_what_they_rest_on(fixture: &impl EngineFixture) {
    let steps = vec![step("d", &["b", "c"]), step("c", &["a"]), step("b", &["a"]), step("a", &[])];
    let run = start(fixture, steps).await;
    ends(fixture, &run, RunState::Succeeded).await;
    let order = fixture.executor().called(Operation::Execute);
    assert_eq!(order.len(), 4, "every step is carried out once: {order:?}");
    assert_eq!((order[0].as_str(), order[3].as_str()), ("a", "d"), "start rule 3: steps begin after their dependencies: {order:?}");
}

async fn one_run_holds_a_target(fixture: &impl EngineFixture) {
    let executor = fixture.executor();
    executor.script(Operation::Execute, "first", [Behaviour::Wait]);
    let on = |id: &str, target: &str| Step { target: ObjectRef::new("Deployment", Some("shop"), target), ..step(id, &[]) };
    let first = start(fixture, vec![on("first", "web")]).await;
    executor.until_called(Operation::Execute, "first", 1).await;
    let second = start(fixture, vec![on("second", "web")]).await;
    let elsewhere = start(fixture, vec![on("elsewhere", "api")]).await;
    ends(fixture, &elsewhere, RunState::Succeeded).await;
    assert!(!executor.called(Operation::Execute).contains(&"second".to_owned()), "start rule 4: another run waits for the target");
    executor.release();
    ends(fixture, &first, RunState::Succeeded).await;
    fixture.clock().advance(Duration::from_secs(5));
    ends(fixture, &second, RunState::Succeeded).await;
    assert_eq!(executor.overlaps(), [""; 0], "start rule 4: no two runs change a target at once");
}

async fn targets_are_free_after_every_end(fixture: &impl EngineFixture) {
    let executor = fixture.executor();
    let on = |id: &str| Step { target: ObjectRef::new("Deployment", Some("shop"), "web"), ..step(id, &[]) };
    executor.script(Operation::Execute, "fails", [Behaviour::Fail(ErrorKind::Forbidden)]);
    let failed = start(fixture, vec![on("fails")]).await;
    ends(fixture, &failed, RunState::Failed).await;
    executor.ask("asks", "a person must agree");
    let asks = start(fixture, vec![on("asks")]).await;
    until(&*fixture.engine(), asks.id, "a person is asked", |r| r.state == RunState::AwaitingApproval).await;
    // No time passes, so a lock that was kept would still stand.
    let meanwhile = start(fixture, vec![on("meanwhile")]).await;
    ends(fixture, &meanwhile, RunState::Succeeded).await;
    fixture.engine().cancel(ctx(), asks.id).await.expect("a waiting run can be cancelled");
    ends(fixture, &asks, RunState::Cancelled).await;
    let last = start(fixture, vec![on("last")]).await;
    ends(fixture, &last, RunState::Succeeded).await;
}

async fn unknown_ids_are_not_found(fixture: &impl EngineFixture) {
    let id = RunId::new(fixture.clock().now());
    let engine = fixture.engine();
    let kinds = [
        engine.get(ctx(), id).await.expect_err("no such run").kind(),
        engine.signal(ctx(), id, Signal::Pause).await.expect_err("no such run").kind(),
        engine.cancel(ctx(), id).await.expect_err("no such run").kind(),
    ];
    assert_eq!(kinds, [ErrorKind::NotFound; 3], "an unknown id is NotFound");
}

fn decision(approval_id: crate::model::ApprovalId, approve: bool, digest: Option<&str>) -> Signal {
    let decision = ApprovalDecision { approve, by: "ann".into(), digest: digest.map(str::to_owned), comment: None, groups: Vec::new() };
    Signal::Decide { approval_id, decision }
}

async fn asked(fixture: &impl EngineFixture) -> (Run, crate::model::ApprovalId) {
    let run = start(fixture, vec![Step { requires_approval: true, ..step("a", &[]) }]).await;
    let run = until(&*fixture.engine(), run.id, "a person is asked", |r| r.state == RunState::AwaitingApproval).await;
    assert_eq!(run.steps[0].state, StepState::AwaitingApproval, "the step waits for a person");
    let approval = run.steps[0].approval_id.expect("a step that waits names its request");
    assert_eq!(fixture.executor().effects(), [""; 0], "nothing is carried out before a person agreed");
    (run, approval)
}

async fn an_answer_counts_once(fixture: &impl EngineFixture) {
    let (run, approval) = asked(fixture).await;
    let engine = fixture.engine();
    engine.signal(ctx(), run.id, decision(approval, true, None)).await.expect("the first answer counts");
    let second = engine.signal(ctx(), run.id, decision(approval, false, None)).await.expect_err("a second answer does not count");
    assert_eq!(second.kind(), ErrorKind::Conflict, "signal rule 1: a second answer is a Conflict");
    ends(fixture, &run, RunState::Succeeded).await;
    let executed: Vec<_> = fixture.executor().calls().into_iter().filter(|c| c.operation == Operation::Execute).collect();
    assert!(
        executed.iter().all(|c| c.approved_by_person && c.approved_digest.is_some()),
        "what a person agreed to is carried out under their digest: {executed:?}"
    );
}

async fn silence_counts_as_no(fixture: &impl EngineFixture) {
    let (run, approval) = asked(fixture).await;
    fixture.clock().advance(Duration::from_secs(run.plan.approval_timeout_s));
    ends(fixture, &run, RunState::Rejected).await;
    let late = fixture.engine().signal(ctx(), run.id, decision(approval, true, None)).await.expect_err("a late answer does not count");
    assert_eq!(late.kind(), ErrorKind::Conflict, "signal rule 1: after its expiry it counts as no");
    assert_eq!(fixture.executor().effects(), [""; 0], "signal rule 1: nothing is carried out");
}

async fn another_digest_is_no_answer(fixture: &impl EngineFixture) {
    let (run, approval) = asked(fixture).await;
    let wrong = fixture.engine().signal(ctx(), run.id, decision(approval, true, Some("another"))).await.expect_err("another digest");
    assert_eq!(wrong.kind(), ErrorKind::DigestChanged, "signal rule 2: an answer to another digest is refused");
    fixture.engine().signal(ctx(), run.id, decision(approval, false, None)).await.expect("the request is still open");
    ends(fixture, &run, RunState::Rejected).await;
    assert_eq!(fixture.executor().effects(), [""; 0], "a no is a no");
}

async fn an_ended_run_takes_only_rollback(fixture: &impl EngineFixture) {
    let run = start(fixture, vec![step("a", &[]), step("b", &["a"])]).await;
    ends(fixture, &run, RunState::Succeeded).await;
    let engine = fixture.engine();
    for signal in [Signal::Pause, Signal::Resume, Signal::Cancel] {
        let error = engine.signal(ctx(), run.id, signal.clone()).await.expect_err("an ended run takes no such signal");
        assert_eq!(error.kind(), ErrorKind::Conflict, "signal rule 3: {signal:?} of an ended run is a Conflict");
    }
    engine.signal(ctx(), run.id, Signal::Rollback).await.expect("rollback is possible");
    until(&*engine, run.id, "signal rule 3: rollback takes back what can be taken back", |r| r.state == RunState::RolledBack).await;
    assert_eq!(fixture.executor().called(Operation::Undo), ["b", "a"], "steps are taken back in reverse order");
    assert_eq!(fixture.executor().effects(), [""; 0], "no effect is left");
}

async fn cancelling_keeps_what_is_done(fixture: &impl EngineFixture) {
    let executor = fixture.executor();
    executor.ask("b", "a person must agree");
    let run = start(fixture, vec![step("a", &[]), step("b", &["a"]), step("c", &["b"])]).await;
    let engine = fixture.engine();
    until(&*engine, run.id, "a person is asked", |r| r.state == RunState::AwaitingApproval).await;
    engine.cancel(ctx(), run.id).await.expect("a waiting run can be cancelled");
    let ended = ends(fixture, &run, RunState::Cancelled).await;
    let states: Vec<StepState> = ended.steps.iter().map(|s| s.state).collect();
    assert_eq!(states, [StepState::Completed, StepState::Skipped, StepState::Skipped], "completed steps stay, the others never begin");
    assert_eq!(executor.effects().len(), 1, "completed steps stay");
    let again = engine.cancel(ctx(), run.id).await.expect("cancelling an ended run is no error");
    assert_eq!(again, ended, "a run that has ended is returned unchanged");
}

async fn listing_is_a_capability(fixture: &impl EngineFixture) {
    let run = start(fixture, vec![step("a", &[])]).await;
    let listed = fixture.engine().list(ctx(), RunFilter { incident_id: Some(run.incident_id), ..RunFilter::default() }).await;
    if fixture.engine().capabilities().contains(&Capability::ListRuns) {
        let ids: Vec<RunId> = listed.expect("runs are listed").iter().map(|r| r.id).collect();
        assert_eq!(ids, [run.id], "the incident's run is listed");
    } else {
        assert_eq!(listed.expect_err("no such capability").kind(), ErrorKind::Unsupported, "without the capability listing is Unsupported");
    }
}
