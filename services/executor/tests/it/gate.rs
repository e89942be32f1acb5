//! What the gate lets through, asks about and refuses.

use std::time::Duration;

use kubernaut_core::{
    ErrorKind,
    model::{ExecutionOutcome::*, IntentState, Mode, first_broken_row},
    service::{ExecuteRequest, Executor, UndoRequest},
};
use kubernaut_executor::GateConfig;
use serde_json::{Value, json};

use crate::{
    bundle,
    recorder::{by_somebody, replicas},
    world::{World, approved, ask, ctx, request, scale},
};

const WEB: &str = "Deployment/shop/web";

fn nodes() -> GateConfig {
    GateConfig { allow_node_actions: true, max_cordoned_nodes: 4, ..GateConfig::default() }
}

#[tokio::test]
async fn checks_come_in_order_and_end_at_the_first_refusal() {
    let world = World::new().await;
    let done = world.run(scale(5, "a")).await.unwrap();
    let names: Vec<&str> = done.report.checks.iter().map(|c| c.name.as_str()).collect();
    let order = [
        "schema",
        "capability",
        "rights",
        "identity",
        "protected",
        "ownership",
        "preconditions",
        "blast_radius",
        "window",
        "environment",
        "policy",
        "dry_run",
        "approval",
        "lock",
        "unchanged",
    ];
    assert_eq!(names, order);
    let refused = world.run(request("scale_deployment", "Deployment/kube-system/web", json!({"replicas": 5}), "b")).await.unwrap();
    assert_eq!(refused.outcome, Refused);
    assert_eq!(refused.report.checks.last().map(|c| c.name.as_str()), Some("protected"));
}

#[tokio::test]
async fn each_refusal_names_its_check_and_writes_nothing() {
    let world = World::configured(nodes()).await;
    let state = world.state().await;
    let cases = [
        (request("restart_pod", "Pod/shop/gone", Value::Null, "k1"), "identity"),
        (request("rollout_restart", "Deployment/other/web", Value::Null, "k2"), "policy"),
        (request("restart_pod", "Pod/kube-system/web-1-a", Value::Null, "k3"), "protected"),
        (request("uncordon_node", "Node/cp", Value::Null, "k4"), "protected"),
        (request("uncordon_node", "Node/n3", Value::Null, "k5"), "preconditions"),
        (request("restart_pod", "Pod/shop/bare", Value::Null, "k6"), "preconditions"),
        (request("rollback_deployment", "Deployment/shop/web", json!({"to_revision": 7}), "k7"), "preconditions"),
        (request("cordon_node", "Node/n1", Value::Null, "k8"), "preconditions"),
    ];
    for (request, check) in cases {
        let action = format!("{} {}", request.action, request.target);
        assert_eq!(world.refusal(request).await, check, "{action}");
    }
    assert_eq!(world.state().await, state);
    assert_eq!(world.cluster.writes(), 0);
}

#[tokio::test]
async fn rights_are_asked_before_anything_is_read() {
    let world = World::new().await;
    world.cluster.deny();
    assert_eq!(world.refusal(scale(5, "k")).await, "rights");
}

#[tokio::test]
async fn each_action_has_its_effect_and_undo_restores_it() {
    let cases = [
        ("rollback_deployment", "Deployment/shop/web", json!({"to_revision": 1}), "/spec/template/spec/containers/0/image", json!("web:1")),
        (
            "set_resources",
            "Deployment/shop/web",
            json!({"container": "side", "memory_limit": "96Mi"}),
            "/spec/template/spec/containers/1/resources/limits/memory",
            json!("96Mi"),
        ),
        (
            "increase_memory_limit",
            "Deployment/shop/web",
            json!({"container": "app", "memory_limit": "96Mi"}),
            "/spec/template/spec/containers/0/resources/limits/memory",
            json!("96Mi"),
        ),
        ("scale_replicas", "Deployment/shop/web", json!({"replicas": 5}), "/spec/replicas", json!(5)),
        ("patch_hpa", "HorizontalPodAutoscaler/shop/front", json!({"max_replicas": 6}), "/spec/maxReplicas", json!(6)),
        ("uncordon_node", "Node/n2", Value::Null, "/spec/unschedulable", Value::Null),
        ("cordon_node", "Node/n1", Value::Null, "/spec/unschedulable", json!(true)),
        ("remove_taint", "Node/n1", json!({"key": "team"}), "/spec/taints", Value::Null),
    ];
    for (action, target, params, path, expected) in cases {
        let mut objects = bundle::objects();
        // A second open node, so that one may be closed.
        objects.retain(|o| o["metadata"]["name"] != "n3");
        objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n4", "uid": "n4"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
        let world = World::with(nodes(), &objects).await;
        let before = world.read(target).await;
        let done = world.run(request(action, target, params.clone(), "k")).await.unwrap();
        assert_eq!(done.outcome, Applied, "{action}: {}", done.message);
        let after = world.read(target).await;
        assert_eq!(after.pointer(path).cloned().unwrap_or_default(), expected, "{action}");
        assert_eq!(after["metadata"]["annotations"]["kubernaut.ai/last-action"], "k", "{action}");
        let undo = UndoRequest { request: request(action, target, params, "k"), incident_id: None, execution: done, key: "u".into() };
        assert_eq!(world.gate.undo(ctx(Mode::Auto), undo).await.unwrap().outcome, Applied, "{action}");
        let restored = world.read(target).await;
        assert_eq!(restored["spec"], before["spec"], "{action}");
        assert_eq!(world.ledger.intent(ctx(Mode::Auto), "k".into()).await.unwrap().unwrap().state, IntentState::Undone);
    }
}

