//! Why a pod fits no node: each node is checked as the scheduler checks it.

use std::collections::BTreeMap;

use kubernaut_core::model::Object;
use serde_json::Value;

use super::{Facts, capacity, quantity};

/// Why a node does not take a pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// Selector or affinity does not match.
    NoMatch,
    Cordoned,
    /// A taint that the pod does not tolerate.
    Taint {
        key: String,
        value: String,
        effect: String,
    },
    /// Resources: wanted, free now, and what the node offers in all.
    Short {
        resource: String,
        wanted: f64,
        free: f64,
        allocatable: f64,
    },
}

/// One node with everything that speaks against it.
#[derive(Debug, Clone)]
pub(crate) struct Verdict<'a> {
    pub(crate) node: &'a Object,
    pub(crate) refusals: Vec<Refusal>,
}

impl Verdict<'_> {
    /// Whether the pod's own placement rules match the node.
    pub(crate) fn matches(&self) -> bool {
        !self.refusals.contains(&Refusal::NoMatch)
    }

    /// The taints among the refusals that people set, not Kubernetes.
    pub(crate) fn taints(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.refusals.iter().filter_map(|r| match r {
            Refusal::Taint { key, value, effect } => Some((key.as_str(), value.as_str(), effect.as_str())),
            _ => None,
        })
    }
}

/// Taints that Kubernetes itself sets from a node's condition.
pub(crate) fn is_condition_taint(key: &str) -> bool {
    key.starts_with("node.kubernetes.io/") || key.starts_with("node.cloudprovider.kubernetes.io/")
}

/// Taints that keep ordinary workloads off the control plane.
pub(crate) fn is_control_plane_taint(key: &str) -> bool {
    matches!(key, "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master")
}

/// Checks every node for a pod spec. `with_usage` tells whether the pods of all namespaces were read, so that free room is known.
pub(crate) fn verdicts<'a>(facts: &'a Facts, spec: &Value, with_usage: bool) -> Vec<Verdict<'a>> {
    let wanted = capacity::requests(spec);
    facts.store.all("Node").map(|node| Verdict { node, refusals: refusals(facts, node, spec, &wanted, with_usage) }).collect()
}

