//! Services, policies, dependencies, webhooks and rights: the fault is where it is, not where it hurts.

mod support;

use serde_json::{Value, json};
use support::*;

fn named(name: &str, patch: Value) -> Value {
    spec(merge(container(name, &format!("acme/{name}:3")), patch))
}

fn port(n: u16) -> Value {
    json!({"ports": [{"containerPort": n}]})
}

fn calls(env: &str, value: &str) -> Value {
    json!({"env": [{"name": env, "value": value}]})
}

#[tokio::test]
async fn a_deleted_service_is_restored_from_those_that_use_it() {
    let mut w = World::new("cab");
    w.deploy(deploy("rider", named("rider", calls("FARES_URL", "http://fares:9090/v1"))).pods(Pods::Unready(15)));
    w.deploy(deploy("fares", named("fares", port(9191))).replicas(2));
    w.log("rider-h0-p0", "rider", "requests.exceptions.ConnectionError: HTTPConnectionPool(host='fares', port=9090): Failed to resolve 'fares' ([Errno -2] Name or service not known)");
    let a = w.diagnose("Deployment/cab/rider").await;
    expect(&a, "service_missing", "Service/cab/fares", "restore_service", "Service/cab/fares");
    assert_eq!((param(&a, "/port"), param(&a, "/target_port"), param(&a, "/selector/app")), (&json!(9090), &json!(9191), &json!("fares")));
}

#[tokio::test]
async fn a_selector_is_corrected_label_by_label() {
    let mut w = World::new("cab");
    w.deploy(deploy("fares", named("fares", port(9191))));
    w.deploy(deploy("geo", named("geo", port(9191))));
    w.service("fares", json!({"app": "fare"}), 80, json!(9191));
    let a = w.diagnose("Service/cab/fares").await;
    expect(&a, "service_selector_mismatch", "Service/cab/fares", "patch_service_selector", "Service/cab/fares");
    assert_eq!(param(&a, "/selector"), &json!({"app": "fares"}));
}

#[tokio::test]
async fn a_wrong_selector_is_found_from_the_victim() {
    let mut w = World::new("cab");
    w.deploy(deploy("rider", named("rider", calls("FARES", "fares:80"))).pods(Pods::Crash(1, "Error", 4)));
    w.deploy(deploy("fares", named("fares", port(9191))));
    w.service("fares", json!({"app": "fares", "version": "v2"}), 80, json!(9191));
    w.log("rider-h0-p0", "rider", "Error: connect ECONNREFUSED fares:80");
    let a = w.diagnose("Pod/cab/rider-h0-p0").await;
    expect(&a, "service_selector_mismatch", "Service/cab/fares", "patch_service_selector", "Service/cab/fares");
    assert_eq!(param(&a, "/selector"), &json!({"app": "fares"}));
}

#[tokio::test]
async fn a_target_port_that_nobody_serves_is_corrected() {
    for target in [json!(8081), json!("web")] {
        let mut w = World::new("cab");
        w.deploy(deploy("rider", named("rider", calls("FARES", "http://fares"))));
        w.deploy(deploy(
            "fares",
            named("fares", json!({"ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 9100, "name": "metrics"}]})),
        ));
        w.object(
            "v1",
            "Service",
            "fares",
            json!({"spec": {"selector": {"app": "fares"}, "ports": [{"name": "http", "port": 80, "targetPort": target}]}}),
        );
        w.log("rider-h0-p0", "rider", &format!("{} ERROR Get \"http://fares/\": dial tcp 10.96.1.1:80: connect: connection refused", ago(1)));
        let a = w.diagnose("Service/cab/fares").await;
        expect(&a, "service_port_mismatch", "Service/cab/fares", "patch_service_port", "Service/cab/fares");
        assert_eq!(param(&a, "/target_port"), 8080);
    }
}

#[tokio::test]
async fn a_new_policy_that_cuts_a_connection_is_opened_for_it_alone() {
    let mut w = World::new("cab");
    w.deploy(deploy("rider", named("rider", calls("FARES", "http://fares:9191"))).pods(Pods::Unready(10)));
    w.deploy(deploy("fares", named("fares", port(9191))));
    w.serve("fares", 9191);
    w.object("networking.k8s.io/v1", "NetworkPolicy", "lockdown", json!({"metadata": {"creationTimestamp": ago(12)}, "spec": {"podSelector": {"matchLabels": {"app": "fares"}}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "admin"}}}]}]}}));
    w.log("rider-h0-p0", "rider", "context deadline exceeded: Post \"http://fares:9191/quote\"");
    let a = w.diagnose("Deployment/cab/rider").await;
    expect(&a, "network_policy_block", "NetworkPolicy/cab/lockdown", "patch_network_policy", "NetworkPolicy/cab/lockdown");
    assert_eq!(param(&a, "/peer/pod_labels/app"), "rider");
}

