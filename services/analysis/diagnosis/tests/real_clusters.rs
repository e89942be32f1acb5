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

#[tokio::test]
async fn a_claim_that_waits_for_its_first_pod_is_well() {
    let mut w = World::new("vault");
    w.put(
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "disk"}, "volumeBindingMode": "WaitForFirstConsumer"}),
    );
    w.object("v1", "PersistentVolumeClaim", "gold", json!({"spec": {"storageClassName": "disk"}, "status": {"phase": "Pending"}}));
    let a = w.diagnose("PersistentVolumeClaim/vault/gold").await;
    expect(&a, "no_fault", "PersistentVolumeClaim/vault/gold", "no_action", "PersistentVolumeClaim/vault/gold");

    w.warn("PersistentVolumeClaim/vault/gold", "ProvisioningFailed", "quota of the provider is used up", 9, 20, 0);
    let a = w.diagnose("PersistentVolumeClaim/vault/gold").await;
    assert_eq!(a.actions[0].action, "escalate", "a provisioner that failed is no waiting: {a:#?}");
}

#[tokio::test]
async fn a_port_of_the_node_that_the_release_asks_for_may_be_taken() {
    let with = |ports: serde_json::Value| spec(merge(container("cam", "cam:1"), json!({ "ports": ports })));
    let full = Pods::Pending("0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports.".into());
    let mut w = World::new("studio");
    let bad = with(json!([{"containerPort": 80, "hostPort": 80}]));
    w.deploy(deploy("cam", with(json!([{"containerPort": 80}]))).then(9, bad.clone()).pods(full.clone()).old_ready(1));
    let a = w.diagnose("Deployment/studio/cam").await;
    expect(&a, "bad_release_config", "Deployment/studio/cam", "rollback_deployment", "Deployment/studio/cam");

    let mut w = World::new("studio");
    w.deploy(deploy("cam", bad).pods(full));
    let a = w.diagnose("Deployment/studio/cam").await;
    expect(&a, "unschedulable_resources", "Deployment/studio/cam", "escalate", "Deployment/studio/cam");
}

#[tokio::test]
async fn a_container_that_the_node_refuses_to_create_is_put_down_to_the_change_that_asks_for_it() {
    let mut w = World::new("office");
    let bad = spec(merge(container("desk", "desk:1"), json!({"securityContext": {"runAsNonRoot": true}})));
    let refused = Pods::Waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root".into());
    w.deploy(deploy("desk", spec(container("desk", "desk:1"))).then(9, bad).pods(refused).old_ready(1));
    let a = w.diagnose("Deployment/office/desk").await;
    expect(&a, "bad_release_config", "Deployment/office/desk", "rollback_deployment", "Deployment/office/desk");
}

#[tokio::test]
async fn a_variable_that_its_map_lost_is_the_maps_fault_only_if_the_map_was_edited() {
    for (edited, category, object) in [(Some(15), "missing_configmap", "ConfigMap/news/ticker"), (None, "bad_release_env", "Deployment/news/board")] {
        let mut w = World::new("news");
        w.config_map("ticker", json!({"WIRE_URI": "x"}), edited);
        w.deploy(
            deploy("board", spec(merge(container("board", "board:3"), json!({"envFrom": [{"configMapRef": {"name": "ticker"}}]}))))
                .pods(Pods::Crash(2, "Error", 1)),
        );
        w.log("board-h0-p0", "board", "panic: required key WIRE_URL missing value");
        let a = w.diagnose("Deployment/news/board").await;
        assert_eq!((a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()), (category, object), "{a:#?}");
        assert!(!holds(&a), "the value is not known: {a:#?}");
    }
}

#[tokio::test]
async fn a_key_that_was_applied_and_is_gone_was_taken_out() {
    let applied = json!({"data": {"SMTP_USER": "eA==", "SMTP_PASSWORD": "eA=="}}).to_string();
    let mut w = World::new("mail");
    w.object(
        "v1",
        "Secret",
        "login",
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}, "data": {"SMTP_USER": ""}}),
    );
    w.deploy(
        deploy("relay", spec(merge(container("relay", "relay:3"), json!({"envFrom": [{"secretRef": {"name": "login"}}]}))))
            .pods(Pods::Crash(1, "Error", 1)),
    );
    w.log("relay-h0-p0", "relay", "Traceback (most recent call last):\n  password = os.environ['SMTP_PASSWORD']\nKeyError: 'SMTP_PASSWORD'");
    let a = w.diagnose("Deployment/mail/relay").await;
    expect(&a, "missing_secret", "Secret/mail/login", "restore_secret", "Secret/mail/login");
}

