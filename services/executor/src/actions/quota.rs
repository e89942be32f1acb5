//! Raising what a namespace may use.

use std::collections::BTreeMap;

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk, quantity},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::resources::Quantity;
use crate::{
    action::{Action, Current, Effect, Write, condition, typed},
    edit::{Edit, escape},
};

/// More at once is for a person to plan.
const MAX_FACTOR: u64 = 4;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuotaParams {
    /// Wanted bounds by resource, such as `requests.cpu` or `pods`; others stay.
    #[schemars(extend("minProperties" = 1))]
    hard: BTreeMap<String, Quantity>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static INCREASE_QUOTA: Action = Action {
    name: "increase_quota",
    aliases: &[],
    family: "quota",
    summary: "raises bounds of a resource quota",
    target_kinds: &["ResourceQuota"],
    effect: Effect::Settings,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &["the quota bounds the resource now", "the bound grows, at most 4 times"],
    parameters: || schema_for!(QuotaParams),
    reads: &[],
    check,
    plan,
};

fn amount(resource: &str, text: &str) -> Result<u64> {
    quantity::amount(resource, text)
}

/// The bound now, as text.
fn now(current: &Current, resource: &str) -> Option<String> {
    match current.target.at(&pointer(resource))? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn pointer(resource: &str) -> String {
    format!("/spec/hard/{}", escape(resource))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let bound = |(resource, wanted): (String, Quantity)| {
        let Some(now) = now(current, &resource) else { return Ok(condition(false, format!("the quota does not bound {resource}"))) };
        let (was, will) = (amount(&resource, &now)?, amount(&resource, &wanted.0)?);
        let holds = will >= was && will <= was.saturating_mul(MAX_FACTOR);
        Ok(condition(holds, format!("{resource} goes from {now} to {}: it may grow to {MAX_FACTOR} times as much, and not shrink", wanted.0)))
    };
    typed::<QuotaParams>(params)?.hard.into_iter().map(bound).collect()
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let mut edit = Edit::of(&current.target);
    for (resource, wanted) in typed::<QuotaParams>(params)?.hard {
        let was = now(current, &resource).map(|n| amount(&resource, &n)).transpose()?;
        if was != Some(amount(&resource, &wanted.0)?) {
            edit.set(&pointer(&resource), Some(json!(wanted.0)));
        }
    }
    Ok(edit.finish(|| "the quota has these bounds already".into()))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    fn world() -> Current {
        let hard = json!({"requests.cpu": "2", "limits.memory": "1Gi", "pods": 10, "count/jobs.batch": "5"});
        Current { target: Object::new(json!({"kind": "ResourceQuota", "spec": {"hard": hard}})), related: Default::default() }
    }

    #[test]
    fn only_bounds_that_differ_in_amount_are_written() {
        let Write::Patch { body, .. } =
            plan(&world(), &json!({"hard": {"requests.cpu": "2000m", "count/jobs.batch": "6", "pods": 10}}), "k").unwrap()
        else {
            panic!("no patch")
        };
        assert_eq!(body, json!([{"op": "replace", "path": "/spec/hard/count~1jobs.batch", "value": "6"}]));
        assert!(matches!(plan(&world(), &json!({"hard": {"limits.memory": "1024Mi"}}), "k").unwrap(), Write::None(_)));
    }

    #[test]
    fn a_bound_grows_within_reason() {
        let holds = |resource: &str, to: &str| check(&world(), &json!({"hard": {resource: to}})).unwrap()[0].holds;
        assert!(holds("requests.cpu", "2500m") && holds("pods", "40"));
        assert!(!holds("pods", "41"), "more than 4 times");
        assert!(!holds("limits.memory", "512Mi"), "shrinks");
        assert!(!holds("requests.memory", "1Gi"), "was not bounded");
    }
}
