//! Which nodes the pods of a workload may run on.

use std::collections::BTreeMap;

use kubernaut_core::{Error, ErrorKind, Result, model::Precondition};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    container::{TEMPLATE, given, pod_spec_at, ready_for_change},
    node::takes_pods,
};
use crate::{
    action::{Action, Current, Read, Write, bad_params, condition, typed},
    edit::Edit,
};

const TERMS: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const WISHES: &str = "preferredDuringSchedulingIgnoredDuringExecution";

type Labels = BTreeMap<String, String>;

/// Give `node_selector` and `remove`, or `restore`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SelectorParams {
    /// Labels that a node must carry. Others that the selector asks for now stay, but for one with the same value that no node carries: its
    /// key is taken for misspelt.
    #[serde(default)]
    node_selector: Labels,
    /// Keys that the selector shall no longer ask for.
    #[serde(default)]
    remove: Vec<String>,
    /// The whole selector as it was in an earlier revision; null if there was none.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Labels>")]
    restore: Option<Option<Labels>>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

/// Give `pod_anti_affinity` with `topology_key`, or `restore`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AffinityParams {
    /// `preferred`: pods stay apart where that is possible, rather than in any case.
    #[schemars(regex(pattern = "^preferred$"))]
    pod_anti_affinity: Option<String>,
    /// The kind of place that pods are to be apart by.
    #[schemars(length(min = 1, max = 317))]
    topology_key: Option<String>,
    /// The whole affinity as it was in an earlier revision; null if there was none.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Map<String, Value>>")]
    restore: Option<Option<Map<String, Value>>>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_NODE_SELECTOR: Action = Action {
    name: "patch_node_selector",
    summary: "corrects the node selector of a workload",
    preconditions: &["rollouts of the workload are not paused", "a ready node matches the selector"],
    parameters: || schema_for!(SelectorParams),
    reads: &[Read::Nodes],
    check: check_selector,
    plan: plan_selector,
    ..TEMPLATE
};

pub(super) static PATCH_AFFINITY: Action = Action {
    name: "patch_affinity",
    summary: "lets pods share a place where they cannot be apart, or restores the affinity",
    preconditions: &["rollouts of the workload are not paused", "the workload requires its pods to be apart"],
    parameters: || schema_for!(AffinityParams),
    check: check_affinity,
    plan: plan_affinity,
    ..TEMPLATE
};

fn selector(current: &Current, params: SelectorParams) -> Result<Labels> {
    let partial = !params.node_selector.is_empty() || !params.remove.is_empty();
    match (partial, params.restore) {
        (false, Some(before)) => Ok(before.unwrap_or_default()),
        (true, None) => {
            let now = current.target.map_at(&format!("{}/nodeSelector", pod_spec_at(&current.target)));
            let mut wanted: Labels = now.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            wanted.retain(|k, v| !params.remove.contains(k) && !is_misspelt(current, (k, v), &params.node_selector));
            wanted.extend(params.node_selector);
            Ok(wanted)
        }
        _ => Err(bad_params("give node_selector or remove, or restore")),
    }
}

/// Whether no node carries a label that is given anew with the same value under another key.
fn is_misspelt(current: &Current, (key, value): (&str, &str), given: &Labels) -> bool {
    let renamed = !given.contains_key(key) && given.values().any(|v| v == value);
    renamed && !current.related(Read::Nodes).iter().any(|n| n.label(key) == Some(value))
}

fn check_selector(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let wanted = selector(current, typed(params)?)?;
    let fits = |node: &&kubernaut_core::model::Object| takes_pods(node) && wanted.iter().all(|(k, v)| node.label(k) == Some(v));
    let count = current.related(Read::Nodes).iter().filter(fits).count();
    let shown: Vec<String> = wanted.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut all = ready_for_change(current);
    all.push(condition(
        count > 0,
        format!("{count} ready nodes match {}", if shown.is_empty() { "an empty selector".to_owned() } else { shown.join(",") }),
    ));
    Ok(all)
}

fn plan_selector(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let wanted = selector(current, typed(params)?)?;
    let mut edit = Edit::of(&current.target);
    edit.set(&format!("{}/nodeSelector", pod_spec_at(&current.target)), (!wanted.is_empty()).then(|| json!(wanted)));
    Ok(edit.finish(|| "the node selector is as wanted already".into()))
}

/// The rule as a wish: each required term of that topology becomes a preferred one, the rest stays. `None` if there is no such term.
fn softened(affinity: &Value, key: &str) -> Option<Value> {
    let mut after = affinity.clone();
    let rules = after.get_mut("podAntiAffinity")?.as_object_mut()?;
    let (moved, kept): (Vec<Value>, Vec<Value>) = rules.remove(TERMS)?.as_array()?.iter().cloned().partition(|t| t["topologyKey"] == key);
    if moved.is_empty() {
        return None;
    }
    if !kept.is_empty() {
        rules.insert(TERMS.into(), Value::Array(kept));
    }
    let wishes = rules.entry(WISHES).or_insert_with(|| json!([]));
    wishes.as_array_mut()?.extend(moved.into_iter().map(|t| json!({"weight": 100, "podAffinityTerm": t})));
    Some(after)
}