#[tokio::test]
async fn a_container_that_ended_well_twice_is_in_a_loop_before_it_is_called_one() {
    let mut w = World::new("edge");
    w.deploy(
        deploy("gw", spec(container("gw", "gw:1")))
            .then(4, spec(merge(container("gw", "gw:1"), json!({"args": ["version"]}))))
            .old_ready(1)
            .pods(Pods::Ready),
    );
    let pod = w.objects.iter_mut().find(|o| o["kind"] == "Pod" && o["metadata"]["name"] == "gw-h1-p0").unwrap();
    let end = json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": ago(1), "finishedAt": ago(1)}});
    pod["status"]["containerStatuses"][0] = json!({"name": "gw", "ready": false, "restartCount": 1, "state": end, "lastState": end});
    pod["status"]["conditions"][0]["status"] = json!("False");
    let a = w.diagnose("Deployment/edge/gw").await;
    expect(&a, "bad_release_command", "Deployment/edge/gw", "rollback_deployment", "Deployment/edge/gw");
}

#[tokio::test]
async fn a_container_that_its_probe_killed_a_minute_ago_is_not_healed() {
    let with =
        |cmd: &str| spec(merge(container("pump", "pump:1"), json!({"livenessProbe": {"exec": {"command": ["sh", "-c", cmd]}, "timeoutSeconds": 1}})));
    let mut w = World::new("pool");
    w.deploy(deploy("pump", with("true")).then(4, with("sleep 9")).pods(Pods::Ready));
    w.warn("Pod/pool/pump-h1-p0", "Unhealthy", "Liveness probe failed: command timed out: \"sh -c sleep 9\" timed out after 1s", 3, 3, 1);
    w.event("Pod/pool/pump-h1-p0", "Normal", "Killing", "Container pump failed liveness probe, will be restarted", 1, 1, 1);
    let a = w.diagnose("Deployment/pool/pump").await;
    expect(&a, "liveness_probe_misconfig", "Deployment/pool/pump", "patch_probe", "Deployment/pool/pump");
    assert_eq!(param(&a, "/restore/exec/command/2"), "true", "the value before the release: {a:#?}");
}

#[tokio::test]
async fn who_wrote_last_is_known_although_lists_leave_it_out() {
    let mut w = World::new("post");
    w.lean_lists = true;
    let s = json!({"containers": [merge(container("stamp", "stamp:2"), json!({"volumeMounts": [{"name": "c", "mountPath": "/etc/stamp"}]}))],
        "volumes": [{"name": "c", "configMap": {"name": "stamp-limits"}}]});
    w.config_map("stamp-limits", json!({"limits.yaml": "burst: many\n"}), Some(20));
    w.deploy(deploy("stamp", s).pods(Pods::Crash(1, "Error", 1)));
    w.log("stamp-h0-p0", "stamp", "CRITICAL could not parse /etc/stamp/limits.yaml: burst is not a valid integer");
    let a = w.diagnose("Deployment/post/stamp").await;
    let said = a.candidates[0].evidence.iter().any(|e| e.text.contains("last changed by kubectl-edit"));
    assert!(said, "{a:#?}");
}

#[tokio::test]
async fn a_statefulset_whose_other_pods_still_run_the_revision_before_has_a_way_back() {
    let with = |v: &str| spec(merge(container("shard", "shard:2"), json!({"env": [{"name": "ZONE", "value": v}]})));
    let mut w = World::new("index");
    w.deploy(deploy("shard", with("a")).kind("StatefulSet").since(7).then(4, with("q")).pods(Pods::Crash(101, "Error", 0)));
    let ready = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shard-1", "namespace": "index", "labels": {"app": "shard", "controller-revision-hash": "shard-h0"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "shard", "uid": "StatefulSet-shard", "controller": true}]},
        "spec": with("a"), "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    w.put(ready);
    let a = w.diagnose("StatefulSet/index/shard").await;
    expect(&a, "bad_release_env", "StatefulSet/index/shard", "patch_env", "StatefulSet/index/shard");
    assert!(holds(&a), "{a:#?}");
}

