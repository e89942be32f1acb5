//! A cluster in which nothing is wrong, as large as wanted, with what naive checks stumble over: unused ConfigMaps, completed Jobs, old restarts,
//! scaled-down revisions, budgets with room, an autoscaler at work, a cordoned spare node.

use std::{io, path::Path};

use serde_json::{Value, json};

const NOW: &str = "2026-05-20T10:00:00Z";
const OLD: &str = "2026-04-01T08:00:00Z";
const RECENT: &str = "2026-05-20T09:40:00Z";

/// How large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Namespaces.
    pub namespaces: usize,
    /// Deployments in each.
    pub deployments: usize,
    /// Pods of each.
    pub replicas: usize,
}

impl Size {
    /// About so many objects in all, in four namespaces.
    #[must_use]
    pub(crate) fn of_objects(objects: usize) -> Self {
        Self { namespaces: 4, deployments: objects / 4 / 9, replicas: 3 }
    }

    /// At least so many pods.
    #[must_use]
    pub(crate) fn of_pods(pods: usize) -> Self {
        Self { namespaces: 50, deployments: pods.div_ceil(50 * 5), replicas: 5 }
    }
}

/// What was made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// All objects.
    pub objects: usize,
    /// Pods among them.
    pub pods: usize,
    /// Namespaces with workloads.
    pub namespaces: Vec<String>,
    /// `Kind/namespace/name` of the workloads.
    pub workloads: Vec<String>,
}

/// Writes the cluster as a bundle.
///
/// # Errors
/// Errors of the file system.
pub(crate) fn write(dir: &Path, size: Size) -> io::Result<Made> {
    let mut made = Made::default();
    let mut objects = nodes(size.namespaces * size.deployments * size.replicas / 60 + 3);
    let count = objects.len();
    for n in 0..size.namespaces {
        let ns = format!("team-{n:02}");
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns, "labels": {"environment": "production"}}, "status": {"phase": "Active"}}));
        for d in 0..size.deployments {
            let name = format!("svc-{d:02}");
            workload(&mut objects, &ns, &name, size.replicas, count);
            made.workloads.push(format!("Deployment/{ns}/{name}"));
        }
        extras(&mut objects, &ns);
        made.workloads.push(format!("StatefulSet/{ns}/store"));
        made.namespaces.push(ns);
    }
    made.objects = objects.len();
    made.pods = objects.iter().filter(|o| o["kind"] == "Pod").count();
    std::fs::create_dir_all(dir.join("objects"))?;
    std::fs::write(dir.join("bundle.yaml"), format!("id: healthy\ntaken_at: '{NOW}'\nformat: incident-bundle/v1\n"))?;
    std::fs::write(dir.join("objects/all.json"), json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
    Ok(made)
}

fn nodes(count: usize) -> Vec<Value> {
    let node = |i: usize| {
        let name = format!("node-{i:03}");
        // The last one is a spare, kept out of use on purpose.
        let spec = if i + 1 == count {
            json!({"unschedulable": true, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]})
        } else {
            json!({})
        };
        let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": "2026-05-20T09:58:00Z", "lastTransitionTime": OLD});
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name, "creationTimestamp": OLD, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64"}},
            "spec": spec, "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"},
            "conditions": [condition("MemoryPressure", "False", "KubeletHasSufficientMemory"), condition("DiskPressure", "False", "KubeletHasNoDiskPressure"), condition("Ready", "True", "KubeletReady")]}})
    };
    (0..count).map(node).collect()
}

fn meta(ns: &str, kind: &str, name: &str, owner: Option<(&str, &str)>) -> Value {
    let mut meta = json!({"name": name, "namespace": ns, "uid": format!("{ns}-{kind}-{name}"), "creationTimestamp": OLD});
    if let Some((owner_kind, owner_name)) = owner {
        let api = if owner_kind == "Service" { "v1" } else { "apps/v1" };
        meta["ownerReferences"] = json!([{"apiVersion": api, "kind": owner_kind, "name": owner_name, "uid": format!("{ns}-{owner_kind}-{owner_name}"), "controller": true}]);
    }
    meta
}