fn refusals(facts: &Facts, node: &Object, spec: &Value, wanted: &BTreeMap<String, f64>, with_usage: bool) -> Vec<Refusal> {
    let mut found = Vec::new();
    if !selector_matches_node(node, spec) {
        found.push(Refusal::NoMatch);
    }
    let tolerations = spec["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let unschedulable = node.bool_at("/spec/unschedulable") == Some(true);
    if unschedulable && !tolerations.iter().any(|t| tolerates(t, "node.kubernetes.io/unschedulable", "", "NoSchedule")) {
        found.push(Refusal::Cordoned);
    }
    for taint in node.list_at("/spec/taints") {
        let part = |k: &str| taint[k].as_str().unwrap_or_default().to_owned();
        let (key, value, effect) = (part("key"), part("value"), part("effect"));
        if effect != "PreferNoSchedule"
            && key != "node.kubernetes.io/unschedulable"
            && !tolerations.iter().any(|t| tolerates(t, &key, &value, &effect))
        {
            found.push(Refusal::Taint { key, value, effect });
        }
    }
    for (resource, wanted) in wanted {
        let offered = node.at("/status/allocatable").and_then(|a| a.get(resource)).and_then(quantity::of);
        // Every real node says how many pods it takes; a record of one need not.
        if offered.is_none() && resource == "pods" {
            continue;
        }
        let allocatable = offered.unwrap_or(0.0);
        let used = if with_usage { capacity::requested_on(facts, node.name(), resource) } else { 0.0 };
        let free = allocatable - used;
        if *wanted > 0.0 && *wanted > free + 1e-9 {
            found.push(Refusal::Short { resource: resource.clone(), wanted: *wanted, free: free.max(0.0), allocatable });
        }
    }
    found
}

/// Whether a toleration covers a taint.
pub(crate) fn tolerates(toleration: &Value, key: &str, value: &str, effect: &str) -> bool {
    let effect_ok = toleration["effect"].as_str().is_none_or(|e| e.is_empty() || e == effect);
    let exists = toleration["operator"] == "Exists";
    let key_ok = match toleration["key"].as_str() {
        None | Some("") => exists,
        Some(k) => k == key,
    };
    effect_ok && key_ok && (exists || toleration["value"].as_str().unwrap_or_default() == value)
}

/// Whether node selector and required node affinity match.
pub(crate) fn selector_matches_node(node: &Object, spec: &Value) -> bool {
    let labels = node.labels();
    let selector = spec["nodeSelector"].as_object();
    let selected = selector.into_iter().flatten().all(|(k, v)| labels.get(k.as_str()).copied() == v.as_str());
    let named = spec["nodeName"].as_str().is_none_or(|n| n.is_empty() || n == node.name());
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    selected && named && terms_match(required, node)
}

/// Whether a node is in one of the terms of a node affinity; without terms every node is.
pub(crate) fn terms_match(terms: &Value, node: &Object) -> bool {
    let labels = node.labels();
    terms.as_array().is_none_or(|terms| terms.iter().any(|t| term_matches(t, node, &labels)))
}

fn term_matches(term: &Value, node: &Object, labels: &BTreeMap<&str, &str>) -> bool {
    let expressions =
        term["matchExpressions"].as_array().into_iter().flatten().all(|e| expression(e, labels.get(e["key"].as_str().unwrap_or_default()).copied()));
    let fields = term["matchFields"].as_array().into_iter().flatten().all(|e| expression(e, Some(node.name())));
    expressions && fields
}

fn expression(e: &Value, value: Option<&str>) -> bool {
    let values: Vec<&str> = e["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let number = |s: &str| s.parse::<i64>().ok();
    match e["operator"].as_str().unwrap_or_default() {
        "In" => value.is_some_and(|v| values.contains(&v)),
        "NotIn" => value.is_none_or(|v| !values.contains(&v)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => value.and_then(number).zip(values.first().and_then(|v| number(v))).is_some_and(|(a, b)| a > b),
        "Lt" => value.and_then(number).zip(values.first().and_then(|v| number(v))).is_some_and(|(a, b)| a < b),
        _ => false,
    }
}

/// What the scheduler says of how many nodes, such as `2`, `Insufficient cpu`.
pub(crate) fn tallies(message: &str) -> Vec<(u32, String)> {
    let said = message.split(" preemption:").next().unwrap_or_default();
    let said = said.split_once("nodes are available:").map_or(said, |(_, rest)| rest);
    let mut found: Vec<(u32, String)> = Vec::new();
    for part in said.split([',', ';']) {
        let part = part.trim().trim_end_matches('.');
        if let Some((count, reason)) = part.split_once(' ')
            && let Ok(count) = count.parse()
        {
            found.push((count, reason.trim_start_matches("node(s) ").to_owned()));
        }
    }
    found
}

/// Whether a scheduler message blames pod (anti-)affinity, and with which words.
pub(crate) fn blames_pod_affinity(message: &str) -> bool {
    message.contains("anti-affinity") || message.contains("pod affinity rules")
}

/// Whether a scheduler message blames topology spread.
pub(crate) fn blames_spread(message: &str) -> bool {
    message.contains("topology spread")
}

/// Whether a scheduler message says that a volume can be used on other nodes only.
pub(crate) fn blames_place_of_volume(message: &str) -> bool {
    message.contains("volume node affinity conflict") || message.contains("match PersistentVolume's node affinity")
}

/// Whether a scheduler message blames volumes.
pub(crate) fn blames_volume(message: &str) -> bool {
    [
        "unbound immediate PersistentVolumeClaims",
        "volume node affinity conflict",
        "persistentvolumeclaim \"",
        "available persistent volumes",
        "volume limits",
    ]
    .iter()
    .any(|w| message.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_s_message_is_a_tally_of_reasons() {
        let message = "0/4 nodes are available: 1 node(s) had untolerated taint {a: b}, 1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.";
        let found = tallies(message);
        assert_eq!(found[0], (1, "had untolerated taint {a: b}".to_owned()));
        assert_eq!(found[1], (1, "Insufficient cpu".to_owned()));
        assert_eq!(found.len(), 3);
        assert!(tallies("something else").is_empty());
    }
}