#[tokio::test]
async fn a_pod_goes_once_and_its_successor_stays() {
    let world = World::new().await;
    let evict = || request("restart_pod", "Pod/shop/web-2-a", Value::Null, "k");
    assert_eq!(world.outcome(evict()).await, Applied);
    assert!(world.state().await.as_array().unwrap().iter().all(|o| o["metadata"]["uid"] != "uid-shop-web-2-a"));
    assert_eq!(world.outcome(evict()).await, AlreadyApplied);
    let evicted = world.run(evict()).await.unwrap();
    let undo = UndoRequest { request: evict(), incident_id: None, execution: evicted, key: "u".into() };
    assert_eq!(world.gate.undo(ctx(Mode::Auto), undo).await.unwrap().outcome, NoChange);
    assert_eq!(world.cluster.writes(), 1);
}

#[tokio::test]
async fn a_restart_goes_under_one_digest_whatever_the_key_and_once_per_key() {
    let world = World::new().await;
    let restart = |key: &str| request("rollout_restart", "Deployment/shop/web", Value::Null, key);
    let shown = world.gate.dry_run(ctx(Mode::Auto), restart("preview")).await.unwrap();
    let done = world.gate.execute(ctx(Mode::Approve), approved(restart("k"), &shown.digest)).await.unwrap();
    assert_eq!(done.outcome, Applied);
    let stamped = world.read("Deployment/shop/web").await;
    assert_eq!(world.outcome(restart("k")).await, AlreadyApplied);
    assert_eq!(world.read("Deployment/shop/web").await, stamped);
}

#[tokio::test]
async fn what_only_records_needs_no_target_and_no_opt_in() {
    let world = World::new().await;
    let state = world.state().await;
    for action in ["no_action", "escalate", "notify_only"] {
        let done = world.run_in(Mode::DryRun, ask(request(action, "Deployment/other/gone", json!({"message": "look"}), action))).await.unwrap();
        assert_eq!((done.outcome, done.message.as_str()), (NoChange, "look"));
    }
    assert_eq!(world.state().await, state);
}

#[tokio::test]
async fn the_mode_decides_how_far_it_goes() {
    let world = World::new().await;
    for mode in [Mode::Observe, Mode::DryRun] {
        let done = world.run_in(mode, ask(scale(5, "k"))).await.unwrap();
        assert_eq!(done.outcome, Refused);
    }
    let shown = world.gate.dry_run(ctx(Mode::DryRun), scale(5, "k")).await.unwrap();
    assert_eq!(shown.changes[0].path, "/spec/replicas", "dry_run mode shows the effect");
    let asked = world.run_in(Mode::Approve, ask(scale(5, "k"))).await.unwrap();
    assert_eq!((asked.outcome, &asked.digest), (NeedsApproval, &shown.digest));
    let no_person = ExecuteRequest { approved_by_person: false, ..approved(scale(5, "k"), &asked.digest) };
    assert_eq!(world.run_in(Mode::Approve, no_person).await.unwrap().outcome, NeedsApproval);
    assert_eq!(world.cluster.writes(), 0);
    assert_eq!(world.run_in(Mode::Approve, approved(scale(5, "k"), &asked.digest)).await.unwrap().outcome, Applied);
}

#[tokio::test]
async fn an_agreement_is_worth_nothing_for_another_effect() {
    let world = World::new().await;
    let asked = world.run_in(Mode::Approve, ask(scale(6, "k"))).await.unwrap();
    by_somebody(&world.cluster.inner, "Deployment/shop/web", replicas(4)).await;
    let done = world.run_in(Mode::Approve, approved(scale(6, "k"), &asked.digest)).await.unwrap();
    assert_eq!(done.outcome, NeedsApproval);
    assert_ne!(done.digest, asked.digest);
    assert_eq!(done.changes[0].before, Some(json!(4)), "the new effect is shown");
    assert_eq!(world.cluster.writes(), 0);
}

