//! What the diagnosis proposes is what the actions take. Parameters are written as its rules make them.

use kubernaut_executor::{find_spec, registry};
use serde_json::{Value, json};

/// Why the schema of an action refuses parameters; empty if it does not.
fn fault(action: &str, kind: &str, params: &Value) -> String {
    let spec = find_spec(registry(), action).unwrap_or_else(|| panic!("{action} is offered"));
    if !spec.target_kinds.is_empty() && !spec.target_kinds.iter().any(|k| k == kind) {
        return format!("{action} does not work on {kind}");
    }
    let validator = jsonschema::validator_for(&spec.parameters).unwrap();
    validator.iter_errors(params).next().map(|e| format!("{action} {params}: {e}")).unwrap_or_default()
}

#[test]
fn complete_proposals_fit_the_schema() {
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "Exists"}]}]}}});
    let peer = json!({"namespace": "shop", "pod_labels": {"app": "web"}});
    let table = [
        ("no_action", "Deployment", json!({})),
        ("escalate", "Service", json!({"reason": "why"})),
        ("rollback_deployment", "Deployment", json!({"to_revision": 3})),
        ("rollout_restart", "StatefulSet", json!({})),
        ("scale_replicas", "Deployment", json!({"replicas": 2})),
        ("increase_memory_limit", "Deployment", json!({"container": "app", "memory_limit": "128Mi"})),
        ("set_resource_limits", "DaemonSet", json!({"container": "app", "limits": {"ephemeral-storage": "2Gi"}})),
        ("set_resource_limits", "StatefulSet", json!({"container": "app", "limits": {"memory": "64Mi"}, "requests": null})),
        ("set_resource_requests", "Deployment", json!({"container": "app", "requests": {"cpu": "100m", "memory": "128Mi"}})),
        ("reduce_requests", "Deployment", json!({"container": "app", "requests": {"cpu": "500m"}})),
        ("patch_hpa_max", "HorizontalPodAutoscaler", json!({"max_replicas": 8})),
        ("cordon_node", "Node", json!({})),
        ("uncordon_node", "Node", json!({})),
        ("remove_taint", "Node", json!({"key": "maintenance", "value": "", "effect": "NoSchedule"})),
        ("fix_image_reference", "Deployment", json!({"container": "app", "image": "registry.example:5000/team/app:1.2@sha256:0123"})),
        ("patch_command", "StatefulSet", json!({"container": "app", "field": "command", "restore": ["sh", "-c", "run"]})),
        ("patch_command", "DaemonSet", json!({"container": "app", "field": "args", "restore": null})),
        ("patch_command", "Deployment", json!({"container": "app", "replace": "db:5433", "with": "db:5432"})),
        ("patch_env", "StatefulSet", json!({"container": "app", "name": "DB", "restore": {"name": "DB", "value": "x"}})),
        (
            "patch_env",
            "StatefulSet",
            json!({"container": "app", "name": "DB", "restore": {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}}),
        ),
        ("patch_env", "CronJob", json!({"container": "app", "name": "DB", "restore": null})),
        ("patch_env", "Deployment", json!({"container": "app", "name": "DB", "replace": "db:5433", "with": "db:5432"})),
        ("patch_probe", "StatefulSet", json!({"container": "app", "probe": "livenessProbe", "restore": probe})),
        ("patch_probe", "StatefulSet", json!({"container": "app", "probe": "startupProbe", "restore": null})),
        ("patch_probe", "Deployment", json!({"container": "app", "probe": "readiness", "path": "/healthz", "port": 8080, "restore": probe})),
        ("patch_probe", "Deployment", json!({"container": "app", "probe": "readiness", "port": 8080})),
        ("patch_probe", "Deployment", json!({"container": "app", "probe": "liveness", "path": "/ready"})),
        ("patch_probe", "Deployment", json!({"container": "app", "probe": "liveness", "timeoutSeconds": 5})),
        ("patch_probe", "Deployment", json!({"container": "app", "probe": "liveness", "initialDelaySeconds": 120})),
        ("patch_node_selector", "Deployment", json!({"node_selector": {"kubernetes.io/arch": "amd64"}})),
        ("patch_node_selector", "StatefulSet", json!({"restore": null})),
        ("patch_node_selector", "StatefulSet", json!({"restore": {"disk": "ssd"}})),
        ("patch_affinity", "Deployment", json!({"pod_anti_affinity": "preferred", "topology_key": "kubernetes.io/hostname"})),
        ("patch_affinity", "DaemonSet", json!({"restore": affinity})),
        ("patch_affinity", "DaemonSet", json!({"restore": null})),
        ("patch_service_selector", "Service", json!({"selector": {"app": "web"}})),
        ("patch_service_port", "Service", json!({"port": 80, "target_port": 8080})),
        ("patch_configmap", "ConfigMap", json!({"key": "app.conf", "remove_line": "  bad: x"})),
        ("patch_configmap", "ConfigMap", json!({"key": "app.conf", "replace": "db:5433", "with": "db:5432"})),
        ("patch_network_policy", "NetworkPolicy", json!({"direction": "ingress", "peer": peer, "to": "Service/shop/api", "port": 8080})),
        (
            "patch_network_policy",
            "NetworkPolicy",
            json!({"direction": "egress", "peer": {"namespace": "kube-system", "pod_labels": {"k8s-app": "kube-dns"}}, "port": 53}),
        ),
        ("increase_quota", "ResourceQuota", json!({"hard": {"requests.cpu": "1500m", "limits.memory": "2Gi", "pods": "12"}})),
        ("expand_pvc", "PersistentVolumeClaim", json!({"size": "1536Mi"})),
        ("relax_pdb", "PodDisruptionBudget", json!({"min_available": 2})),
        ("relax_pdb", "PodDisruptionBudget", json!({"max_unavailable": 1})),
    ];
    let faults: Vec<String> = table.iter().map(|(action, kind, params)| fault(action, kind, params)).filter(|f| !f.is_empty()).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where a rule does not know the right value, its proposal says so by a condition that does not hold. Such a proposal is never carried out.
