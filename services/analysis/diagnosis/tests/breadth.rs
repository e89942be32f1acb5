//! Families beyond the common ones, each on a system of its own.

mod support;

use serde_json::{Value, json};
use support::*;

fn app(name: &str) -> Value {
    spec(container(name, "reg.acme.io/app:1"))
}

#[tokio::test]
async fn a_denial_in_a_json_log_is_read_as_in_a_text_log() {
    let mut w = World::new("fleet");
    w.object("v1", "ServiceAccount", "rover", json!({}));
    w.object("rbac.authorization.k8s.io/v1", "Role", "rover", json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}));
    w.deploy(deploy("rover", merge(app("rover"), json!({"serviceAccountName": "rover"}))).pods(Pods::Crash(1, "Error", 3)));
    w.log("rover-h0-p0", "rover", r#"{"ts":"2026-09-10T07:59:00Z","level":"fatal","logger":"sync","msg":"list failed","error":"pods is forbidden: User \"system:serviceaccount:fleet:rover\" cannot list resource \"pods\" in API group \"\" in the namespace \"fleet\""}"#);
    let a = w.diagnose("Deployment/fleet/rover").await;
    expect(&a, "rbac_denied", "RoleBinding/fleet/rover", "restore_role_binding", "RoleBinding/fleet/rover");
}

#[tokio::test]
async fn a_pod_that_cannot_leave_a_lost_node_holds_its_stateful_set() {
    let mut w = World::new("ledger");
    w.node("ip-10-2", json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.", "lastTransitionTime": ago(22)}]}}));
    w.deploy(deploy("pg", app("pg")).kind("StatefulSet").replicas(2).meta(json!({"status": {"readyReplicas": 1}})));
    for o in &mut w.objects {
        if o["kind"] == "Pod" && o["metadata"]["name"] == "pg-1" {
            o["metadata"]["deletionTimestamp"] = json!(ago(15));
            o["spec"]["nodeName"] = json!("ip-10-2");
            o["status"]["conditions"][0]["status"] = json!("False");
        }
    }
    let a = w.diagnose("StatefulSet/ledger/pg").await;
    expect(&a, "node_not_ready", "Node/ip-10-2", "cordon_node", "Node/ip-10-2");
}

#[tokio::test]
async fn a_pod_that_a_finalizer_keeps_is_named() {
    let mut w = World::new("ledger");
    w.deploy(deploy("pg", app("pg")).kind("StatefulSet").meta(json!({"status": {"readyReplicas": 0}})));
    for o in &mut w.objects {
        if o["kind"] == "Pod" {
            o["metadata"]["deletionTimestamp"] = json!(ago(40));
            o["metadata"]["finalizers"] = json!(["backup.example.org/keep"]);
            o["status"]["phase"] = json!("Succeeded");
        }
    }
    let a = w.diagnose("StatefulSet/ledger/pg").await;
    expect(&a, "finalizer_stuck", "Pod/ledger/pg-0", "escalate", "Pod/ledger/pg-0");
}

#[tokio::test]
async fn a_claim_that_no_static_volume_fits_says_why() {
    for (claim, volume, why) in [
        (
            json!({"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}}),
            json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}}),
            "access mode",
        ),
        (
            json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}}),
            json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}}),
            "10Gi",
        ),
        (
            json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}, "selector": {"matchLabels": {"tier": "fast"}}}),
            json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}}),
            "label",
        ),
        (
            json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}, "volumeName": "disk-a"}),
            json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}, "claimRef": {"namespace": "other", "name": "data"}}),
            "other/data",
        ),
    ] {
        let mut w = World::new("vault");
        w.put(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "manual"}, "provisioner": "kubernetes.io/no-provisioner"}));
        w.put(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk-a"}, "spec": merge(json!({"storageClassName": "manual"}), volume), "status": {"phase": "Available"}}));
        w.object(
            "v1",
            "PersistentVolumeClaim",
            "keys",
            json!({"spec": merge(json!({"storageClassName": "manual"}), claim), "status": {"phase": "Pending"}}),
        );
        w.deploy(
            deploy("vault", merge(app("vault"), json!({"volumes": [{"name": "k", "persistentVolumeClaim": {"claimName": "keys"}}]})))
                .pods(Pods::Pending("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.".into())),
        );
        let a = w.diagnose("Deployment/vault/vault").await;
        expect(&a, "volume_unavailable", "PersistentVolumeClaim/vault/keys", "escalate", "PersistentVolumeClaim/vault/keys");
        assert!(a.candidates[0].evidence.iter().any(|e| e.text.contains(why)), "{why}: {a:#?}");
    }
}

