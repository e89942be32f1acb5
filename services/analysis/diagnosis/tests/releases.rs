//! Releases: bad ones are taken back, innocent ones are left alone.

mod support;

use serde_json::json;
use support::*;

fn go() -> serde_json::Value {
    spec(merge(container("gw", "reg.acme.io/gw:4.1"), json!({"args": ["--listen=:7000"], "ports": [{"containerPort": 7000}]})))
}

#[tokio::test]
async fn a_flag_that_the_program_does_not_know_is_a_bad_command() {
    let mut w = World::new("edge");
    let bad =
        spec(merge(container("gw", "reg.acme.io/gw:4.1"), json!({"args": ["--listen=:7000", "--enable-h3"], "ports": [{"containerPort": 7000}]})));
    w.deploy(deploy("gw", go()).then(25, bad).replicas(2).old_ready(2).pods(Pods::Crash(2, "Error", 0)));
    w.log("gw-h1-p0", "gw", "flag provided but not defined: -enable-h3\nUsage of gw:");
    let a = w.diagnose("Pod/edge/gw-h1-p0").await;
    expect(&a, "bad_release_command", "Deployment/edge/gw", "rollback_deployment", "Deployment/edge/gw");
    assert_eq!(param(&a, "/to_revision"), 1);
    assert!(holds(&a));
}

#[tokio::test]
async fn a_command_that_ends_with_success_is_still_a_bad_command() {
    let mut w = World::new("edge");
    let bad = spec(merge(container("gw", "reg.acme.io/gw:4.1"), json!({"command": ["gw", "--version"]})));
    w.deploy(deploy("gw", go()).then(25, bad).pods(Pods::Crash(0, "Completed", 1)));
    w.log("gw-h1-p0", "gw", "gw 4.1");
    let a = w.diagnose("Deployment/edge/gw").await;
    expect(&a, "bad_release_command", "Deployment/edge/gw", "rollback_deployment", "Deployment/edge/gw");
}

#[tokio::test]
async fn a_removed_variable_is_a_bad_environment_in_any_language() {
    for line in [
        "thread 'main' panicked at src/main.rs:9: LEDGER_DSN must be set: NotPresent",
        "Error: Missing required environment variable: LEDGER_DSN",
        "config.rb:12:in `fetch': key not found: \"LEDGER_DSN\" (KeyError)",
        "java.lang.IllegalStateException: Required environment variable LEDGER_DSN is not set",
        "{\"level\":\"fatal\",\"msg\":\"env LEDGER_DSN is required\"}",
    ] {
        let mut w = World::new("fin");
        let with = |env: serde_json::Value| spec(merge(container("poster", "reg.acme.io/poster:2"), json!({ "env": env })));
        w.deploy(
            deploy("poster", with(json!([{"name": "LEDGER_DSN", "value": "x"}, {"name": "MODE", "value": "a"}])))
                .then(30, with(json!([{"name": "MODE", "value": "a"}])))
                .pods(Pods::Crash(1, "Error", 1)),
        );
        w.log("poster-h1-p0", "poster", &format!("INFO starting\n{line}"));
        let a = w.diagnose("Pod/fin/poster-h1-p0").await;
        expect(&a, "bad_release_env", "Deployment/fin/poster", "rollback_deployment", "Deployment/fin/poster");
    }
}

#[tokio::test]
async fn a_changed_address_is_blamed_although_the_pods_are_ready() {
    let mut w = World::new("media");
    let with = |addr: &str| spec(merge(container("thumb", "reg.acme.io/thumb:7"), json!({"env": [{"name": "BROKER", "value": addr}]})));
    w.deploy(deploy("thumb", with("nats://bus:4222")).then(50, with("nats://bus:4333")));
    w.deploy(deploy("bus", spec(merge(container("nats", "nats:2"), json!({"ports": [{"containerPort": 4222}]})))));
    w.serve("bus", 4222);
    w.log("thumb-h1-p0", "thumb", &format!("{} ERROR cannot publish: dial tcp bus:4333: i/o timeout", ago(1)));
    let a = w.diagnose("Deployment/media/thumb").await;
    expect(&a, "bad_release_env", "Deployment/media/thumb", "rollback_deployment", "Deployment/media/thumb");
}

