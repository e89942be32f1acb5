//! Placement, storage, quota, nodes, autoscalers and budgets.

mod support;

use serde_json::{Value, json};
use support::*;

fn pinned(patch: Value) -> Value {
    merge(spec(container("app", "acme/app:3")), patch)
}

fn pending(message: &str) -> Pods {
    Pods::Pending(message.into())
}

#[tokio::test]
async fn a_cordoned_node_that_a_pod_needs_is_opened() {
    let mut w = World::new("batch");
    w.node("ip-10-2", json!({"metadata": {"labels": {"disk": "nvme"}}, "spec": {"unschedulable": true, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": ago(60)}]}}));
    w.deploy(
        deploy("sort", pinned(json!({"nodeSelector": {"disk": "nvme"}})))
            .pods(pending("0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector.")),
    );
    let a = w.diagnose("Pod/batch/sort-h0-p0").await;
    expect(&a, "unschedulable_cordoned", "Node/ip-10-2", "uncordon_node", "Node/ip-10-2");
    assert!(holds(&a));
}

#[tokio::test]
async fn a_node_that_is_being_drained_is_not_opened() {
    let mut w = World::new("batch");
    w.node("ip-10-2", json!({"metadata": {"labels": {"disk": "nvme"}}, "spec": {"unschedulable": true}}));
    w.deploy(deploy("drainer", spec(merge(container("k", "kubectl"), json!({"command": ["kubectl", "drain", "ip-10-2"]})))));
    w.deploy(deploy("sort", pinned(json!({"nodeSelector": {"disk": "nvme"}}))).pods(pending("1 node(s) were unschedulable")));
    let a = w.diagnose("Pod/batch/sort-h0-p0").await;
    assert!(!holds(&a), "{a:#?}");
}

#[tokio::test]
async fn all_nodes_cordoned_is_told_apart_from_no_room() {
    let mut w = World::new("batch");
    for n in ["ip-10-1", "ip-10-2", "ip-10-3"] {
        w.node(n, json!({"spec": {"unschedulable": true}}));
    }
    w.deploy(deploy("sort", pinned(json!({}))).pods(pending("0/3 nodes are available: 3 node(s) were unschedulable.")));
    let a = w.diagnose("Deployment/batch/sort").await;
    assert_eq!(a.candidates[0].category.as_str(), "unschedulable_cordoned");
    assert_eq!(a.actions[0].action, "uncordon_node");
}

#[tokio::test]
async fn a_left_over_taint_is_removed_and_a_reserving_one_is_not() {
    for (key, value, removes) in [("maintenance", "kernel", true), ("dedicated", "gpu", false)] {
        let mut w = World::new("batch");
        w.node("ip-10-3", json!({"metadata": {"labels": {"zone": "b"}}, "spec": {"taints": [{"key": key, "value": value, "effect": "NoSchedule"}]}}));
        w.deploy(deploy("sort", pinned(json!({"nodeSelector": {"zone": "b"}}))).pods(pending("1 node(s) had untolerated taint")));
        let a = w.diagnose("Pod/batch/sort-h0-p0").await;
        expect(&a, "unschedulable_taint", "Node/ip-10-3", "remove_taint", "Node/ip-10-3");
        assert_eq!(param(&a, "/key"), key);
        assert_eq!(holds(&a), removes);
    }
}

#[tokio::test]
async fn a_selector_that_is_nearly_right_is_corrected() {
    let mut w = World::new("batch");
    w.node("ip-10-1", json!({"metadata": {"labels": {"tier": "memory"}}}));
    w.deploy(
        deploy("sort", pinned(json!({"nodeSelector": {"tier": "memmory"}})))
            .since(30)
            .pods(pending("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.")),
    );
    let a = w.diagnose("Pod/batch/sort-h0-p0").await;
    expect(&a, "unschedulable_node_selector", "Deployment/batch/sort", "patch_node_selector", "Deployment/batch/sort");
    assert_eq!(param(&a, "/node_selector/tier"), "memory");
}

#[tokio::test]
async fn an_affinity_that_a_release_brought_goes_back() {
    let mut w = World::new("batch");
    let bad = pinned(
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]}}}}),
    );
    w.deploy(
        deploy("sort", pinned(json!({})))
            .then(30, bad)
            .pods(pending("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.")),
    );
    let a = w.diagnose("Deployment/batch/sort").await;
    expect(&a, "unschedulable_node_selector", "Deployment/batch/sort", "rollback_deployment", "Deployment/batch/sort");
}