#[tokio::test]
async fn a_change_between_checks_and_lock_asks_again() {
    let world = World::new().await;
    world.cluster.meddle_after_dry_run("Deployment/shop/web".parse().unwrap(), replicas(4));
    let done = world.run(scale(6, "k")).await.unwrap();
    assert_eq!((done.outcome, done.report.checks.last().map(|c| c.name.as_str())), (NeedsApproval, Some("unchanged")));
    assert_eq!(world.cluster.writes(), 0);
    assert_eq!(world.ledger.intent(ctx(Mode::Auto), "k".into()).await.unwrap(), None);
    let again = world.run_in(Mode::Auto, approved(scale(6, "k2"), &done.digest)).await.unwrap();
    assert_eq!(again.outcome, Applied, "the lock was given back");
}

#[tokio::test]
async fn a_status_update_in_between_is_no_reason_to_stop() {
    let world = World::new().await;
    world.cluster.meddle_after_dry_run("Deployment/shop/web".parse().unwrap(), json!({"metadata": {"labels": {"x": "y"}}}));
    assert_eq!(world.outcome(scale(5, "k")).await, Applied, "another resource version with the same fields is the same effect");
}

#[tokio::test]
async fn the_global_stop_holds_everything_but_records() {
    let world = World::new().await;
    world.ledger.set_stopped(ctx(Mode::Auto), Some("drill".into())).await.unwrap();
    let done = world.run(scale(5, "k")).await.unwrap();
    assert_eq!(done.report.refusal().map(|c| c.text.as_str()), Some("all acting is stopped: system:test: drill"));
    world.ledger.set_stopped(ctx(Mode::Auto), None).await.unwrap();
    assert_eq!(world.outcome(scale(5, "k")).await, Applied);
}

#[tokio::test]
async fn one_action_at_a_time_on_a_target() {
    let world = World::new().await;
    world.cluster.hold();
    let (gate, first) = (world.gate.clone(), scale(5, "a"));
    let running = tokio::spawn(async move { gate.execute(ctx(Mode::Auto), ask(first)).await });
    world.cluster.arrived.acquire().await.unwrap().forget();
    for key in ["b", "a"] {
        let error = world.gate.execute(ctx(Mode::Auto), ask(scale(if key == "a" { 5 } else { 4 }, key))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded, "key {key}: {error}");
    }
    world.cluster.permits.add_permits(1);
    assert_eq!(running.await.unwrap().unwrap().outcome, Applied);
    assert_eq!(world.cluster.writes(), 1);
}

#[tokio::test]
async fn no_more_actions_in_a_namespace_at_once_than_configured() {
    let world = World::configured(GateConfig { max_actions_per_namespace: 2, settle_s: 60, ..GateConfig::default() }).await;
    assert_eq!(world.outcome(scale(5, "a")).await, Applied);
    assert_eq!(world.outcome(request("restart_pod", "Pod/shop/web-2-a", Value::Null, "b")).await, Applied);
    let error = world.run(scale(4, "c")).await.unwrap_err();
    assert!(error.is_transient() && error.retry_delay().is_some(), "{error}");
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.outcome(scale(4, "c")).await, Applied);
}

#[tokio::test]
async fn a_refused_undo_and_an_unknown_one_change_nothing() {
    let world = World::new().await;
    let done = world.run(scale(5, "k")).await.unwrap();
    let state = world.state().await;
    let undo = |execution, request| UndoRequest { request, incident_id: None, execution, key: "u".into() };
    let unknown = world.gate.undo(ctx(Mode::Auto), undo(done.clone(), scale(5, "never"))).await.unwrap();
    assert_eq!(unknown.outcome, NeedsApproval, "the ledger knows of no such action");
    world.ledger.set_stopped(ctx(Mode::Auto), Some("drill".into())).await.unwrap();
    assert_eq!(world.gate.undo(ctx(Mode::Auto), undo(done.clone(), scale(5, "k"))).await.unwrap().outcome, Refused);
    assert_eq!(world.state().await, state);
}

#[tokio::test]
async fn an_undo_is_about_the_object_and_the_action_of_its_key() {
    let world = World::new().await;
    let done = world.run(scale(5, "k")).await.unwrap();
    let state = world.state().await;
    for request in [
        scale(4, "k"),
        request("scale_deployment", "Deployment/shop/front", json!({"replicas": 5}), "k"),
        request("set_resources", WEB, json!({"container": "side", "memory_limit": "96Mi"}), "k"),
    ] {
        let undo = UndoRequest { request, incident_id: None, execution: done.clone(), key: "u".into() };
        let text = undo.request.target.to_string();
        let end = world.gate.undo(ctx(Mode::Auto), undo).await.map(|e| e.outcome);
        assert!(!matches!(end, Ok(Applied | AlreadyApplied | NoChange)), "{text}: {end:?}");
    }
    assert_eq!(world.state().await, state);
}

