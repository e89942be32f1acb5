//! What tells incidents apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ObjectRef;

/// What a fingerprint is made of. Intake and the worker that re-keys an incident must use the same one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FingerprintStrategy {
    /// The top owner: all alerts about one workload are one incident.
    #[default]
    Owner,
    /// The top owner and the alert's name: each alert name is an incident of its own.
    OwnerAndAlert,
}

impl FingerprintStrategy {
    /// Hex SHA-256 of `cluster:namespace:kind:name` of the top owner, with `:alert` appended by [`FingerprintStrategy::OwnerAndAlert`].
    ///
    /// A namespace or a whole cluster is where an alert comes from, not what it is about, so there the alert's name is always part of it.
    #[must_use]
    pub fn fingerprint(self, cluster: &str, owner: &ObjectRef, alert_name: &str) -> String {
        let mut hash = Sha256::new();
        let namespace = owner.namespace.as_deref().unwrap_or_default();
        hash.update(format!("{cluster}:{namespace}:{}:{}", owner.kind, owner.name));
        if self == Self::OwnerAndAlert || matches!(owner.kind.as_str(), "Namespace" | "Cluster") {
            hash.update(format!(":{alert_name}"));
        }
        hex::encode(hash.finalize())
    }
}

/// The object that incidents about `target` belong to, from its owners as `ClusterRead::owners` gives them.
///
/// A node is never the owner: the mirror of a static pod names its node, but is not the node's incident. The uid is left out, so that a
/// workload that was created anew is still the same.
#[must_use]
pub fn top_owner(target: &ObjectRef, owners: &[ObjectRef]) -> ObjectRef {
    let mut owner = owners.iter().rev().find(|o| o.kind != "Node").unwrap_or(target).clone();
    owner.uid = None;
    owner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_of_the_owner_and_only_on_request_of_the_alert() {
        let owner = ObjectRef::new("Deployment", Some("shop"), "web");
        let by_owner = FingerprintStrategy::Owner;
        let known = hex::encode(Sha256::digest("c1:shop:Deployment:web"));
        assert_eq!(by_owner.fingerprint("c1", &owner, "A"), known);
        assert_eq!(by_owner.fingerprint("c1", &owner, "B"), known);
        let by_both = FingerprintStrategy::OwnerAndAlert;
        assert_ne!(by_both.fingerprint("c1", &owner, "A"), by_both.fingerprint("c1", &owner, "B"));
        assert_ne!(by_owner.fingerprint("c2", &owner, "A"), known);
    }

    #[test]
    fn unrelated_alerts_of_a_namespace_stay_apart() {
        let namespace = ObjectRef::new("Namespace", None, "shop");
        let strategy = FingerprintStrategy::Owner;
        assert_ne!(strategy.fingerprint("", &namespace, "A"), strategy.fingerprint("", &namespace, "B"));
    }

    #[test]
    fn a_node_does_not_own_its_static_pods() {
        let pod = ObjectRef::new("Pod", Some("kube-system"), "etcd-n1");
        assert_eq!(top_owner(&pod, &[ObjectRef::new("Node", None, "n1")]), pod);
        let owners = [ObjectRef::new("ReplicaSet", Some("s"), "web-1").with_uid("1"), ObjectRef::new("Deployment", Some("s"), "web").with_uid("2")];
        assert_eq!(top_owner(&pod, &owners), ObjectRef::new("Deployment", Some("s"), "web"));
    }
}