#[tokio::test]
async fn egress_without_name_resolution_is_recognised() {
    let mut w = World::new("cab");
    w.deploy(deploy("rider", named("rider", calls("FARES", "http://fares:9191"))).pods(Pods::Crash(1, "Error", 6)));
    w.deploy(deploy("fares", named("fares", port(9191))));
    w.serve("fares", 9191);
    w.object("networking.k8s.io/v1", "NetworkPolicy", "out", json!({"metadata": {"creationTimestamp": ago(30)}, "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 9191}]}]}}));
    w.log("rider-h0-p0", "rider", "dial tcp: lookup fares on 10.96.0.10:53: read udp: i/o timeout");
    let a = w.diagnose("Pod/cab/rider-h0-p0").await;
    expect(&a, "network_policy_block", "NetworkPolicy/cab/out", "patch_network_policy", "NetworkPolicy/cab/out");
    assert_eq!(param(&a, "/port"), 53);
}

#[tokio::test]
async fn an_old_policy_that_allows_the_traffic_is_no_fault() {
    let mut w = World::new("cab");
    w.deploy(deploy("rider", named("rider", calls("FARES", "http://fares:9191"))));
    w.deploy(deploy("fares", named("fares", port(9191))));
    w.serve("fares", 9191);
    w.object("networking.k8s.io/v1", "NetworkPolicy", "ok", json!({"spec": {"podSelector": {"matchLabels": {"app": "fares"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "rider"}}}]}]}}));
    let a = w.diagnose("Service/cab/fares").await;
    assert!(a.no_action, "{a:#?}");
}

#[tokio::test]
async fn the_cause_is_found_two_steps_away() {
    let mut w = World::new("cab");
    w.deploy(deploy("app", named("app", calls("RIDER", "rider:80"))).pods(Pods::Unready(9)));
    w.deploy(deploy("rider", named("rider", merge(port(80), calls("STORE", "store:6379")))).pods(Pods::Unready(9)));
    w.deploy(
        deploy("store", named("store", port(6379)))
            .then(18, named("store", json!({"ports": [{"containerPort": 6379}], "args": ["--maxmemory"]})))
            .pods(Pods::Crash(1, "Error", 0)),
    );
    w.serve("rider", 80).serve("store", 6379);
    w.log("app-h0-p0", "app", "ERROR upstream rider:80 connection refused");
    w.log("rider-h0-p0", "rider", "redis.exceptions.ConnectionError: Error 111 connecting to store:6379. Connection refused.");
    w.log("store-h1-p0", "store", "*** FATAL CONFIG FILE ERROR *** wrong number of arguments");
    let a = w.diagnose("Deployment/cab/app").await;
    expect(&a, "bad_release_command", "Deployment/cab/store", "rollback_deployment", "Deployment/cab/store");
    assert!(a.candidates[0].confidence >= 0.8, "{}", a.candidates[0].confidence);
    assert!(a.candidates[0].chain.len() >= 4);
}

