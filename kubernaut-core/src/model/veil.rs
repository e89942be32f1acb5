//! Changes as people and the audit trail may see them: values of environment variables are often secrets.

use serde_json::{Value, json};

use super::{ActionRequest, Analysis, Execution, FieldChange, Incident, Plan, Run};

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

/// The same for the parameters of an action.
#[must_use]
pub fn params(action: &str, params: &Value) -> Value {
    let mut shown = params.clone();
    if action != "patch_env" {
        return shown;
    }
    let hide = |value: &mut Value| {
        if !value.is_null() {
            *value = json!(HIDDEN);
        }
    };
    for path in ["/value", "/restore/value"] {
        shown.pointer_mut(path).into_iter().for_each(hide);
    }
    shown.pointer_mut("/set").and_then(Value::as_object_mut).into_iter().flat_map(|set| set.values_mut()).for_each(hide);
    shown
}

/// The same for a request; such a request can be shown, not carried out.
#[must_use]
pub fn request(request: ActionRequest) -> ActionRequest {
    ActionRequest { params: params(&request.action, &request.params), ..request }
}

/// The same for a plan; such a plan can be shown, not run.
#[must_use]
pub fn plan(mut plan: Plan) -> Plan {
    plan.steps.iter_mut().for_each(|step| step.params = params(&step.action, &step.params));
    plan
}

/// The same for the proposals of an analysis.
#[must_use]
pub fn analysis(mut analysis: Analysis) -> Analysis {
    analysis.actions.iter_mut().for_each(|action| action.params = params(&action.action, &action.params));
    analysis
}

/// The same for an incident.
#[must_use]
pub fn incident(incident: Incident) -> Incident {
    Incident { plan: incident.plan.map(plan), analysis: incident.analysis.map(analysis), ..incident }
}

/// The same for a run.
#[must_use]
pub fn run(mut run: Run) -> Run {
    run.plan = plan(run.plan);
    run.steps.iter_mut().for_each(|step| step.execution = step.execution.take().map(execution));
    run
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
        for given in [
            json!({"name": "TOKEN", "value": "s3cret"}),
            json!({"name": "TOKEN", "restore": {"name": "TOKEN", "value": "s3cret"}}),
            json!({"set": {"TOKEN": "s3cret"}}),
        ] {
            let shown = params("patch_env", &given).to_string();
            assert!(!shown.contains("s3cret") && shown.contains(HIDDEN) && shown.contains("TOKEN"), "{shown}");
            assert_eq!(params("patch_configmap", &given), given);
        }
        let gone = json!({"name": "TOKEN", "restore": null});
        assert_eq!(params("patch_env", &gone), gone);
        let other = FieldChange { path: "/spec/replicas".into(), before: Some(json!(1)), after: Some(json!(2)) };
        assert_eq!(changes(std::slice::from_ref(&other)), [other]);
    }
}
