//! Changing the number of replicas.

use kubernaut_core::{
    Result,
    model::{Object, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::{Action, Current, Effect, Read, Write, condition, typed};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScaleParams {
    /// Wanted number of replicas.
    #[schemars(range(min = 0, max = 100))]
    replicas: u32,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static SCALE_REPLICAS: Action = Action {
    name: "scale_replicas",
    aliases: &["scale_deployment", "scale_statefulset", "restore_replicas"],
    family: "workload",
    summary: "sets the number of replicas of a workload",
    target_kinds: &["Deployment", "StatefulSet"],
    effect: Effect::Scale,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &["no autoscaler sets the number of replicas"],
    parameters: || schema_for!(ScaleParams),
    reads: &[Read::Autoscalers],
    check,
    plan,
};

fn check(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    // An autoscaler whose workload stands at zero is switched off, so the number is free to set.
    let off = current.target.i64_at("/spec/replicas") == Some(0);
    let scaler = current.related(Read::Autoscalers).iter().find(|h| scales(h, &current.target));
    Ok(vec![match scaler {
        Some(hpa) if !off => condition(false, format!("{} sets the number of replicas and would undo it", hpa.reference())),
        Some(hpa) => condition(true, format!("{} is switched off by zero replicas", hpa.reference())),
        None => condition(true, "no autoscaler sets the number of replicas"),
    }])
}

fn scales(hpa: &Object, workload: &Object) -> bool {
    hpa.str_at("/spec/scaleTargetRef/kind") == Some(workload.kind()) && hpa.str_at("/spec/scaleTargetRef/name") == Some(workload.name())
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let wanted = typed::<ScaleParams>(params)?.replicas;
    if current.target.i64_at("/spec/replicas").unwrap_or(1) == i64::from(wanted) {
        return Ok(Write::None(format!("it has {wanted} replicas already")));
    }
    // Not through the scale subresource: there the mark of the key could not be left in the same write.
    Ok(Write::merge(json!({"spec": {"replicas": wanted}}), &["/spec/replicas"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(replicas: i64, hpa_of: &str) -> Current {
        let hpa = Object::new(json!({"kind": "HorizontalPodAutoscaler", "spec": {"scaleTargetRef": {"kind": "Deployment", "name": hpa_of}}}));
        let target = Object::new(json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": replicas}}));
        Current { target, related: [("HorizontalPodAutoscaler", vec![hpa])].into() }
    }

    #[test]
    fn an_autoscaler_of_the_workload_forbids_scaling_unless_it_is_off() {
        assert!(check(&world(2, "other"), &Value::Null).unwrap()[0].holds);
        assert!(!check(&world(2, "web"), &Value::Null).unwrap()[0].holds);
        assert!(check(&world(0, "web"), &Value::Null).unwrap()[0].holds);
    }

    #[test]
    fn the_number_it_has_is_no_change() {
        assert!(matches!(plan(&world(2, ""), &json!({"replicas": 2}), "k").unwrap(), Write::None(_)));
        assert!(matches!(plan(&world(2, ""), &json!({"replicas": 3}), "k").unwrap(), Write::Patch { .. }));
    }
}
