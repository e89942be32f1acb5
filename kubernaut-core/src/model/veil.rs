//! Changes as people and the audit trail may see them: values of environment variables are often secrets.

use serde_json::{Value, json};

use super::{Execution, FieldChange};

const HIDDEN: &str = "(hidden)";

/// The changes with values of environment variables hidden; names and paths stay.
#[must_use]
pub fn changes(changes: &[FieldChange]) -> Vec<FieldChange> {
    let hidden = |path: &str, value: &Option<Value>| value.as_ref().map(|v| field(path, v));
    changes.iter().map(|c| FieldChange { path: c.path.clone(), before: hidden(&c.path, &c.before), after: hidden(&c.path, &c.after) }).collect()
}

/// The same for fields by their path, as what is needed to take an action back.
#[must_use]
pub fn state(fields: &Value) -> Value {
    match fields {
        Value::Object(fields) => fields.iter().map(|(path, value)| (path.clone(), field(path, value))).collect(),
        other => other.clone(),
    }
}

/// The same for an execution.
#[must_use]
pub fn execution(execution: Execution) -> Execution {
    Execution { changes: changes(&execution.changes), pre_state: state(&execution.pre_state), ..execution }
}

/// The value at a path, hidden where it is one of an environment variable.
#[must_use]
pub fn field(path: &str, value: &Value) -> Value {
    let segments: Vec<&str> = path.rsplit('/').collect();
    match segments.as_slice() {
        ["value", _, "env", ..] if !value.is_null() => json!(HIDDEN),
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
            ("/spec/template", json!({"spec": {"containers": containers}})),
        ] {
            let change = FieldChange { path: path.into(), before: Some(value), after: None };
            let before = json!({path: change.before});
            for shown in [json!(changes(&[change])).to_string(), state(&before).to_string()] {
                assert!(!shown.contains("s3cret") && shown.contains(HIDDEN), "{path}: {shown}");
            }
        }
        let other = FieldChange { path: "/spec/replicas".into(), before: Some(json!(1)), after: Some(json!(2)) };
        assert_eq!(changes(std::slice::from_ref(&other)), [other]);
    }
}