#[tokio::test]
async fn more_replicas_than_places_is_an_anti_affinity_matter() {
    let mut w = World::new("batch");
    let anti = pinned(
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": {"app": "sort"}}, "topologyKey": "kubernetes.io/hostname"}]}}}),
    );
    w.deploy(deploy("sort", anti).replicas(4).pods(pending("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.")));
    let a = w.diagnose("Deployment/batch/sort").await;
    expect(&a, "unschedulable_anti_affinity", "Deployment/batch/sort", "patch_affinity", "Deployment/batch/sort");
}

#[tokio::test]
async fn a_request_that_no_node_can_hold_is_lowered() {
    let mut w = World::new("batch");
    let big = spec(merge(container("app", "acme/app:3"), json!({"resources": {"requests": {"cpu": "16"}}})));
    w.deploy(deploy("sort", big).since(40).pods(pending("0/3 nodes are available: 3 Insufficient cpu.")));
    let a = w.diagnose("Pod/batch/sort-h0-p0").await;
    expect(&a, "unschedulable_resources", "Deployment/batch/sort", "reduce_requests", "Deployment/batch/sort");
}

#[tokio::test]
async fn a_full_cluster_needs_a_node() {
    let mut w = World::new("batch");
    let big = spec(merge(container("app", "acme/app:3"), json!({"resources": {"requests": {"cpu": "3500m"}}})));
    w.deploy(deploy("fill", big.clone()).replicas(3));
    w.deploy(deploy("sort", big).pods(pending("0/3 nodes are available: 3 Insufficient cpu.")));
    let a = w.diagnose("Pod/batch/sort-h0-p0").await;
    expect(&a, "unschedulable_resources", "Deployment/batch/sort", "provision_node", "Deployment/batch/sort");
}

#[tokio::test]
async fn a_claim_of_an_absent_class_is_made_anew_only_while_it_is_empty() {
    let mut w = World::new("data");
    w.put(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "x"}));
    w.object(
        "v1",
        "PersistentVolumeClaim",
        "blobs",
        json!({"spec": {"storageClassName": "gp2", "resources": {"requests": {"storage": "5Gi"}}}, "status": {"phase": "Pending"}}),
    );
    let s = pinned(json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "blobs"}}]}));
    w.deploy(deploy("store", s).pods(pending("pod has unbound immediate PersistentVolumeClaims")));
    w.warn("PersistentVolumeClaim/data/blobs", "ProvisioningFailed", "storageclass.storage.k8s.io \"gp2\" not found", 40, 50, 0);
    for target in ["Pod/data/store-h0-p0", "PersistentVolumeClaim/data/blobs"] {
        let a = w.diagnose(target).await;
        expect(&a, "pvc_storageclass_missing", "PersistentVolumeClaim/data/blobs", "recreate_pvc", "PersistentVolumeClaim/data/blobs");
        assert_eq!(param(&a, "/storage_class_name"), "gp3");
        assert!(holds(&a));
    }
}

fn volume(w: &mut World, expands: bool, used: f64) {
    w.put(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"}, "allowVolumeExpansion": expands}));
    w.object(
        "v1",
        "PersistentVolumeClaim",
        "wal",
        json!({"spec": {"storageClassName": "gp3", "volumeName": "v"}, "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}}}),
    );
    let labels = [("namespace", "data"), ("persistentvolumeclaim", "wal")];
    let size = 10.0 * 1_073_741_824.0;
    w.metric("kubelet_volume_stats_capacity_bytes", &labels, &[size; 5], 60);
    w.metric("kubelet_volume_stats_available_bytes", &labels, &[size * (1.0 - used); 5], 60);
}

#[tokio::test]
async fn a_full_claim_grows_where_its_class_lets_it() {
    let mut w = World::new("data");
    volume(&mut w, true, 1.0);
    let s = spec(merge(container("db", "pg:16"), json!({"volumeMounts": [{"name": "d", "mountPath": "/var/lib/pg"}]})));
    w.deploy(
        deploy("pg", merge(s, json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "wal"}}]})))
            .kind("StatefulSet")
            .pods(Pods::Crash(1, "Error", 2)),
    );
    w.log("pg-0", "db", "PANIC:  could not write to file \"/var/lib/pg/xlogtemp.29\": No space left on device");
    let a = w.diagnose("Pod/data/pg-0").await;
    expect(&a, "pvc_full", "PersistentVolumeClaim/data/wal", "expand_pvc", "PersistentVolumeClaim/data/wal");
    assert_eq!(param(&a, "/size"), "15Gi");
}

