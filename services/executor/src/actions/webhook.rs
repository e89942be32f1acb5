//! What happens to requests while an admission webhook does not answer.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    action::{Action, Current, Effect, Write, condition, typed},
    edit::Edit,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
enum Policy {
    /// Requests go through unchecked.
    Ignore,
    /// Requests are refused.
    Fail,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PolicyParams {
    /// Name of the webhook within the configuration.
    #[schemars(length(min = 1, max = 253))]
    webhook: String,
    /// Wanted policy.
    failure_policy: Policy,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_WEBHOOK_FAILURE_POLICY: Action = Action {
    name: "patch_webhook_failure_policy",
    aliases: &[],
    family: "webhook",
    summary: "sets what happens to requests while one admission webhook does not answer",
    target_kinds: &["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"],
    effect: Effect::Consult,
    risk: Risk::High,
    reversibility: Reversibility::Undo,
    preconditions: &["the configuration has the webhook"],
    parameters: || schema_for!(PolicyParams),
    reads: &[],
    check,
    plan,
};

fn position(current: &Current, name: &str) -> Option<usize> {
    current.target.list_at("/webhooks").iter().position(|w| w["name"] == name)
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let name = typed::<PolicyParams>(params)?.webhook;
    let exists = position(current, &name).is_some();
    Ok(vec![condition(exists, format!("the configuration has {} webhook {name}", if exists { "a" } else { "no" }))])
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: PolicyParams = typed(params)?;
    let absent = || Error::new(ErrorKind::Refused, "executor.webhook", "the configuration has no such webhook").with("webhook", &params.webhook);
    let at = format!("/webhooks/{}", position(current, &params.webhook).ok_or_else(absent)?);
    let mut edit = Edit::of(&current.target);
    edit.rests_on(format!("{at}/name"));
    edit.set(&format!("{at}/failurePolicy"), Some(json!(params.failure_policy)));
    Ok(edit.finish(|| format!("webhook {} has this policy already", params.webhook)))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    #[test]
    fn only_the_named_webhook_changes() {
        let webhooks = json!([{"name": "a.example.com", "failurePolicy": "Fail"}, {"name": "b.example.com", "failurePolicy": "Fail"}]);
        let world =
            Current { target: Object::new(json!({"kind": "ValidatingWebhookConfiguration", "webhooks": webhooks})), related: Default::default() };
        let set = |name: &str, policy: &str| plan(&world, &json!({"webhook": name, "failure_policy": policy}), "k");
        let Write::Patch { body, .. } = set("b.example.com", "Ignore").unwrap() else { panic!("no patch") };
        assert_eq!(body, json!([{"op": "replace", "path": "/webhooks/1/failurePolicy", "value": "Ignore"}]));
        assert!(matches!(set("a.example.com", "Fail").unwrap(), Write::None(_)));
        assert!(set("c.example.com", "Fail").is_err() && !check(&world, &json!({"webhook": "c", "failure_policy": "Fail"})).unwrap()[0].holds);
    }
}