#[tokio::test]
async fn an_unrelated_fault_in_the_namespace_is_not_blamed() {
    let mut w = World::new("cab");
    w.deploy(deploy("rider", named("rider", json!({}))).pods(Pods::Crash(3, "Error", 4)));
    w.deploy(deploy("canary", named("canary", json!({}))).pods(Pods::Waiting("ImagePullBackOff", "r/canary:0: not found".into())));
    w.log("rider-h0-p0", "rider", "assertion failed: cursor <= limit");
    let a = w.diagnose("Pod/cab/rider-h0-p0").await;
    expect(&a, "application_error", "Deployment/cab/rider", "escalate", "Deployment/cab/rider");
    assert!(a.candidates.iter().all(|c| !c.object.name.contains("canary")));
}

#[tokio::test]
async fn a_dependency_in_another_namespace_is_followed() {
    let mut w = World::new("cab");
    w.deploy(deploy("rider", named("rider", calls("DB", "postgres://u@pg.shared.svc.cluster.local:5432/x"))).pods(Pods::Crash(1, "Error", 4)));
    w.log("rider-h0-p0", "rider", "could not connect to server: Connection refused. Is the server running on host \"pg.shared.svc.cluster.local\" (10.96.3.3) and accepting TCP/IP connections on port 5432?");
    let mut other = World::new("shared");
    other.deploy(deploy("pg", named("pg", port(5432))).replicas(0)).serve("pg", 5432);
    w.objects.extend(other.objects.into_iter().filter(|o| o["metadata"]["namespace"] == "shared" || o["metadata"]["name"] == "shared"));
    let a = w.diagnose("Pod/cab/rider-h0-p0").await;
    expect(&a, "dependency_failure", "Deployment/shared/pg", "scale_replicas", "Deployment/shared/pg");
}

#[tokio::test]
async fn a_workload_scaled_to_nothing_comes_back_as_it_was() {
    let mut w = World::new("cab");
    w.deploy(deploy("fares", named("fares", port(80))).replicas(0)).serve("fares", 80);
    w.event("Deployment/cab/fares", "Normal", "ScalingReplicaSet", "Scaled down replica set fares-h0 from 3 to 0", 1, 30, 30);
    for target in ["Deployment/cab/fares", "Service/cab/fares"] {
        let a = w.diagnose(target).await;
        expect(&a, "scaled_to_zero", "Deployment/cab/fares", "scale_replicas", "Deployment/cab/fares");
        assert_eq!(param(&a, "/replicas"), 3);
    }
}

#[tokio::test]
async fn a_webhook_without_backend_is_never_switched_off() {
    let mut w = World::new("cab");
    w.put(json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "inject"}, "webhooks": [{"name": "inject.mesh.io", "failurePolicy": "Fail", "clientConfig": {"service": {"name": "injector", "namespace": "mesh"}}}]}));
    let mut mesh = World::new("mesh");
    mesh.deploy(
        deploy("injector", named("injector", port(443))).then(30, named("injector", json!({"args": ["--bad"]}))).pods(Pods::Crash(2, "Error", 0)),
    )
    .serve("injector", 443);
    w.events.extend(mesh.events.clone());
    w.objects.extend(mesh.objects.into_iter().filter(|o| o["metadata"]["namespace"] == "mesh" || o["metadata"]["name"] == "mesh"));
    w.deploy(deploy("fares", named("fares", port(80))).replicas(2).pods(Pods::None));
    w.warn("ReplicaSet/cab/fares-h0", "FailedCreate", "Error creating: Internal error occurred: failed calling webhook \"inject.mesh.io\": failed to call webhook: Post \"https://injector.mesh.svc:443/inject?timeout=10s\": dial tcp 10.96.9.9:443: connect: connection refused", 9, 20, 1);
    let a = w.diagnose("Deployment/cab/fares").await;
    expect(&a, "admission_webhook_down", "Deployment/mesh/injector", "rollback_deployment", "Deployment/mesh/injector");
}

