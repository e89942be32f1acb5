//! How many pods a disruption budget lets go at once.

use kubernaut_core::{
    Result,
    model::{Object, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    action::{Action, Current, Effect, Write, bad_params, condition, typed},
    edit::Edit,
};

/// Give the bound that the budget has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RelaxParams {
    /// Pods that must stay.
    #[schemars(range(min = 1, max = 10000))]
    min_available: Option<u32>,
    /// Pods that may go at once.
    #[schemars(range(min = 1, max = 10000))]
    max_unavailable: Option<u32>,
    /// Seconds until the bound is put back by itself; it stays where absent.
    #[serde(rename = "duration_seconds")]
    #[schemars(range(min = 10, max = 86_400))]
    _duration_seconds: Option<u64>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static RELAX_PDB: Action = Action {
    name: "relax_pdb",
    aliases: &[],
    family: "disruption",
    summary: "lets a disruption budget give way, so that pods can be moved; at least one pod stays protected",
    target_kinds: &["PodDisruptionBudget"],
    effect: Effect::Settings,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &[
        "the budget bounds in the same way now",
        "the bound gives way and leaves a pod protected",
        "no other temporary change is under way",
    ],
    parameters: || schema_for!(RelaxParams),
    reads: &[],
    check,
    plan,
};

/// The field that is given, and its value.
pub(super) fn lasts(params: &Value) -> Option<u64> {
    params["duration_seconds"].as_u64()
}

fn wanted(params: &Value) -> Result<(&'static str, i64)> {
    let params: RelaxParams = typed(params)?;
    match (params.min_available, params.max_unavailable) {
        (Some(n), None) => Ok(("minAvailable", i64::from(n))),
        (None, Some(n)) => Ok(("maxUnavailable", i64::from(n))),
        _ => Err(bad_params("give min_available or max_unavailable")),
    }
}

/// A number or percentage of the pods, rounded up as the disruption controller does.
fn pods(bound: &Value, expected: i64) -> Option<i64> {
    match bound.as_str() {
        Some(text) => text.strip_suffix('%')?.parse::<i64>().ok().map(|p| (expected * p + 99) / 100),
        None => bound.as_i64(),
    }
}

fn expected(budget: &Object) -> i64 {
    budget.i64_at("/status/expectedPods").unwrap_or(0)
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let (field, will) = wanted(params)?;
    let expected = expected(&current.target);
    let Some(now) = current.target.at(&format!("/spec/{field}")) else {
        return Ok(vec![condition(false, format!("the budget has no {field}; give the bound that it has"))]);
    };
    let was = pods(now, expected);
    let gives_way = was.is_some_and(|was| if field == "minAvailable" { will <= was } else { will >= was });
    let protects = if field == "minAvailable" { will >= 1 } else { will < expected };
    Ok(vec![
        condition(true, format!("the budget has {field} {now}")),
        condition(gives_way && protects, format!("{field} {will} for {expected} pods: it must give way and leave a pod protected")),
        super::no_other_end(current),
    ])
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let (field, will) = wanted(params)?;
    let at = format!("/spec/{field}");
    let mut edit = Edit::of(&current.target);
    edit.set(&at, Some(json!(will)));
    Ok(edit.finish(|| format!("the budget has {field} {will} already")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(spec: Value) -> Current {
        Current {
            target: Object::new(json!({"kind": "PodDisruptionBudget", "spec": spec, "status": {"expectedPods": 3}})),
            related: Default::default(),
        }
    }

    #[test]
    fn a_budget_gives_way_in_its_own_terms_and_protects_one_pod() {
        let holds = |spec: Value, params: Value| check(&world(spec), &params).unwrap().iter().all(|c| c.holds);
        assert!(holds(json!({"minAvailable": 3}), json!({"min_available": 2})));
        assert!(holds(json!({"minAvailable": "100%"}), json!({"min_available": 2})));
        assert!(holds(json!({"maxUnavailable": 0}), json!({"max_unavailable": 1})));
        assert!(!holds(json!({"minAvailable": 1}), json!({"min_available": 2})), "stricter");
        assert!(!holds(json!({"maxUnavailable": 0}), json!({"max_unavailable": 3})), "none protected");
        assert!(!holds(json!({"maxUnavailable": 0}), json!({"min_available": 2})), "another bound");
        assert!(check(&world(json!({"minAvailable": 3})), &json!({})).is_err());
    }

    #[test]
    fn the_bound_it_has_is_no_change() {
        assert!(matches!(plan(&world(json!({"minAvailable": 2})), &json!({"min_available": 2}), "k").unwrap(), Write::None(_)));
    }
}