fn pod_spec(ns: &str, name: &str, tag: &str) -> Value {
    json!({"containers": [{"name": name, "image": format!("registry.example.org/{ns}/{name}:{tag}"), "ports": [{"containerPort": 8080}],
        "env": [{"name": "NEXT", "value": "svc-00:8080"}], "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}}}], "restartPolicy": "Always"})
}

fn pod(ns: &str, name: &str, app: &str, owner: (&str, &str), spec: &Value, node: usize, i: usize) -> Value {
    let mut meta = meta(ns, "Pod", name, Some(owner));
    meta["labels"] = json!({"app": app});
    let mut spec = spec.clone();
    spec["nodeName"] = json!(format!("node-{node:03}"));
    // Some were restarted once, long ago.
    let restarted = i.is_multiple_of(7);
    let last = if restarted {
        json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": OLD, "finishedAt": "2026-04-20T08:00:00Z"}})
    } else {
        json!({})
    };
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": OLD});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": "Running", "podIP": format!("10.{}.{}.{}", node % 250, i / 250 % 250, i % 250),
        "conditions": [condition("Ready"), condition("ContainersReady"), condition("PodScheduled"), condition("Initialized")],
        "containerStatuses": [{"name": spec["containers"][0]["name"], "ready": true, "started": true, "restartCount": u8::from(restarted), "state": {"running": {"startedAt": "2026-04-20T08:00:05Z"}}, "lastState": last}]}})
}

fn workload(objects: &mut Vec<Value>, ns: &str, name: &str, replicas: usize, nodes: usize) {
    let labels = json!({"app": name});
    let mut deployment = meta(ns, "Deployment", name, None);
    deployment["labels"] = labels.clone();
    deployment["annotations"] = json!({"deployment.kubernetes.io/revision": "2"});
    let template = |tag: &str| json!({"metadata": {"labels": labels}, "spec": pod_spec(ns, name, tag)});
    let condition =
        |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "lastTransitionTime": OLD, "lastUpdateTime": OLD});
    objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": deployment, "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template("1.1")},
        "status": {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        "conditions": [condition("Available", "MinimumReplicasAvailable"), condition("Progressing", "NewReplicaSetAvailable")]}}));
    for (revision, tag, count) in [(1, "1.0", 0), (2, "1.1", replicas)] {
        let set = format!("{name}-r{revision}");
        let mut set_meta = meta(ns, "ReplicaSet", &set, Some(("Deployment", name)));
        set_meta["annotations"] = json!({"deployment.kubernetes.io/revision": revision.to_string()});
        set_meta["labels"] = labels.clone();
        objects.push(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": set_meta, "spec": {"replicas": count, "selector": {"matchLabels": labels}, "template": template(tag)}, "status": {"replicas": count, "readyReplicas": count, "availableReplicas": count}}));
    }
    let mut endpoints = Vec::new();
    for i in 0..replicas {
        let n = objects.len();
        let made = pod(ns, &format!("{name}-r2-{i}"), name, ("ReplicaSet", &format!("{name}-r2")), &pod_spec(ns, name, "1.1"), n % (nodes - 1), n);
        endpoints.push(json!({"addresses": [made["status"]["podIP"]], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "namespace": ns, "name": made["metadata"]["name"]}}));
        objects.push(made);
    }
    objects.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(ns, "Service", name, None), "spec": {"clusterIP": "10.96.0.1", "selector": labels, "ports": [{"port": 8080, "targetPort": 8080}]}}));
    let mut slice = meta(ns, "EndpointSlice", &format!("{name}-x"), Some(("Service", name)));
    slice["labels"] = json!({"kubernetes.io/service-name": name});
    objects.push(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice, "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": endpoints}));
    objects.push(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(ns, "ConfigMap", &format!("{name}-unused"), None), "data": {"a": "1"}}),
    );
}

fn extras(objects: &mut Vec<Value>, ns: &str) {
    let labels = json!({"app": "store"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod_spec(ns, "store", "3")});
    let claim = "data-store-0";
    objects.push(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta(ns, "StatefulSet", "store", None), "spec": {"replicas": 1, "serviceName": "store", "selector": {"matchLabels": labels}, "template": template},
        "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "currentReplicas": 1, "updatedReplicas": 1}}));
    objects.push(pod(ns, "store-0", "store", ("StatefulSet", "store"), &pod_spec(ns, "store", "3"), 0, 1));
    objects.push(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta(ns, "PersistentVolumeClaim", claim, None), "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}, "storageClassName": "standard"},
        "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}}}));
    objects.push(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta(ns, "PodDisruptionBudget", "svc-00", None), "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "svc-00"}}},
        "status": {"currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3, "disruptionsAllowed": 2}}));
    objects.push(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta(ns, "HorizontalPodAutoscaler", "svc-01", None),
        "spec": {"minReplicas": 2, "maxReplicas": 20, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "svc-01"}, "metrics": []},
        "status": {"currentReplicas": 3, "desiredReplicas": 3, "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}, {"type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange"}]}}));
    objects.push(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(ns, "NetworkPolicy", "same-namespace", None), "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}}));
    let mut job = meta(ns, "Job", "nightly-1", None);
    job["creationTimestamp"] = json!(RECENT);
    objects.push(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": job, "spec": {"backoffLimit": 3, "template": {"spec": pod_spec(ns, "nightly", "1")}},
        "status": {"succeeded": 1, "failed": 1, "completionTime": RECENT, "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": RECENT}]}}));
}