#[tokio::test]
async fn a_network_plug_in_that_is_down_is_named_for_pods_without_a_sandbox() {
    let mut w = World::new("web");
    let ns = w.ns.clone();
    w.ns = "kube-system".into();
    w.deploy(deploy("calico-node", app("calico")).kind("DaemonSet").replicas(3).pods(Pods::Crash(1, "Error", 2)));
    w.ns = ns;
    w.deploy(deploy("front", app("front")).since(20).pods(Pods::Waiting("ContainerCreating", String::new())));
    w.warn("Pod/web/front-h0-p0", "FailedCreatePodSandBox", "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"ab\": plugin type=\"calico\" failed (add): error getting ClusterInformation: connection is unauthorized", 40, 19, 0);
    let a = w.diagnose("Deployment/web/front").await;
    assert_eq!(
        (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
        ("dependency_failure", "DaemonSet/kube-system/calico-node"),
        "{a:#?}"
    );
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_is_no_wrong_reference() {
    for message in [
        "dial tcp: lookup registry.acme.io on 10.0.0.2:53: no such host",
        "dial tcp 10.4.4.4:443: i/o timeout",
        "unexpected status: 503 Service Unavailable",
        "toomanyrequests: You have reached your pull rate limit",
    ] {
        let mut w = World::new("web");
        w.deploy(deploy("front", app("front")).since(20).pods(Pods::Waiting(
            "ImagePullBackOff",
            format!("Failed to pull image \"reg.acme.io/app:1\": failed to do request: Head \"https://reg.acme.io/v2/app/manifests/1\": {message}"),
        )));
        let a = w.diagnose("Deployment/web/front").await;
        expect(&a, "registry_unreachable", "Deployment/web/front", "escalate", "Deployment/web/front");
    }
}

#[tokio::test]
async fn two_containers_of_a_pod_that_want_one_port_are_told() {
    let mut w = World::new("web");
    let pod = json!({"containers": [merge(container("shop", "a:1"), json!({"ports": [{"containerPort": 8080}]})), merge(container("metrics", "b:1"), json!({"ports": [{"containerPort": 8080}]}))]});
    w.deploy(deploy("shop", pod).since(30).pods(Pods::Crash(1, "Error", 2)));
    w.log("shop-h0-p0", "shop", "listen tcp 0.0.0.0:8080: bind: address already in use");
    let a = w.diagnose("Deployment/web/shop").await;
    expect(&a, "bad_release_config", "Deployment/web/shop", "escalate", "Deployment/web/shop");
    assert!(a.candidates[0].summary.contains("metrics"), "{a:#?}");
}

#[tokio::test]
async fn a_service_account_that_does_not_exist_is_named() {
    let mut w = World::new("ops");
    w.deploy(deploy("agent", merge(app("agent"), json!({"serviceAccountName": "agent-sa"}))).pods(Pods::None));
    w.warn(
        "ReplicaSet/ops/agent-h0",
        "FailedCreate",
        "Error creating: pods \"agent-h0-\" is forbidden: error looking up service account ops/agent-sa: serviceaccount \"agent-sa\" not found",
        12,
        20,
        1,
    );
    let a = w.diagnose("Deployment/ops/agent").await;
    expect(&a, "service_account_missing", "ServiceAccount/ops/agent-sa", "escalate", "ServiceAccount/ops/agent-sa");
}

#[tokio::test]
async fn pod_security_that_refuses_a_template_is_named() {
    let mut w = World::new("ops");
    w.deploy(deploy("agent", app("agent")).pods(Pods::None));
    w.warn("ReplicaSet/ops/agent-h0", "FailedCreate", "Error creating: pods \"agent-h0-x\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"agent\" must set securityContext.allowPrivilegeEscalation=false)", 12, 20, 1);
    let a = w.diagnose("Deployment/ops/agent").await;
    expect(&a, "pod_security_denied", "Deployment/ops/agent", "escalate", "Deployment/ops/agent");
}

#[tokio::test]
async fn a_certificate_that_is_not_issued_explains_the_missing_secret() {
    let mut w = World::new("edge");
    w.object("cert-manager.io/v1", "Certificate", "gate-cert", json!({"spec": {"secretName": "gate-tls", "issuerRef": {"kind": "ClusterIssuer", "name": "corp"}}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "DoesNotExist", "message": "Issuing certificate as Secret does not exist; issuer corp not found"}]}}));
    w.deploy(
        deploy("gate", merge(app("gate"), json!({"volumes": [{"name": "tls", "secret": {"secretName": "gate-tls"}}]})))
            .since(40)
            .pods(Pods::Waiting("ContainerCreating", String::new())),
    );
    w.warn("Pod/edge/gate-h0-p0", "FailedMount", "MountVolume.SetUp failed for volume \"tls\" : secret \"gate-tls\" not found", 20, 39, 1);
    let a = w.diagnose("Deployment/edge/gate").await;
    expect(&a, "resource_not_ready", "Certificate/edge/gate-cert", "escalate", "Certificate/edge/gate-cert");
}

