//! The global stop holds what has not gone out yet.

use std::{sync::Arc, time::Duration};

use kubernaut_core::{
    ErrorKind,
    model::{ExecutionOutcome::*, IntentState, Mode},
    port::ClusterRead,
    service::Executor,
};
use kubernaut_executor::{GateConfig, GateParts, GatedExecutor, KubeExecutor, StopFence, StoppableWrite};

use crate::world::{World, ask, ctx, scale};

/// The world's gate with the stop looked at before each write.
fn stoppable(world: &World, fence: &StopFence) -> Arc<GatedExecutor> {
    let read: Arc<dyn ClusterRead> = Arc::new(world.cluster.inner.clone());
    let write = Arc::new(StoppableWrite::new(world.cluster.clone(), world.ledger.clone(), fence.clone()));
    let clock = Arc::new(world.clock.clone());
    let kube = KubeExecutor::new(read.clone(), write.clone(), clock.clone());
    let parts = GateParts { read, write, ledger: world.ledger.clone(), clock };
    Arc::new(GatedExecutor::new(Arc::new(kube), parts, GateConfig::default()))
}

async fn stop(world: &World, reason: Option<&str>) {
    world.ledger.set_stopped(ctx(Mode::Auto), reason.map(str::to_owned)).await.unwrap();
}

#[tokio::test]
async fn a_write_that_passed_every_check_does_not_go_out_after_the_stop() {
    let world = World::new().await;
    let gate = stoppable(&world, &StopFence::default());
    // The stop comes right after the last dry-run, which is the last thing before the write but for the stop's own check.
    world.cluster.after_dry_runs(2, {
        let ledger = world.ledger.clone();
        move || {
            let ledger = ledger.clone();
            Box::pin(async move { ledger.set_stopped(ctx(Mode::Auto), Some("fire".into())).await.unwrap() })
        }
    });
    let error = gate.execute(ctx(Mode::Auto), ask(scale(5, "k"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("fire"));
    assert_eq!(world.cluster.writes(), 0, "nothing went out");
    let intent = world.ledger.intent(ctx(Mode::Auto), "k".into()).await.unwrap().unwrap();
    assert_eq!(intent.state, IntentState::Abandoned);
    stop(&world, None).await;
    let done = gate.execute(ctx(Mode::Auto), ask(scale(5, "k"))).await.unwrap();
    assert_eq!(done.outcome, Applied, "the key did nothing, so it is carried out when acting is allowed again");
}

#[tokio::test]
async fn whoever_passed_the_fence_after_a_stop_knows_that_nothing_is_under_way() {
    let world = World::new().await;
    let fence = StopFence::default();
    let gate = stoppable(&world, &fence);
    world.cluster.hold();
    let running = tokio::spawn({
        let gate = gate.clone();
        async move { gate.execute(ctx(Mode::Auto), ask(scale(5, "k"))).await }
    });
    world.cluster.arrived.acquire().await.unwrap().forget();
    stop(&world, Some("fire")).await;
    let early = fence.pass(Duration::from_millis(50)).await;
    assert_eq!(early.unwrap_err().kind(), ErrorKind::Timeout, "a write that began before is under way");
    world.cluster.permits.add_permits(9);
    fence.pass(Duration::from_secs(10)).await.unwrap();
    assert_eq!(world.read("Deployment/shop/web").await["spec"]["replicas"], 5, "it has reached its safe point");
    assert_eq!(running.await.unwrap().unwrap().outcome, Applied);
    let next = gate.execute(ctx(Mode::Auto), ask(scale(6, "k2"))).await.unwrap();
    assert_eq!(next.outcome, Refused);
}