#[tokio::test]
async fn a_harmful_mount_is_a_bad_configuration() {
    let mut w = World::new("docs");
    let base = container("wiki", "wiki:5");
    let bad = json!({"containers": [merge(base.clone(), json!({"volumeMounts": [{"name": "theme", "mountPath": "/srv/wiki"}]}))], "volumes": [{"name": "theme", "emptyDir": {}}]});
    w.deploy(deploy("wiki", spec(base)).then(15, bad).pods(Pods::Crash(1, "Error", 2)));
    w.log("wiki-h1-p0", "wiki", "Error: ENOENT: no such file or directory, open '/srv/wiki/app.js'");
    let a = w.diagnose("Pod/docs/wiki-h1-p0").await;
    expect(&a, "bad_release_config", "Deployment/docs/wiki", "rollback_deployment", "Deployment/docs/wiki");
}

#[tokio::test]
async fn a_release_is_not_taken_back_when_its_peer_is_down() {
    let mut w = World::new("crm");
    let with = |image: &str| spec(merge(container("api", image), json!({"env": [{"name": "DB", "value": "pg-main:5432"}]})));
    w.deploy(deploy("api", with("api:1")).then(20, with("api:2")).pods(Pods::Crash(1, "Error", 3)));
    w.deploy(deploy("pg-main", spec(container("postgres", "postgres:16"))).pods(Pods::Crash(1, "Error", 1)));
    w.config_map("unused", json!({}), None);
    w.serve("pg-main", 5432);
    w.log("api-h1-p0", "api", "connection to server at \"pg-main\" (10.96.7.9), port 5432 failed: Connection refused");
    w.log("pg-main-h0-p0", "postgres", "PANIC:  could not locate a valid checkpoint record");
    let a = w.diagnose("Pod/crm/api-h1-p0").await;
    assert_ne!(a.actions[0].action, "rollback_deployment", "{a:#?}");
    assert_eq!(a.candidates[0].object.to_string(), "Deployment/crm/pg-main");
}

#[tokio::test]
async fn there_is_no_way_back_to_a_revision_that_failed_too() {
    let mut w = World::new("edge");
    let with = |arg: &str| spec(merge(container("gw", "gw:1"), json!({"args": [arg]})));
    w.deploy(deploy("gw", with("--a")).then(32, with("--b")).then(30, with("--c")).pods(Pods::Crash(1, "Error", 1)));
    w.warn("Pod/edge/gw-h1-zzz", "BackOff", "Back-off restarting failed container", 9, 32, 31);
    let a = w.diagnose("Deployment/edge/gw").await;
    assert!(!(a.actions[0].action == "rollback_deployment" && holds(&a)), "{a:#?}");
}

#[tokio::test]
async fn what_a_statefulset_lost_is_put_back_field_by_field() {
    let mut w = World::new("data");
    let with = |v: &str| spec(merge(container("node", "es:8"), json!({"env": [{"name": "DISCOVERY", "value": v}]})));
    w.deploy(deploy("es", with("es-0.es")).kind("StatefulSet").then(20, with("")).pods(Pods::Crash(1, "Error", 2)));
    w.log("es-0", "node", "fatal exception: setting [DISCOVERY] is empty, DISCOVERY must be set");
    let a = w.diagnose("StatefulSet/data/es").await;
    expect(&a, "bad_release_env", "StatefulSet/data/es", "patch_env", "StatefulSet/data/es");
    assert_eq!(param(&a, "/restore/value"), "es-0.es");
}

#[tokio::test]
async fn a_helm_release_goes_back_by_helm() {
    let mut w = World::new("edge");
    let helm = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "gw", "meta.helm.sh/release-namespace": "edge"}}});
    let bad = spec(merge(container("gw", "gw:1"), json!({"command": ["false"]})));
    let mut d = deploy("gw", go()).then(25, bad).pods(Pods::Crash(1, "Error", 0)).meta(helm);
    d.manager = "helm";
    w.deploy(d);
    for (n, status, at) in [(6, "superseded", 9000), (7, "deployed", 25)] {
        w.object(
            "v1",
            "Secret",
            &format!("sh.helm.release.v1.gw.v{n}"),
            json!({"type": "helm.sh/release.v1", "metadata": {"labels": {"owner": "helm", "status": status}, "creationTimestamp": ago(at)}}),
        );
    }
    let a = w.diagnose("Pod/edge/gw-h1-p0").await;
    expect(&a, "bad_release_command", "Deployment/edge/gw", "helm_rollback", "Deployment/edge/gw");
    assert_eq!(param(&a, "/to_revision"), 6);
}