#[tokio::test]
async fn a_custom_resource_is_judged_by_its_conditions() {
    for (condition, bad) in [
        (json!({"type": "Ready", "status": "False", "reason": "Failed", "message": "no quorum"}), true),
        (json!({"type": "Degraded", "status": "True", "reason": "Split", "message": "two leaders"}), true),
        (json!({"type": "Ready", "status": "True", "reason": "Ok"}), false),
        (json!({"type": "Paused", "status": "False", "reason": "No"}), false),
    ] {
        let mut w = World::new("data");
        w.object("db.acme.io/v1", "Cluster", "main", json!({"status": {"conditions": [condition]}}));
        let a = w.diagnose("Cluster/data/main").await;
        assert_eq!(a.candidates[0].category.as_str() == "resource_not_ready", bad, "{a:#?}");
    }
}

#[tokio::test]
async fn the_account_list_being_unreadable_does_not_hide_the_scheduler_s_reason() {
    // No nodes could be listed: the scheduler's own words are what is left.
    for (message, category) in [
        (
            "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.",
            "unschedulable_resources",
        ),
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", "unschedulable_node_selector"),
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint {team: ml}, 2 node(s) didn't match Pod's node affinity/selector.",
            "unschedulable_taint",
        ),
        ("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.", "unschedulable_anti_affinity"),
        ("0/3 nodes are available: 3 node(s) were unschedulable.", "unschedulable_cordoned"),
    ] {
        let mut w = World::new("batch");
        w.objects.retain(|o| o["kind"] != "Node");
        w.deploy(deploy("sort", app("sort")).since(20).pods(Pods::Pending(message.into())));
        let a = w.diagnose("Deployment/batch/sort").await;
        assert_eq!(a.candidates[0].category.as_str(), category, "{message} {a:#?}");
    }
}

#[tokio::test]
async fn full_nodes_by_count_of_pods_are_no_room() {
    let mut w = World::new("batch");
    for n in ["ip-10-1", "ip-10-2", "ip-10-3"] {
        w.node(n, json!({"status": {"allocatable": {"pods": "1"}}}));
    }
    w.deploy(deploy("fill", app("fill")).replicas(3));
    w.deploy(deploy("sort", app("sort")).since(20).pods(Pods::Pending("0/3 nodes are available: 3 Too many pods.".into())));
    let a = w.diagnose("Deployment/batch/sort").await;
    expect(&a, "unschedulable_resources", "Deployment/batch/sort", "provision_node", "Deployment/batch/sort");
}