#[tokio::test]
async fn a_stricter_host_holds_what_a_call_with_a_wider_mode_asks_for() {
    let world = World::new().await;
    let done = world.run(scale(5, "k")).await.unwrap();
    let state = world.state().await;
    for (mode, outcome) in [(Mode::Observe, Refused), (Mode::DryRun, Refused), (Mode::Approve, NeedsApproval)] {
        let gate = world.restarted_at_most(mode);
        assert_eq!(gate.execute(ctx(Mode::Auto), ask(scale(4, "a"))).await.unwrap().outcome, outcome, "{mode:?}");
        if mode < Mode::Approve {
            let shown = gate.dry_run(ctx(Mode::Auto), scale(4, "a")).await.unwrap();
            let digest = shown.digest.as_str();
            assert_eq!(gate.execute(ctx(Mode::Auto), approved(scale(4, "a"), digest)).await.unwrap().outcome, Refused, "{mode:?}");
            let undo = UndoRequest { request: scale(5, "k"), incident_id: None, execution: done.clone(), key: "u".into() };
            assert_eq!(gate.undo(ctx(Mode::Auto), undo).await.unwrap().outcome, Refused, "{mode:?}");
        }
    }
    assert_eq!(world.state().await, state);
}

#[tokio::test]
async fn to_kill_a_pod_at_once_is_another_effect_than_to_stop_it() {
    let world = World::new().await;
    let evict = |params| request("restart_pod", "Pod/shop/web-2-a", params, "k");
    let shown = world.gate.dry_run(ctx(Mode::Approve), evict(Value::Null)).await.unwrap();
    let killed = world.run_in(Mode::Approve, approved(evict(json!({"grace_period_seconds": 0})), &shown.digest)).await.unwrap();
    assert_eq!(killed.outcome, NeedsApproval);
    assert_eq!(world.run_in(Mode::Approve, approved(evict(json!({})), &shown.digest)).await.unwrap().outcome, Applied);
}

#[tokio::test]
async fn a_dry_run_of_a_refused_action_says_why_and_has_no_digest() {
    let world = World::new().await;
    for (request, check) in [
        (request("fix_everything", "Deployment/shop/web", Value::Null, "k"), "capability"),
        (request("scale_replicas", "Deployment/shop/web", json!({}), "k"), "schema"),
        (request("scale_replicas", "Deployment/other/web", json!({"replicas": 4}), "k"), "policy"),
    ] {
        let shown = world.gate.dry_run(ctx(Mode::Auto), request).await.unwrap();
        assert_eq!((shown.report.refusal().map(|c| c.name.as_str()), shown.digest.as_str()), (Some(check), ""));
    }
}

#[tokio::test]
async fn every_pass_leaves_a_verified_audit_trail() {
    let world = World::new().await;
    let incident = world.incident().await;
    let serve = |request| ExecuteRequest { incident_id: Some(incident), ..ask(request) };
    world.run_in(Mode::Observe, serve(scale(5, "a"))).await.unwrap();
    world.run_in(Mode::Auto, serve(request("fix_everything", "Deployment/shop/web", Value::Null, "b"))).await.unwrap_err();
    let done = world.run_in(Mode::Auto, serve(scale(5, "c"))).await.unwrap();
    let undo = UndoRequest { request: scale(5, "c"), incident_id: Some(incident), execution: done, key: "u".into() };
    world.gate.undo(ctx(Mode::Auto), undo).await.unwrap();
    let rows = world.ledger.audit(ctx(Mode::Auto), incident).await.unwrap();
    let trail: Vec<String> = rows.iter().skip(1).map(|r| format!("{} {}", r.action, r.data["outcome"].as_str().unwrap_or_default())).collect();
    assert_eq!(
        trail,
        ["action.gate refused", "action.gate invalid", "action.gate acting", "action.applied ", "action.gate undoing", "action.undone "]
    );
    assert_eq!(first_broken_row(&rows), None);
    assert_eq!(rows[3].data["report"]["checks"].as_array().map(Vec::len), Some(15));
}

#[tokio::test]
async fn helm_asks_and_gitops_refuses() {
    for (annotation, outcome) in [("meta.helm.sh/release-name", NeedsApproval), ("argocd.argoproj.io/tracking-id", Refused)] {
        let mut objects = bundle::objects();
        for object in objects.iter_mut().filter(|o| o["kind"] == "Deployment") {
            object["metadata"]["annotations"][annotation] = json!("x");
        }
        let world = World::with(GateConfig::default(), &objects).await;
        assert_eq!(world.outcome(scale(5, "a")).await, outcome, "{annotation}");
        assert_eq!(world.outcome(request("rollout_restart", "Deployment/shop/web", Value::Null, "b")).await, Applied, "{annotation}");
    }
}