#[tokio::test]
async fn a_peer_whose_answers_are_errors_since_its_release_is_the_cause_and_taken_back_only_if_the_times_say_so() {
    for (stamp, action) in [(format!("{} ", ago(2)), "rollback_deployment"), (String::new(), "escalate")] {
        let mut w = World::new("books");
        let with = |v: &str| spec(merge(container("shelf", &format!("shelf:{v}")), json!({"ports": [{"containerPort": 8080}]})));
        w.deploy(deploy("shelf", with("1")).then(30, with("2")));
        w.serve("shelf", 8080);
        let till = merge(container("till", "till:1"), json!({"env": [{"name": "SHELF", "value": "http://shelf:8080"}]}));
        w.deploy(deploy("till", spec(till)).pods(Pods::Crash(1, "Error", 3)));
        w.log("till-h0-p0", "till", &format!("{stamp}ERROR GET http://shelf:8080/stock failed: HTTP/1.1 500 Internal Server Error"));
        let a = w.diagnose("Deployment/books/till").await;
        assert_eq!(a.candidates[0].object.to_string(), "Deployment/books/shelf", "{a:#?}");
        assert_eq!(a.actions[0].action, action, "{a:#?}");
    }
}

#[tokio::test]
async fn a_replaced_pod_that_misses_a_variable_had_it_before() {
    let mut w = World::new("mail");
    w.object("v1", "Secret", "login", json!({"data": {"SMTP_USER": ""}}));
    w.deploy(
        deploy("relay", spec(merge(container("relay", "relay:3"), json!({"envFrom": [{"secretRef": {"name": "login"}}]}))))
            .pods(Pods::Crash(1, "Error", 1)),
    );
    let pod = w.objects.iter_mut().find(|o| o["kind"] == "Pod").unwrap();
    pod["metadata"]["creationTimestamp"] = json!(ago(9));
    w.log("relay-h0-p0", "relay", "KeyError: 'SMTP_PASSWORD'");
    let a = w.diagnose("Deployment/mail/relay").await;
    expect(&a, "missing_secret", "Secret/mail/login", "restore_secret", "Secret/mail/login");
    assert!(!holds(&a), "the value is not known: {a:#?}");
}

#[tokio::test]
async fn a_namespace_that_was_not_recorded_is_not_taken_for_empty() {
    let mut w = World::new("clean");
    w.deploy(deploy("sweep", spec(container("sweep", "sweep:1"))).pods(Pods::Crash(1, "Error", 1)));
    w.log("sweep-h0-p0", "sweep", "ERROR Get \"https://kubernetes.default.svc:443/api\": dial tcp: connection refused");
    let a = w.diagnose("Deployment/clean/sweep").await;
    assert!(a.candidates.iter().all(|c| c.category.as_str() != "service_missing"), "{a:#?}");
}

#[tokio::test]
async fn after_two_bad_releases_the_way_back_is_the_one_that_still_runs() {
    let with = |arg: &str| spec(merge(container("easel", "easel:1"), json!({ "args": [arg] })));
    let mut w = World::new("atelier");
    w.deploy(deploy("easel", with("--ok")).then(12, with("--bad")).then(6, with("--worse")).pods(Pods::Crash(2, "Error", 0)));
    let old = w.objects.iter_mut().find(|o| o["kind"] == "ReplicaSet" && o["metadata"]["name"] == "easel-h0").unwrap();
    old["status"] = json!({"replicas": 1, "readyReplicas": 1});
    w.warn("Pod/atelier/easel-h1-x", "BackOff", "Back-off restarting failed container", 9, 11, 6);
    let a = w.diagnose("Deployment/atelier/easel").await;
    expect(&a, "bad_release_command", "Deployment/atelier/easel", "rollback_deployment", "Deployment/atelier/easel");
    assert_eq!(param(&a, "/to_revision"), 1);
    assert!(holds(&a), "{a:#?}");
}

#[tokio::test]
async fn an_autoscaler_that_just_asked_for_its_last_replica_is_at_its_ceiling() {
    let mut w = World::new("stadium");
    w.deploy(deploy("gate", spec(container("gate", "gate:1"))));
    let limited = json!({"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "message": "the desired replica count is more than the maximum"});
    let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
    let now = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 205}}});
    w.object("autoscaling/v2", "HorizontalPodAutoscaler", "gate", json!({
        "spec": {"minReplicas": 1, "maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gate"}, "metrics": [metric]},
        "status": {"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": [now], "conditions": [limited]}}));
    let a = w.diagnose("HorizontalPodAutoscaler/stadium/gate").await;
    expect(&a, "hpa_max_too_low", "HorizontalPodAutoscaler/stadium/gate", "patch_hpa_max", "HorizontalPodAutoscaler/stadium/gate");
}
