//! Whether a namespace is opted in to acting. Only for messages and the optional hold: the gate is the authority.

use kubernaut_core::{
    glob,
    model::{Object, ObjectRef},
    port::ClusterRead,
    service::CallContext,
};
use serde::{Deserialize, Serialize};

/// The label that opts a namespace in.
pub const MANAGED_LABEL: &str = "kubernaut.ai/managed";

/// What is opted in by configuration; keep it equal to the gate's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeConfig {
    /// Namespaces opted in without a label; `*` stands for any characters. Default: none.
    pub namespaces: Vec<String>,
}

/// Why objects of a namespace may not be changed; `None` if they may. `object` is the namespace as read.
#[must_use]
pub fn not_opted_in(config: &ScopeConfig, namespace: &str, object: Option<&Object>) -> Option<String> {
    let configured = config.namespaces.iter().any(|pattern| glob::matches(pattern, namespace));
    let labelled = object.and_then(|o| o.label(MANAGED_LABEL)) == Some("true");
    (!configured && !labelled).then(|| format!("namespace {namespace} is not opted in; label it {MANAGED_LABEL}=true or configure it"))
}

/// As [`not_opted_in`] for a target, with the namespace read now. Says nothing about cluster-scoped targets and unreadable namespaces.
pub(crate) async fn reason_for(cluster: &dyn ClusterRead, ctx: &CallContext, config: &ScopeConfig, target: &ObjectRef) -> Option<String> {
    let namespace = target.namespace.as_deref()?;
    let object = cluster.get(ctx.clone(), ObjectRef::new("Namespace", None, namespace)).await.ok()?;
    not_opted_in(config, namespace, object.as_ref())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_is_opted_in_by_label_or_configuration() {
        let labelled = Object::new(json!({"metadata": {"labels": {"kubernaut.ai/managed": "true"}}}));
        let refused = Object::new(json!({"metadata": {"labels": {"kubernaut.ai/managed": "false"}}}));
        let none = ScopeConfig::default();
        assert_eq!(not_opted_in(&none, "shop", Some(&labelled)), None);
        assert!(not_opted_in(&none, "shop", Some(&refused)).is_some());
        assert!(not_opted_in(&none, "shop", None).is_some());
        let configured = ScopeConfig { namespaces: vec!["shop-*".into()] };
        assert_eq!(not_opted_in(&configured, "shop-eu", None), None);
    }
}
