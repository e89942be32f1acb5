//! Names that mean the same action, and the intents that one action's parameters can have.

use std::collections::BTreeSet;

use serde_json::Value;

/// Actions that change nothing.
pub(super) const REST: &[&str] = &["no_action", "escalate", "notify_only"];

const SAME: &[(&str, &str)] = &[
    ("scale_deployment", "scale_replicas"),
    ("scale_statefulset", "scale_replicas"),
    ("restore_replicas", "scale_replicas"),
    ("patch_hpa", "patch_hpa_max"),
    ("update_hpa", "patch_hpa_max"),
    ("restart_pod", "delete_pod"),
    ("set_resources", "set_resource_limits"),
    ("increase_resources", "set_resource_limits"),
    ("patch_image", "fix_image_reference"),
    ("untaint_node", "remove_taint"),
    ("update_network_policy", "patch_network_policy"),
];

/// All names by which an action may be expected.
pub(super) fn action_names(action: &str, params: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::from([action.to_owned()]);
    if let Some((_, same)) = SAME.iter().find(|(name, _)| *name == action) {
        names.insert((*same).to_owned());
    }
    if matches!(action, "set_resources" | "set_resource_limits" | "increase_resources") {
        for path in paths(params) {
            if path.contains("limit") && path.contains("memory") {
                names.insert("increase_memory_limit".into());
            }
            if path.contains("limit") && path.contains("cpu") {
                names.insert("increase_cpu_limit".into());
            }
            if path.contains("request") {
                names.extend(["reduce_requests".into(), "set_resource_requests".into()]);
            }
        }
    }
    names
}

/// Every field path of a value, in lower case.
fn paths(value: &Value) -> Vec<String> {
    leaves_at(value, "").into_iter().map(|(path, _)| path.to_lowercase()).collect()
}

/// Every last key with its value, keys in snake case.
pub(super) fn leaves(value: &Value) -> Vec<(String, String)> {
    let named = leaves_at(value, "").into_iter().filter(|(path, _)| !path.is_empty());
    named.map(|(path, leaf)| (snake(path.rsplit('.').next().unwrap_or_default()), text(&leaf))).collect()
}

fn leaves_at(value: &Value, at: &str) -> Vec<(String, Value)> {
    match value {
        Value::Object(map) => map.iter().flat_map(|(k, v)| leaves_at(v, &format!("{at}.{k}"))).collect(),
        Value::Array(items) => items.iter().flat_map(|v| leaves_at(v, at)).collect(),
        leaf => vec![(at.to_owned(), leaf.clone())],
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn snake(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Whether all wanted parameters are there, whatever their nesting and spelling.
pub(super) fn given(want: &Value, got: &Value) -> bool {
    let have = leaves(got);
    leaves(want).iter().all(|leaf| have.contains(leaf))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_compare_whatever_their_spelling_and_nesting() {
        assert!(given(&json!({"to_revision": 1}), &json!({"deployment": {"toRevision": 1}})));
        assert!(!given(&json!({"to_revision": 1}), &json!({"to_revision": 2})));
    }

    #[test]
    fn one_action_has_the_intents_of_its_fields() {
        let names = action_names("set_resources", &json!({"limits": {"memory": "128Mi"}}));
        assert!(names.contains("increase_memory_limit") && !names.contains("increase_cpu_limit"));
        assert!(action_names("restart_pod", &Value::Null).contains("delete_pod"));
    }
}
