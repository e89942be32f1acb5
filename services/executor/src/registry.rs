//! The registry: which actions exist, under which names, with which parameters.

use std::sync::LazyLock;

use jsonschema::Validator;
use kubernaut_core::{
    Error, Result,
    model::{ActionRequest, ActionSpec},
};
use serde_json::{Map, Value};

use crate::{
    action::{Action, Effect},
    actions::ALL,
    alias, outside,
};

const OPERATION: &str = "executor.request";

static SPECS: LazyLock<Vec<ActionSpec>> = LazyLock::new(|| ALL.iter().map(|a| a.spec()).collect());
static VALIDATORS: LazyLock<Vec<(&'static str, Result<Validator, String>)>> =
    LazyLock::new(|| SPECS.iter().map(|spec| (spec.name.as_str(), compile(&spec.parameters))).collect());

/// The actions that [`KubeExecutor`](crate::KubeExecutor) offers.
#[must_use]
pub fn registry() -> &'static [ActionSpec] {
    &SPECS
}

/// The spec of an action by its name or one of its aliases.
#[must_use]
pub fn find_spec<'a>(specs: &'a [ActionSpec], name: &str) -> Option<&'a ActionSpec> {
    specs.iter().find(|s| s.name == name).or_else(|| specs.iter().find(|s| s.aliases.iter().any(|a| a == name)))
}

/// The action of a request, by name or alias.
pub(crate) fn find(name: &str) -> Option<&'static Action> {
    let by_alias = |a: &&Action| a.aliases.contains(&name) || alias::of(a.name).any(|alias| alias == name);
    ALL.iter().copied().find(|a| a.name == name).or_else(|| ALL.iter().copied().find(by_alias))
}

/// Whether an action is called so itself, rather than by another name.
pub(crate) fn is_own_name(name: &str) -> bool {
    ALL.iter().any(|a| a.name == name)
}

/// The effect of an action that another executor may offer under the same name.
pub(crate) fn effect_of(spec: &ActionSpec) -> Effect {
    let own = find(&spec.name).filter(|a| a.family == spec.family).map(|a| a.effect);
    own.or_else(|| outside::effect_of(spec)).unwrap_or(Effect::Other)
}

/// Whether the target of an action comes into being by it, so that it need not exist.
pub(crate) fn creates(spec: &ActionSpec) -> bool {
    find(&spec.name).is_some_and(|a| a.family == spec.family && a.extra().creates)
}

fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::validator_for(schema).map_err(|e| e.to_string())
}

/// Checks key, kind of target and parameters of a request against a spec.
///
/// # Errors
/// `InvalidInput` that names the first fault.
pub(crate) fn validate(spec: &ActionSpec, request: &ActionRequest) -> Result<()> {
    check_key(&request.key)?;
    if !spec.target_kinds.is_empty() && !spec.target_kinds.contains(&request.target.kind) {
        let kinds = spec.target_kinds.join(", ");
        return Err(Error::invalid(OPERATION, format!("{} works on {kinds}, not on {}", spec.name, request.target)));
    }
    check_params(spec, &request.params)
}

/// A key goes into an annotation and a list of keys, so it must be one short word.
fn check_key(key: &str) -> Result<()> {
    let fine = (1..=200).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if fine { Ok(()) } else { Err(Error::invalid(OPERATION, "the idempotency key must be 1 to 200 visible ASCII characters").with("key", key)) }
}

fn check_params(spec: &ActionSpec, params: &Value) -> Result<()> {
    let empty = Value::Object(Map::new());
    let params = if params.is_null() { &empty } else { params };
    let own = SPECS.iter().find(|s| *s == spec).and_then(|s| VALIDATORS.iter().find(|(name, _)| *name == s.name));
    match own {
        Some((_, Ok(validator))) => first_fault(spec, validator, params),
        _ => first_fault(spec, &compile(&spec.parameters).map_err(|e| bad_schema(spec, &e))?, params),
    }
}

fn bad_schema(spec: &ActionSpec, cause: &str) -> Error {
    Error::internal(OPERATION, format!("the parameter schema of {} is not valid: {cause}", spec.name))
}

/// Parameters of these actions may hold secrets.
const VEILED: &[&str] = &["patch_env", "patch_command", "patch_configmap"];