#[tokio::test]
async fn a_change_by_hand_on_a_helm_object_is_taken_back_on_the_cluster() {
    let mut w = World::new("edge");
    let mut meta = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "gw"}}});
    meta["metadata"]["managedFields"] = json!([
        {"manager": "helm", "operation": "Update", "time": ago(9000), "fieldsV1": {}},
        {"manager": "kubectl-edit", "operation": "Update", "time": ago(25), "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"gw\"}": {"f:command": {}}}}}}}}]);
    let bad = spec(merge(container("gw", "gw:1"), json!({"command": ["false"]})));
    w.deploy(deploy("gw", spec(container("gw", "gw:1"))).then(25, bad).pods(Pods::Crash(1, "Error", 0)).meta(meta));
    let a = w.diagnose("Pod/edge/gw-h1-p0").await;
    expect(&a, "bad_release_command", "Deployment/edge/gw", "rollback_deployment", "Deployment/edge/gw");
}

#[tokio::test]
async fn a_flux_object_is_changed_in_git() {
    let mut w = World::new("edge");
    let flux = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}});
    let bad = spec(merge(container("gw", "gw:1"), json!({"command": ["false"]})));
    let mut d = deploy("gw", go()).then(25, bad).pods(Pods::Crash(1, "Error", 0)).meta(flux);
    d.manager = "kustomize-controller";
    w.deploy(d);
    let a = w.diagnose("Pod/edge/gw-h1-p0").await;
    expect(&a, "bad_release_command", "Deployment/edge/gw", "git_change", "Deployment/edge/gw");
}

#[tokio::test]
async fn the_same_rollback_is_not_proposed_again_after_it_failed() {
    let mut w = World::new("edge");
    let bad = spec(merge(container("gw", "gw:1"), json!({"command": ["false"]})));
    w.deploy(deploy("gw", go()).then(25, bad).pods(Pods::Crash(1, "Error", 0)));
    w.history.push(serde_json::from_value(json!({"opened_at": ago(200), "resource": {"group": "apps", "kind": "Deployment", "namespace": "edge", "name": "gw"}, "action": "rollback_deployment", "outcome": "ineffective"})).unwrap());
    let a = w.diagnose("Pod/edge/gw-h1-p0").await;
    assert_eq!(a.actions.iter().map(|p| p.action.as_str()).collect::<Vec<_>>(), ["escalate"]);
}

#[tokio::test]
async fn a_first_release_whose_command_does_not_exist_goes_to_a_person() {
    let mut w = World::new("edge");
    w.deploy(deploy("gw", spec(merge(container("gw", "gw:1"), json!({"command": ["/bin/gateway"]})))).since(20).pods(Pods::Crash(
        128,
        "StartError",
        0,
    )));
    let a = w.diagnose("Pod/edge/gw-h0-p0").await;
    expect(&a, "bad_release_command", "Deployment/edge/gw", "patch_command", "Deployment/edge/gw");
    assert!(!holds(&a));
}

#[tokio::test]
async fn a_crash_long_after_the_last_release_is_not_put_down_to_it() {
    let mut w = World::new("edge");
    let other = spec(merge(container("gw", "gw:1"), json!({"args": ["--x"]})));
    w.deploy(deploy("gw", go()).then(9 * 1440, other).pods(Pods::Crash(1, "Error", 900)));
    w.log("gw-h1-p0", "gw", "panic: runtime error: invalid memory address or nil pointer dereference");
    let a = w.diagnose("Pod/edge/gw-h1-p0").await;
    expect(&a, "application_error", "Deployment/edge/gw", "escalate", "Deployment/edge/gw");
    assert!(a.candidates[0].confidence < 0.6);
}
