//! Errors and crashes between promise and result.

use kubernaut_core::{
    ErrorKind,
    model::{ExecutionOutcome::*, IntentState, Mode, Observation},
    service::{Executor, UndoRequest},
};
use kubernaut_executor::GateConfig;
use serde_json::{Value, json};

use crate::{
    recorder::{Fault, by_somebody},
    world::{World, ask, ctx, request, scale},
};

async fn intent(world: &World, key: &str) -> IntentState {
    world.ledger.intent(ctx(Mode::Auto), key.into()).await.unwrap().unwrap().state
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_mark() {
    let world = World::new().await;
    world.cluster.fault(Some(Fault::AnswerLost));
    let done = world.run(scale(5, "k")).await.unwrap();
    assert_eq!(done.outcome, Applied);
    assert_eq!(done.changes[0].before, Some(json!(3)), "enough is known to take it back");
    assert_eq!(intent(&world, "k").await, IntentState::Applied);
    world.cluster.fault(None);
    assert_eq!(world.outcome(scale(5, "k")).await, AlreadyApplied);
}

#[tokio::test]
async fn a_write_that_may_still_arrive_keeps_the_promise_open_and_can_be_tried_again() {
    for kind in [ErrorKind::Timeout, ErrorKind::Unavailable] {
        let world = World::new().await;
        world.cluster.fault(Some(Fault::Lost(kind)));
        assert_eq!(world.run(scale(5, "k")).await.unwrap_err().kind(), kind);
        assert_eq!(intent(&world, "k").await, IntentState::Open);
        assert_eq!(world.gate.observe(ctx(Mode::Auto), scale(5, "k")).await.unwrap(), Observation::NotApplied);
        world.cluster.fault(None);
        assert_eq!(world.outcome(scale(5, "k")).await, Applied);
        assert_eq!(intent(&world, "k").await, IntentState::Applied);
    }
}

#[tokio::test]
async fn a_certain_failure_ends_the_promise_and_the_lock() {
    let world = World::new().await;
    world.cluster.fault(Some(Fault::Lost(ErrorKind::Forbidden)));
    assert_eq!(world.run(scale(5, "k")).await.unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(intent(&world, "k").await, IntentState::Abandoned);
    world.cluster.fault(None);
    assert_eq!(world.outcome(scale(5, "k")).await, Applied, "the key did nothing, so it may be used again");
}

/// The process ends while the server carries the write out.
async fn crash_in_the_middle_of(world: &World, request: kubernaut_core::model::ActionRequest) {
    world.cluster.expect(&request.key);
    world.cluster.hold();
    let gate = world.gate.clone();
    let running = tokio::spawn(async move { gate.execute(ctx(Mode::Auto), ask(request)).await });
    world.cluster.arrived.acquire().await.unwrap().forget();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn after_a_crash_before_the_write_another_process_does_it_once() {
    let world = World::new().await;
    crash_in_the_middle_of(&world, scale(5, "k")).await;
    assert_eq!(intent(&world, "k").await, IntentState::Open);
    let gate = world.restarted(GateConfig::default());
    assert_eq!(gate.observe(ctx(Mode::Auto), scale(5, "k")).await.unwrap(), Observation::NotApplied);
    world.cluster.permits.add_permits(9);
    // The dropped call gave its lock back in the background.
    let done = loop {
        match gate.execute(ctx(Mode::Auto), ask(scale(5, "k"))).await {
            Err(error) if error.kind() == ErrorKind::Overloaded => tokio::task::yield_now().await,
            done => break done.unwrap(),
        }
    };
    assert_eq!(done.outcome, Applied);
}

#[tokio::test]
async fn after_a_crash_behind_the_write_another_process_finds_it_done_and_can_take_it_back() {
    let world = World::new().await;
    crash_in_the_middle_of(&world, scale(5, "k")).await;
    // The write arrives after all, as a request that was on its way would.
    by_somebody(
        &world.cluster.inner,
        "Deployment/shop/web",
        json!({"spec": {"replicas": 5}, "metadata": {"annotations": {"kubernaut.ai/last-action": "k"}}}),
    )
    .await;
    let gate = world.restarted(GateConfig::default());
    assert_eq!(gate.observe(ctx(Mode::Auto), scale(5, "k")).await.unwrap(), Observation::Applied);
    let done = gate.execute(ctx(Mode::Auto), ask(scale(5, "k"))).await.unwrap();
    assert_eq!(done.outcome, AlreadyApplied);
    world.cluster.permits.add_permits(9);
    let undo = UndoRequest { request: scale(5, "k"), incident_id: None, execution: done, key: "u".into() };
    let back = loop {
        match gate.undo(ctx(Mode::Auto), undo.clone()).await {
            Err(error) if error.kind() == ErrorKind::Overloaded => tokio::task::yield_now().await,
            back => break back.unwrap(),
        }
    };
    assert_eq!(back.outcome, Applied);
    assert_eq!(world.read("Deployment/shop/web").await["spec"]["replicas"], 3);
}

#[tokio::test]
async fn an_evicted_pod_counts_as_done_by_its_uid() {
    let world = World::new().await;
    let evict = || request("restart_pod", "Pod/shop/web-2-a", Value::Null, "k");
    crash_in_the_middle_of(&world, evict()).await;
    assert_eq!(world.gate.observe(ctx(Mode::Auto), evict()).await.unwrap(), Observation::NotApplied);
    let uid = world.ledger.intent(ctx(Mode::Auto), "k".into()).await.unwrap().unwrap().request.target.uid;
    assert_eq!(uid.as_deref(), Some("uid-shop-web-2-a"), "the promise names the very pod");
}

#[tokio::test]
async fn a_key_serves_one_action_only() {
    let world = World::new().await;
    assert_eq!(world.outcome(scale(5, "k")).await, Applied);
    let other = request("rollout_restart", "Deployment/shop/web", Value::Null, "k");
    assert_eq!(world.run(other).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(world.run(scale(4, "k")).await.unwrap_err().kind(), ErrorKind::Conflict, "other parameters are another action");
    let done = world.run(scale(5, "k")).await.unwrap();
    let undo = UndoRequest { request: scale(5, "k"), incident_id: None, execution: done, key: "u".into() };
    world.gate.undo(ctx(Mode::Auto), undo).await.unwrap();
    assert_eq!(world.run(scale(5, "k")).await.unwrap_err().kind(), ErrorKind::Refused, "what was taken back is not done again under its key");
    assert_eq!(world.cluster.writes(), 2);
}
