//! Actions that patch: each has its effect, leaves all else alone, is no change the second time, and can be taken back.

use kubernaut_core::{
    model::{Execution, ExecutionOutcome::*, Mode, diff_values},
    service::{ExecuteRequest, Executor, UndoRequest},
};
use kubernaut_executor::GateConfig;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    bundle,
    recorder::by_somebody,
    world::{World, approved, ask, ctx, request},
};

fn object(api: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{kind}-{name}")}});
    for (key, value) in rest.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

/// The namespace `shop` with one object of every kind that is patched.
fn objects() -> Vec<Value> {
    let env = json!([{"name": "DB", "value": "db:5433"}, {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]);
    let app = json!({"name": "app", "image": "registry.example/ap:1", "command": ["serve", "--db=db:5433"], "env": env, "ports": [{"containerPort": 8080, "name": "http"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 81}, "periodSeconds": 5}});
    let apart = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "api"}}}]}});
    let spec = json!({"containers": [{"name": "side", "image": "side:1", "env": [{"name": "DB", "value": "db:5433"}]}, app], "nodeSelector": {"disk": "sdd"}, "affinity": apart});
    let template = json!({"metadata": {"labels": {"app": "api"}}, "spec": spec});
    let pod = json!({"spec": template["spec"], "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}});
    let mut pod = object("v1", "Pod", "api-1", pod);
    pod["metadata"]["labels"] = json!({"app": "api"});
    let node = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name, "labels": {"disk": "ssd"}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    vec![
        bundle::namespace("shop", json!({"kubernaut.ai/managed": "true"})),
        object(
            "apps/v1",
            "Deployment",
            "api",
            json!({"spec": {"replicas": 1, "selector": {"matchLabels": {"app": "api"}}, "template": template}, "status": {"replicas": 1}}),
        ),
        pod,
        object("v1", "Secret", "db", json!({"data": {"password": "eA=="}})),
        object("v1", "Secret", "db2", json!({"data": {"password": "eQ=="}})),
        object("v1", "Service", "api", json!({"spec": {"selector": {"app": "apis"}, "ports": [{"port": 80, "targetPort": 81, "protocol": "TCP"}]}})),
        object("v1", "Service", "web", json!({"spec": {"selector": {"app": "api"}, "ports": [{"port": 80, "targetPort": 81, "protocol": "TCP"}]}})),
        object("v1", "ConfigMap", "conf", json!({"data": {"app.conf": "a: 1\nbad: s3cret\n", "other": "db:5433"}})),
        object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "deny",
            json!({"spec": {"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Ingress"]}}),
        ),
        object("v1", "ResourceQuota", "quota", json!({"spec": {"hard": {"pods": "4", "requests.cpu": "1"}}})),
        object(
            "v1",
            "PersistentVolumeClaim",
            "data",
            json!({"spec": {"storageClassName": "grows", "resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Bound"}}),
        ),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "grows"}, "provisioner": "p", "allowVolumeExpansion": true}),
        object(
            "policy/v1",
            "PodDisruptionBudget",
            "budget",
            json!({"spec": {"minAvailable": "100%", "selector": {"matchLabels": {"app": "none"}}}, "status": {"expectedPods": 3}}),
        ),
        object("batch/v1", "CronJob", "nightly", json!({"spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": template}}}})),
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "guard", "uid": "guard"},
            "webhooks": [{"name": "a.example.com", "failurePolicy": "Fail"}, {"name": "b.example.com", "failurePolicy": "Fail"}]}),
        node("n1"),
        node("n2"),
    ]
}

fn config() -> GateConfig {
    GateConfig { allow_node_actions: true, enabled_families: vec!["webhook".into()], ..GateConfig::default() }
}

const APP: &str = "/spec/template/spec/containers/1";

