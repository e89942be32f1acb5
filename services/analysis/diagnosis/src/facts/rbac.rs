//! RBAC: what a service account may do, as far as roles and bindings were read.

use kubernaut_core::model::Object;
use serde_json::Value;

use super::Facts;

/// A right that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) account: String,
    pub(crate) account_namespace: String,
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    /// The namespace it was asked for; empty for the whole cluster.
    pub(crate) namespace: String,
}

impl Right {
    /// Reads `system:serviceaccount:NS:NAME|verb|group|resource|namespace`.
    pub(crate) fn parse(subject: &str) -> Option<Self> {
        let mut parts = subject.split('|');
        let mut user = parts.next()?.strip_prefix("system:serviceaccount:")?.splitn(2, ':');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        Some(Self {
            account_namespace: user.next()?.to_owned(),
            account: user.next()?.to_owned(),
            verb: next(),
            group: next(),
            resource: next(),
            namespace: next(),
        })
    }
}

/// Whether a role's rules grant a right.
pub(crate) fn grants(role: &Object, right: &Right) -> bool {
    let has = |list: &Value, wanted: &str| list.as_array().into_iter().flatten().any(|v| v == "*" || v == wanted);
    role.list_at("/rules")
        .iter()
        .any(|r| has(&r["verbs"], &right.verb) && has(&r["apiGroups"], &right.group) && has(&r["resources"], &right.resource))
}

/// Whether a binding names the account.
pub(crate) fn binds(binding: &Object, right: &Right) -> bool {
    binding.list_at("/subjects").iter().any(|s| match s["kind"].as_str() {
        Some("ServiceAccount") => {
            s["name"] == right.account.as_str() && s["namespace"].as_str().or(binding.namespace()) == Some(&right.account_namespace)
        }
        Some("Group") => {
            s["name"] == "system:serviceaccounts" || s["name"].as_str() == Some(&format!("system:serviceaccounts:{}", right.account_namespace))
        }
        _ => false,
    })
}

/// The role that a binding refers to.
pub(crate) fn role_of<'a>(facts: &'a Facts, binding: &Object) -> Option<&'a Object> {
    let name = binding.str_at("/roleRef/name")?;
    match binding.str_at("/roleRef/kind") {
        Some("ClusterRole") => facts.store.get("ClusterRole", None, name),
        _ => facts.store.get("Role", binding.namespace(), name),
    }
}