#[tokio::test]
async fn an_ingress_without_its_service_or_class_is_explained() {
    let mut w = World::new("shop");
    w.deploy(deploy("cart", app("cart")));
    w.object(
        "networking.k8s.io/v1",
        "Ingress",
        "public",
        json!({"spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "cart", "port": {"number": 80}}}}]}}]}}),
    );
    let a = w.diagnose("Ingress/shop/public").await;
    assert_eq!((a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()), ("service_missing", "Service/shop/cart"), "{a:#?}");
}

#[tokio::test]
async fn a_drain_that_a_budget_stops_is_explained_from_the_node() {
    let mut w = World::new("pay");
    w.node("ip-10-1", json!({"spec": {"unschedulable": true, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": ago(50)}]}}));
    w.deploy(deploy("api", app("api")).replicas(2));
    w.object("policy/v1", "PodDisruptionBudget", "api", json!({"spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "api"}}}, "status": {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2}}));
    w.warn("Pod/pay/api-h0-p0", "FailedEviction", "Cannot evict pod as it would violate the pod's disruption budget.", 30, 45, 1);
    let a = w.diagnose("Node/ip-10-1").await;
    assert_eq!(
        (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
        ("pdb_blocks_drain", "PodDisruptionBudget/pay/api"),
        "{a:#?}"
    );
}

#[tokio::test]
async fn the_key_that_an_edit_took_is_put_back_from_what_was_applied() {
    let mut w = World::new("mail");
    let applied =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "smtp"}, "data": {"SMTP_HOST": "relay.mail", "SMTP_PORT": "587"}})
            .to_string();
    w.object(
        "v1",
        "ConfigMap",
        "smtp",
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}, "data": {"SMTP_HOST": "relay.mail"}}),
    );
    w.deploy(
        deploy(
            "sender",
            spec(merge(
                container("sender", "a:1"),
                json!({"env": [{"name": "SMTP_PORT", "valueFrom": {"configMapKeyRef": {"name": "smtp", "key": "SMTP_PORT"}}}]}),
            )),
        )
        .since(20)
        .pods(Pods::Waiting("CreateContainerConfigError", "couldn't find key SMTP_PORT in ConfigMap mail/smtp".into())),
    );
    let a = w.diagnose("Deployment/mail/sender").await;
    expect(&a, "missing_configmap", "ConfigMap/mail/smtp", "patch_configmap", "ConfigMap/mail/smtp");
    assert_eq!((param(&a, "/key"), param(&a, "/value")), (&json!("SMTP_PORT"), &json!("587")));
    assert!(holds(&a));
}

#[tokio::test]
async fn a_setting_that_an_edit_broke_is_put_back_from_what_was_applied() {
    let mut w = World::new("mail");
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"app.toml": "port = 25\n"}}).to_string();
    w.object("v1", "ConfigMap", "conf", json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}, "managedFields": [{"manager": "kubectl-edit", "operation": "Update", "time": ago(14), "fieldsV1": {"f:data": {}}}]}, "data": {"app.toml": "port = twentyfive\n"}}));
    w.deploy(deploy("sender", merge(app("sender"), json!({"volumes": [{"name": "c", "configMap": {"name": "conf"}}], "containers": [merge(container("sender", "a:1"), json!({"volumeMounts": [{"name": "c", "mountPath": "/etc/sender"}]}))]}))).pods(Pods::Crash(1, "Error", 1)));
    w.log("sender-h0-p0", "sender", "Error: failed to parse config /etc/sender/app.toml: invalid value \"twentyfive\" for port");
    let a = w.diagnose("Deployment/mail/sender").await;
    expect(&a, "config_error", "ConfigMap/mail/conf", "patch_configmap", "ConfigMap/mail/conf");
    assert_eq!(param(&a, "/value"), "port = 25\n");
    assert!(holds(&a));
}

