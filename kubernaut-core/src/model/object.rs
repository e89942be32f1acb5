//! A Kubernetes object as read: JSON with helpers that never fail on missing parts.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{ObjectRef, Timestamp};

/// An object as the API server (or a bundle) gives it. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(Arc<Value>);

impl Object {
    /// Wraps a JSON object; `apiVersion` and `kind` should be set.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self(Arc::new(value))
    }

    /// The whole JSON.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The value at a JSON pointer such as `/spec/replicas`.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer).filter(|v| !v.is_null())
    }

    /// The string at a JSON pointer.
    #[must_use]
    pub fn str_at(&self, pointer: &str) -> Option<&str> {
        self.at(pointer).and_then(Value::as_str)
    }

    /// The integer at a JSON pointer.
    #[must_use]
    pub fn i64_at(&self, pointer: &str) -> Option<i64> {
        self.at(pointer).and_then(Value::as_i64)
    }

    /// The boolean at a JSON pointer.
    #[must_use]
    pub fn bool_at(&self, pointer: &str) -> Option<bool> {
        self.at(pointer).and_then(Value::as_bool)
    }

    /// The list at a JSON pointer; empty where absent.
    #[must_use]
    pub fn list_at(&self, pointer: &str) -> &[Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The string map at a JSON pointer, such as labels or a selector; empty where absent.
    #[must_use]
    pub fn map_at(&self, pointer: &str) -> BTreeMap<&str, &str> {
        let entries = self.at(pointer).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(k, v)| Some((k.as_str(), v.as_str()?))).collect()
    }

    /// The RFC 3339 time at a JSON pointer.
    #[must_use]
    pub fn time_at(&self, pointer: &str) -> Option<Timestamp> {
        self.str_at(pointer)?.parse().ok()
    }

    /// `kind`; empty where absent.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.str_at("/kind").unwrap_or_default()
    }

    /// `apiVersion`; empty where absent.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.str_at("/apiVersion").unwrap_or_default()
    }

    /// API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// `metadata.name`; empty where absent.
    #[must_use]
    pub fn name(&self) -> &str {
        self.str_at("/metadata/name").unwrap_or_default()
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.str_at("/metadata/namespace")
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.str_at("/metadata/uid")
    }

    /// `metadata.resourceVersion`.
    #[must_use]
    pub fn resource_version(&self) -> Option<&str> {
        self.str_at("/metadata/resourceVersion")
    }

    /// `metadata.creationTimestamp`.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.time_at("/metadata/creationTimestamp")
    }

    /// One label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.at("/metadata/labels")?.get(key)?.as_str()
    }

    /// One annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.at("/metadata/annotations")?.get(key)?.as_str()
    }

    /// All labels.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        self.map_at("/metadata/labels")
    }

    /// All annotations.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<&str, &str> {
        self.map_at("/metadata/annotations")
    }

    /// The reference to this object, uid included.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            cluster: None,
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
            uid: self.uid().map(str::to_owned),
        }
    }

    /// The owner that controls this object (`ownerReferences` with `controller: true`, else the only one).
    #[must_use]
    pub fn controller(&self) -> Option<ObjectRef> {
        let owners = self.list_at("/metadata/ownerReferences");
        let owner = owners.iter().find(|o| o["controller"] == true).or_else(|| owners.first().filter(|_| owners.len() == 1))?;
        let group = owner["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(g, _)| g);
        let mut reference = ObjectRef::new(owner["kind"].as_str()?, self.namespace(), owner["name"].as_str()?).with_group(group);
        reference.uid = owner["uid"].as_str().map(str::to_owned);
        Some(reference)
    }

    /// The pod spec: of a Pod itself, or of the template of a workload (Deployment, Job, CronJob …).
    #[must_use]
    pub fn pod_spec(&self) -> Option<&Value> {
        match self.kind() {
            "Pod" => self.at("/spec"),
            "CronJob" => self.at("/spec/jobTemplate/spec/template/spec"),
            _ => self.at("/spec/template/spec"),
        }
    }

    /// The status condition of that type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Value> {
        self.list_at("/status/conditions").iter().find(|c| c["type"] == kind)
    }
}

impl From<Value> for Object {
    fn from(value: Value) -> Self {
        Self::new(value)
    }
}

/// Whether `labels` satisfy a Kubernetes label selector (`matchLabels` and `matchExpressions`). An empty selector matches all.
#[must_use]
pub fn selector_matches(selector: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten().all(|(k, v)| labels.get(k.as_str()).copied() == v.as_str());
    equal && selector["matchExpressions"].as_array().into_iter().flatten().all(|e| expression_matches(e, labels))
}

fn expression_matches(expression: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let value = labels.get(expression["key"].as_str().unwrap_or_default()).copied();
    let listed = || expression["values"].as_array().into_iter().flatten().any(|v| v.as_str() == value);
    match expression["operator"].as_str() {
        Some("In") => value.is_some() && listed(),
        Some("NotIn") => value.is_none() || !listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selector_follows_kubernetes_operators() {
        let labels = BTreeMap::from([("app", "web"), ("tier", "front")]);
        let matches = |s: Value| selector_matches(&s, &labels);
        assert!(matches(json!({})));
        assert!(matches(json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]})));
        assert!(!matches(json!({"matchLabels": {"app": "api"}})));
        assert!(matches(json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]})));
        assert!(!matches(json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]})));
    }

    #[test]
    fn controller_is_the_marked_owner() {
        let pod = Object::new(json!({"metadata": {"namespace": "s", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "1"},
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "2", "controller": true}]}}));
        assert_eq!(pod.controller().unwrap().to_string(), "ReplicaSet/s/r");
    }
}
