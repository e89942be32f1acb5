//! Whether a node takes pods.

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
struct NodeParams {
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TaintParams {
    /// Key of the taint.
    #[schemars(length(min = 1, max = 317))]
    key: String,
    /// Only with this effect; all effects of the key where absent.
    #[schemars(regex(pattern = r"^(NoSchedule|PreferNoSchedule|NoExecute)$"))]
    effect: Option<String>,
    /// Only with this value; any where absent.
    value: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static CORDON_NODE: Action = Action {
    name: "cordon_node",
    aliases: &[],
    family: "node",
    summary: "keeps new pods off a node; running pods stay",
    target_kinds: &["Node"],
    effect: Effect::NodeClose,
    risk: Risk::High,
    reversibility: Reversibility::Undo,
    preconditions: &["another ready node takes pods"],
    parameters: || schema_for!(NodeParams),
    reads: &[Read::Nodes],
    check: check_cordon,
    plan: |current, params, _| unschedulable(current, params, true),
};

pub(super) static UNCORDON_NODE: Action = Action {
    name: "uncordon_node",
    aliases: &[],
    family: "node",
    summary: "lets a node take new pods again",
    target_kinds: &["Node"],
    effect: Effect::NodeOpen,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &["the node is ready"],
    parameters: || schema_for!(NodeParams),
    reads: &[],
    check: |current, _| Ok(vec![ready_condition(&current.target)]),
    plan: |current, params, _| unschedulable(current, params, false),
};

pub(super) static REMOVE_TAINT: Action = Action {
    name: "remove_taint",
    aliases: &["untaint_node"],
    family: "node",
    summary: "takes a taint off a node",
    target_kinds: &["Node"],
    effect: Effect::NodeOpen,
    risk: Risk::High,
    reversibility: Reversibility::Undo,
    preconditions: &["the node is ready", "the taint is not one that Kubernetes itself sets and would set again"],
    parameters: || schema_for!(TaintParams),
    reads: &[],
    check: check_taint,
    plan: plan_taint,
};

/// Whether the node's Ready condition is true.
pub(super) fn is_ready(node: &Object) -> bool {
    node.condition("Ready").is_some_and(|c| c["status"] == "True")
}

fn ready_condition(node: &Object) -> Precondition {
    let status = node.condition("Ready").and_then(|c| c["status"].as_str()).unwrap_or("absent");
    condition(is_ready(node), format!("the node is ready (condition Ready: {status})"))
}

pub(super) fn takes_pods(node: &Object) -> bool {
    is_ready(node) && node.bool_at("/spec/unschedulable") != Some(true)
}

fn check_cordon(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    let others = current.related(Read::Nodes).iter().filter(|n| n.name() != current.target.name() && takes_pods(n)).count();
    Ok(vec![condition(others > 0, format!("{others} other ready nodes take pods"))])
}

fn unschedulable(current: &Current, params: &Value, wanted: bool) -> Result<Write> {
    let _: NodeParams = typed(params)?;
    if current.target.bool_at("/spec/unschedulable").unwrap_or(false) == wanted {
        return Ok(Write::None(format!("the node is {} already", if wanted { "cordoned" } else { "open for pods" })));
    }
    // `null` rather than `false`: the field is absent on a node that was never cordoned.
    let value = if wanted { json!(true) } else { Value::Null };
    Ok(Write::merge(json!({"spec": {"unschedulable": value}}), &["/spec/unschedulable"]))
}

fn is_meant(taint: &Value, params: &TaintParams) -> bool {
    let equal = |field: &str, wanted: &Option<String>| wanted.as_deref().is_none_or(|w| taint[field].as_str().unwrap_or_default() == w);
    taint["key"] == params.key.as_str() && equal("effect", &params.effect) && equal("value", &params.value)
}

fn check_taint(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: TaintParams = typed(params)?;
    let own = params.key.starts_with("node.kubernetes.io/") || params.key.starts_with("node.cloudprovider.kubernetes.io/");
    let text = if own { "is set by Kubernetes itself and would come back; treat its cause" } else { "is not one that Kubernetes sets by itself" };
    Ok(vec![ready_condition(&current.target), condition(!own, format!("taint {} {text}", params.key))])
}

fn plan_taint(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: TaintParams = typed(params)?;
    let taints = current.target.list_at("/spec/taints");
    let kept: Vec<&Value> = taints.iter().filter(|t| !is_meant(t, &params)).collect();
    if kept.len() == taints.len() {
        return Ok(Write::None(format!("the node has no such taint {}", params.key)));
    }
    let value = if kept.is_empty() { Value::Null } else { json!(kept) };
    Ok(Write::merge(json!({"spec": {"taints": value}}), &["/spec/taints"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, ready: &str, closed: bool) -> Object {
        Object::new(json!({"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]},
            "spec": {"unschedulable": closed, "taints": [{"key": "team", "effect": "NoSchedule", "value": "x"}, {"key": "team", "effect": "NoExecute"}]}}))
    }

    fn world(target: Object, others: Vec<Object>) -> Current {
        Current { target, related: [("Node", others)].into() }
    }

    #[test]
    fn the_last_node_that_takes_pods_is_not_cordoned() {
        let holds = |others| check_cordon(&world(node("a", "True", false), others), &Value::Null).unwrap()[0].holds;
        assert!(holds(vec![node("a", "True", false), node("b", "True", false)]));
        assert!(!holds(vec![node("a", "True", false), node("b", "Unknown", false), node("c", "True", true)]));
    }

    #[test]
    fn only_a_ready_node_is_opened() {
        let holds = |ready| (UNCORDON_NODE.check)(&world(node("a", ready, true), vec![]), &Value::Null).unwrap()[0].holds;
        assert!(holds("True"));
        assert!(!holds("Unknown"));
    }

    #[test]
    fn only_the_meant_taint_goes_and_never_one_of_kubernetes() {
        let current = world(node("a", "True", false), vec![]);
        let Write::Patch { body, .. } = plan_taint(&current, &json!({"key": "team", "effect": "NoExecute"}), "k").unwrap() else {
            panic!("no patch")
        };
        assert_eq!(body["spec"]["taints"], json!([{"key": "team", "effect": "NoSchedule", "value": "x"}]));
        let Write::Patch { body, .. } = plan_taint(&current, &json!({"key": "team"}), "k").unwrap() else { panic!("no patch") };
        assert!(body["spec"]["taints"].is_null());
        assert!(!check_taint(&current, &json!({"key": "node.kubernetes.io/not-ready"})).unwrap()[1].holds);
    }
}
