//! ConfigMaps, Secrets, credentials and probes.

mod support;

use serde_json::{Value, json};
use support::*;

fn with(patch: Value) -> Value {
    spec(merge(container("app", "acme/app:3"), patch))
}

#[tokio::test]
async fn an_absent_map_is_named_and_not_replaced_by_its_neighbour() {
    let mut w = World::new("geo");
    w.config_map("tiles-conf-eu", json!({"a": "b"}), None);
    let mut s = with(json!({"volumeMounts": [{"name": "c", "mountPath": "/etc/tiles"}]}));
    s["volumes"] = json!([{"name": "c", "configMap": {"name": "tiles-conf-us"}}]);
    w.deploy(deploy("tiles", s).pods(Pods::Waiting("ContainerCreating", String::new())));
    w.warn("Pod/geo/tiles-h0-p0", "FailedMount", "MountVolume.SetUp failed for volume \"c\" : configmap \"tiles-conf-us\" not found", 12, 30, 1);
    let a = w.diagnose("Deployment/geo/tiles").await;
    expect(&a, "missing_configmap", "ConfigMap/geo/tiles-conf-us", "restore_configmap", "ConfigMap/geo/tiles-conf-us");
    assert!(!holds(&a));
}

#[tokio::test]
async fn a_reference_that_a_release_brought_goes_back_with_it() {
    let mut w = World::new("geo");
    w.config_map("tiles-v1", json!({"a": "b"}), None);
    let s = |m: &str| with(json!({"envFrom": [{"configMapRef": {"name": m}}]}));
    w.deploy(
        deploy("tiles", s("tiles-v1"))
            .then(20, s("tiles-v2"))
            .old_ready(1)
            .pods(Pods::Waiting("CreateContainerConfigError", "configmap \"tiles-v2\" not found".into())),
    );
    let a = w.diagnose("Deployment/geo/tiles").await;
    expect(&a, "missing_configmap", "ConfigMap/geo/tiles-v2", "rollback_deployment", "Deployment/geo/tiles");
}

