//! Literal values in templates that look like credentials are not written, and who wrote which field is kept in short.

use std::collections::HashMap;

use kubernaut_core::redact::redact;
use serde_json::{Value, json};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Kinds whose writers say nothing about a fault; there are many of them.
const WITHOUT_WRITERS: &[&str] = &["Pod", "Event", "ReplicaSet", "ControllerRevision", "EndpointSlice", "Endpoints", "Lease"];

/// Replaces what looks like a credential. Equal values get equal marks, so that a change between two revisions still shows.
#[derive(Debug, Default)]
pub(super) struct Veil(HashMap<String, usize>);

impl Veil {
    /// Replaces the values of variables that are named like a credential, and credentials inside of other texts of the object.
    pub(super) fn cover(&mut self, object: &mut Value) {
        if let Some(text) = object.pointer(&format!("/metadata/annotations/{}", LAST_APPLIED.replace('/', "~1"))).and_then(Value::as_str)
            && let Ok(mut copy) = serde_json::from_str::<Value>(text)
        {
            self.walk(&mut copy);
            object["metadata"]["annotations"][LAST_APPLIED] = Value::String(copy.to_string());
        }
        for part in ["spec", "data"] {
            // A ConfigMap's content is what a diagnosis compares; only templates (ControllerRevisions keep theirs in `data`) are covered.
            if (part == "spec" || object["kind"] == "ControllerRevision")
                && let Some(value) = object.get_mut(part)
            {
                self.walk(value);
            }
        }
    }

    fn walk(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|v| self.walk(v)),
            Value::Object(fields) => {
                let secretive = fields.get("name").and_then(Value::as_str).is_some_and(is_secretive);
                if secretive && let Some(Value::String(text)) = fields.get_mut("value").filter(|v| v.as_str().is_some_and(|t| !t.is_empty())) {
                    *text = self.mark(text);
                }
                fields.iter_mut().filter(|(k, _)| *k != "value" || !secretive).for_each(|(_, v)| self.walk(v));
            }
            Value::String(text) => {
                if let std::borrow::Cow::Owned(clean) = redact(text) {
                    *text = clean;
                }
            }
            _ => {}
        }
    }

    fn mark(&mut self, text: &str) -> String {
        let next = self.0.len() + 1;
        format!("veiled-{}", self.0.entry(text.to_owned()).or_insert(next))
    }
}

/// Whether a variable's name says that its value is a credential.
fn is_secretive(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let says = ["PASSWORD", "PASSWD", "PWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY", "CREDENTIAL"]
        .iter()
        .any(|w| name.contains(w));
    let harmless = ["_FILE", "_PATH", "_NAME", "_TTL", "_URL", "_REF"].iter().any(|w| name.ends_with(w));
    says && !harmless
}

/// Who wrote which field of spec and data, without what a diagnosis does not read.
pub(super) fn shorten_managers(object: &mut Value) {
    let many = object["kind"].as_str().is_some_and(|k| WITHOUT_WRITERS.contains(&k));
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let Some(Value::Array(managers)) = metadata.remove("managedFields") else { return };
    let short: Vec<Value> = managers
        .iter()
        .filter(|m| m["subresource"].as_str().is_none_or(|s| s != "status"))
        .map(|m| json!({"manager": m["manager"], "operation": m["operation"], "time": m["time"], "fieldsV1": m["fieldsV1"]}))
        .collect();
    if !many && !short.is_empty() {
        metadata.insert("managedFields".to_owned(), Value::Array(short));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_templates_are_marked_and_a_change_of_one_still_shows() {
        let template = |password: &str| {
            json!({"kind": "ReplicaSet", "spec": {"template": {"spec": {"containers": [{"name": "app", "env": [
            {"name": "DB_PASSWORD", "value": password}, {"name": "DB_PASSWORD_FILE", "value": "/run/pw"},
            {"name": "DB", "value": "postgres://app:hunter2@db:5432/x"}]}]}}}})
        };
        let mut veil = Veil::default();
        let (mut old, mut new, mut same) = (template("hunter2"), template("hunter3"), template("hunter2"));
        [&mut old, &mut new, &mut same].into_iter().for_each(|o| veil.cover(o));
        let env = |o: &Value| o["spec"]["template"]["spec"]["containers"][0]["env"].clone();
        assert_eq!(env(&old), env(&same));
        assert_ne!(env(&old)[0], env(&new)[0]);
        assert_eq!(env(&old)[1]["value"], "/run/pw");
        let text = format!("{old}{new}");
        assert!(!text.contains("hunter") && text.contains("db:5432"), "{text}");
    }

    #[test]
    fn a_copy_in_an_annotation_is_covered_too() {
        let copy =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": [{"name": "API_TOKEN", "value": "abc123"}]}]}}}}).to_string();
        let mut object = json!({"kind": "Deployment", "metadata": {"annotations": {LAST_APPLIED: copy}}, "spec": {}});
        Veil::default().cover(&mut object);
        assert!(!object.to_string().contains("abc123"));
    }

    #[test]
    fn writers_of_specifications_are_kept_and_those_of_status_are_not() {
        let fields = json!([{"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {}}},
            {"manager": "kubelet", "subresource": "status", "fieldsV1": {}}]);
        let mut map = json!({"kind": "ConfigMap", "metadata": {"name": "a", "managedFields": fields.clone()}});
        let mut pod = json!({"kind": "Pod", "metadata": {"name": "a", "managedFields": fields}});
        shorten_managers(&mut map);
        shorten_managers(&mut pod);
        let kept = map["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!((kept.len(), &kept[0]["manager"], kept[0].get("fieldsType")), (1, &json!("kubectl-edit"), None));
        assert!(pod["metadata"].get("managedFields").is_none());
    }
}