fn first_fault(spec: &ActionSpec, validator: &Validator, params: &Value) -> Result<()> {
    let Some(fault) = validator.iter_errors(params).next() else { return Ok(()) };
    let text = if VEILED.contains(&spec.name.as_str()) { fault.masked().to_string() } else { fault.to_string() };
    Err(Error::invalid(OPERATION, format!("parameters of {}: {text}", spec.name)).with("at", format!("/params{}", fault.instance_path())))
}

/// The error for a name that no action has.
pub(crate) fn unknown(name: &str) -> Error {
    let known: Vec<&str> = ALL.iter().map(|a| a.name).collect();
    Error::invalid(OPERATION, format!("no such action; offered are {}", known.join(", "))).with("action", name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kubernaut_core::model::{ObjectRef, Risk};
    use serde_json::json;

    use super::*;

    fn request(action: &str, kind: &str, params: Value) -> ActionRequest {
        ActionRequest { action: action.into(), target: ObjectRef::new(kind, Some("shop"), "web"), params, key: "k".into() }
    }

    fn fault(action: &str, kind: &str, params: Value) -> String {
        validate(find_spec(registry(), action).unwrap(), &request(action, kind, params)).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn names_and_aliases_are_unique_and_each_is_found() {
        let names: Vec<&str> = registry().iter().flat_map(|s| std::iter::once(&s.name).chain(&s.aliases)).map(String::as_str).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.iter().all(|n| find(n).is_some() && find_spec(registry(), n).is_some()));
    }

    #[test]
    fn nothing_that_destroys_or_weakens_is_offered() {
        for word in ["delete_", "remove_", "disable", "skip", "grant", "force", "generated"] {
            let offered: Vec<_> = registry().iter().flat_map(|s| std::iter::once(&s.name).chain(&s.aliases)).filter(|n| n.contains(word)).collect();
            assert!(offered.iter().all(|n| ["delete_pod", "remove_taint", "force_delete_pod"].contains(&n.as_str())), "{offered:?}");
        }
    }

    #[test]
    fn every_schema_compiles_and_refuses_unknown_parameters() {
        for spec in registry() {
            let validator = compile(&spec.parameters).unwrap();
            assert!(!validator.is_valid(&json!({"surprise": 1})), "{}", spec.name);
        }
    }

    #[test]
    fn an_action_that_changes_something_declares_its_rights() {
        for spec in registry() {
            let writes = spec.rbac.iter().flat_map(|r| &r.verbs).any(|v| !["get", "list", "watch"].contains(&v.as_str()));
            assert_eq!(writes, spec.risk != Risk::None, "{}", spec.name);
        }
    }

    #[test]
    fn faults_of_a_request_are_named() {
        assert_eq!(fault("scale_deployment", "Deployment", json!({"replicas": 3})), "");
        assert!(fault("scale_replicas", "Deployment", json!({"replicas": 101})).contains("/params/replicas"));
        assert!(fault("scale_replicas", "Deployment", Value::Null).contains("replicas"));
        assert!(fault("scale_replicas", "DaemonSet", json!({"replicas": 3})).contains("Deployment, StatefulSet"));
        assert!(fault("rollout_restart", "Deployment", json!({"force": true})).contains("force"));
        assert!(fault("set_resources", "Deployment", json!({"memory_limit": "12x"})).contains("memory_limit"));
        assert_eq!(fault("set_resources", "Deployment", json!({"limits": {"memory": "12Mi", "cpu": 0.5}})), "");
    }

    #[test]
    fn a_fault_does_not_tell_what_may_be_a_secret() {
        for (action, kind, params) in [
            ("patch_env", "Deployment", json!({"name": "A", "value": ["s3cret"]})),
            ("patch_env", "Deployment", json!({"name": "A", "restore": "s3cret"})),
            ("patch_env", "Deployment", json!({"set": {"A": {"s3cret": "s3cret"}}})),
            ("patch_command", "Deployment", json!({"command": "s3cret"})),
        ] {
            let fault = fault(action, kind, params);
            assert!(fault.contains("/params/") && !fault.contains("s3cret"), "{fault}");
        }
    }

    #[test]
    fn a_key_is_one_visible_word() {
        let spec = find_spec(registry(), "no_action").unwrap();
        for key in ["", "a b", "a\n", &"x".repeat(201)] {
            let request = ActionRequest { key: key.into(), ..request("no_action", "Pod", Value::Null) };
            assert!(validate(spec, &request).is_err(), "{key:?}");
        }
    }
}
