//! Which Kubernetes object.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// A reference to one Kubernetes object.
///
/// `Display` is the short form used in outputs: `Kind/namespace/name`, or `Kind/name` where cluster-scoped. Equality compares all fields;
/// use [`ObjectRef::same_object`] to compare what is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// The cluster's id; `None` is the only or default cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace; `None` for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// The object's uid where known; tells a successor of the same name apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl ObjectRef {
    /// A reference by kind; the group comes from the table of well-known kinds, else it is empty.
    pub fn new(kind: impl Into<String>, namespace: Option<&str>, name: impl Into<String>) -> Self {
        let kind = kind.into();
        let known = well_known(&kind);
        let namespaced = known.is_none_or(|k| k.namespaced);
        Self {
            cluster: None,
            group: known.map(|k| k.group.to_owned()).unwrap_or_default(),
            kind,
            namespace: namespace.filter(|n| namespaced && !n.is_empty()).map(str::to_owned),
            name: name.into(),
            uid: None,
        }
    }

    /// The same reference with a uid.
    #[must_use]
    pub fn with_uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// The same reference with an API group.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Whether both name the same object: kind, group, namespace and name; uids only where both are known.
    #[must_use]
    pub fn same_object(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.group == other.group
            && self.namespace == other.namespace
            && self.name == other.name
            && !matches!((&self.uid, &other.uid), (Some(a), Some(b)) if a != b)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

impl FromStr for ObjectRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [kind, name] if !kind.is_empty() && !name.is_empty() => Ok(Self::new(*kind, None, *name)),
            [kind, namespace, name] if !kind.is_empty() && !namespace.is_empty() && !name.is_empty() => Ok(Self::new(*kind, Some(namespace), *name)),
            _ => Err(Error::invalid("object_ref.parse", "expected Kind/namespace/name, or Kind/name where cluster-scoped").with("value", text)),
        }
    }
}

/// What is known about a built-in kind without asking a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownKind {
    /// Kind, such as `Deployment`.
    pub kind: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Preferred version.
    pub version: &'static str,
    /// Plural resource name.
    pub plural: &'static str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
}

impl KnownKind {
    /// `group/version`, or `version` for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// The built-in kind of that name.
#[must_use]
pub fn well_known(kind: &str) -> Option<&'static KnownKind> {
    WELL_KNOWN.iter().find(|k| k.kind == kind)
}

/// All built-in kinds that Kubernaut reads without discovery.
#[must_use]
pub fn well_known_kinds() -> &'static [KnownKind] {
    WELL_KNOWN
}

const fn known(kind: &'static str, group: &'static str, version: &'static str, plural: &'static str, namespaced: bool) -> KnownKind {
    KnownKind { kind, group, version, plural, namespaced }
}

static WELL_KNOWN: &[KnownKind] = &[
    known("Pod", "", "v1", "pods", true),
    known("Service", "", "v1", "services", true),
    known("ConfigMap", "", "v1", "configmaps", true),
    known("Secret", "", "v1", "secrets", true),
    known("Namespace", "", "v1", "namespaces", false),
    known("Node", "", "v1", "nodes", false),
    known("Event", "", "v1", "events", true),
    known("Endpoints", "", "v1", "endpoints", true),
    known("ServiceAccount", "", "v1", "serviceaccounts", true),
    known("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", true),
    known("PersistentVolume", "", "v1", "persistentvolumes", false),
    known("ResourceQuota", "", "v1", "resourcequotas", true),
    known("LimitRange", "", "v1", "limitranges", true),
    known("ReplicationController", "", "v1", "replicationcontrollers", true),
    known("Deployment", "apps", "v1", "deployments", true),
    known("ReplicaSet", "apps", "v1", "replicasets", true),
    known("StatefulSet", "apps", "v1", "statefulsets", true),
    known("DaemonSet", "apps", "v1", "daemonsets", true),
    known("ControllerRevision", "apps", "v1", "controllerrevisions", true),
    known("Job", "batch", "v1", "jobs", true),
    known("CronJob", "batch", "v1", "cronjobs", true),
    known("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers", true),
    known("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", true),
    known("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies", true),
    known("Ingress", "networking.k8s.io", "v1", "ingresses", true),
    known("IngressClass", "networking.k8s.io", "v1", "ingressclasses", false),
    known("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", true),
    known("StorageClass", "storage.k8s.io", "v1", "storageclasses", false),
    known("VolumeAttachment", "storage.k8s.io", "v1", "volumeattachments", false),
    known("PriorityClass", "scheduling.k8s.io", "v1", "priorityclasses", false),
    known("Role", "rbac.authorization.k8s.io", "v1", "roles", true),
    known("RoleBinding", "rbac.authorization.k8s.io", "v1", "rolebindings", true),
    known("ClusterRole", "rbac.authorization.k8s.io", "v1", "clusterroles", false),
    known("ClusterRoleBinding", "rbac.authorization.k8s.io", "v1", "clusterrolebindings", false),
    known("ValidatingWebhookConfiguration", "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", false),
    known("MutatingWebhookConfiguration", "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", false),
    known("Lease", "coordination.k8s.io", "v1", "leases", true),
    known("CustomResourceDefinition", "apiextensions.k8s.io", "v1", "customresourcedefinitions", false),
    known("APIService", "apiregistration.k8s.io", "v1", "apiservices", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_and_parse_agree_for_both_scopes() {
        for text in ["Deployment/shop/web", "Node/n1"] {
            assert_eq!(text.parse::<ObjectRef>().unwrap().to_string(), text);
        }
        assert!("Deployment//web".parse::<ObjectRef>().is_err());
        assert_eq!("Deployment/shop/web".parse::<ObjectRef>().unwrap().group, "apps");
    }

    #[test]
    fn a_successor_of_the_same_name_is_another_object() {
        let a = ObjectRef::new("Pod", Some("shop"), "web-0");
        assert!(a.same_object(&a.clone().with_uid("1")));
        assert!(!a.clone().with_uid("2").same_object(&a.with_uid("1")));
    }
}
