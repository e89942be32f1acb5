//! A small recorded cluster.

use std::path::Path;

use kubernaut_cluster::BundleCluster;
use serde_json::{Value, json};

pub const NOW: &str = "2026-06-05T10:00:00Z";

fn meta(namespace: &str, name: &str) -> Value {
    json!({"namespace": namespace, "name": name, "uid": format!("uid-{namespace}-{name}")})
}

fn template(image: &str, command: Option<&str>) -> Value {
    let mut app = json!({"name": "app", "image": image, "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}}});
    if let Some(command) = command {
        app["command"] = json!([command]);
    }
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [app, {"name": "side", "image": "side:1", "resources": {"limits": {"memory": "64Mi"}}}]}})
}

fn owned(mut object: Value, kind: &str, name: &str) -> Value {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("uid-{namespace}-{name}"), "controller": true}]);
    object
}

/// A deployment whose revision 2 crashes beside a healthy revision 1.
pub fn deployment(namespace: &str) -> Vec<Value> {
    let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(namespace, "web"),
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "strategy": {"type": "RollingUpdate"}, "template": template("web:2", Some("/bad"))},
        "status": {"replicas": 3, "readyReplicas": 2}});
    deployment["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "2"});
    let mut all = vec![deployment];
    for (revision, image, command, ready) in [("1", "web:1", None, 2), ("2", "web:2", Some("/bad"), 0)] {
        let mut spec = template(image, command);
        spec["metadata"]["labels"]["pod-template-hash"] = json!(revision);
        let mut set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta(namespace, &format!("web-{revision}")),
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": spec}, "status": {"replicas": if ready > 0 { ready } else { 1 }, "readyReplicas": ready}});
        set["metadata"]["labels"] = json!({"app": "web"});
        set["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": revision});
        all.push(owned(set, "Deployment", "web"));
    }
    for (name, set, ready) in [("web-1-a", "web-1", "True"), ("web-1-b", "web-1", "True"), ("web-2-a", "web-2", "False")] {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta(namespace, name), "spec": {"containers": [{"name": "app", "image": "web"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
        pod["metadata"]["labels"] = json!({"app": "web"});
        all.push(owned(pod, "ReplicaSet", set));
    }
    all
}

pub fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": labels}})
}

fn node(name: &str, labels: Value, ready: &str, closed: bool) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": labels},
        "spec": if closed { json!({"unschedulable": true}) } else { json!({"taints": [{"key": "team", "effect": "NoSchedule"}]}) },
        "status": {"conditions": [{"type": "Ready", "status": ready}], "allocatable": {"memory": "8Gi", "cpu": "4"}}})
}

fn autoscaler(namespace: &str) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta(namespace, "front"),
        "spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "front"}}, "status": {"currentReplicas": 3}})
}

/// The namespaces `shop` (managed), `other` (not opted in) and `kube-system`, each with the same workload, and four nodes.
pub fn objects() -> Vec<Value> {
    let mut all = vec![
        namespace("shop", json!({"kubernaut.ai/managed": "true"})),
        namespace("other", json!({})),
        namespace("kube-system", json!({"kubernaut.ai/managed": "true"})),
    ];
    for name in ["shop", "other", "kube-system"] {
        all.extend(deployment(name));
        all.push(autoscaler(name));
    }
    all.push(json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("shop", "bare"), "spec": {"containers": [{"name": "app"}]}, "status": {"phase": "Running"}}));
    all.push(node("n1", json!({}), "True", false));
    all.push(node("n2", json!({}), "True", true));
    all.push(node("n3", json!({}), "Unknown", true));
    all.push(node("cp", json!({"node-role.kubernetes.io/control-plane": ""}), "True", true));
    all
}

/// Opens a bundle made of these objects.
pub fn open(objects: &[Value]) -> BundleCluster {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), objects);
    BundleCluster::open(dir.path()).unwrap()
}

fn write(dir: &Path, objects: &[Value]) {
    std::fs::create_dir(dir.join("objects")).unwrap();
    std::fs::write(dir.join("bundle.yaml"), format!("id: test\ntaken_at: \"{NOW}\"\n")).unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(dir.join("objects/all.json"), list.to_string()).unwrap();
}