#[tokio::test]
async fn a_run_of_a_cron_job_is_compared_with_the_run_before() {
    let mut w = World::new("night");
    let cron = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "rollup", "uid": "CronJob-rollup", "controller": true}]);
    let pod = |args: &[&str]| json!({"restartPolicy": "Never", "containers": [{"name": "rollup", "image": "a:1", "args": args}]});
    w.object(
        "batch/v1",
        "CronJob",
        "rollup",
        json!({"spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": pod(&["--dayly"])}}}}}),
    );
    w.object("batch/v1", "Job", "rollup-1", json!({"metadata": {"creationTimestamp": ago(75), "ownerReferences": cron}, "spec": {"template": {"spec": pod(&["--daily"])}}, "status": {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}}));
    w.object("batch/v1", "Job", "rollup-2", json!({"metadata": {"creationTimestamp": ago(15), "ownerReferences": cron}, "spec": {"template": {"spec": pod(&["--dayly"])}}, "status": {"failed": 3, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}));
    w.object("v1", "Pod", "rollup-2-x", json!({"metadata": {"creationTimestamp": ago(14), "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "rollup-2", "uid": "Job-rollup-2", "controller": true}]}, "spec": pod(&["--dayly"]), "status": {"phase": "Failed", "containerStatuses": [{"name": "rollup", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 2, "reason": "Error", "startedAt": ago(14), "finishedAt": ago(14)}}}]}}));
    w.logs.insert(("night".into(), "rollup-2-x".into(), "rollup".into(), false), "error: unknown flag: --dayly\n".into());
    let a = w.diagnose("Job/night/rollup-2").await;
    expect(&a, "bad_release_command", "CronJob/night/rollup", "patch_command", "CronJob/night/rollup");
}

#[tokio::test]
async fn an_init_container_that_waits_for_a_service_without_pods_leads_to_its_workload() {
    let mut w = World::new("game");
    w.deploy(deploy("lobby-db", app("db")).kind("StatefulSet").pods(Pods::Crash(1, "Error", 1)));
    w.log("lobby-db-0", "db", "FATAL: data directory \"/var/lib/db\" has wrong ownership");
    w.serve("lobby-db", 5432);
    w.deploy(deploy("lobby", merge(app("lobby"), json!({"initContainers": [{"name": "wait", "image": "busybox", "command": ["sh", "-c", "until nc -z lobby-db 5432; do echo waiting for lobby-db; sleep 2; done"]}]}))).since(40).pods(Pods::InitRunning(35)));
    w.logs.insert(("game".into(), "lobby-h0-p0".into(), "wait".into(), false), "waiting for lobby-db\nwaiting for lobby-db\n".into());
    let a = w.diagnose("Deployment/game/lobby").await;
    assert_eq!(a.candidates[0].object.to_string(), "StatefulSet/game/lobby-db", "{a:#?}");
    assert_eq!(a.candidates[0].category.as_str(), "dependency_failure");
}

#[tokio::test]
async fn a_database_that_has_no_connections_left_is_the_cause_for_its_clients() {
    let mut w = World::new("crm");
    w.deploy(deploy("db", app("db")).kind("StatefulSet"));
    w.serve("db", 5432);
    w.deploy(
        deploy("api", spec(merge(container("api", "a:1"), json!({"env": [{"name": "DATABASE_URL", "value": "postgres://db:5432/crm"}]}))))
            .pods(Pods::Unready(20)),
    );
    w.log("api-h0-p0", "api", "2026-09-10T07:59:30Z ERROR connect db:5432: FATAL: sorry, too many clients already");
    let a = w.diagnose("Deployment/crm/api").await;
    assert_eq!(
        (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
        ("dependency_failure", "StatefulSet/crm/db"),
        "{a:#?}"
    );
}

#[tokio::test]
async fn a_database_that_became_read_only_is_the_cause_for_its_clients() {
    let mut w = World::new("crm");
    w.deploy(deploy("db", app("db")).kind("StatefulSet"));
    w.serve("db", 5432);
    w.deploy(
        deploy("api", spec(merge(container("api", "a:1"), json!({"env": [{"name": "DATABASE_URL", "value": "postgres://db:5432/crm"}]}))))
            .pods(Pods::Unready(20)),
    );
    w.log("api-h0-p0", "api", "2026-09-10T07:59:30Z ERROR insert failed: ERROR: cannot execute INSERT in a read-only transaction (SQLSTATE 25006)");
    let a = w.diagnose("Deployment/crm/api").await;
    assert_eq!(
        (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
        ("dependency_failure", "StatefulSet/crm/db"),
        "{a:#?}"
    );
}

#[tokio::test]
async fn a_probe_of_the_wrong_protocol_is_told() {
    for (probe, message) in [
        (json!({"httpGet": {"path": "/healthz", "port": 8443, "scheme": "HTTP"}}), "Readiness probe failed: HTTP probe failed with statuscode: 400"),
        (
            json!({"httpGet": {"path": "/healthz", "port": 8443, "scheme": "HTTPS"}}),
            "Readiness probe failed: Get \"https://10.4.1.10:8443/healthz\": http: server gave HTTP response to HTTPS client",
        ),
        (
            json!({"httpGet": {"path": "/healthz", "port": 8443}}),
            "Readiness probe failed: Get \"http://10.4.1.10:8443/healthz\": net/http: HTTP/1.x transport connection broken: malformed HTTP response \"\\x15\\x03\\x01\"",
        ),
        (
            json!({"exec": {"command": ["curl", "-f", "localhost:8443"]}}),
            "Readiness probe failed: OCI runtime exec failed: exec failed: unable to start container process: exec: \"curl\": executable file not found in $PATH: unknown",
        ),
        (json!({"grpc": {"port": 8443}}), "Readiness probe failed: service unknown"),
    ] {
        let mut w = World::new("edge");
        w.deploy(
            deploy("tls", spec(merge(container("tls", "a:1"), json!({"ports": [{"containerPort": 8443}], "readinessProbe": probe}))))
                .since(60)
                .pods(Pods::Unready(50)),
        );
        w.warn("Pod/edge/tls-h0-p0", "Unhealthy", message, 200, 49, 0);
        let a = w.diagnose("Deployment/edge/tls").await;
        assert_eq!(
            (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
            ("readiness_probe_misconfig", "Deployment/edge/tls"),
            "{message} {a:#?}"
        );
    }
}

#[tokio::test]
async fn a_volume_held_by_a_pod_on_another_node_is_told() {
    let mut w = World::new("wiki");
    w.object(
        "v1",
        "PersistentVolumeClaim",
        "pages",
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "pv-1"}, "status": {"phase": "Bound"}}),
    );
    let pod = merge(app("wiki"), json!({"volumes": [{"name": "p", "persistentVolumeClaim": {"claimName": "pages"}}]}));
    w.deploy(
        deploy("wiki", pod.clone())
            .then(30, merge(pod, json!({"containers": [container("wiki", "reg.acme.io/app:2")]})))
            .old_ready(1)
            .pods(Pods::Waiting("ContainerCreating", String::new())),
    );
    w.warn(
        "Pod/wiki/wiki-h1-p0",
        "FailedAttachVolume",
        "Multi-Attach error for volume \"pv-1\" Volume is already used by pod(s) wiki-h0-p0",
        3,
        28,
        2,
    );
    let a = w.diagnose("Deployment/wiki/wiki").await;
    assert_eq!(
        (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
        ("volume_unavailable", "PersistentVolumeClaim/wiki/pages"),
        "{a:#?}"
    );
    assert_eq!(a.actions[0].action, "escalate");
}

#[tokio::test]
async fn a_pod_bound_by_name_to_a_node_that_does_not_exist_is_told() {
    let mut w = World::new("batch");
    w.deploy(
        deploy("sort", merge(app("sort"), json!({"nodeSelector": {"kubernetes.io/hostname": "ip-10-9"}})))
            .since(20)
            .pods(Pods::Pending("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.".into())),
    );
    let a = w.diagnose("Deployment/batch/sort").await;
    assert_eq!(
        (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
        ("unschedulable_node_selector", "Deployment/batch/sort"),
        "{a:#?}"
    );
}

#[tokio::test]
async fn a_name_server_without_pods_is_the_cause_where_no_name_resolves() {
    let mut w = World::new("shop");
    w.ns = "kube-system".into();
    w.deploy(
        deploy("coredns", app("coredns"))
            .replicas(2)
            .pods(Pods::Crash(1, "Error", 2))
            .meta(json!({"spec": {"template": {"metadata": {"labels": {"k8s-app": "kube-dns"}}}}})),
    );
    w.ns = "shop".into();
    w.deploy(deploy("db", app("db")));
    w.serve("db", 5432);
    w.deploy(
        deploy("api", spec(merge(container("api", "a:1"), json!({"env": [{"name": "DB", "value": "db:5432"}]})))).pods(Pods::Crash(1, "Error", 3)),
    );
    w.log("api-h0-p0", "api", "FATAL lookup db on 10.96.0.10:53: read udp: i/o timeout");
    let a = w.diagnose("Deployment/shop/api").await;
    assert_eq!(a.candidates[0].object.to_string(), "Deployment/kube-system/coredns", "{a:#?}");
}

#[tokio::test]
async fn throttling_is_the_cause_where_probes_time_out_under_a_small_limit() {
    let mut w = World::new("img");
    w.deploy(
        deploy(
            "render",
            spec(merge(
                container("render", "a:1"),
                json!({"resources": {"limits": {"cpu": "100m"}}, "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "timeoutSeconds": 3}}),
            )),
        )
        .since(900)
        .pods(Pods::Crash(137, "Error", 60)),
    );
    w.warn(
        "Pod/img/render-h0-p0",
        "Unhealthy",
        "Liveness probe failed: Get \"http://10.4.1.10:80/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        20,
        40,
        0,
    );
    w.event("Pod/img/render-h0-p0", "Normal", "Killing", "Container render failed liveness probe, will be restarted", 7, 40, 0);
    w.metric(
        "container_cpu_cfs_throttled_periods_total",
        &[("namespace", "img"), ("pod", "render-h0-p0"), ("container", "render")],
        &[0.0, 270.0, 540.0, 810.0, 1080.0, 1350.0],
        60,
    );
    w.metric(
        "container_cpu_cfs_periods_total",
        &[("namespace", "img"), ("pod", "render-h0-p0"), ("container", "render")],
        &[0.0, 300.0, 600.0, 900.0, 1200.0, 1500.0],
        60,
    );
    let a = w.diagnose("Deployment/img/render").await;
    expect(&a, "cpu_throttling", "Deployment/img/render", "increase_cpu_limit", "Deployment/img/render");
}

#[tokio::test]
async fn a_deletion_that_waits_is_explained_for_any_object() {
    let mut w = World::new("old");
    w.object("v1", "PersistentVolumeClaim", "data", json!({"metadata": {"deletionTimestamp": ago(60), "finalizers": ["kubernetes.io/pvc-protection"]}, "spec": {"volumeName": "x"}, "status": {"phase": "Bound"}}));
    w.deploy(deploy("db", merge(app("db"), json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}))).kind("StatefulSet"));
    let a = w.diagnose("PersistentVolumeClaim/old/data").await;
    assert_eq!(
        (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
        ("finalizer_stuck", "PersistentVolumeClaim/old/data"),
        "{a:#?}"
    );
    assert_eq!(a.actions[0].action, "escalate");
}

#[tokio::test]
async fn a_name_policy_of_a_release_that_hides_services_is_taken_back() {
    let mut w = World::new("shop");
    w.deploy(deploy("db", app("db")));
    w.serve("db", 5432);
    let env = json!([{"name": "DB", "value": "db:5432"}]);
    let with = |policy: &str| merge(spec(merge(container("api", "a:1"), json!({ "env": env }))), json!({ "dnsPolicy": policy }));
    w.deploy(deploy("api", with("ClusterFirst")).then(30, with("Default")).pods(Pods::Unready(25)));
    w.log("api-h1-p0", "api", "2026-09-10T07:59:00Z ERROR dial tcp: lookup db: no such host");
    let a = w.diagnose("Deployment/shop/api").await;
    expect(&a, "bad_release_config", "Deployment/shop/api", "rollback_deployment", "Deployment/shop/api");
}

#[tokio::test]
async fn what_an_operator_keeps_is_changed_in_its_resource() {
    let mut w = World::new("data");
    w.object("db.acme.io/v1", "Cluster", "main", json!({}));
    let own = json!({"metadata": {"ownerReferences": [{"apiVersion": "db.acme.io/v1", "kind": "Cluster", "name": "main", "uid": "Cluster-main", "controller": true}]}});
    w.deploy(deploy("main", app("db")).kind("StatefulSet").meta(own).pods(Pods::Crash(137, "OOMKilled", 30)));
    let a = w.diagnose("StatefulSet/data/main").await;
    expect(&a, "oom_limit_too_low", "StatefulSet/data/main", "escalate", "Cluster/data/main");
}

#[tokio::test]
async fn an_ingress_that_sends_to_a_port_its_service_lacks_is_told() {
    let mut w = World::new("shop");
    w.deploy(deploy("cart", app("cart")));
    w.serve("cart", 8080);
    w.object(
        "networking.k8s.io/v1",
        "Ingress",
        "public",
        json!({"spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "cart", "port": {"number": 80}}}}]}}]}}),
    );
    let a = w.diagnose("Ingress/shop/public").await;
    assert_eq!(
        (a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()),
        ("service_port_mismatch", "Ingress/shop/public"),
        "{a:#?}"
    );
}

#[tokio::test]
async fn a_login_that_stands_in_no_secret_is_told() {
    let mut w = World::new("crm");
    w.deploy(
        deploy("api", spec(merge(container("api", "a:1"), json!({"env": [{"name": "DB_PASSWORD", "value": "x"}]})))).pods(Pods::Crash(1, "Error", 2)),
    );
    w.log("api-h0-p0", "api", "FATAL: password authentication failed for user \"crm\"");
    let a = w.diagnose("Deployment/crm/api").await;
    expect(&a, "bad_credentials", "Deployment/crm/api", "escalate", "Deployment/crm/api");
}

#[tokio::test]
async fn an_autoscaler_of_nothing_is_told() {
    let mut w = World::new("crm");
    w.object("autoscaling/v2", "HorizontalPodAutoscaler", "api", json!({"spec": {"maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "gone"}}, "status": {"conditions": [{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "deployments.apps \"gone\" not found"}]}}));
    let a = w.diagnose("HorizontalPodAutoscaler/crm/api").await;
    assert_eq!(a.candidates[0].category.as_str(), "resource_not_ready", "{a:#?}");
}

#[tokio::test]
async fn a_suspended_cron_job_is_no_fault() {
    let mut w = World::new("crm");
    w.object(
        "batch/v1",
        "CronJob",
        "rollup",
        json!({"spec": {"suspend": true, "schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": app("rollup")}}}}}),
    );
    let a = w.diagnose("CronJob/crm/rollup").await;
    expect(&a, "no_fault", "CronJob/crm/rollup", "no_action", "CronJob/crm/rollup");
}

#[tokio::test]
async fn a_kill_without_a_reason_at_the_limit_is_for_memory() {
    let mut w = World::new("etl");
    w.deploy(deploy("merge", app("merge")).pods(Pods::Crash(137, "Error", 40)));
    w.metric(
        "container_memory_working_set_bytes",
        &[("namespace", "etl"), ("pod", "merge-h0-p0"), ("container", "merge")],
        &[2.6e8, 2.5e8, 2.6e8, 2.6e8, 2.6e8, 2.65e8],
        15,
    );
    let a = w.diagnose("Deployment/etl/merge").await;
    expect(&a, "oom_limit_too_low", "Deployment/etl/merge", "increase_memory_limit", "Deployment/etl/merge");
}

#[tokio::test]
async fn a_login_that_only_the_peer_reports_is_found() {
    let mut w = World::new("crm");
    w.object("v1", "Secret", "crm-db", json!({"data": {"password": ""}}));
    w.deploy(deploy("db", app("db")).kind("StatefulSet"));
    w.serve("db", 5432);
    let env = json!([{"name": "PGHOST", "value": "db"}, {"name": "PGUSER", "value": "crm_app"}, {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": "crm-db", "key": "password"}}}]);
    w.deploy(deploy("api", spec(merge(container("api", "a:1"), json!({ "env": env })))).pods(Pods::Crash(1, "Error", 2)));
    w.log("api-h0-p0", "api", "startup failed, giving up");
    w.log("db-0", "db", "2026-09-10 07:59:20 UTC [88] FATAL:  password authentication failed for user \"crm_app\"");
    let a = w.diagnose("Deployment/crm/api").await;
    assert_eq!((a.candidates[0].category.as_str(), a.candidates[0].object.to_string().as_str()), ("bad_credentials", "Secret/crm/crm-db"), "{a:#?}");
}

#[tokio::test]
async fn a_run_that_is_gone_is_judged_by_its_cron_job() {
    let mut w = World::new("crm");
    let cron = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "rollup", "uid": "CronJob-rollup", "controller": true}]);
    w.object(
        "batch/v1",
        "CronJob",
        "rollup",
        json!({"spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": app("rollup")}}}}}),
    );
    w.object("batch/v1", "Job", "rollup-29400060", json!({"metadata": {"creationTimestamp": ago(9), "ownerReferences": cron}, "spec": {"template": {"spec": app("rollup")}}, "status": {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}}));
    let a = w.diagnose("Job/crm/rollup-29400000").await;
    assert_eq!(a.candidates[0].category.as_str(), "no_fault", "{a:#?}");
}