/// The affinity as it should be (`None` for none), or nothing if there is no rule to soften.
fn affinity(current: &Current, params: AffinityParams) -> Result<Option<Option<Value>>> {
    match (params.pod_anti_affinity, params.topology_key, params.restore) {
        (None, None, Some(before)) => Ok(Some(before.map(Value::Object))),
        (Some(_), Some(key), None) => Ok(current.target.at(&affinity_at(current)).and_then(|now| softened(now, &key)).map(Some)),
        _ => Err(bad_params("give pod_anti_affinity with topology_key, or restore")),
    }
}

fn affinity_at(current: &Current) -> String {
    format!("{}/affinity", pod_spec_at(&current.target))
}

/// Whether the rule is a wish already.
fn is_wish(current: &Current, key: &str) -> bool {
    let wishes = current.target.list_at(&format!("{}/podAntiAffinity/{WISHES}", affinity_at(current)));
    wishes.iter().any(|w| w["podAffinityTerm"]["topologyKey"] == key)
}

fn check_affinity(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: AffinityParams = typed(params)?;
    let mut all = ready_for_change(current);
    if let Some(key) = params.topology_key.clone() {
        let holds = is_wish(current, &key) || affinity(current, params)?.is_some();
        all.push(condition(holds, format!("the workload {} its pods to be apart by {key}", if holds { "asks" } else { "does not ask" })));
    }
    Ok(all)
}

fn plan_affinity(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: AffinityParams = typed(params)?;
    let key = params.topology_key.clone().unwrap_or_default();
    let Some(wanted) = affinity(current, params)? else {
        if is_wish(current, &key) {
            return Ok(Write::None(format!("pods are apart by {key} where possible already")));
        }
        return Err(
            Error::new(ErrorKind::Refused, "executor.affinity", "the workload does not require its pods to be apart").with("topology_key", key)
        );
    };
    let mut edit = Edit::of(&current.target);
    edit.set(&affinity_at(current), wanted);
    Ok(edit.finish(|| "the affinity is as wanted already".into()))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    fn world(spec: Value) -> Current {
        let node = |labels: Value| {
            Object::new(json!({"kind": "Node", "metadata": {"labels": labels}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}))
        };
        let nodes = vec![node(json!({"disktype": "ssd", "pool": "a"})), node(json!({"disktype": "hdd"}))];
        Current { target: Object::new(json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}})), related: [("Node", nodes)].into() }
    }

    fn selected(now: Value, params: Value) -> Value {
        match plan_selector(&world(json!({"nodeSelector": now})), &params, "k") {
            Ok(Write::Patch { body, .. }) => body[0].clone(),
            Ok(_) => Value::Null,
            Err(error) => json!(error.to_string()),
        }
    }

    #[test]
    fn other_labels_stay_but_for_a_misspelt_key() {
        let with = |selector: Value| json!({"node_selector": selector});
        assert_eq!(selected(json!({"pool": "a"}), with(json!({"disktype": "ssd"})))["value"], json!({"pool": "a", "disktype": "ssd"}));
        assert_eq!(
            selected(json!({"pool": "a", "disk": "ssd"}), with(json!({"pool": "a", "disktype": "ssd"})))["value"],
            json!({"pool": "a", "disktype": "ssd"})
        );
        assert_eq!(
            selected(json!({"gpu": "yes"}), with(json!({"disktype": "ssd"})))["value"],
            json!({"gpu": "yes", "disktype": "ssd"}),
            "no node has it, yet it is another wish"
        );
        assert_eq!(selected(json!({"disk": "ssd"}), json!({"restore": null}))["op"], "remove");
        assert!(selected(json!({"pool": "a"}), with(json!({"pool": "a"}))).is_null());
        assert!(selected(json!({}), json!({})).as_str().is_some_and(|e| e.contains("restore")));
    }

    #[test]
    fn a_selector_that_no_ready_node_matches_is_refused() {
        let holds = |params| check_selector(&world(json!({"nodeSelector": {"pool": "a"}})), &params).unwrap()[1].holds;
        assert!(holds(json!({"node_selector": {"disktype": "ssd"}})));
        assert!(!holds(json!({"node_selector": {"disktype": "hdd"}})));
        assert!(holds(json!({"remove": ["pool"]})));
    }

    #[test]
    fn only_the_term_of_that_topology_becomes_a_wish() {
        let term = |key: &str| json!({"topologyKey": key, "labelSelector": {"matchLabels": {"a": key}}});
        let affinity = json!({"nodeAffinity": {"x": 1}, "podAntiAffinity": {TERMS: [term("host"), term("zone")]}});
        let current = world(json!({"affinity": affinity}));
        let params = json!({"pod_anti_affinity": "preferred", "topology_key": "host"});
        assert!(check_affinity(&current, &params).unwrap()[1].holds);
        let Write::Patch { body, .. } = plan_affinity(&current, &params, "k").unwrap() else { panic!("no patch") };
        let after = body[0]["value"].clone();
        assert_eq!(
            after,
            json!({"nodeAffinity": {"x": 1}, "podAntiAffinity": {TERMS: [term("zone")], WISHES: [{"weight": 100, "podAffinityTerm": term("host")}]}})
        );
        assert!(matches!(plan_affinity(&world(json!({"affinity": after})), &params, "k").unwrap(), Write::None(_)));
        assert!(!check_affinity(&world(json!({})), &params).unwrap()[1].holds);
    }
}
