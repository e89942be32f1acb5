//! What real clusters show that a description of a fault leaves out: surges, reused words, names that are alike.

mod support;

use serde_json::json;
use support::*;

fn refused(message: &str) -> serde_json::Value {
    json!({"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]}})
}

#[tokio::test]
async fn pods_that_may_not_be_created_are_seen_although_the_old_ones_keep_the_count() {
    let app = |account: Option<&str>| {
        let mut s = spec(container("box", "box:1"));
        if let Some(account) = account {
            s["serviceAccountName"] = json!(account);
        }
        s
    };
    let mut w = World::new("rental");
    let message = "pods \"cars-h1-\" is forbidden: error looking up service account rental/fleet: serviceaccount \"fleet\" not found";
    w.deploy(deploy("cars", app(None)).then(12, app(Some("fleet"))).pods(Pods::None).old_ready(1).meta(refused(message)));
    let a = w.diagnose("Deployment/rental/cars").await;
    expect(&a, "bad_release_config", "Deployment/rental/cars", "rollback_deployment", "Deployment/rental/cars");

    let mut w = World::new("rental");
    let message = "pods \"cars-h1-x\" is forbidden: failed quota: cap: must specify limits.memory for: box";
    let bare = json!({"containers": [{"name": "box", "image": "box:1"}]});
    w.object("v1", "ResourceQuota", "cap", json!({"status": {"hard": {"limits.memory": "2Gi"}, "used": {"limits.memory": "256Mi"}}}));
    w.deploy(deploy("cars", app(None)).then(12, bare).pods(Pods::None).old_ready(1).meta(refused(message)));
    let a = w.diagnose("Deployment/rental/cars").await;
    expect(&a, "quota_requires_limits", "Deployment/rental/cars", "set_resource_limits", "Deployment/rental/cars");
}

#[tokio::test]
async fn a_claim_that_only_the_new_release_names_is_the_releases_fault() {
    let with = |volume: serde_json::Value| json!({"containers": [container("box", "box:1")], "volumes": [volume]});
    let gone = Pods::Pending("0/3 nodes are available: persistentvolumeclaim \"attic\" not found.".into());
    let mut w = World::new("home");
    let bad = with(json!({"name": "data", "persistentVolumeClaim": {"claimName": "attic"}}));
    w.deploy(deploy("box", with(json!({"name": "data", "emptyDir": {}}))).then(9, bad.clone()).pods(gone.clone()).old_ready(1));
    let a = w.diagnose("Deployment/home/box").await;
    expect(&a, "bad_release_config", "Deployment/home/box", "rollback_deployment", "Deployment/home/box");

    let mut w = World::new("home");
    w.deploy(deploy("box", bad).pods(gone));
    let a = w.diagnose("Deployment/home/box").await;
    assert_eq!(a.actions[0].action, "escalate", "a claim that was there before may have held data: {a:#?}");
}

#[tokio::test]
async fn a_file_whose_name_ends_in_env_is_no_variable() {
    let mut w = World::new("post");
    let s = json!({"containers": [merge(container("stamp", "stamp:2"), json!({"volumeMounts": [{"name": "c", "mountPath": "/etc/stamp"}]}))],
        "volumes": [{"name": "c", "configMap": {"name": "stamp-limits"}}]});
    w.config_map("stamp-limits", json!({"stamp.env": "BURST=many\n"}), Some(20));
    w.deploy(deploy("stamp", s).pods(Pods::Crash(1, "Error", 1)));
    w.log("stamp-h0-p0", "stamp", "CRITICAL could not parse /etc/stamp/stamp.env: BURST=many is not a valid integer");
    let a = w.diagnose("Deployment/post/stamp").await;
    expect(&a, "config_error", "ConfigMap/post/stamp-limits", "patch_configmap", "ConfigMap/post/stamp-limits");
}

fn reader(service: &str, named: &str) -> World {
    let mut w = World::new("poll");
    let s = json!({"containers": [merge(container("form", "form:2"), json!({"volumeMounts": [{"name": "c", "mountPath": "/etc/form"}]}))],
        "volumes": [{"name": "c", "configMap": {"name": "form-peers"}}]});
    w.config_map("form-peers", json!({ "store": named }), Some(20));
    w.deploy(deploy(service, spec(merge(container("kv", "kv:1"), json!({"ports": [{"containerPort": 6379}]})))));
    w.serve(service, 6379);
    w.deploy(deploy("form", s).pods(Pods::Crash(1, "Error", 1)));
    w.log("form-h0-p0", "form", &format!("redis.exceptions.ConnectionError: Error -2 connecting to {named}:6379. Name or service not known."));
    w
}

#[tokio::test]
async fn a_misspelt_host_is_found_where_it_stands_by_itself() {
    let a = reader("ballots", "balots").diagnose("Deployment/poll/form").await;
    expect(&a, "config_error", "ConfigMap/poll/form-peers", "patch_configmap", "ConfigMap/poll/form-peers");
    assert_eq!((param(&a, "/replace"), param(&a, "/with")), (&json!("balots"), &json!("ballots")));
}

#[tokio::test]
async fn a_sibling_with_another_number_is_no_correction() {
    let a = reader("ballots-v1", "ballots-v2").diagnose("Deployment/poll/form").await;
    assert_ne!(a.actions[0].action, "patch_configmap", "{a:#?}");
}

#[tokio::test]
async fn an_init_container_that_a_release_brought_hangs_sooner_than_one_that_was_always_there() {
    let wait = |cmd: &str| {
        merge(spec(container("app", "app:1")), json!({"initContainers": [{"name": "gate", "image": "gate:1", "command": ["sh", "-c", cmd]}]}))
    };
    let mut w = World::new("club");
    w.deploy(deploy("door", wait("true")).then(6, wait("until [ -e /x ]; do sleep 1; done")).pods(Pods::InitRunning(5)).old_ready(1));
    let a = w.diagnose("Deployment/club/door").await;
    expect(&a, "init_container_hang", "Deployment/club/door", "rollback_deployment", "Deployment/club/door");

    let mut w = World::new("club");
    w.deploy(deploy("door", wait("fill the cache")).pods(Pods::InitRunning(5)));
    let a = w.diagnose("Deployment/club/door").await;
    assert_ne!(a.candidates[0].category.as_str(), "init_container_hang", "{a:#?}");
}
