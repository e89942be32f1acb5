//! Room: requests of pods against what nodes offer.

use std::collections::BTreeMap;

use kubernaut_core::model::Object;
use serde_json::Value;

use super::{Facts, pod, quantity};

/// What a pod asks for: the sum of its containers, or the largest init container if that is more.
pub(crate) fn requests(spec: &Value) -> BTreeMap<String, f64> {
    let mut total = sum(spec["containers"].as_array());
    for init in spec["initContainers"].as_array().into_iter().flatten() {
        for (resource, value) in asked(init) {
            let entry = total.entry(resource).or_insert(0.0);
            *entry = entry.max(value);
        }
    }
    total.insert("pods".to_owned(), 1.0);
    for (resource, value) in spec["overhead"].as_object().into_iter().flatten() {
        *total.entry(resource.clone()).or_insert(0.0) += quantity::of(value).unwrap_or(0.0);
    }
    total
}

fn sum(containers: Option<&Vec<Value>>) -> BTreeMap<String, f64> {
    let mut total = BTreeMap::new();
    for (resource, value) in containers.into_iter().flatten().flat_map(asked) {
        *total.entry(resource).or_insert(0.0) += value;
    }
    total
}

/// A container's requests; a limit without a request counts as one.
fn asked(container: &Value) -> Vec<(String, f64)> {
    let (requests, limits) = (&container["resources"]["requests"], &container["resources"]["limits"]);
    let mut found: Vec<(String, f64)> = requests.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), quantity::of(v)?))).collect();
    for (k, v) in limits.as_object().into_iter().flatten() {
        if !found.iter().any(|(f, _)| f == k)
            && let Some(v) = quantity::of(v)
        {
            found.push((k.clone(), v));
        }
    }
    found
}

/// What pods on a node have asked for.
pub(crate) fn requested_on(facts: &Facts, node: &str, resource: &str) -> f64 {
    facts.usage.get_or_init(|| usage(facts)).get(node).and_then(|u| u.get(resource)).copied().unwrap_or(0.0)
}

/// What pods have asked for, by node and resource.
pub(crate) type Usage = BTreeMap<String, BTreeMap<String, f64>>;

fn usage(facts: &Facts) -> Usage {
    let mut all = Usage::new();
    for object in facts.store.all("Pod").filter(|p| !pod::is_finished(p)) {
        let (Some(node), Some(spec)) = (object.str_at("/spec/nodeName"), object.at("/spec")) else { continue };
        let node = all.entry(node.to_owned()).or_default();
        for (resource, amount) in requests(spec) {
            *node.entry(resource).or_insert(0.0) += amount;
        }
    }
    all
}

/// What a node can give out.
pub(crate) fn allocatable(node: &Object, resource: &str) -> f64 {
    node.at("/status/allocatable").and_then(|a| a.get(resource)).and_then(quantity::of).unwrap_or(0.0)
}

/// How many more pods of a spec fit on the nodes that take pods, at most `limit`.
pub(crate) fn room_for(facts: &Facts, spec: &Value, limit: usize) -> usize {
    let wanted = requests(spec);
    let mut room = 0;
    for verdict in super::schedule::verdicts(facts, spec, true) {
        if !verdict.refusals.is_empty() {
            continue;
        }
        let counted = |(resource, _): &(&String, &f64)| *resource != "pods" || allocatable(verdict.node, "pods") > 0.0;
        let fits = |(resource, want): (&String, &f64)| {
            let free = allocatable(verdict.node, resource) - requested_on(facts, verdict.node.name(), resource);
            if *want > 0.0 { (free / want + 1e-9).floor().max(0.0) as usize } else { usize::MAX }
        };
        room += wanted.iter().filter(counted).map(fits).min().unwrap_or(limit).min(limit);
    }
    room.min(limit)
}

/// Nodes that are ready and take pods.
pub(crate) fn open_nodes(facts: &Facts) -> impl Iterator<Item = &Object> {
    facts.store.all("Node").filter(|n| node_ready(n) && n.bool_at("/spec/unschedulable") != Some(true))
}

/// Whether a node's Ready condition is true.
pub(crate) fn node_ready(node: &Object) -> bool {
    node.condition("Ready").is_some_and(|c| c["status"] == "True")
}