/// Action, target, parameters, the field that changes, and its value afterwards.
fn cases() -> Vec<(&'static str, &'static str, Value, String, Value)> {
    let api = "Deployment/shop/api";
    vec![
        ("patch_image", api, json!({"container": "app", "image": "registry.example/app:1"}), format!("{APP}/image"), json!("registry.example/app:1")),
        (
            "patch_command",
            api,
            json!({"container": "app", "replace": "db:5433", "with": "db:5432"}),
            format!("{APP}/command/1"),
            json!("--db=db:5432"),
        ),
        (
            "patch_command",
            "CronJob/shop/nightly",
            json!({"container": "app", "command": ["run"]}),
            "/spec/jobTemplate/spec/template/spec/containers/1/command".into(),
            json!(["run"]),
        ),
        (
            "patch_env",
            api,
            json!({"container": "app", "name": "DB", "replace": "db:5433", "with": "db:5432"}),
            format!("{APP}/env/0/value"),
            json!("db:5432"),
        ),
        (
            "patch_env",
            api,
            json!({"container": "side", "set": {"MODE": "x"}}),
            "/spec/template/spec/containers/0/env".into(),
            json!([{"name": "DB", "value": "db:5433"}, {"name": "MODE", "value": "x"}]),
        ),
        ("patch_env", api, json!({"container": "side", "unset": ["DB"]}), "/spec/template/spec/containers/0/env".into(), Value::Null),
        (
            "patch_probe",
            api,
            json!({"container": "app", "probe": "readiness", "port": "http"}),
            format!("{APP}/readinessProbe/httpGet/port"),
            json!("http"),
        ),
        ("patch_node_selector", api, json!({"node_selector": {"disk": "ssd"}}), "/spec/template/spec/nodeSelector/disk".into(), json!("ssd")),
        ("patch_affinity", api, json!({"restore": null}), "/spec/template/spec/affinity".into(), Value::Null),
        ("patch_secret_reference", api, json!({"from": "db", "to": "db2"}), format!("{APP}/env/1/valueFrom/secretKeyRef/name"), json!("db2")),
        ("patch_service_selector", "Service/shop/api", json!({"selector": {"app": "api"}}), "/spec/selector/app".into(), json!("api")),
        ("patch_service_port", "Service/shop/web", json!({"port": 80, "target_port": 8080}), "/spec/ports/0/targetPort".into(), json!(8080)),
        (
            "patch_configmap",
            "ConfigMap/shop/conf",
            json!({"key": "app.conf", "remove_line": "bad: s3cret"}),
            "/data/app.conf".into(),
            json!("a: 1\n"),
        ),
        (
            "patch_network_policy",
            "NetworkPolicy/shop/deny",
            json!({"direction": "ingress", "peer": {"namespace": "other", "pod_labels": {"app": "job"}}, "to": "Service/shop/web", "port": 8080}),
            "/spec/ingress".into(),
            json!([{"from": [{"podSelector": {"matchLabels": {"app": "job"}}, "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}], "ports": [{"port": 8080, "protocol": "TCP"}]}]),
        ),
        ("increase_quota", "ResourceQuota/shop/quota", json!({"hard": {"pods": "8"}}), "/spec/hard/pods".into(), json!("8")),
        ("relax_pdb", "PodDisruptionBudget/shop/budget", json!({"min_available": 2}), "/spec/minAvailable".into(), json!(2)),
        ("suspend_cronjob", "CronJob/shop/nightly", Value::Null, "/spec/suspend".into(), json!(true)),
        ("label_node", "Node/n1", json!({"labels": {"pool": "a"}}), "/metadata/labels/pool".into(), json!("a")),
        (
            "patch_webhook_failure_policy",
            "ValidatingWebhookConfiguration/guard",
            json!({"webhook": "b.example.com", "failure_policy": "Ignore"}),
            "/webhooks/1/failurePolicy".into(),
            json!("Ignore"),
        ),
    ]
}

/// Paths that differ, but for the marks.
fn changed(before: &Value, after: &Value) -> Vec<String> {
    diff_values(before, after).into_iter().map(|c| c.path).filter(|p| !p.starts_with("/metadata/annotations")).collect()
}

/// Carries an action out, with a person's agreement.
async fn agreed(world: &World, action: &str, target: &str, params: &Value, key: &str) -> Execution {
    let shown = world.gate.dry_run(ctx(Mode::Auto), request(action, target, params.clone(), key)).await.unwrap();
    assert_eq!(shown.report.refusal(), None, "{action}");
    world.run_in(Mode::Auto, approved(request(action, target, params.clone(), key), &shown.digest)).await.unwrap()
}

#[tokio::test]
async fn each_patch_changes_its_field_only_and_undo_restores_it() {
    for (action, target, params, path, expected) in cases() {
        let world = World::with(config(), &objects()).await;
        let before = world.read(target).await;
        let done = agreed(&world, action, target, &params, "k").await;
        assert_eq!(done.outcome, Applied, "{action}: {}", done.message);
        let after = world.read(target).await;
        assert_eq!(after.pointer(&path).cloned().unwrap_or_default(), expected, "{action}");
        assert_eq!(changed(&before, &after), [path], "{action} changes nothing else");
        let again = agreed(&world, action, target, &params, "k2").await;
        assert_eq!(again.outcome, NoChange, "{action}: {}", again.message);
        let undo = UndoRequest { request: request(action, target, params, "k"), incident_id: None, execution: done, key: "u".into() };
        assert_eq!(world.gate.undo(ctx(Mode::Auto), undo).await.unwrap().outcome, Applied, "{action}");
        assert_eq!(changed(&before, &world.read(target).await), [""; 0], "{action}");
    }
}

#[tokio::test]
async fn what_opens_weakens_or_is_final_asks_even_in_mode_auto() {
    let asks = ["patch_network_policy", "patch_webhook_failure_policy"];
    for (action, target, params, ..) in cases() {
        let world = World::with(config(), &objects()).await;
        let outcome = world.outcome(request(action, target, params, "k")).await;
        assert_eq!(outcome, if asks.contains(&action) { NeedsApproval } else { Applied }, "{action}");
    }
    let world = World::with(config(), &objects()).await;
    let expand = || request("expand_pvc", "PersistentVolumeClaim/shop/data", json!({"size": "2Gi"}), "k");
    assert_eq!(world.outcome(expand()).await, NeedsApproval);
    let done = agreed(&world, "expand_pvc", "PersistentVolumeClaim/shop/data", &json!({"size": "2Gi"}), "k").await;
    assert_eq!(
        (done.outcome, &world.read("PersistentVolumeClaim/shop/data").await["spec"]["resources"]["requests"]["storage"]),
        (Applied, &json!("2Gi"))
    );
    let undo = UndoRequest { request: expand(), incident_id: None, execution: done, key: "u".into() };
    assert!(world.gate.undo(ctx(Mode::Auto), undo).await.is_err_and(|e| e.kind() == kubernaut_core::ErrorKind::Unsupported));
}

#[tokio::test]
async fn webhooks_are_off_until_configured() {
    let world = World::with(GateConfig::default(), &objects()).await;
    let weaken = request(
        "patch_webhook_failure_policy",
        "ValidatingWebhookConfiguration/guard",
        json!({"webhook": "a.example.com", "failure_policy": "Ignore"}),
        "k",
    );
    assert_eq!(world.refusal(weaken).await, "policy");
}

#[tokio::test]
async fn a_shared_configmap_and_a_service_that_serves_are_asked_about() {
    let mut all = objects();
    let uses = json!([{"configMapRef": {"name": "conf"}}]);
    for object in &mut all {
        match object["kind"].as_str() {
            Some("Deployment") => object["spec"]["template"]["spec"]["containers"][0]["envFrom"] = uses.clone(),
            Some("CronJob") => object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["envFrom"] = uses.clone(),
            Some("Pod") => object["status"]["conditions"][0]["status"] = json!("True"),
            _ => {}
        }
    }
    let world = World::with(config(), &all).await;
    assert_eq!(world.outcome(request("patch_configmap", "ConfigMap/shop/conf", json!({"data": {"other": "x"}}), "a")).await, NeedsApproval);
    let mut tier = all.clone();
    for pod in tier.iter_mut().filter(|o| o["kind"] == "Pod") {
        pod["metadata"]["labels"]["tier"] = json!("back");
    }
    let world = World::with(config(), &tier).await;
    assert_eq!(world.outcome(request("patch_service_selector", "Service/shop/web", json!({"selector": {"tier": "back"}}), "b")).await, NeedsApproval);
}

#[tokio::test]
async fn values_of_variables_are_told_to_nobody_and_yet_are_restored() {
    let world = World::with(config(), &objects()).await;
    let incident = world.incident().await;
    let serve = |request| ExecuteRequest { incident_id: Some(incident), ..ask(request) };
    let set = |params: Value, key: &str| request("patch_env", "Deployment/shop/api", params, key);
    for (params, key) in [
        (json!({"container": "app", "name": "DB", "value": "s3cret"}), "a"),
        (json!({"container": "side", "set": {"TOKEN": "s3cret", "DB": "s3cret"}}), "b"),
        (json!({"container": "app", "name": "DB", "restore": {"value": "s3cret"}}), "c"),
    ] {
        let before = world.read("Deployment/shop/api").await;
        let shown = world.gate.dry_run(ctx(Mode::Auto), set(params.clone(), key)).await.unwrap();
        let done = world.run_in(Mode::Auto, serve(set(params.clone(), key))).await.unwrap();
        assert_eq!((done.outcome, &done.digest), (Applied, &shown.digest), "{}", done.message);
        assert!(!format!("{shown:?} {done:?}").contains("s3cret"));
        assert!(world.read("Deployment/shop/api").await.to_string().contains("s3cret"));
        let undo = UndoRequest { request: set(params, key), incident_id: Some(incident), execution: done, key: format!("{key}/undo") };
        let back = world.gate.undo(ctx(Mode::Auto), undo).await.unwrap();
        assert!(back.outcome == Applied && !format!("{back:?}").contains("s3cret"), "{back:?}");
        assert_eq!(changed(&before, &world.read("Deployment/shop/api").await), [""; 0]);
    }
    let wrong = world.run_in(Mode::Auto, serve(set(json!({"container": "app", "name": "DB", "value": {"s3cret": 1}}), "d"))).await;
    assert!(wrong.is_err_and(|e| !format!("{e:?}").contains("s3cret")));
    let rows = world.ledger.audit(ctx(Mode::Auto), incident).await.unwrap();
    assert_eq!(rows.iter().filter(|r| r.action == "action.undone").count(), 3);
    assert!(rows.iter().all(|r| !r.data.to_string().contains("s3cret")), "{rows:?}");
}

#[tokio::test]
async fn a_variable_changed_since_is_left_alone_without_telling_its_value() {
    let world = World::with(config(), &objects()).await;
    let set = request("patch_env", "Deployment/shop/api", json!({"container": "app", "name": "DB", "value": "x"}), "k");
    let done = world.run(set.clone()).await.unwrap();
    let mut spec = world.read("Deployment/shop/api").await["spec"].clone();
    spec["template"]["spec"]["containers"][1]["env"][0]["value"] = json!("s3cret");
    by_somebody(&world.cluster.inner, "Deployment/shop/api", json!({ "spec": spec })).await;
    let error =
        world.gate.undo(ctx(Mode::Auto), UndoRequest { request: set, incident_id: None, execution: done, key: "u".into() }).await.unwrap_err();
    assert!(error.kind() == kubernaut_core::ErrorKind::Conflict && !format!("{error:?}").contains("s3cret"), "{error:?}");
}

/// An action on one container of several, on a container that has nothing yet or something already.
fn on_container() -> impl Strategy<Value = (&'static str, Value, &'static str)> {
    prop::sample::select(vec![
        ("fix_image_reference", json!({"image": "side:2"}), "image"),
        ("patch_command", json!({"args": ["x"]}), "args"),
        ("patch_command", json!({"field": "command", "restore": ["y"]}), "command"),
        ("patch_env", json!({"set": {"DB": "x", "NEW": "y"}}), "env"),
        ("patch_env", json!({"name": "DB", "restore": null}), "env"),
        ("patch_probe", json!({"probe": "liveness", "restore": {"tcpSocket": {"port": 80}}}), "livenessProbe"),
        ("set_resource_limits", json!({"limits": {"memory": "64Mi"}}), "resources"),
    ])
}

async fn only_one_container(names: Vec<String>, meant: usize, (action, params, field): (&str, Value, &str)) {
    let env = json!([{"name": "DB", "value": "1"}]);
    let containers: Vec<Value> = names
        .iter()
        .enumerate()
        .map(
            |(i, n)| {
                if i % 2 == 0 { json!({"name": n, "image": "side:1", "env": env}) } else { json!({"name": n, "image": "side:1", "args": ["a"]}) }
            },
        )
        .collect();
    let mut all = objects();
    for object in all.iter_mut().filter(|o| o["kind"] == "Deployment") {
        object["spec"]["template"]["spec"]["containers"] = json!(containers);
    }
    let world = World::with(config(), &all).await;
    let mut params = params;
    params["container"] = json!(names[meant]);
    let before = world.read("Deployment/shop/api").await;
    world.kube.execute(ctx(Mode::Auto), ask(request(action, "Deployment/shop/api", params, "k"))).await.unwrap();
    let at = format!("/spec/template/spec/containers/{meant}/{field}");
    let strays: Vec<String> = changed(&before, &world.read("Deployment/shop/api").await).into_iter().filter(|p| !p.starts_with(&at)).collect();
    assert!(strays.is_empty(), "{action}: {strays:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn other_containers_are_untouched(names in prop::collection::btree_set("[a-e]{1,2}", 1..5), at in any::<prop::sample::Index>(), action in on_container()) {
        let names: Vec<String> = names.into_iter().collect();
        let meant = at.index(names.len());
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(only_one_container(names, meant, action));
    }

    #[test]
    fn other_keys_are_untouched(keys in prop::collection::btree_map("[a-d]{1,2}", "[x-z\n]{0,4}", 0..4), key in "[a-d]{1,2}", value in "[x-z]{0,3}") {
        let run = async {
            let mut all = objects();
            for object in all.iter_mut().filter(|o| o["kind"] == "ConfigMap") {
                object["data"] = json!(keys);
            }
            let world = World::with(config(), &all).await;
            world.kube.execute(ctx(Mode::Auto), ask(request("patch_configmap", "ConfigMap/shop/conf", json!({"data": {key.clone(): value.clone()}}), "k"))).await.unwrap();
            let mut wanted = keys.clone();
            wanted.insert(key.clone(), value.clone());
            assert_eq!(world.read("ConfigMap/shop/conf").await["data"], json!(wanted));
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run);
    }
}
