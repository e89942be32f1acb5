//! Where a kind lives in the API.

use kubernaut_core::model::KnownKind;

/// A kind's place in the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) kind: String,
    /// `group/version`, or `version` for the core group.
    pub(super) api_version: String,
    pub(super) plural: String,
    pub(super) namespaced: bool,
}

impl From<&KnownKind> for Resource {
    fn from(known: &KnownKind) -> Self {
        Self { kind: known.kind.into(), api_version: known.api_version(), plural: known.plural.into(), namespaced: known.namespaced }
    }
}

impl Resource {
    /// The path of all objects, in one namespace where given.
    pub(super) fn collection(&self, namespace: Option<&str>) -> Option<String> {
        let root = if self.api_version.contains('/') { "/apis" } else { "/api" };
        let base = format!("{root}/{}", self.api_version);
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => Some(format!("{base}/namespaces/{}/{}", segment(namespace)?, self.plural)),
            None => Some(format!("{base}/{}", self.plural)),
        }
    }

    /// The path of one object; `None` if no object can have that name.
    pub(super) fn object(&self, namespace: Option<&str>, name: &str) -> Option<String> {
        if self.namespaced && namespace.is_none_or(str::is_empty) {
            return None;
        }
        Some(format!("{}/{}", self.collection(namespace)?, segment(name)?))
    }
}

/// A name as a path segment. Names come from alerts, so one that would lead elsewhere must not pass.
pub(super) fn segment(name: &str) -> Option<String> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '%']) {
        return None;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:".contains(&b);
    Some(name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect())
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::well_known;

    use super::*;

    fn of(kind: &str) -> Resource {
        well_known(kind).unwrap().into()
    }

    #[test]
    fn paths_follow_group_and_scope() {
        assert_eq!(of("Pod").object(Some("shop"), "web-1").unwrap(), "/api/v1/namespaces/shop/pods/web-1");
        assert_eq!(of("Deployment").collection(None).unwrap(), "/apis/apps/v1/deployments");
        assert_eq!(of("Node").object(Some("ignored"), "n1").unwrap(), "/api/v1/nodes/n1");
        assert_eq!(of("ClusterRole").object(None, "system:node").unwrap(), "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node");
        assert_eq!(of("Pod").object(None, "web-1"), None);
    }

    #[test]
    fn a_name_cannot_lead_to_another_path() {
        for name in ["../secrets/token", "..", "a%2f..", ""] {
            assert_eq!(of("Pod").object(Some("shop"), name), None, "{name}");
            assert_eq!(of("Pod").object(Some(name), "web").as_deref(), None, "{name}");
        }
        assert_eq!(of("Pod").object(Some("shop"), "a?b c#d").unwrap(), "/api/v1/namespaces/shop/pods/a%3Fb%20c%23d");
    }
}
