//! What tells incidents apart.

use sha2::{Digest, Sha256};

use super::ObjectRef;

/// Hex SHA-256 of `cluster:namespace:kind:name` of the top owner, with `:alert_name` appended where each alert of an owner is to be its own
/// incident. The namespace of a cluster-scoped owner is empty.
#[must_use]
pub fn fingerprint(cluster: &str, owner: &ObjectRef, alert_name: Option<&str>) -> String {
    let mut text = format!("{cluster}:{}:{}:{}", owner.namespace.as_deref().unwrap_or_default(), owner.kind, owner.name);
    if let Some(name) = alert_name {
        text.push(':');
        text.push_str(name);
    }
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_owner_and_where_wanted_the_alert_tell_incidents_apart() {
        let web: ObjectRef = "Deployment/shop/web".parse().unwrap();
        let base = fingerprint("c1", &web, None);
        assert_eq!(base, hex::encode(Sha256::digest(b"c1:shop:Deployment:web")));
        assert_eq!(base, fingerprint("c1", &web.clone().with_uid("1"), None), "a recreated owner is the same owner");
        assert_ne!(base, fingerprint("c2", &web, None));
        assert_ne!(base, fingerprint("c1", &web, Some("Down")));
        assert_eq!(fingerprint("c1", &ObjectRef::new("Node", None, "n1"), None), hex::encode(Sha256::digest(b"c1::Node:n1")));
    }
}
