//! What is never changed.

use kubernaut_core::{glob, model::Object};

use super::super::{
    config::GateConfig,
    pass::{Scene, Verdict},
};

const MARK: &str = "kubernaut.ai/protected";
const CONTROL_PLANE: &[&str] = &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd"];

/// Refuses targets in protected namespaces, marked ones, those whose namespace or owner is marked, and control-plane nodes.
pub(in super::super) fn protected(config: &GateConfig, scene: &Scene) -> Verdict {
    let namespace = scene.target.namespace().unwrap_or_default();
    let listed = config.protected_namespaces.iter().map(String::as_str).chain(config.own_namespace.as_deref()).any(|p| glob::matches(p, namespace));
    if listed && !namespace.is_empty() {
        return Verdict::fail(format!("namespace {namespace} is protected"));
    }
    let owners = scene.owners.iter().filter_map(|o| o.object.as_ref());
    if let Some(marked) = std::iter::once(&scene.target).chain(scene.namespace.as_ref()).chain(owners).find(|o| is_marked(o)) {
        return Verdict::fail(format!("{} is protected by {MARK}", marked.reference()));
    }
    if scene.target.kind() == "Node" && CONTROL_PLANE.iter().any(|role| scene.target.label(role).is_some()) {
        return Verdict::fail(format!("node {} is part of the control plane", scene.target.name()));
    }
    Verdict::pass("neither the target nor its namespace or owners are protected")
}

fn is_marked(object: &Object) -> bool {
    let set = |value: Option<&str>| value.is_some_and(|v| v.eq_ignore_ascii_case("true"));
    set(object.label(MARK)) || set(object.annotation(MARK))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::CheckOutcome;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::pass::Owner;

    fn object(kind: &str, namespace: &str, metadata: Value) -> Object {
        let mut metadata = metadata;
        metadata["name"] = json!("x");
        metadata["namespace"] = json!(namespace);
        Object::new(json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    }

    fn scene(target: Object) -> Scene {
        Scene { target, namespace: None, owners: Vec::new() }
    }

    fn refused(scene: &Scene) -> bool {
        let config = GateConfig { own_namespace: Some("kubernaut".into()), ..GateConfig::default() };
        protected(&config, scene).outcome == CheckOutcome::Fail
    }

    #[test]
    fn system_namespaces_and_the_own_one_are_protected() {
        for (namespace, expected) in [("kube-system", true), ("kubernaut", true), ("shop", false), ("my-kube-system", false)] {
            assert_eq!(refused(&scene(object("Pod", namespace, json!({})))), expected, "{namespace}");
        }
    }

    #[test]
    fn a_mark_on_target_namespace_or_owner_protects() {
        let marked = || json!({"annotations": {MARK: "true"}});
        assert!(refused(&scene(object("Pod", "shop", json!({"labels": {MARK: "true"}})))));
        assert!(!refused(&scene(object("Pod", "shop", json!({"labels": {MARK: "false"}})))));
        let mut by_namespace = scene(object("Pod", "shop", json!({})));
        by_namespace.namespace = Some(object("Namespace", "", marked()));
        assert!(refused(&by_namespace));
        let mut by_owner = scene(object("Pod", "shop", json!({})));
        let owner = object("Deployment", "shop", marked());
        by_owner.owners = vec![Owner { reference: owner.reference(), object: Some(owner) }];
        assert!(refused(&by_owner));
    }

    #[test]
    fn a_control_plane_node_is_protected() {
        let node = |labels: Value| scene(Object::new(json!({"kind": "Node", "metadata": {"name": "n", "labels": labels}})));
        assert!(refused(&node(json!({"node-role.kubernetes.io/control-plane": ""}))));
        assert!(!refused(&node(json!({"node-role.kubernetes.io/worker": ""}))));
    }
}
