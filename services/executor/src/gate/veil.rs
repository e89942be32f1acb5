//! Changes as the audit trail may show them: values of environment variables and content of ConfigMaps are often secrets.

use kubernaut_core::model::FieldChange;
use serde_json::{Value, json};

const HIDDEN: &str = "(hidden)";

/// The changes with values of environment variables and content of ConfigMaps hidden; names and paths stay.
pub(super) fn veiled(changes: &[FieldChange]) -> Vec<FieldChange> {
    changes.iter().map(|c| FieldChange { path: c.path.clone(), before: c.before.as_ref().map(|v| veil(&c.path, v)), after: c.after.as_ref().map(|v| veil(&c.path, v)) }).collect()
}

fn veil(path: &str, value: &Value) -> Value {
    let segments: Vec<&str> = path.rsplit('/').collect();
    match segments.as_slice() {
        ["value", _, "env", ..] | [_, "data", ""] => json!(HIDDEN),
        ["data", ""] => keys_only(value),
        [_, "env", ..] => variable(value),
        [last, ..] => inside(last, value),
        [] => inside("", value),
    }
}

fn inside(key: &str, value: &Value) -> Value {
    match value {
        Value::Array(items) if key == "env" => items.iter().map(variable).collect(),
        Value::Array(items) => items.iter().map(|item| inside("", item)).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(|(k, v)| (k.clone(), inside(k, v))).collect()),
        other => other.clone(),
    }
}

fn keys_only(value: &Value) -> Value {
    value.as_object().into_iter().flatten().map(|(key, _)| (key.clone(), json!(HIDDEN))).collect()
}

fn variable(value: &Value) -> Value {
    let mut variable = value.clone();
    if let Some(value) = variable.get_mut("value") {
        *value = json!(HIDDEN);
    }
    variable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_hidden_at_any_depth_and_nothing_else_is() {
        let env = json!([{"name": "TOKEN", "value": "s3cret"}, {"name": "REF", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
        let containers = json!([{"name": "app", "image": "app:1", "env": env}]);
        for (path, value) in [
            ("/spec/template/spec/containers/0/env/0/value", json!("s3cret")),
            ("/spec/template/spec/containers/0/env/0", env[0].clone()),
            ("/spec/template/spec/containers/0/env", env.clone()),
            ("/spec/template/spec/containers", containers.clone()),
            ("/data/app.conf", json!("password=s3cret")),
            ("/data", json!({"app.conf": "password=s3cret"})),
            ("/spec/template", json!({"spec": {"containers": containers}})),
        ] {
            let change = FieldChange { path: path.into(), before: Some(value), after: None };
            let shown = json!(veiled(&[change])).to_string();
            assert!(!shown.contains("s3cret") && shown.contains(HIDDEN), "{path}: {shown}");
        }
        let other = FieldChange { path: "/spec/replicas".into(), before: Some(json!(1)), after: Some(json!(2)) };
        assert_eq!(veiled(std::slice::from_ref(&other)), [other]);
    }
}