#[tokio::test]
async fn a_claim_that_cannot_grow_is_never_expanded() {
    let mut w = World::new("data");
    volume(&mut w, false, 0.93);
    let a = w.diagnose("PersistentVolumeClaim/data/wal").await;
    assert_eq!(a.candidates[0].category.as_str(), "pvc_filling");
    assert!(a.actions.iter().all(|p| p.action != "expand_pvc"), "{a:#?}");
}

#[tokio::test]
async fn quota_demands_and_quota_used_up_are_told_apart() {
    let mut w = World::new("team");
    let bare = spec(json!({"name": "app", "image": "a:1", "resources": {"requests": {"cpu": "50m"}}}));
    w.object(
        "v1",
        "ResourceQuota",
        "rq",
        json!({"spec": {"hard": {"limits.memory": "1Gi"}}, "status": {"hard": {"limits.memory": "1Gi"}, "used": {"limits.memory": "0"}}}),
    );
    w.deploy(deploy("calc", bare.clone()).since(30).replicas(2).pods(Pods::None));
    w.warn(
        "ReplicaSet/team/calc-h0",
        "FailedCreate",
        "Error creating: pods \"calc-h0-x\" is forbidden: failed quota: rq: must specify limits.memory for: app",
        12,
        29,
        1,
    );
    let a = w.diagnose("Deployment/team/calc").await;
    expect(&a, "quota_requires_limits", "Deployment/team/calc", "set_resource_limits", "Deployment/team/calc");
    assert_eq!(param(&a, "/limits/memory"), "128Mi");

    let mut w = World::new("team");
    w.object("v1", "ResourceQuota", "rq", json!({"spec": {"hard": {"pods": "4"}}, "status": {"hard": {"pods": "4"}, "used": {"pods": "4"}}}));
    w.deploy(deploy("calc", bare).replicas(2).pods(Pods::None));
    w.warn(
        "ReplicaSet/team/calc-h0",
        "FailedCreate",
        "Error creating: pods \"calc-h0-x\" is forbidden: exceeded quota: rq, requested: pods=1, used: pods=4, limited: pods=4",
        12,
        29,
        1,
    );
    let a = w.diagnose("Deployment/team/calc").await;
    expect(&a, "quota_exhausted", "ResourceQuota/team/rq", "increase_quota", "ResourceQuota/team/rq");
    assert_eq!(param(&a, "/hard/pods"), "6");
}

