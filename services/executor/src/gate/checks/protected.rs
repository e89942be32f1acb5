//! What is never changed.

use kubernaut_core::{glob, model::Object};

use super::super::{
    config::GateConfig,
    pass::{Scene, Verdict},
};

const MARK: &str = "kubernaut.ai/protected";
const CONTROL_PLANE: &[&str] = &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd"];

/// By these labels a component tells what it is part of.
const PART_OF: &[&str] = &["app.kubernetes.io/part-of", "app.kubernetes.io/name"];
/// Only the kubelet gives a pod this annotation: what it mirrors is a file on the node.
const STATIC_POD: &str = "kubernetes.io/config.mirror";

/// Refuses targets in protected namespaces, marked ones, those whose namespace or owner is marked, Kubernaut's own components, pods that mirror a
/// file on their node, and control-plane nodes.
pub(in super::super) fn protected(config: &GateConfig, scene: &Scene) -> Verdict {
    let namespace = scene.target.namespace().unwrap_or_default();
    let listed = config.protected_namespaces.iter().map(String::as_str).chain(config.own_namespace.as_deref()).any(|p| glob::matches(p, namespace));
    if listed && !namespace.is_empty() {
        return Verdict::fail(format!("namespace {namespace} is protected"));
    }
    let itself = namespace_itself(config, &scene.target);
    if let Some(name) = itself {
        return Verdict::fail(format!("namespace {name} is protected"));
    }
    let owners = scene.owners.iter().filter_map(|o| o.object.as_ref());
    let surroundings = || std::iter::once(&scene.target).chain(scene.namespace.as_ref()).chain(owners.clone());
    if let Some((marked, by)) = surroundings().find_map(|o| Some((o, marked_by(config, o)?))) {
        return Verdict::fail(format!("{} is protected by {by}", marked.reference()));
    }
    if let Some(own) = surroundings().find(|o| PART_OF.iter().any(|key| o.label(key) == Some("kubernaut"))) {
        return Verdict::fail(format!("{} is part of Kubernaut itself", own.reference()));
    }
    if scene.target.annotation(STATIC_POD).is_some() {
        return Verdict::fail(format!("{} mirrors a file on its node; change that file", scene.target.reference()));
    }
    if scene.target.kind() == "Node" && CONTROL_PLANE.iter().any(|role| scene.target.label(role).is_some()) {
        return Verdict::fail(format!("node {} is part of the control plane", scene.target.name()));
    }
    Verdict::pass("neither the target nor its namespace or owners are protected")
}

/// A protected namespace that is itself the target.
fn namespace_itself<'a>(config: &GateConfig, target: &'a Object) -> Option<&'a str> {
    let mut listed = config.protected_namespaces.iter().map(String::as_str).chain(config.own_namespace.as_deref());
    (target.kind() == "Namespace" && listed.any(|p| glob::matches(p, target.name()))).then(|| target.name())
}

/// The label or annotation that protects an object.
fn marked_by<'a>(config: &'a GateConfig, object: &Object) -> Option<&'a str> {
    let values = |key: &str| [object.label(key), object.annotation(key)].into_iter().flatten().map(str::to_owned).collect::<Vec<_>>();
    if values(MARK).iter().any(|v| v.eq_ignore_ascii_case("true")) {
        return Some(MARK);
    }
    let configured = config.protected_labels.iter().find(|mark| match mark.split_once('=') {
        Some((key, value)) => values(key).iter().any(|v| v == value),
        None => !values(mark).is_empty(),
    });
    configured.map(String::as_str)
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
    fn configured_labels_own_components_and_mirrored_files_are_protected() {
        let config = GateConfig { protected_labels: vec!["tier=data".into(), "hands-off".into()], ..GateConfig::default() };
        let outcome = |metadata: Value| protected(&config, &scene(object("Pod", "shop", metadata))).outcome == CheckOutcome::Fail;
        assert!(outcome(json!({"labels": {"tier": "data"}})) && outcome(json!({"annotations": {"hands-off": ""}})));
        assert!(!outcome(json!({"labels": {"tier": "web"}})));
        assert!(outcome(json!({"labels": {"app.kubernetes.io/part-of": "kubernaut"}})));
        assert!(outcome(json!({"annotations": {"kubernetes.io/config.mirror": "abc"}})));
        let namespace = Object::new(json!({"kind": "Namespace", "metadata": {"name": "kube-system"}}));
        assert_eq!(protected(&config, &scene(namespace)).outcome, CheckOutcome::Fail);
    }

    #[test]
    fn a_control_plane_node_is_protected() {
        let node = |labels: Value| scene(Object::new(json!({"kind": "Node", "metadata": {"name": "n", "labels": labels}})));
        assert!(refused(&node(json!({"node-role.kubernetes.io/control-plane": ""}))));
        assert!(!refused(&node(json!({"node-role.kubernetes.io/worker": ""}))));
    }
}
