//! Limits hold whatever happens at the same time.

use std::sync::Arc;

use kubernaut_core::{
    ErrorKind,
    model::{ActionRequest, ExecutionOutcome::*, Mode},
    service::Executor,
};
use kubernaut_executor::GateConfig;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    bundle,
    world::{World, approved, ask, ctx, request},
};

/// A deployment of `replicas` ready pods in `namespace`.
fn fleet(namespace: &str, replicas: usize) -> Vec<Value> {
    let meta = |name: &str| json!({"namespace": namespace, "name": name, "uid": format!("uid-{namespace}-{name}"), "labels": {"app": "web"}});
    let owner = |kind: &str, name: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("uid-{namespace}-{name}"), "controller": true}]);
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "web:1"}]}});
    let mut set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta("web-1"),
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}, "status": {"readyReplicas": replicas}});
    set["metadata"]["ownerReferences"] = owner("Deployment", "web");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("web"),
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}, "status": {"replicas": replicas, "readyReplicas": replicas}});
    let mut all = vec![bundle::namespace(namespace, json!({"kubernaut.ai/managed": "true"})), deployment, set];
    for n in 0..replicas {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta(&format!("p{n}")), "spec": {"containers": [{"name": "app", "image": "web:1"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        pod["metadata"]["ownerReferences"] = owner("ReplicaSet", "web-1");
        all.push(pod);
    }
    all
}

fn evict(namespace: &str, n: usize) -> ActionRequest {
    request("restart_pod", &format!("Pod/{namespace}/p{n}"), Value::Null, &format!("k-{namespace}-{n}"))
}

/// How many of these were carried out, all asked for at once.
async fn done_at_once(world: &World, requests: Vec<ActionRequest>) -> usize {
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let gate = world.gate.clone();
            tokio::spawn(async move { gate.execute(ctx(Mode::Auto), ask(request)).await })
        })
        .collect();
    let mut applied = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(done) => applied += usize::from(done.outcome == Applied),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}"),
        }
    }
    applied
}

fn wide() -> GateConfig {
    GateConfig { max_actions_per_namespace: 0, max_actions: 0, max_namespaces: 0, ..GateConfig::default() }
}

async fn never_more_than_the_share(replicas: usize, percent: u32) {
    let config = GateConfig { max_unavailable_percent: percent, ..wide() };
    let world = World::with(config, &fleet("shop", replicas)).await;
    let applied = done_at_once(&world, (0..replicas).map(|n| evict("shop", n)).collect()).await;
    let allowed = replicas * percent as usize / 100;
    assert!(applied <= allowed, "{applied} of {replicas} went down at once, {percent} % may");
    // The recorded cluster takes an evicted pod off the ready count at once, so the check asks before all places are taken; one goes in any case.
    assert_eq!(applied > 0, allowed > 0, "{applied} of {replicas} at {percent} %");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pods_evicted_at_the_same_time_are_never_more_than_the_share(replicas in 1usize..9, percent in 0u32..=100) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(never_more_than_the_share(replicas, percent));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actions_and_namespaces_at_the_same_time_are_bounded() {
    let objects: Vec<Value> = ["a", "b", "c", "d"].iter().flat_map(|n| fleet(n, 4)).collect();
    let one_each = || ["a", "b", "c", "d"].iter().map(|n| evict(n, 0)).collect::<Vec<_>>();
    let world = World::with(GateConfig { max_namespaces: 2, ..wide() }, &objects).await;
    assert_eq!(done_at_once(&world, one_each()).await, 2);
    let world = World::with(GateConfig { max_actions: 3, ..wide() }, &objects).await;
    assert_eq!(done_at_once(&world, one_each()).await, 3);
    let world = World::with(GateConfig { max_actions_per_namespace: 1, ..wide() }, &objects).await;
    assert_eq!(done_at_once(&world, vec![evict("a", 0), evict("a", 1)]).await, 1);
}

#[tokio::test]
async fn places_come_back_with_time() {
    let world = World::with(GateConfig { max_actions: 1, settle_s: 30, ..wide() }, &fleet("shop", 8)).await;
    assert_eq!(world.outcome(evict("shop", 0)).await, Applied);
    assert_eq!(world.run(evict("shop", 1)).await.unwrap_err().kind(), ErrorKind::Overloaded);
    world.clock.advance(std::time::Duration::from_secs(31));
    assert_eq!(world.outcome(evict("shop", 1)).await, Applied);
}

#[tokio::test]
async fn a_person_may_take_more_but_then_nothing_else_goes_down_beside_it() {
    let config = GateConfig { max_unavailable_percent: 25, ..wide() };
    let world = Arc::new(World::with(config, &fleet("shop", 4)).await);
    let scale = |to: u32, key: &str| request("scale_deployment", "Deployment/shop/web", json!({"replicas": to}), key);
    let asked = world.run(scale(1, "k")).await.unwrap();
    assert_eq!(asked.outcome, NeedsApproval);
    let done = world.run_in(Mode::Auto, approved(scale(1, "k"), &asked.digest)).await.unwrap();
    assert_eq!(done.outcome, Applied);
    let beside = world.run(evict("shop", 0)).await;
    assert!(beside.as_ref().is_err_and(|e| e.kind() == ErrorKind::Overloaded) || beside.is_ok_and(|d| d.outcome == NeedsApproval));
}