#[test]
fn proposals_without_their_value_are_refused_by_schema() {
    for (action, kind, params) in [
        ("fix_image_reference", "Deployment", json!({"container": "app"})),
        ("fix_image_reference", "Deployment", json!({})),
        ("patch_service_port", "Service", json!({"port": 80, "target_port": null})),
        (
            "patch_network_policy",
            "NetworkPolicy",
            json!({"direction": "ingress", "peer": {"namespace": "shop", "pod_labels": {"app": "web"}}, "port": null}),
        ),
        ("patch_network_policy", "NetworkPolicy", json!({"direction": "ingress", "peer": {"namespace": "shop", "pod_labels": {}}, "port": 80})),
        ("patch_configmap", "ConfigMap", json!({"key": "app.conf", "replace": "db:5433", "with": ""})),
        ("patch_env", "Deployment", json!({"container": "app", "name": "DB", "replace": "db:5433", "with": ""})),
        ("increase_quota", "ResourceQuota", json!({"hard": {}})),
        ("patch_service_selector", "Service", json!({"selector": {}})),
        ("relax_pdb", "PodDisruptionBudget", json!({"min_available": 0})),
    ] {
        assert!(!fault(action, kind, &params).is_empty(), "{action} {params}");
    }
}

/// The name, the alias and the kinds of every action that a rule may propose and that can be carried out by a patch.
#[test]
fn patches_that_are_proposed_are_offered() {
    for name in [
        "fix_image_reference",
        "patch_image",
        "patch_command",
        "patch_env",
        "patch_probe",
        "patch_node_selector",
        "patch_affinity",
        "patch_secret_reference",
        "label_node",
        "patch_service_selector",
        "patch_service_port",
        "patch_configmap",
        "patch_network_policy",
        "update_network_policy",
        "increase_quota",
        "expand_pvc",
        "relax_pdb",
        "suspend_cronjob",
        "patch_webhook_failure_policy",
    ] {
        assert!(find_spec(registry(), name).is_some(), "{name}");
    }
}
