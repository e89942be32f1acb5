//! What a write changes, field by field, and the digest an approval is bound to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::audit::sorted;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// JSON pointer, such as `/spec/replicas`.
    pub path: String,
    /// Before; `None` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// After; `None` if removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The fields in which two values differ, in path order. Server bookkeeping (`managedFields`, `resourceVersion`, `generation`, `status`) is left out.
#[must_use]
pub fn diff_values(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    walk("", Some(before), Some(after), &mut changes);
    changes
}

const BOOKKEEPING: &[&str] = &["/metadata/managedFields", "/metadata/resourceVersion", "/metadata/generation", "/status"];

fn walk(path: &str, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<FieldChange>) {
    if before == after || BOOKKEEPING.contains(&path) {
        return;
    }
    match (before, after) {
        (Some(Value::Object(b)), Some(Value::Object(a))) => {
            let mut keys: Vec<&String> = b.keys().chain(a.keys().filter(|k| !b.contains_key(*k))).collect();
            keys.sort();
            for key in keys {
                walk(&format!("{path}/{}", escape(key)), b.get(key), a.get(key), out);
            }
        }
        (Some(Value::Array(b)), Some(Value::Array(a))) if b.len() == a.len() => {
            for (i, (x, y)) in b.iter().zip(a).enumerate() {
                walk(&format!("{path}/{i}"), Some(x), Some(y), out);
            }
        }
        _ => out.push(FieldChange { path: path.to_owned(), before: before.cloned(), after: after.cloned() }),
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Hex SHA-256 over one JSON object `{action, changes, target, uid}` without spaces, keys sorted; `target` in its short form. Equal digests mean
/// the same effect on the same object.
///
/// Volatile stamps are excluded by the caller: pass only changes that describe the effect.
#[must_use]
pub fn diff_digest(action: &str, target: &super::ObjectRef, changes: &[FieldChange]) -> String {
    let body = serde_json::json!({ "action": action, "target": target.to_string(), "uid": target.uid, "changes": changes });
    hex::encode(Sha256::digest(sorted(&body).to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn diff_names_fields_and_leaves_bookkeeping_out() {
        let before = json!({"metadata": {"resourceVersion": "1", "labels": {"a/b": "x"}}, "spec": {"replicas": 1, "gone": true}});
        let after = json!({"metadata": {"resourceVersion": "2", "labels": {"a/b": "y"}}, "spec": {"replicas": 2}});
        let paths: Vec<_> = diff_values(&before, &after).into_iter().map(|c| c.path).collect();
        assert_eq!(paths, ["/metadata/labels/a~1b", "/spec/gone", "/spec/replicas"]);
    }
}