#[tokio::test]
async fn a_lost_node_is_closed_and_its_pods_are_victims() {
    let mut w = World::new("web");
    w.node("ip-10-1", json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.", "lastTransitionTime": ago(12)}]}}));
    w.deploy(deploy("front", pinned(json!({}))).pods(Pods::Unready(12)));
    for target in ["Node/ip-10-1", "Deployment/web/front"] {
        let a = w.diagnose(target).await;
        expect(&a, "node_not_ready", "Node/ip-10-1", "cordon_node", "Node/ip-10-1");
    }
}

#[tokio::test]
async fn the_pod_that_eats_the_disk_is_told_from_those_that_are_evicted() {
    let mut w = World::new("logs");
    w.node("ip-10-1", json!({"status": {"conditions": [{"type": "DiskPressure", "status": "True"}, {"type": "Ready", "status": "True"}]}}));
    w.deploy(deploy("spool", pinned(json!({"volumes": [{"name": "s", "emptyDir": {}}]}))));
    w.deploy(deploy("api", pinned(json!({}))));
    for (pod, bytes) in [("spool-h0-p0", 40e9), ("api-h0-p0", 2e7)] {
        w.metric("container_fs_usage_bytes", &[("namespace", "logs"), ("pod", pod)], &[bytes; 5], 60);
    }
    let a = w.diagnose("Node/ip-10-1").await;
    expect(&a, "ephemeral_storage_hog", "Deployment/logs/spool", "set_resource_limits", "Deployment/logs/spool");
    assert!(!a.actions[0].reversible);
}

fn hpa(w: &mut World, current: i64, max: i64, utilisation: i64, conditions: Value) {
    w.object("autoscaling/v2", "HorizontalPodAutoscaler", "front", json!({"spec": {"minReplicas": 2, "maxReplicas": max, "scaleTargetRef": {"kind": "Deployment", "name": "front"},
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]},
        "status": {"currentReplicas": current, "desiredReplicas": current, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": utilisation}}}], "conditions": conditions}}));
}

#[tokio::test]
async fn an_autoscaler_at_its_ceiling_is_raised_only_under_load() {
    let limited = json!([{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "message": "more than the maximum"}]);
    let mut w = World::new("web");
    w.deploy(deploy("front", pinned(json!({}))).replicas(4));
    hpa(&mut w, 4, 4, 130, limited.clone());
    let a = w.diagnose("HorizontalPodAutoscaler/web/front").await;
    expect(&a, "hpa_max_too_low", "HorizontalPodAutoscaler/web/front", "patch_hpa_max", "HorizontalPodAutoscaler/web/front");
    assert_eq!(param(&a, "/max_replicas"), 6);

    let mut w = World::new("web");
    w.deploy(deploy("front", pinned(json!({}))).replicas(4));
    hpa(&mut w, 4, 4, 35, json!([{"type": "ScalingLimited", "status": "False"}]));
    let a = w.diagnose("HorizontalPodAutoscaler/web/front").await;
    assert!(a.actions.iter().all(|p| p.action != "patch_hpa_max"), "{a:#?}");
}

#[tokio::test]
async fn an_autoscaler_without_requests_names_the_container_that_lacks_them() {
    let mut w = World::new("web");
    let two = json!({"containers": [container("app", "a:1"), {"name": "proxy", "image": "envoy:1"}]});
    w.deploy(deploy("front", two).replicas(2));
    hpa(
        &mut w,
        2,
        5,
        0,
        json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "missing request for cpu in container proxy of Pod front-h0-p0"}]),
    );
    let a = w.diagnose("HorizontalPodAutoscaler/web/front").await;
    expect(&a, "hpa_no_requests", "Deployment/web/front", "set_resource_requests", "Deployment/web/front");
    assert_eq!(param(&a, "/container"), "proxy");
}

#[tokio::test]
async fn a_budget_is_relaxed_only_when_nothing_is_unwell() {
    let pdb = |allowed: i64, healthy: i64| json!({"spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "front"}}}, "status": {"expectedPods": 3, "currentHealthy": healthy, "desiredHealthy": 3, "disruptionsAllowed": allowed}});
    let mut w = World::new("web");
    w.deploy(deploy("front", pinned(json!({}))).replicas(3));
    w.object("policy/v1", "PodDisruptionBudget", "front", pdb(0, 3));
    let a = w.diagnose("PodDisruptionBudget/web/front").await;
    expect(&a, "pdb_blocks_drain", "PodDisruptionBudget/web/front", "relax_pdb", "PodDisruptionBudget/web/front");

    let mut w = World::new("web");
    w.deploy(
        deploy("front", pinned(json!({})))
            .then(20, spec(merge(container("app", "acme/app:3"), json!({"command": ["false"]}))))
            .replicas(3)
            .pods(Pods::Crash(1, "Error", 0)),
    );
    w.object("policy/v1", "PodDisruptionBudget", "front", pdb(0, 0));
    let a = w.diagnose("PodDisruptionBudget/web/front").await;
    expect(&a, "bad_release_command", "Deployment/web/front", "rollback_deployment", "Deployment/web/front");
}
