//! What is unhealthy in a namespace, without an alert.

use kubernaut_core::{
    Result,
    model::{Object, ObjectRef},
    port::{ClusterRead, ListQuery},
    service::CallContext,
};
use serde_json::Value;

use crate::Kubernaut;

impl Kubernaut {
    /// Workloads of a namespace that are not as they should be: fewer ready replicas than wanted, failed jobs, unbound claims, and pods without
    /// an owner that do not run. One entry a workload, sorted.
    ///
    /// # Errors
    /// Errors of the cluster.
    pub async fn unhealthy(&self, ctx: CallContext, namespace: &str) -> Result<Vec<ObjectRef>> {
        let mut found = Vec::new();
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "Job", "PersistentVolumeClaim", "Pod"] {
            let objects = self.cluster().list(ctx.clone(), ListQuery::of(kind, Some(namespace))).await?;
            found.extend(objects.iter().filter(|o| needs_attention(o)).map(Object::reference));
        }
        found.sort();
        Ok(found)
    }
}

fn needs_attention(object: &Object) -> bool {
    let status = |field: &str| object.i64_at(&format!("/status/{field}")).unwrap_or(0);
    let wanted = object.i64_at("/spec/replicas").unwrap_or(1);
    match object.kind() {
        "Deployment" => status("availableReplicas") < wanted || status("updatedReplicas") < wanted || wanted == 0,
        "StatefulSet" => status("readyReplicas") < wanted,
        "DaemonSet" => status("numberReady") < status("desiredNumberScheduled"),
        "Job" => object.condition("Failed").is_some_and(|c| c["status"] == "True"),
        "PersistentVolumeClaim" => object.str_at("/status/phase") != Some("Bound"),
        "Pod" => object.controller().is_none() && !runs(object),
        _ => false,
    }
}

fn runs(pod: &Object) -> bool {
    let phase = pod.str_at("/status/phase").unwrap_or_default();
    let steady = pod.list_at("/status/containerStatuses").iter().all(|c: &Value| c["ready"] == true);
    phase == "Succeeded" || (phase == "Running" && steady)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_workload_below_its_replicas_needs_attention() {
        let deployment = |available: i64| {
            Object::new(json!({"kind": "Deployment", "spec": {"replicas": 2}, "status": {"availableReplicas": available, "updatedReplicas": 2}}))
        };
        assert!(needs_attention(&deployment(1)));
        assert!(!needs_attention(&deployment(2)));
    }

    #[test]
    fn a_pod_of_a_workload_is_not_listed_beside_it() {
        let owned = json!({"kind": "Pod", "metadata": {"ownerReferences": [{"kind": "ReplicaSet", "name": "r", "controller": true}]}, "status": {"phase": "Pending"}});
        assert!(!needs_attention(&Object::new(owned)));
        assert!(needs_attention(&Object::new(json!({"kind": "Pod", "status": {"phase": "Pending"}}))));
    }
}