#[tokio::test]
async fn a_key_that_is_gone_is_named() {
    let mut w = World::new("geo");
    w.object("v1", "Secret", "tiles-db", json!({"data": {"user": ""}}));
    let s = with(json!({"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "tiles-db", "key": "password"}}}]}));
    w.deploy(deploy("tiles", s).pods(Pods::Waiting("CreateContainerConfigError", "couldn't find key password in Secret geo/tiles-db".into())));
    let a = w.diagnose("Pod/geo/tiles-h0-p0").await;
    expect(&a, "missing_secret", "Secret/geo/tiles-db", "restore_secret", "Secret/geo/tiles-db");
    assert_eq!(param(&a, "/key"), "password");
}

#[tokio::test]
async fn an_optional_reference_is_no_fault() {
    let mut w = World::new("geo");
    let s = with(json!({"envFrom": [{"configMapRef": {"name": "none", "optional": true}}]}));
    w.deploy(deploy("tiles", s));
    let a = w.diagnose("Pod/geo/tiles-h0-p0").await;
    assert_eq!(a.candidates[0].category.as_str(), "no_fault", "{a:#?}");
}

#[tokio::test]
async fn a_setting_that_is_refused_is_taken_out() {
    let mut w = World::new("mq");
    w.config_map("broker-conf", json!({"broker.conf": "port = 5672\nmax_mesage = 10\nlog = info\n"}), Some(25));
    let mut s = with(json!({"volumeMounts": [{"name": "c", "mountPath": "/etc/broker"}]}));
    s["volumes"] = json!([{"name": "c", "configMap": {"name": "broker-conf"}}]);
    w.deploy(deploy("broker", s).pods(Pods::Crash(78, "Error", 0)));
    w.log("broker-h0-p0", "app", "Error in /etc/broker/broker.conf: unknown setting \"max_mesage\"");
    let a = w.diagnose("Pod/mq/broker-h0-p0").await;
    expect(&a, "config_error", "ConfigMap/mq/broker-conf", "patch_configmap", "ConfigMap/mq/broker-conf");
    assert_eq!(param(&a, "/remove_line"), "max_mesage = 10");
    assert!(holds(&a));
}

#[tokio::test]
async fn broken_syntax_is_for_a_person() {
    let mut w = World::new("mq");
    w.config_map("relay", json!({"config.yaml": "routes:\n  - a\n - b\n"}), Some(30));
    let mut s = with(json!({"volumeMounts": [{"name": "c", "mountPath": "/cfg"}]}));
    s["volumes"] = json!([{"name": "c", "configMap": {"name": "relay"}}]);
    w.deploy(deploy("relay", s).pods(Pods::Crash(1, "Error", 0)));
    w.log("relay-h0-p0", "app", "panic: failed to parse config /cfg/config.yaml: yaml: line 3: did not find expected '-' indicator");
    let a = w.diagnose("Pod/mq/relay-h0-p0").await;
    expect(&a, "config_error", "ConfigMap/mq/relay", "patch_configmap", "ConfigMap/mq/relay");
    assert!(!holds(&a));
}

#[tokio::test]
async fn a_value_in_a_map_that_names_a_peer_wrongly_is_corrected() {
    let mut w = World::new("mq");
    w.config_map("relay-env", json!({"UPSTREAM": "http://stock-svc:8080"}), Some(40));
    w.deploy(deploy("relay", with(json!({"envFrom": [{"configMapRef": {"name": "relay-env"}}]}))).pods(Pods::Crash(1, "Error", 2)));
    w.deploy(deploy("stocks", with(json!({"ports": [{"containerPort": 8080}]}))));
    w.service("stocks-svc", json!({"app": "stocks"}), 8080, json!(8080));
    w.log("relay-h0-p0", "app", "Error: getaddrinfo ENOTFOUND stock-svc");
    let a = w.diagnose("Pod/mq/relay-h0-p0").await;
    expect(&a, "config_error", "ConfigMap/mq/relay-env", "patch_configmap", "ConfigMap/mq/relay-env");
    assert_eq!(param(&a, "/with"), "stocks-svc");
}

#[tokio::test]
async fn refused_credentials_point_to_their_secret() {
    let mut w = World::new("crm");
    w.object("v1", "Secret", "crm-db", json!({"data": {"password": ""}, "metadata": {"managedFields": [{"manager": "vault-sync", "operation": "Update", "time": ago(35), "fieldsV1": {}}]}}));
    w.object("v1", "Secret", "crm-tls", json!({"data": {"tls.crt": ""}}));
    let s = with(
        json!({"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "crm-db", "key": "password"}}}, {"name": "CERT", "valueFrom": {"secretKeyRef": {"name": "crm-tls", "key": "tls.crt"}}}, {"name": "DB", "value": "maria:3306"}]}),
    );
    w.deploy(deploy("crm", s).pods(Pods::Crash(1, "Error", 2)));
    w.deploy(deploy("maria", with(json!({"ports": [{"containerPort": 3306}]}))));
    w.serve("maria", 3306);
    w.log("crm-h0-p0", "app", "SQLSTATE[HY000] [1045] Access denied for user 'crm'@'10.4.1.10' (using password: YES)");
    let a = w.diagnose("Pod/crm/crm-h0-p0").await;
    expect(&a, "bad_credentials", "Secret/crm/crm-db", "restore_secret", "Secret/crm/crm-db");
    assert!(!holds(&a));
}

#[tokio::test]
async fn a_liveness_probe_on_the_wrong_port_is_corrected() {
    let mut w = World::new("web");
    let s = with(json!({"ports": [{"containerPort": 3000}], "livenessProbe": {"tcpSocket": {"port": 3001}, "periodSeconds": 10}}));
    w.deploy(deploy("front", s).since(30).pods(Pods::Crash(143, "Error", 30)));
    w.warn("Pod/web/front-h0-p0", "Unhealthy", "Liveness probe failed: dial tcp 10.4.1.10:3001: connect: connection refused", 20, 29, 1);
    w.event("Pod/web/front-h0-p0", "Normal", "Killing", "Container app failed liveness probe, will be restarted", 6, 28, 1);
    w.log("front-h0-p0", "app", "Server listening on http://0.0.0.0:3000\nSIGTERM received, closing");
    let a = w.diagnose("Pod/web/front-h0-p0").await;
    expect(&a, "liveness_probe_misconfig", "Deployment/web/front", "patch_probe", "Deployment/web/front");
    assert_eq!(param(&a, "/port"), 3000);
}

#[tokio::test]
async fn a_readiness_path_that_does_not_exist_is_taken_from_the_other_probe() {
    let mut w = World::new("web");
    let s = with(
        json!({"ports": [{"containerPort": 3000}], "livenessProbe": {"httpGet": {"path": "/health", "port": 3000}}, "readinessProbe": {"httpGet": {"path": "/healhtz", "port": 3000}}}),
    );
    w.deploy(deploy("front", s).since(40).pods(Pods::Unready(40)));
    w.warn("Pod/web/front-h0-p0", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404", 90, 39, 0);
    w.log("front-h0-p0", "app", "INFO ready");
    let a = w.diagnose("Deployment/web/front").await;
    expect(&a, "readiness_probe_misconfig", "Deployment/web/front", "patch_probe", "Deployment/web/front");
    assert_eq!(param(&a, "/path"), "/health");
}

#[tokio::test]
async fn a_probe_that_a_release_changed_gets_its_old_value() {
    let mut w = World::new("web");
    let s = |port: u16| with(json!({"ports": [{"containerPort": 3000}], "readinessProbe": {"httpGet": {"path": "/r", "port": port}}}));
    w.deploy(deploy("front", s(3000)).then(25, s(3999)).replicas(2).old_ready(2).pods(Pods::Unready(25)));
    w.warn(
        "Pod/web/front-h1-p0",
        "Unhealthy",
        "Readiness probe failed: Get \"http://10.4.2.10:3999/r\": dial tcp 10.4.2.10:3999: connect: connection refused",
        90,
        24,
        0,
    );
    let a = w.diagnose("Deployment/web/front").await;
    expect(&a, "readiness_probe_misconfig", "Deployment/web/front", "patch_probe", "Deployment/web/front");
    assert_eq!(param(&a, "/port"), 3000);
}

#[tokio::test]
async fn a_slow_start_gets_more_time() {
    let mut w = World::new("web");
    let s = with(
        json!({"ports": [{"containerPort": 8080}], "livenessProbe": {"httpGet": {"path": "/up", "port": 8080}, "initialDelaySeconds": 5, "periodSeconds": 5, "failureThreshold": 3}}),
    );
    w.deploy(deploy("erp", s).since(50).pods(Pods::Crash(143, "Error", 22)));
    w.warn(
        "Pod/web/erp-h0-p0",
        "Unhealthy",
        "Liveness probe failed: Get \"http://10.4.1.10:8080/up\": dial tcp 10.4.1.10:8080: connect: connection refused",
        60,
        49,
        1,
    );
    w.event("Pod/web/erp-h0-p0", "Normal", "Killing", "Container app failed liveness probe, will be restarted", 16, 48, 1);
    w.log("erp-h0-p0", "app", "Loading 412 modules\nWarming caches (step 3 of 9)");
    let a = w.diagnose("Pod/web/erp-h0-p0").await;
    expect(&a, "liveness_probe_misconfig", "Deployment/web/erp", "patch_probe", "Deployment/web/erp");
    assert!(param(&a, "/initialDelaySeconds").as_i64().unwrap() >= 60);
}

#[tokio::test]
async fn an_unready_application_behind_a_good_probe_is_not_a_probe_fault() {
    let mut w = World::new("web");
    let s = with(json!({"ports": [{"containerPort": 3000}], "readinessProbe": {"httpGet": {"path": "/r", "port": 3000}}}));
    w.deploy(deploy("front", s).pods(Pods::Unready(20)));
    w.warn("Pod/web/front-h0-p0", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 90, 19, 0);
    let a = w.diagnose("Deployment/web/front").await;
    assert_eq!(a.actions[0].action, "escalate", "{a:#?}");
    assert!(a.candidates[0].confidence < 0.6);
}

#[tokio::test]
async fn an_init_container_that_fails_goes_back_with_its_release() {
    let mut w = World::new("web");
    let mut bad = with(json!({}));
    bad["initContainers"] = json!([{"name": "migrate", "image": "acme/app:3", "command": ["migrate", "up"]}]);
    w.deploy(deploy("shop", with(json!({}))).then(20, bad).old_ready(1).pods(Pods::InitCrash(1)));
    w.log("shop-h1-p0", "migrate", "error: migration failed: column \"x\" already exists");
    let a = w.diagnose("Deployment/web/shop").await;
    expect(&a, "init_container_failure", "Deployment/web/shop", "rollback_deployment", "Deployment/web/shop");
}

#[tokio::test]
async fn an_init_container_that_waits_for_a_peer_is_not_the_fault() {
    let mut w = World::new("web");
    let mut s = with(json!({}));
    s["initContainers"] = json!([{"name": "wait", "image": "busybox", "command": ["sh", "-c", "until nc -z cache 6379; do sleep 2; done"]}]);
    w.deploy(deploy("shop", s).pods(Pods::InitRunning(45)));
    w.deploy(deploy("cache", with(json!({"ports": [{"containerPort": 6379}]}))).replicas(0));
    w.serve("cache", 6379);
    let a = w.diagnose("Pod/web/shop-h0-p0").await;
    expect(&a, "dependency_failure", "Deployment/web/cache", "scale_replicas", "Deployment/web/cache");
}

#[tokio::test]
async fn a_map_changed_just_before_the_crash_is_suspected_without_a_log() {
    let mut w = World::new("mq");
    w.config_map("relay", json!({"config.yaml": "a: b\n"}), Some(35));
    let mut s = with(json!({"volumeMounts": [{"name": "c", "mountPath": "/cfg"}]}));
    s["volumes"] = json!([{"name": "c", "configMap": {"name": "relay"}}]);
    w.deploy(deploy("relay", s).since(34).pods(Pods::Crash(1, "Error", 0)));
    let a = w.diagnose("Pod/mq/relay-h0-p0").await;
    assert_eq!(a.candidates[0].category.as_str(), "config_error");
    assert!(a.candidates[0].confidence < 0.8 && !holds(&a));
}

#[tokio::test]
async fn a_probe_on_a_port_that_does_not_exist_needs_no_event() {
    let mut w = World::new("web");
    let s = with(json!({"ports": [{"containerPort": 3000}], "readinessProbe": {"httpGet": {"path": "/", "port": 3100}}}));
    w.deploy(deploy("front", s).pods(Pods::Unready(90)));
    let a = w.diagnose("Deployment/web/front").await;
    expect(&a, "readiness_probe_misconfig", "Deployment/web/front", "patch_probe", "Deployment/web/front");
    assert_eq!(param(&a, "/port"), 3000);
}
