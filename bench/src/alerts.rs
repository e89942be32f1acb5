//! What is sent: alerts about Deployments as a common rule set words them.

use std::collections::BTreeMap;

use kubernaut_core::{
    model::{Alert, AlertId, AlertStatus, FingerprintStrategy, ObjectRef, Severity},
    port::{Clock, SystemClock},
};
use serde_json::{Value, json};

/// Namespaces over which the Deployments are spread.
const NAMESPACES: usize = 50;
/// Of this many requests one opens an incident and one ends an alert; the rest are repetitions.
const NEW_EVERY: usize = 5;
const RESOLVED_EVERY: usize = 10;

/// What a load consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Every alert opens an incident.
    New,
    /// One in five opens an incident, one in ten ends an alert, the rest repeat one.
    Mixed,
}

/// One alert of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Number of the Deployment.
    pub owner: usize,
    /// Whether it has ended.
    pub resolved: bool,
}

/// The alerts of a load, after `known` Deployments have alerted already.
#[must_use]
pub fn plan(mix: Mix, count: usize, known: usize) -> Vec<Planned> {
    let mut owners = known;
    let mut next = || {
        owners += 1;
        Planned { owner: owners - 1, resolved: false }
    };
    let mut planned = Vec::with_capacity(count);
    for number in 0..count {
        let new = mix == Mix::New || known == 0 || number % NEW_EVERY == 0;
        planned.push(if new { next() } else { Planned { owner: scattered(number) % known, resolved: number % RESOLVED_EVERY == 1 } });
    }
    planned
}

/// The same numbers in every run, without a pattern.
fn scattered(number: usize) -> usize {
    let mut x = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((x ^ (x >> 31)) >> 1).unwrap_or(0)
}

/// Namespace and name of a Deployment.
#[must_use]
pub fn place(owner: usize) -> (String, String) {
    (format!("team-{}", owner % NAMESPACES), format!("service-{owner}"))
}

/// Labels of the alert about a Deployment.
#[must_use]
pub fn labels(owner: usize) -> Value {
    let (namespace, deployment) = place(owner);
    json!({
        "alertname": "KubeDeploymentReplicasMismatch", "container": "kube-state-metrics", "deployment": deployment, "endpoint": "http",
        "instance": "10.244.0.12:8080", "job": "kube-state-metrics", "namespace": namespace, "pod": "kube-state-metrics-6d4cf4f8c9-x2hq7",
        "prometheus": "monitoring/k8s", "service": "kube-state-metrics", "severity": "warning"
    })
}

/// Annotations of the alert about a Deployment.
#[must_use]
pub fn annotations(owner: usize) -> Value {
    let (namespace, deployment) = place(owner);
    json!({
        "description": format!("Deployment {namespace}/{deployment} has not matched the expected number of replicas for longer than 15 minutes."),
        "runbook_url": "https://runbooks.example/kubernetes/kubedeploymentreplicasmismatch",
        "summary": "Deployment has not matched the expected number of replicas."
    })
}

const BEGAN: &str = "2026-01-01T00:00:00Z";
const ENDED: &str = "2026-01-01T00:10:00Z";
const QUERY: &str = "http://prometheus.example/graph?g0.expr=kube_deployment_spec_replicas+%21%3D+kube_deployment_status_replicas_available&g0.tab=1";

/// The alert about a Deployment as the gateway hands it to the ledger.
#[must_use]
pub fn stored(owner: usize) -> Alert {
    let now = SystemClock.now();
    let (namespace, deployment) = place(owner);
    let target = ObjectRef::new("Deployment", Some(&namespace), &deployment);
    let texts = |value: Value| -> BTreeMap<String, String> { serde_json::from_value(value).unwrap_or_default() };
    Alert {
        id: AlertId::new(now),
        source: "bench".into(),
        status: AlertStatus::Firing,
        name: "KubeDeploymentReplicasMismatch".into(),
        severity: Severity::Warning,
        labels: texts(labels(owner)),
        annotations: texts(annotations(owner)),
        starts_at: now,
        ends_at: None,
        received_at: now,
        generator_url: Some(QUERY.into()),
        source_fingerprint: Some(format!("{owner:016x}")),
        target: target.clone(),
        owner_resolved: true,
        fingerprint: FingerprintStrategy::Owner.fingerprint("", &target, "KubeDeploymentReplicasMismatch"),
        owner: target,
    }
}

/// The alerts as Alertmanager sends them to a webhook.
#[must_use]
pub fn webhook(alerts: &[Planned]) -> String {
    let alert = |a: &Planned| {
        json!({
            "status": if a.resolved { "resolved" } else { "firing" }, "labels": labels(a.owner), "annotations": annotations(a.owner), "startsAt": BEGAN,
            "endsAt": if a.resolved { ENDED } else { "0001-01-01T00:00:00Z" }, "generatorURL": QUERY, "fingerprint": format!("{:016x}", a.owner)
        })
    };
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "kubernaut", "groupLabels": {}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "http://alertmanager.example", "alerts": alerts.iter().map(alert).collect::<Vec<_>>()
    })
    .to_string()
}

/// The same alerts as Prometheus sends them to Alertmanager.
#[must_use]
pub fn alertmanager(alerts: &[Planned]) -> String {
    let alert = |a: &Planned| {
        let mut alert = json!({ "labels": labels(a.owner), "annotations": annotations(a.owner), "startsAt": BEGAN, "generatorURL": QUERY });
        if a.resolved {
            alert["endsAt"] = json!(ENDED);
        }
        alert
    };
    Value::Array(alerts.iter().map(alert).collect()).to_string()
}

/// The Deployments, all healthy, as objects of a recorded cluster.
#[must_use]
pub fn objects(owners: usize) -> String {
    let object = |owner: usize| {
        let (namespace, name) = place(owner);
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": namespace, "uid": format!("00000000-0000-4000-8000-{owner:012}"), "generation": 1, "creationTimestamp": "2025-06-01T00:00:00Z" },
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": name } }, "template": { "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "registry.example/service:1" }] } } },
            "status": { "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2 }
        })
    };
    json!({ "apiVersion": "v1", "kind": "List", "items": (0..owners).map(object).collect::<Vec<_>>() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_load_has_its_shares_and_repeats_only_what_is_known() {
        let load = plan(Mix::Mixed, 1000, 400);
        assert_eq!(load.iter().filter(|a| a.owner >= 400).count(), 200);
        assert_eq!(load.iter().filter(|a| a.resolved).count(), 100);
        assert!(load.iter().all(|a| !a.resolved || a.owner < 400));
        let new = plan(Mix::New, 10, 3);
        assert!(new.iter().enumerate().all(|(at, a)| a.owner == at + 3 && !a.resolved));
    }
}
