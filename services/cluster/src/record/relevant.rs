//! Which objects outside a namespace matter to it.

use kubernaut_core::model::Object;
use serde_json::Value;

/// Namespace and name of a Service.
pub(super) type Backend = (String, String);

/// A volume of one of the namespace's claims, or one that a claim could still get.
pub(super) fn volume(volume: &Object, namespace: &str) -> bool {
    volume.str_at("/spec/claimRef/namespace").is_none_or(|n| n == namespace)
}

/// A cluster-wide binding that gives rights to the namespace's service accounts.
pub(super) fn binding(binding: &Object, namespace: &str) -> bool {
    let group = format!("system:serviceaccounts:{namespace}");
    binding.list_at("/subjects").iter().any(|s| match s["kind"].as_str() {
        Some("ServiceAccount") => s["namespace"] == namespace,
        Some("Group") => s["name"] == group || s["name"] == "system:serviceaccounts",
        _ => false,
    })
}

/// Whether a binding gives the rights of this cluster role.
pub(super) fn names_role(binding: &Object, role: &Object) -> bool {
    binding.str_at("/roleRef/kind") == Some("ClusterRole") && binding.str_at("/roleRef/name") == Some(role.name())
}

/// The Services that a webhook configuration or an aggregated API calls.
pub(super) fn backends(object: &Object) -> Vec<Backend> {
    let services: Vec<&Value> = match object.kind() {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            object.list_at("/webhooks").iter().map(|w| &w["clientConfig"]["service"]).collect()
        }
        "APIService" => object.at("/spec/service").into_iter().collect(),
        _ => Vec::new(),
    };
    let named = services.into_iter().filter_map(|s| Some((s["namespace"].as_str()?.to_owned(), s["name"].as_str()?.to_owned())));
    named.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belongs_to_other_namespaces_is_left_out() {
        let bound = |namespace: &str| Object::new(json!({"spec": {"claimRef": {"namespace": namespace}}}));
        assert!(volume(&bound("shop"), "shop") && !volume(&bound("other"), "shop") && volume(&Object::new(json!({"spec": {}})), "shop"));
        let to = |subject: Value| Object::new(json!({"subjects": [subject], "roleRef": {"kind": "ClusterRole", "name": "view"}}));
        assert!(binding(&to(json!({"kind": "ServiceAccount", "namespace": "shop", "name": "a"})), "shop"));
        assert!(!binding(&to(json!({"kind": "ServiceAccount", "namespace": "other", "name": "a"})), "shop"));
        assert!(binding(&to(json!({"kind": "Group", "name": "system:serviceaccounts:shop"})), "shop"));
        assert!(!binding(&to(json!({"kind": "User", "name": "shop"})), "shop"));
    }

    #[test]
    fn backends_of_webhooks_and_aggregated_apis_are_found() {
        let hooks = Object::new(
            json!({"kind": "ValidatingWebhookConfiguration", "webhooks": [{"clientConfig": {"service": {"namespace": "a", "name": "b"}}}, {"clientConfig": {"url": "https://x"}}]}),
        );
        assert_eq!(backends(&hooks), [("a".to_owned(), "b".to_owned())]);
        let local = Object::new(json!({"kind": "APIService", "spec": {"service": null}}));
        assert!(backends(&local).is_empty());
    }
}
