//! Checks of the request itself: schema, capability, and which rights to ask for.

use kubernaut_core::{
    Error,
    model::{ActionRequest, ActionSpec, Reversibility, well_known},
    port::AccessReview,
    service::Capability,
};

use super::super::pass::{Pass, Purpose, Verdict};
use crate::{
    action::Effect,
    registry::{effect_of, find_spec, validate},
};

/// Begins a pass with the checks `schema` and `capability`.
pub(in super::super) fn begin(specs: &[ActionSpec], capabilities: &[Capability], request: &ActionRequest, purpose: Purpose) -> Pass {
    let spec = find_spec(specs, &request.action).cloned();
    let mut pass = Pass {
        purpose,
        request: request.clone(),
        effect: Effect::Other,
        report: Default::default(),
        terms: Default::default(),
        reserve: Vec::new(),
        invalid: None,
        spec,
    };
    let Some(spec) = pass.spec.clone() else {
        pass.add("schema", Verdict::skip("no schema without an action"));
        let offered = specs.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
        let text = format!("{} is not offered; offered are {offered}", request.action);
        pass.invalid = Some(Error::invalid("gate.capability", text.clone()));
        pass.add("capability", Verdict::fail(text));
        return pass;
    };
    pass.effect = effect_of(&spec);
    pass.request.action.clone_from(&spec.name);
    match validate(&spec, &pass.request) {
        Ok(()) => pass.add("schema", Verdict::pass(format!("parameters fit {} version {}", spec.name, spec.version))),
        Err(error) => {
            pass.add("schema", Verdict::fail(error.to_string()));
            pass.invalid = Some(error);
            return pass;
        }
    };
    let verdict = capability(&spec, capabilities, purpose);
    pass.add("capability", verdict);
    pass
}

fn capability(spec: &ActionSpec, capabilities: &[Capability], purpose: Purpose) -> Verdict {
    match purpose {
        Purpose::Undo if capabilities.contains(&Capability::Undo) => Verdict::pass(format!("{} can be taken back", spec.name)),
        Purpose::Undo => Verdict::fail("this executor cannot take actions back"),
        _ if !capabilities.contains(&Capability::DryRun) => {
            Verdict::ask(format!("{} is offered without dry-run: a person must agree each time", spec.name))
        }
        _ if spec.reversibility == Reversibility::Irreversible => {
            Verdict::ask(format!("{} cannot be taken back: a person must agree each time", spec.name))
        }
        _ if spec.reversibility != Reversibility::NotNeeded && !capabilities.contains(&Capability::Undo) => {
            Verdict::ask(format!("this executor cannot take {} back: a person must agree each time", spec.name))
        }
        _ => Verdict::pass(format!("{} is offered, with dry-run", spec.name)),
    }
}

/// The rights that writing needs. Reads go through another port with credentials of its own.
pub(in super::super) fn reviews(spec: &ActionSpec, request: &ActionRequest) -> Vec<AccessReview> {
    let plural = |kind: &str| well_known(kind).map(|k| k.plural);
    let own = plural(&request.target.kind);
    let mut reviews = Vec::new();
    for rule in &spec.rbac {
        let resource = rule.resource.split('/').next().unwrap_or_default();
        let of_another_kind = own != Some(resource) && spec.target_kinds.iter().any(|k| plural(k) == Some(resource));
        if of_another_kind {
            continue;
        }
        let name = (own == Some(resource)).then(|| request.target.name.clone());
        for verb in rule.verbs.iter().filter(|v| !["get", "list", "watch"].contains(&v.as_str())) {
            let (group, resource, namespace) = (rule.group.clone(), rule.resource.clone(), request.target.namespace.clone());
            reviews.push(AccessReview { verb: verb.clone(), group, resource, namespace, name: name.clone() });
        }
    }
    reviews
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::ObjectRef;
    use serde_json::{Value, json};

    use super::*;
    use crate::registry::registry;

    fn request(action: &str, kind: &str, params: Value) -> ActionRequest {
        ActionRequest { action: action.into(), target: ObjectRef::new(kind, Some("shop"), "web"), params, key: "k".into() }
    }

    #[test]
    fn an_action_that_is_not_offered_says_so() {
        let pass = begin(registry(), &[], &request("fix_everything", "Deployment", Value::Null), Purpose::Act);
        assert_eq!(pass.report.refusal().map(|c| c.name.as_str()), Some("capability"));
        assert!(pass.report.checks[1].text.contains("not offered"));
    }

    #[test]
    fn an_executor_without_dry_run_always_asks() {
        let pass = begin(registry(), &[], &request("restart_pod", "Pod", Value::Null), Purpose::Act);
        assert_eq!(pass.report.asks().count(), 1);
        assert_eq!(pass.request.action, "delete_pod", "the canonical name from here on");
    }

    #[test]
    fn rights_are_asked_for_the_kind_at_hand_and_for_writing_only() {
        let spec = find_spec(registry(), "rollout_restart").unwrap();
        let asked = reviews(spec, &request("rollout_restart", "StatefulSet", json!({})));
        assert_eq!(asked.len(), 1);
        assert_eq!((asked[0].verb.as_str(), asked[0].resource.as_str(), asked[0].name.as_deref()), ("patch", "statefulsets", Some("web")));
        let spec = find_spec(registry(), "delete_pod").unwrap();
        assert_eq!(reviews(spec, &request("delete_pod", "Pod", json!({})))[0].resource, "pods/eviction");
    }
}
