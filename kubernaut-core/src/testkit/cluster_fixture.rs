//! The objects that the suites of the cluster ports expect to find.

use serde_json::{Value, json};

use crate::model::{Object, ObjectRef};

/// A namespace with a small application. On a live cluster, create [`ClusterFixture::objects`] and wait until the pods run; a recording also
/// needs what a cluster makes of them, [`ClusterFixture::made_objects`].
#[derive(Debug, Clone)]
pub struct ClusterFixture {
    /// The namespace; nothing else may be in it.
    pub namespace: String,
    /// Image with a shell, for the pods.
    pub image: String,
    /// Whether containers really run (or are recorded), so that there are logs.
    pub logs: bool,
}

/// Lines that the container `app` of each `web` pod writes when it starts: `line 1` to this.
pub const FIXTURE_LOG_LINES: usize = 20;

/// The value of every key of the fixture's Secret, base64 as in a manifest; it must never be read back.
pub const FIXTURE_SECRET: &str = "ZG9udC1yZWFkLW1l";

impl ClusterFixture {
    /// A reference into the namespace.
    #[must_use]
    pub fn reference(&self, kind: &str, name: &str) -> ObjectRef {
        ObjectRef::new(kind, Some(&self.namespace), name)
    }

    /// What a test creates: Deployments `web` (two pods) and `guarded` (one, kept by a budget), ConfigMaps `front`, `back` and `plain`, a Secret
    /// `token`, the budget `keep`.
    #[must_use]
    pub fn objects(&self) -> Vec<Value> {
        let config_map = |name: &str, labels: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(name, labels), "data": {"name": name}});
        vec![
            config_map("front", json!({"suite": "yes", "tier": "front"})),
            config_map("back", json!({"suite": "yes", "tier": "back"})),
            config_map("plain", json!({})),
            json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": self.metadata("token", json!({})), "data": {"a": FIXTURE_SECRET, "b": FIXTURE_SECRET}}),
            self.deployment("web", 2),
            self.deployment("guarded", 1),
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": self.metadata("keep", json!({})),
                "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "guarded"}}}}),
        ]
    }

    fn metadata(&self, name: &str, labels: Value) -> Value {
        json!({"name": name, "namespace": self.namespace, "labels": labels})
    }

    fn deployment(&self, name: &str, replicas: u32) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": self.metadata(name, json!({"app": name})),
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": self.template(name)}})
    }

    fn template(&self, name: &str) -> Value {
        let say = format!("i=1; while [ $i -le {FIXTURE_LOG_LINES} ]; do echo line $i; i=$((i+1)); done; sleep 3600");
        json!({"metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
            {"name": "app", "image": self.image, "command": ["/bin/sh", "-c", say], "env": [{"name": "FIRST", "value": "1"}, {"name": "SECOND", "value": "2"}]},
            {"name": "side", "image": self.image, "command": ["/bin/sh", "-c", "sleep 3600"]}]}})
    }

    /// What a cluster makes of [`ClusterFixture::objects`]: these with uids and status, replica sets, running pods, events, and an object whose
    /// owner is gone, which a live cluster would collect.
    #[must_use]
    pub fn made_objects(&self) -> Vec<Value> {
        let mut made: Vec<Value> = self.objects().into_iter().map(completed).collect();
        for (name, replicas) in [("web", 2), ("guarded", 1)] {
            let deployment = Object::new(completed(self.deployment(name, replicas)));
            let set_name = format!("{name}-5d8f");
            let mut set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": self.metadata(&set_name, json!({"app": name})),
                "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": self.template(name)}});
            set["metadata"]["ownerReferences"] = owner(&deployment);
            let set = completed(set);
            for index in 0..replicas {
                let pod = self.pod(&set, &format!("{set_name}-{index}"), name);
                made.push(self.event(&pod));
                made.push(pod);
            }
            made.push(set);
        }
        let mut orphan = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata("orphan", json!({}))});
        orphan["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone", "uid": "uid-gone", "controller": true}]);
        made.push(completed(orphan));
        made.into_iter().map(with_status).collect()
    }

    fn pod(&self, set: &Value, name: &str, app: &str) -> Value {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": self.metadata(name, json!({"app": app})), "spec": self.template(app)["spec"],
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        pod["metadata"]["ownerReferences"] = owner(&Object::new(set.clone()));
        completed(pod)
    }

    fn event(&self, pod: &Value) -> Value {
        let pod = Object::new(pod.clone());
        json!({"apiVersion": "v1", "kind": "Event", "metadata": self.metadata(&format!("{}.1", pod.name()), json!({})), "type": "Normal", "reason": "Started",
            "message": "Started container app", "count": 1, "lastTimestamp": "2026-01-01T00:00:00Z", "source": {"component": "kubelet"},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": self.namespace, "name": pod.name(), "uid": pod.uid()}})
    }
}

fn owner(object: &Object) -> Value {
    json!([{"apiVersion": object.api_version(), "kind": object.kind(), "name": object.name(), "uid": object.uid(), "controller": true}])
}

fn completed(mut object: Value) -> Value {
    let id = format!("{}-{}", object["kind"].as_str().unwrap_or_default(), object["metadata"]["name"].as_str().unwrap_or_default());
    object["metadata"]["uid"] = json!(format!("uid-{id}").to_lowercase());
    object["metadata"]["resourceVersion"] = json!("100");
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    if object.get("spec").is_some() {
        object["metadata"]["generation"] = json!(1);
    }
    object
}

fn with_status(mut object: Value) -> Value {
    let replicas = object["spec"]["replicas"].clone();
    let status = match object["kind"].as_str() {
        Some("Deployment" | "ReplicaSet") => {
            json!({"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas})
        }
        Some("PodDisruptionBudget") => {
            json!({"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1, "disruptionsAllowed": 0})
        }
        _ => return object,
    };
    object["status"] = status;
    object
}