#[tokio::test]
async fn a_rule_for_name_resolution_that_misses_the_name_server_is_told() {
    for (label, blocked) in [("kube-dns", false), ("coredns-old", true)] {
        let mut w = World::new("shop");
        w.ns = "kube-system".into();
        w.deploy(
            deploy("coredns", app("coredns")).replicas(2).meta(json!({"spec": {"template": {"metadata": {"labels": {"k8s-app": "kube-dns"}}}}})),
        );
        for o in w.objects.iter_mut().filter(|o| o["kind"] == "Pod") {
            o["metadata"]["labels"]["k8s-app"] = json!("kube-dns");
        }
        w.ns = "shop".into();
        w.deploy(deploy("db", app("db")));
        w.serve("db", 5432);
        w.object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "egress",
            json!({"spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"podSelector": {}}]},
            {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": label}}}], "ports": [{"port": 53, "protocol": "UDP"}]}]}}),
        );
        w.deploy(
            deploy("api", spec(merge(container("api", "a:1"), json!({"env": [{"name": "DB", "value": "db:5432"}]}))))
                .pods(Pods::Crash(1, "Error", 3)),
        );
        w.log("api-h0-p0", "api", "FATAL lookup db on 10.96.0.10:53: read udp: i/o timeout");
        let a = w.diagnose("Deployment/shop/api").await;
        assert_eq!(a.candidates[0].category.as_str() == "network_policy_block", blocked, "{label} {a:#?}");
    }
}

#[tokio::test]
async fn a_probe_whose_file_is_missing_says_that_the_process_is_not_well() {
    let mut w = World::new("edge");
    w.deploy(
        deploy("tls", spec(merge(container("tls", "a:1"), json!({"readinessProbe": {"exec": {"command": ["cat", "/tmp/ready"]}}}))))
            .since(60)
            .pods(Pods::Unready(50)),
    );
    w.warn("Pod/edge/tls-h0-p0", "Unhealthy", "Readiness probe failed: cat: /tmp/ready: no such file or directory", 200, 49, 0);
    let a = w.diagnose("Deployment/edge/tls").await;
    assert_ne!(a.candidates[0].category.as_str(), "readiness_probe_misconfig", "{a:#?}");
}
