//! The rights that actions need, as Kubernetes objects: what the registry declares, and what the gate reads before it lets an action through.

use std::collections::{BTreeMap, BTreeSet};

use kubernaut_core::{
    Error, Result,
    model::{ActionSpec, RbacRule, well_known_kinds},
};
use serde_json::{Value, json};

use crate::{action::Effect, registry::effect_of};

/// For whom the objects are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRequest {
    /// Name of the roles and bindings.
    pub name: String,
    /// Namespaces in which the actions may be carried out.
    pub namespaces: Vec<String>,
    /// Namespace and name of the service account that gets them.
    pub service_account: (String, String),
}

/// Group, resource and verbs, each once.
type Rules = BTreeMap<(String, String), BTreeSet<String>>;

/// Kinds whose owner is looked up, and which may own something.
const OWNERS: &[&str] = &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"];

/// The exact Role of each namespace, and the ClusterRole for what has none, with their bindings. The rights are no wider than what the actions and
/// the gate use: reading for the checks, and the verbs that each action declares.
///
/// # Errors
/// `InvalidInput` without an action, or for a namespaced action without a namespace.
pub fn roles(specs: &[&ActionSpec], request: &RoleRequest) -> Result<Vec<Value>> {
    if specs.is_empty() {
        return Err(Error::invalid("executor.rbac", "name at least one action; `kubernaut actions` lists them"));
    }
    let (mut inside, mut cluster) = (Rules::new(), Rules::new());
    for spec in specs {
        let all = spec.rbac.iter().cloned().chain(checks(spec));
        for rule in all {
            let rules = if is_namespaced(&rule) { &mut inside } else { &mut cluster };
            rules.entry((rule.group, rule.resource)).or_default().extend(rule.verbs);
        }
    }
    if !inside.is_empty() && request.namespaces.is_empty() {
        return Err(Error::invalid("executor.rbac", "these actions work within namespaces; name them"));
    }
    let mut objects = Vec::new();
    for namespace in request.namespaces.iter().filter(|_| !inside.is_empty()) {
        objects.extend(pair("Role", Some(namespace), request, &inside));
    }
    if !cluster.is_empty() {
        objects.extend(pair("ClusterRole", None, request, &cluster));
    }
    Ok(objects)
}

fn is_namespaced(rule: &RbacRule) -> bool {
    let plural = rule.resource.split('/').next().unwrap_or_default();
    well_known_kinds().iter().find(|k| k.plural == plural && k.group == rule.group).is_none_or(|k| k.namespaced)
}

/// What the gate reads for an action.
fn checks(spec: &ActionSpec) -> Vec<RbacRule> {
    let effect = effect_of(spec);
    if effect == Effect::Record {
        return Vec::new();
    }
    let mut kinds: Vec<(&str, &str)> = spec.target_kinds.iter().map(|kind| (kind.as_str(), "get")).collect();
    if spec.target_kinds.iter().any(|kind| kind == "Pod") || spec.target_kinds.iter().any(|kind| OWNERS.contains(&kind.as_str())) {
        kinds.extend(OWNERS.iter().map(|kind| (*kind, "get")));
    }
    kinds.push(("Namespace", "get"));
    match effect {
        Effect::Evict | Effect::Isolate => kinds.push(("PodDisruptionBudget", "list")),
        Effect::NodeClose => kinds.push(("Node", "list")),
        Effect::NodeDrain => kinds.extend([("Node", "list"), ("Pod", "list")]),
        Effect::Reroute => kinds.push(("Pod", "list")),
        Effect::Config => kinds.extend(["Deployment", "StatefulSet", "DaemonSet", "CronJob"].map(|kind| (kind, "list"))),
        _ => {}
    }
    kinds.into_iter().filter_map(|(kind, verb)| rule(kind, verb)).collect()
}

fn rule(kind: &str, verb: &str) -> Option<RbacRule> {
    let known = well_known_kinds().iter().find(|k| k.kind == kind)?;
    Some(RbacRule { group: known.group.into(), resource: known.plural.into(), verbs: vec![verb.into()] })
}

fn pair(kind: &str, namespace: Option<&String>, request: &RoleRequest, rules: &Rules) -> [Value; 2] {
    let mut metadata = json!({"name": request.name, "labels": {"app.kubernetes.io/managed-by": "kubernaut-actions-rbac"}});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    let rules: Vec<Value> =
        rules.iter().map(|((group, resource), verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})).collect();
    let (of, name) = &request.service_account;
    let api = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": format!("{api}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
        "roleRef": {"apiGroup": api, "kind": kind, "name": request.name},
        "subjects": [{"kind": "ServiceAccount", "namespace": of, "name": name}],
    });
    [role, binding]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{find_spec, registry};

    fn request(namespaces: &[&str]) -> RoleRequest {
        let namespaces = namespaces.iter().map(|n| (*n).to_owned()).collect();
        RoleRequest { name: "r".into(), namespaces, service_account: ("kubernaut".into(), "executor".into()) }
    }

    fn made(actions: &[&str], namespaces: &[&str]) -> Vec<Value> {
        let specs: Vec<&ActionSpec> = actions.iter().map(|a| find_spec(registry(), a).unwrap()).collect();
        roles(&specs, &request(namespaces)).unwrap()
    }

    fn rights(role: &Value) -> Vec<String> {
        let join = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect::<Vec<_>>().join(",");
        role["rules"].as_array().unwrap().iter().map(|r| format!("{} {}", join(&r["verbs"]), join(&r["resources"]))).collect()
    }

    #[test]
    fn an_action_gets_its_verbs_in_each_namespace_and_reading_for_the_checks() {
        let objects = made(&["scale_deployment"], &["a", "b"]);
        let kinds: Vec<_> = objects.iter().map(|o| o["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["Role", "RoleBinding", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]);
        assert!(rights(&objects[0]).contains(&"get,patch deployments".to_owned()), "{:?}", rights(&objects[0]));
        assert_eq!(rights(&objects[4]), ["get namespaces"]);
        assert_eq!(objects[1]["subjects"][0]["name"], "executor");
    }

    #[test]
    fn no_action_but_those_on_secrets_gets_a_verb_on_their_values() {
        for spec in registry().iter().filter(|s| s.family != "secret") {
            let Ok(objects) = roles(&[spec], &request(&["a"])) else { continue };
            let touches = objects.iter().filter(|o| !o["rules"].is_null()).flat_map(rights).find(|r| r.ends_with(" secrets"));
            let only_lists = spec.name == "patch_secret_reference";
            assert!(touches.is_none() || only_lists, "{}: {touches:?}", spec.name);
        }
    }

    #[test]
    fn a_node_action_needs_a_cluster_role_only() {
        let objects = made(&["cordon_node"], &[]);
        assert_eq!(objects[0]["kind"], "ClusterRole");
        assert!(rights(&objects[0]).contains(&"get,list,patch nodes".to_owned()), "{:?}", rights(&objects[0]));
        assert!(roles(&[], &request(&[])).is_err());
    }
}