#[tokio::test]
async fn a_lost_binding_is_restored_for_its_role() {
    let mut w = World::new("ops");
    let mut s = named("watcher", json!({}));
    s["serviceAccountName"] = json!("watcher");
    w.deploy(deploy("watcher", s).pods(Pods::Crash(1, "Error", 3)));
    w.object(
        "rbac.authorization.k8s.io/v1",
        "Role",
        "watcher-reader",
        json!({"rules": [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list"]}]}),
    );
    w.object("rbac.authorization.k8s.io/v1", "Role", "other", json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}));
    w.object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "other-binding",
        json!({"roleRef": {"kind": "Role", "name": "other"}, "subjects": [{"kind": "ServiceAccount", "name": "x"}]}),
    );
    w.log("watcher-h0-p0", "watcher", "jobs.batch is forbidden: User \"system:serviceaccount:ops:watcher\" cannot list resource \"jobs\" in API group \"batch\" in the namespace \"ops\"");
    let a = w.diagnose("Pod/ops/watcher-h0-p0").await;
    expect(&a, "rbac_denied", "RoleBinding/ops/watcher-reader-binding", "restore_role_binding", "RoleBinding/ops/watcher-reader-binding");
    assert_eq!(param(&a, "/service_account"), "watcher");
}

#[tokio::test]
async fn a_job_that_failed_for_its_peer_is_not_run_again() {
    let mut w = World::new("cab");
    w.object("batch/v1", "Job", "settle", json!({"spec": {"template": {"spec": named("settle", calls("DB", "ledger:5432"))}}, "status": {"failed": 3, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}));
    w.object("v1", "Pod", "settle-x", json!({"metadata": {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "settle", "uid": "Job-settle", "controller": true}]}, "spec": named("settle", calls("DB", "ledger:5432")),
        "status": {"phase": "Failed", "containerStatuses": [{"name": "settle", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}}));
    w.deploy(deploy("ledger", named("ledger", port(5432))).replicas(0)).serve("ledger", 5432);
    w.log("settle-x", "settle", "FATAL could not connect to ledger:5432: connection refused");
    let a = w.diagnose("Job/cab/settle").await;
    expect(&a, "dependency_failure", "Deployment/cab/ledger", "scale_replicas", "Deployment/cab/ledger");
}

#[tokio::test]
async fn a_job_whose_later_run_succeeded_is_no_fault() {
    let mut w = World::new("cab");
    let cron = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "tally", "uid": "CronJob-tally", "controller": true}]);
    w.object("batch/v1", "CronJob", "tally", json!({"spec": {"jobTemplate": {}}}));
    w.object("batch/v1", "Job", "tally-1", json!({"metadata": {"creationTimestamp": ago(90), "ownerReferences": cron}, "spec": {"template": {"spec": named("tally", json!({}))}}, "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}));
    w.object("batch/v1", "Job", "tally-2", json!({"metadata": {"creationTimestamp": ago(30), "ownerReferences": cron}, "spec": {"template": {"spec": named("tally", json!({}))}}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}));
    let a = w.diagnose("Job/cab/tally-1").await;
    expect(&a, "no_fault", "Job/cab/tally-1", "no_action", "Job/cab/tally-1");
}

#[tokio::test]
async fn a_job_whose_peer_is_back_may_run_again() {
    let mut w = World::new("cab");
    w.object("batch/v1", "Job", "settle", json!({"spec": {"template": {"spec": named("settle", json!({}))}}, "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}));
    w.object("v1", "Pod", "settle-x", json!({"metadata": {"creationTimestamp": ago(60), "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "settle", "uid": "Job-settle", "controller": true}]}, "spec": named("settle", json!({})),
        "status": {"phase": "Failed", "containerStatuses": [{"name": "settle", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}}));
    w.deploy(deploy("ledger", named("ledger", port(5432))).since(40)).serve("ledger", 5432);
    w.log("settle-x", "settle", &format!("{} FATAL could not connect to ledger:5432: connection refused", ago(59)));
    let a = w.diagnose("Job/cab/settle").await;
    expect(&a, "dependency_failure", "Deployment/cab/ledger", "rerun_job", "Job/cab/settle");
    assert!(!a.actions[0].reversible);
}

#[tokio::test]
async fn a_webhook_whose_certificate_is_refused_is_for_a_person() {
    let mut w = World::new("cab");
    w.put(json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "policy"}, "webhooks": [{"name": "p.acme.io", "failurePolicy": "Fail", "clientConfig": {"service": {"name": "policy", "namespace": "cab"}}}]}));
    w.deploy(deploy("policy", named("policy", port(443)))).serve("policy", 443);
    w.deploy(deploy("fares", named("fares", port(80))).replicas(2).pods(Pods::None));
    w.warn("ReplicaSet/cab/fares-h0", "FailedCreate", "Error creating: Internal error occurred: failed calling webhook \"p.acme.io\": failed to call webhook: Post \"https://policy.cab.svc:443/v\": tls: failed to verify certificate: x509: certificate signed by unknown authority", 9, 20, 1);
    let a = w.diagnose("Deployment/cab/fares").await;
    expect(&a, "admission_webhook_down", "ValidatingWebhookConfiguration/policy", "escalate", "ValidatingWebhookConfiguration/policy");
}

#[tokio::test]
async fn an_address_that_a_release_made_lead_nowhere_needs_no_log() {
    let mut w = World::new("media");
    let with = |addr: &str| named("thumb", calls("BROKER", addr));
    w.deploy(deploy("thumb", with("nats://bus:4222")).then(50, with("nats://bus:4333")));
    w.deploy(deploy("reader", named("reader", calls("BROKER", "nats://bus:4222"))));
    w.deploy(deploy("bus", named("bus", port(4222)))).serve("bus", 4222);
    for target in ["Deployment/media/thumb", "Deployment/media/reader"] {
        let a = w.diagnose(target).await;
        expect(&a, "bad_release_env", "Deployment/media/thumb", "rollback_deployment", "Deployment/media/thumb");
    }
}

#[tokio::test]
async fn an_external_host_is_no_reason_to_take_a_release_back() {
    let mut w = World::new("crm");
    w.deploy(
        deploy("api", named("api", json!({"image": "api:1"}))).then(20, named("api", json!({"image": "api:2"}))).pods(Pods::Crash(1, "Error", 3)),
    );
    w.log("api-h1-p0", "api", "INFO starting\nfatal: Post \"https://auth.partner.example.com/token\": dial tcp 203.0.113.7:443: i/o timeout");
    let a = w.diagnose("Pod/crm/api-h1-p0").await;
    assert_eq!(a.actions[0].action, "escalate", "{a:#?}");
}

#[tokio::test]
async fn a_release_after_which_requests_fail_is_taken_back() {
    let mut w = World::new("slo");
    w.deploy(
        deploy("web", named("web", json!({"image": "web:1"})))
            .then(40, named("web", json!({"image": "web:1", "env": [{"name": "MODE", "value": "b"}]}))),
    )
    .serve("web", 80);
    let line = |m: i64, code: u16| format!("{} \"GET /buy HTTP/1.1\" {code} 12", ago(m));
    let log: Vec<String> = [(35, 500), (20, 500), (10, 503), (5, 500)].iter().map(|(m, c)| line(*m, *c)).collect();
    w.log("web-h1-p0", "web", &log.join("\n"));
    let a = w.diagnose("Service/slo/web").await;
    expect(&a, "bad_release_env", "Deployment/slo/web", "rollback_deployment", "Deployment/slo/web");
    assert!(a.candidates[0].confidence >= 0.8);
}

#[tokio::test]
async fn a_server_that_listens_elsewhere_since_its_release_is_at_fault() {
    let mut w = World::new("hotel");
    w.deploy(deploy("front", named("front", calls("PROFILE", "profile:8081"))).pods(Pods::Unready(15)));
    w.deploy(
        deploy("profile", named("profile", merge(port(8081), json!({"command": ["./profile"]}))))
            .then(20, named("profile", merge(port(8081), json!({"command": ["./geo"]})))),
    );
    w.serve("profile", 8081);
    w.log(
        "front-h0-p0",
        "front",
        &format!("{} rpc error: code = Unavailable desc = connection error: dial tcp profile:8081: connect: connection refused", ago(2)),
    );
    let a = w.diagnose("Deployment/hotel/front").await;
    expect(&a, "bad_release_command", "Deployment/hotel/profile", "rollback_deployment", "Deployment/hotel/profile");
}

#[tokio::test]
async fn a_target_port_is_checked_without_declared_ports_too() {
    let mut w = World::new("social");
    w.deploy(deploy("users", named("users", json!({"env": [{"name": "USERS_PORT", "value": "9090"}]}))));
    w.service("users", json!({"app": "users"}), 9090, json!(9999));
    w.deploy(deploy("home", named("home", calls("USERS", "users:9090"))).pods(Pods::Unready(15)));
    w.log("home-h0-p0", "home", "Failed to connect users:9090: Connection refused");
    let a = w.diagnose("Deployment/social/home").await;
    expect(&a, "service_port_mismatch", "Service/social/users", "patch_service_port", "Service/social/users");
    assert_eq!(param(&a, "/target_port"), 9090);
}

#[tokio::test]
async fn names_that_are_not_resolved_lead_to_the_name_server() {
    let mut w = World::new("cab");
    w.deploy(deploy("rider", named("rider", calls("FARES", "http://fares:80"))).pods(Pods::Crash(1, "Error", 2)));
    w.deploy(deploy("fares", named("fares", port(80)))).serve("fares", 80);
    w.log("rider-h0-p0", "rider", "dial tcp: lookup fares on 10.96.0.10:53: no such host");
    let mut dns = World::new("kube-system");
    dns.config_map("coredns", json!({"Corefile": ".:53 { template ANY ANY cab.svc.cluster.local { rcode NXDOMAIN } }"}), Some(30));
    let mut s = named("coredns", json!({}));
    s["volumes"] = json!([{"name": "c", "configMap": {"name": "coredns"}}]);
    dns.deploy(deploy("coredns", s));
    for o in &mut dns.objects {
        if o["kind"] == "Deployment" {
            o["spec"]["template"]["metadata"]["labels"]["k8s-app"] = json!("kube-dns");
        }
    }
    w.objects.extend(dns.objects.into_iter().filter(|o| o["metadata"]["namespace"] == "kube-system"));
    let a = w.diagnose("Pod/cab/rider-h0-p0").await;
    expect(&a, "config_error", "ConfigMap/kube-system/coredns", "patch_configmap", "ConfigMap/kube-system/coredns");
    assert!(!holds(&a));
}

#[tokio::test]
async fn a_claim_that_nobody_mounts_is_kept() {
    let mut w = World::new("old");
    w.object("v1", "PersistentVolumeClaim", "leftover", json!({"status": {"phase": "Bound"}}));
    assert!(w.diagnose("PersistentVolumeClaim/old/leftover").await.no_action);
}

#[tokio::test]
async fn a_sidecar_that_takes_the_port_goes_back_with_its_release() {
    let mut w = World::new("cab");
    let two = json!({"containers": [container("app", "a:1"), container("proxy", "p:1")]});
    w.deploy(deploy("fares", spec(container("app", "a:1"))).then(20, two).old_ready(1).pods(Pods::Crash(1, "Error", 1)));
    w.log("fares-h1-p0", "app", "Error: listen EADDRINUSE: address already in use :::8080");
    let a = w.diagnose("Pod/cab/fares-h1-p0").await;
    expect(&a, "bad_release_config", "Deployment/cab/fares", "rollback_deployment", "Deployment/cab/fares");
}
