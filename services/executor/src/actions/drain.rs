//! Moving all pods off a node, and marking one.

use kubernaut_core::{
    Result,
    model::{Object, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::node::takes_pods;
use crate::action::{Action, Current, Drain, Effect, Read, Write, condition, typed};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DrainParams {
    /// Seconds each pod gets to stop in; its own time where absent.
    #[schemars(range(min = 0, max = 3600))]
    grace_period_seconds: Option<u32>,
    /// Whether pods with an emptyDir go too; what they keep in it is lost. Default false.
    #[serde(default)]
    delete_local_data: bool,
    /// Whether pods that no controller replaces go too. Default false.
    #[serde(default)]
    force: bool,
    /// Pods of DaemonSets stay, as they would come back at once; `false` is refused if there are any. Default true.
    ignore_daemonsets: Option<bool>,
    /// Seconds to wait for one try; a further try under the same key goes on. Default 300.
    #[schemars(range(min = 1, max = 3600))]
    timeout_seconds: Option<u32>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static DRAIN_NODE: Action = Action {
    name: "drain_node",
    aliases: &["cordon_drain_node"],
    family: "node",
    summary: "cordons a node and evicts its pods one by one; disruption budgets hold, undo lets the node take pods again",
    target_kinds: &["Node"],
    effect: Effect::NodeDrain,
    risk: Risk::High,
    reversibility: Reversibility::Undo,
    preconditions: &[
        "another ready node takes pods",
        "no pod loses data on the node, unless asked for",
        "every pod is replaced by a controller, unless asked for",
    ],
    parameters: || schema_for!(DrainParams),
    reads: &[Read::Nodes, Read::PodsOnNode],
    check,
    plan,
};

/// What a drain means for one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is left where it is: of a DaemonSet, or run by the node itself.
    Stays,
    /// It is evicted.
    Goes,
    /// It keeps data on the node.
    HasData,
    /// Nothing replaces it.
    IsBare,
}

pub(crate) fn fate(pod: &Object, drain: &Drain) -> Fate {
    let controller = pod.controller();
    let mirror = pod.annotation("kubernetes.io/config.mirror").is_some();
    if mirror || controller.as_ref().is_some_and(|c| ["DaemonSet", "Node"].contains(&c.kind.as_str())) {
        return Fate::Stays;
    }
    if matches!(pod.str_at("/status/phase"), Some("Succeeded" | "Failed")) {
        return Fate::Goes;
    }
    if controller.is_none() && !drain.force {
        return Fate::IsBare;
    }
    let local = pod.list_at("/spec/volumes").iter().any(|v| v.get("emptyDir").is_some());
    if local && !drain.delete_local_data { Fate::HasData } else { Fate::Goes }
}

fn wanted(params: &Value) -> Result<(Drain, bool)> {
    let params: DrainParams = typed(params)?;
    let drain = Drain {
        grace_period_s: params.grace_period_seconds,
        delete_local_data: params.delete_local_data,
        force: params.force,
        limit_s: params.timeout_seconds.unwrap_or(300),
    };
    Ok((drain, params.ignore_daemonsets.unwrap_or(true)))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let (drain, ignores) = wanted(params)?;
    let others = current.related(Read::Nodes).iter().filter(|n| n.name() != current.target.name() && takes_pods(n)).count();
    let named = |wanted: Fate| {
        let pods = current.related(Read::PodsOnNode).iter().filter(|p| fate(p, &drain) == wanted);
        pods.map(|p| p.reference().to_string()).collect::<Vec<_>>()
    };
    let (data, bare) = (named(Fate::HasData), named(Fate::IsBare));
    let mut all = vec![
        condition(others > 0, format!("{others} other ready nodes take pods")),
        match data.first() {
            None => condition(true, "no pod loses data on the node unasked"),
            Some(first) => {
                condition(false, format!("{} pods keep data on the node, such as {first}; set delete_local_data if it may be lost", data.len()))
            }
        },
        match bare.first() {
            None => condition(true, "no pod goes that nothing replaces, unasked"),
            Some(first) => condition(false, format!("{} pods have no controller, such as {first}; set force if they may go for good", bare.len())),
        },
    ];
    if !ignores {
        let stay = named(Fate::Stays).len();
        all.push(condition(stay == 0, format!("{stay} pods of DaemonSets or of the node itself would come back at once")));
    }
    Ok(all)
}

fn plan(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let (drain, _) = wanted(params)?;
    let closed = current.target.bool_at("/spec/unschedulable") == Some(true);
    let left = current.related(Read::PodsOnNode).iter().any(|p| fate(p, &drain) != Fate::Stays);
    // Under the same key the effect stays the same, however far it has come.
    if closed && !left && !crate::marks::holds(&current.target, key) {
        return Ok(Write::None("the node is cordoned and empty already".into()));
    }
    Ok(Write::Drain(drain))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TaintParams {
    /// Key of the taint.
    #[schemars(length(min = 1, max = 317))]
    key: String,
    /// What it does to pods that do not tolerate it.
    #[schemars(regex(pattern = r"^(NoSchedule|PreferNoSchedule|NoExecute)$"))]
    effect: String,
    /// Its value.
    #[schemars(length(max = 63))]
    value: Option<String>,
    /// Whether a taint of that key and effect gets this value. Default false.
    #[serde(default)]
    overwrite: bool,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static TAINT_NODE: Action = Action {
    name: "taint_node",
    aliases: &["add_taint"],
    family: "node",
    summary: "puts a taint on a node, so that only pods that tolerate it come; NoExecute also drives others away",
    target_kinds: &["Node"],
    effect: Effect::NodeClose,
    risk: Risk::High,
    reversibility: Reversibility::Undo,
    preconditions: &[
        "another ready node takes pods",
        "the taint is not one that Kubernetes itself sets",
        "no other value stands there, unless it may be overwritten",
    ],
    parameters: || schema_for!(TaintParams),
    reads: &[Read::Nodes],
    check: check_taint,
    plan: plan_taint,
};

fn same(taint: &Value, params: &TaintParams) -> bool {
    taint["key"] == params.key.as_str() && taint["effect"] == params.effect.as_str()
}

fn check_taint(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: TaintParams = typed(params)?;
    let others = current.related(Read::Nodes).iter().filter(|n| n.name() != current.target.name() && takes_pods(n)).count();
    let own = params.key.starts_with("node.kubernetes.io/") || params.key.starts_with("node.cloudprovider.kubernetes.io/");
    let there = current.target.list_at("/spec/taints").iter().find(|t| same(t, &params));
    let other = there.is_some_and(|t| t["value"].as_str() != params.value.as_deref()) && !params.overwrite;
    Ok(vec![
        condition(others > 0, format!("{others} other ready nodes take pods")),
        condition(!own, format!("taint {} {}", params.key, if own { "is for Kubernetes itself to set" } else { "is not one of Kubernetes" })),
        condition(!other, if other { "a taint of that key and effect has another value; set overwrite" } else { "no other value is in the way" }),
    ])
}

fn plan_taint(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: TaintParams = typed(params)?;
    let mut taint = json!({"key": params.key, "effect": params.effect});
    if let Some(value) = &params.value {
        taint["value"] = json!(value);
    }
    let now = current.target.list_at("/spec/taints");
    if now.iter().any(|t| same(t, &params) && t["value"] == taint["value"]) {
        return Ok(Write::None("the node has the taint already".into()));
    }
    let mut wanted: Vec<Value> = now.iter().filter(|t| !same(t, &params)).cloned().collect();
    wanted.push(taint);
    Ok(Write::merge(json!({"spec": {"taints": wanted}}), &["/spec/taints"]))
}
