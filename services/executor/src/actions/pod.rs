//! Replacing one pod.

use kubernaut_core::{
    Result,
    model::{Object, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::action::{Action, Current, Effect, Write, condition, typed};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EvictParams {
    /// Seconds the pod gets to stop in; its own time where absent.
    #[schemars(range(min = 0, max = 300))]
    grace_period_seconds: Option<u32>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static DELETE_POD: Action = Action {
    name: "delete_pod",
    aliases: &["restart_pod", "evict_pod"],
    family: "pod",
    summary: "evicts one pod, so that its controller starts a new one; disruption budgets hold",
    target_kinds: &["Pod"],
    effect: Effect::Evict,
    risk: Risk::Low,
    // A replaced pod cannot come back, and nothing of it is missed: its controller made a successor.
    reversibility: Reversibility::NotNeeded,
    preconditions: &["a controller replaces the pod", "the pod is not run by the node itself", "the pod is not ending already"],
    parameters: || schema_for!(EvictParams),
    reads: &[],
    check,
    plan,
};

fn check(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    let pod = &current.target;
    let ending = pod.str_at("/metadata/deletionTimestamp");
    let own = is_static(pod);
    Ok(vec![
        match pod.controller() {
            Some(controller) => condition(true, format!("{controller} replaces the pod")),
            None => condition(false, "no controller replaces the pod: a bare pod would be gone for good"),
        },
        condition(!own, if own { "the node itself runs the pod (static pod)" } else { "the pod is not run by the node itself" }),
        condition(ending.is_none(), ending.map_or("the pod is not ending already".to_owned(), |at| format!("the pod is ending since {at}"))),
    ])
}

fn is_static(pod: &Object) -> bool {
    pod.annotation("kubernetes.io/config.mirror").is_some() || pod.controller().is_some_and(|c| c.kind == "Node")
}

fn plan(_: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: EvictParams = typed(params)?;
    Ok(Write::Evict { grace_period_s: params.grace_period_seconds })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(pod: Value) -> Vec<bool> {
        let current = Current { target: Object::new(pod), related: Default::default() };
        check(&current, &Value::Null).unwrap().iter().map(|c| c.holds).collect()
    }

    #[test]
    fn only_a_living_pod_that_a_controller_replaces_may_go() {
        let owner = |kind: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "1", "controller": true}]);
        assert_eq!(holds(json!({"kind": "Pod", "metadata": {"ownerReferences": owner("ReplicaSet")}})), [true, true, true]);
        assert_eq!(holds(json!({"kind": "Pod", "metadata": {}})), [false, true, true]);
        assert_eq!(holds(json!({"kind": "Pod", "metadata": {"ownerReferences": owner("Node")}})), [true, false, true]);
        let ending = json!({"kind": "Pod", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": owner("ReplicaSet")}});
        assert_eq!(holds(ending), [true, true, false]);
    }
}
