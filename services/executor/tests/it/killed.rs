//! A process that ends at any point of an action: each is done once, or not at all, and what was begun is known.

use std::sync::Arc;

use kubernaut_core::{
    ErrorKind,
    model::{ActionRequest, ExecutionOutcome::*, Mode},
    port::{ClusterRead, Ledger},
    service::Executor,
};
use kubernaut_executor::{GateConfig, GateParts, GatedExecutor};
use serde_json::{Value, json};

use crate::world::{World, approved, ctx, request};

#[allow(dead_code, reason = "shared with the workflow engine's tests, which use all of it")]
#[path = "../../../workflow/tests/common/crash.rs"]
mod crash;

use crash::{CrashingLedger, Fuse};

/// More points than any action has.
const MOST: u32 = 400;

/// One request for every action that the recorded cluster has a target for.
fn actions() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("restart_pod", "Pod/shop/web-2-a", Value::Null),
        ("rollout_restart", "Deployment/shop/web", Value::Null),
        ("rollback_deployment", "Deployment/shop/web", Value::Null),
        ("scale_deployment", "Deployment/shop/web", json!({"replicas": 4})),
        ("set_resources", "Deployment/shop/web", json!({"container": "app", "memory_limit": "128Mi"})),
        ("patch_env", "Deployment/shop/web", json!({"container": "app", "set": {"A": "b"}})),
        ("fix_image_reference", "Deployment/shop/web", json!({"container": "app", "image": "web:1"})),
        ("patch_hpa", "HorizontalPodAutoscaler/shop/front", json!({"max_replicas": 5})),
        ("label_node", "Node/n1", json!({"labels": {"disk": "ssd"}})),
        ("uncordon_node", "Node/n2", Value::Null),
        ("remove_taint", "Node/n1", json!({"key": "team"})),
    ]
}

fn config() -> GateConfig {
    GateConfig { allow_node_actions: true, max_cordoned_nodes: 9, settle_s: 0, ..GateConfig::default() }
}

fn gate(world: &World, ledger: Arc<dyn Ledger>) -> GatedExecutor {
    let read: Arc<dyn ClusterRead> = Arc::new(world.cluster.inner.clone());
    let parts = GateParts { read, write: world.cluster.clone(), ledger, clock: Arc::new(world.clock.clone()) };
    GatedExecutor::new(world.kube.clone(), parts, config())
}

/// Carries out, as a process that has everything would; another one may hold the lock for a while.
async fn carry_out(world: &World, request: ActionRequest, digest: &str) -> kubernaut_core::model::ExecutionOutcome {
    let gate = gate(world, world.ledger.clone());
    loop {
        match gate.execute(ctx(Mode::Auto), approved(request.clone(), digest)).await {
            Ok(done) => return done.outcome,
            Err(error) if error.kind() == ErrorKind::Overloaded => world.clock.advance(std::time::Duration::from_secs(61)),
            Err(error) => panic!("{}: {error}", request.action),
        }
    }
}

/// The process ends at that point; `false` if it came through before.
async fn killed_at(point: u32, action: (&'static str, &'static str, Value)) -> bool {
    let (name, target, params) = action;
    let world = World::configured(config()).await;
    let request = || request(name, target, params.clone(), "k");
    let before = world.state().await;
    let digest = world.gate.dry_run(ctx(Mode::Auto), request()).await.unwrap().digest;
    world.cluster.expect("k");
    let fuse = Fuse::after(point);
    let dying = gate(&world, Arc::new(CrashingLedger { inner: world.ledger.clone(), fuse: fuse.clone() }));
    let alive = tokio::select! {
        done = dying.execute(ctx(Mode::Auto), approved(request(), &digest)) => {
            assert_eq!(done.unwrap().outcome, Applied, "{name}");
            true
        }
        () = fuse.blown.cancelled() => false,
    };
    let between = world.state().await;
    let written = world.cluster.writes();
    assert_eq!(between != before, written == 1, "{name} at {point}: done or untouched, never half");
    let outcome = carry_out(&world, request(), &digest).await;
    assert_eq!(world.cluster.writes(), 1, "{name} at {point}: once, over both processes");
    assert_eq!(matches!(outcome, AlreadyApplied | NoChange), written == 1, "{name} at {point}: {outcome:?}");
    assert_ne!(world.state().await, before, "{name} at {point}: done in the end");
    alive
}

#[tokio::test]
async fn killed_between_any_two_entries_an_action_is_done_once_or_not_at_all() {
    for action in actions() {
        let mut point = 0;
        while !killed_at(point, action.clone()).await {
            point += 1;
            assert!(point < MOST, "{}: it never comes through", action.0);
        }
        assert!(point >= 8, "{}: {point} points are too few to be all of them", action.0);
    }
}
