//! Changing the bounds of an autoscaler.

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::action::{Action, Current, Effect, Write, bad_params, condition, typed};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BoundsParams {
    /// Wanted upper bound; as it is where absent.
    #[schemars(range(min = 1, max = 1000))]
    max_replicas: Option<u32>,
    /// Wanted lower bound; as it is where absent.
    #[schemars(range(min = 1, max = 1000))]
    min_replicas: Option<u32>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_HPA_MAX: Action = Action {
    name: "patch_hpa_max",
    aliases: &["patch_hpa", "update_hpa"],
    family: "autoscaling",
    summary: "sets the upper or lower bound of a horizontal pod autoscaler",
    target_kinds: &["HorizontalPodAutoscaler"],
    effect: Effect::Autoscaler,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &["the lower bound is not above the upper one"],
    parameters: || schema_for!(BoundsParams),
    reads: &[],
    check,
    plan,
};

/// Lower and upper bound as they would be.
fn bounds(current: &Current, params: &BoundsParams) -> Result<(i64, i64)> {
    if params.max_replicas.is_none() && params.min_replicas.is_none() {
        return Err(bad_params("give max_replicas, min_replicas or both"));
    }
    let min = params.min_replicas.map_or_else(|| current.target.i64_at("/spec/minReplicas").unwrap_or(1), i64::from);
    let max = params.max_replicas.map_or_else(|| current.target.i64_at("/spec/maxReplicas").unwrap_or(0), i64::from);
    Ok((min, max))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let (min, max) = bounds(current, &typed(params)?)?;
    Ok(vec![condition(min <= max, format!("the lower bound {min} is not above the upper one {max}"))])
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: BoundsParams = typed(params)?;
    let (min, max) = bounds(current, &params)?;
    let mut spec = Map::new();
    let mut set = |field: &str, wanted: Option<u32>| {
        let now = current.target.i64_at(&format!("/spec/{field}"));
        if let Some(wanted) = wanted.filter(|w| now != Some(i64::from(*w))) {
            spec.insert(field.to_owned(), json!(wanted));
        }
    };
    set("maxReplicas", params.max_replicas);
    set("minReplicas", params.min_replicas);
    if spec.is_empty() {
        return Ok(Write::None(format!("the bounds are {min} and {max} already")));
    }
    Ok(Write::merge(json!({"spec": spec}), &["/spec/maxReplicas", "/spec/minReplicas"]))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    fn world() -> Current {
        Current {
            target: Object::new(json!({"kind": "HorizontalPodAutoscaler", "spec": {"minReplicas": 2, "maxReplicas": 3}})),
            related: Default::default(),
        }
    }

    #[test]
    fn only_bounds_that_differ_are_written() {
        let Write::Patch { body, .. } = plan(&world(), &json!({"max_replicas": 5, "min_replicas": 2}), "k").unwrap() else { panic!("no patch") };
        assert_eq!(body, json!({"spec": {"maxReplicas": 5}}));
        assert!(matches!(plan(&world(), &json!({"max_replicas": 3}), "k").unwrap(), Write::None(_)));
    }

    #[test]
    fn bounds_that_cross_or_are_absent_are_refused() {
        assert!(!check(&world(), &json!({"max_replicas": 1})).unwrap()[0].holds);
        assert!(plan(&world(), &json!({}), "k").is_err());
    }
}
