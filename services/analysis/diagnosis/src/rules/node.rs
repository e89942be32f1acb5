//! Nodes: lost, under pressure, or with one pod that eats the disk.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::json;

use super::Case;
use crate::{
    facts::{Facts, capacity, pod, quantity, workload},
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(facts: &Facts, subject: &ObjectRef, _is_target: bool, report: &mut Report) {
    let Some(node) = facts.store.find(subject) else { return };
    if !capacity::node_ready(node) {
        report.find(not_ready(facts, node));
        return;
    }
    if has(node, "DiskPressure")
        && let Some(finding) = disk_hog(facts, node)
    {
        report.find(finding);
        return;
    }
    if node.bool_at("/spec/unschedulable") == Some(true) {
        held_drain(facts, node, report);
    }
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        if has(node, kind) {
            report.find(pressure(node, kind));
        }
    }
}

/// Budgets that keep pods on a node that is being emptied.
fn held_drain(facts: &Facts, node: &Object, report: &mut Report) {
    let here = |p: &&Object| p.str_at("/spec/nodeName") == Some(node.name()) && !pod::is_finished(p);
    for object in facts.store.all("Pod").filter(here) {
        let held = facts.events_of(&object.reference()).filter(|e| e.reason == "FailedEviction").last();
        let budgets = facts.store.list("PodDisruptionBudget", object.namespace()).filter(|b| {
            let selects = b.at("/spec/selector").is_some_and(|s| kubernaut_core::model::selector_matches(s, &object.labels()));
            selects && b.i64_at("/status/disruptionsAllowed") == Some(0)
        });
        for budget in budgets {
            let mut lead = Lead::new(&budget.reference(), if held.is_some() { 0.98 } else { 0.88 }, "it keeps pods on the node, which is closed");
            if let Some(event) = held {
                lead = lead.because(&object.reference(), EvidenceSource::Event, format!("{} ({} times)", event.message, event.count));
            }
            report.lead(lead);
        }
    }
}

/// A workload whose pods are unwell because their node is lost.
pub(super) fn examine_pods(case: &Case<'_>, report: &mut Report) {
    for object in &case.failing {
        let Some(node) = object.str_at("/spec/nodeName").and_then(|n| case.facts.store.get("Node", None, n)) else { continue };
        let lost = pod_lost(object);
        if !capacity::node_ready(node) {
            report.lead(Lead::new(&node.reference(), 0.97, "the pod's node is not ready").because(
                &node.reference(),
                EvidenceSource::Status,
                ready_text(node),
            ));
        } else if lost || object.str_at("/status/reason") == Some("Evicted") {
            report.lead(Lead::new(&node.reference(), 0.8, "the node ended the pod"));
        }
    }
    let evicted = case.workload.pods.iter().filter(|p| object_evicted(p)).max_by_key(|p| p.created_at());
    if let Some(object) = evicted
        && !case.workload.is_healthy(case.facts.now)
        && let Some(node) = object.str_at("/spec/nodeName")
    {
        report.lead(Lead::new(&ObjectRef::new("Node", None, node), 0.8, "the node evicted a pod").because(
            &object.reference(),
            EvidenceSource::Status,
            object.str_at("/status/message").unwrap_or_default(),
        ));
    }
}

fn object_evicted(object: &Object) -> bool {
    object.str_at("/status/reason") == Some("Evicted")
}

fn pod_lost(object: &Object) -> bool {
    matches!(object.str_at("/status/reason"), Some("NodeLost" | "NodeShutdown"))
}

fn has(node: &Object, kind: &str) -> bool {
    node.condition(kind).is_some_and(|c| c["status"] == "True")
}

fn ready_text(node: &Object) -> String {
    let Some(c) = node.condition("Ready") else { return "no Ready condition".to_owned() };
    let part = |k: &str| c[k].as_str().unwrap_or_default();
    format!("Ready={} since {} ({}: {})", part("status"), part("lastTransitionTime"), part("reason"), part("message"))
}

fn not_ready(facts: &Facts, node: &Object) -> Finding {
    let reference = node.reference();
    let others = capacity::open_nodes(facts).filter(|n| n.name() != node.name()).count();
    let silent = node.condition("Ready").is_some_and(|c| c["status"] == "Unknown");
    let summary = if silent { "the kubelet stopped reporting" } else { "the kubelet reports that the node is not ready" };
    let affected = facts.store.all("Pod").filter(|p| p.str_at("/spec/nodeName") == Some(node.name()) && !pod::is_finished(p)).count();
    let mut finding = Finding::new(Category::NodeNotReady, &reference, 0.96, summary)
        .because(&reference, EvidenceSource::Status, ready_text(node))
        .because(&reference, EvidenceSource::Status, format!("{affected} pods are on it"));
    if let Some(event) = facts.events_of(&reference).filter(|e| e.kind == "Warning" || e.reason == "NodeNotReady").last() {
        finding = finding.because(&reference, EvidenceSource::Event, format!("{}: {}", event.reason, event.message));
    }
    let steps = vec![format!("look at kubelet, runtime and network of {}", node.name()), "drain it if it does not come back".to_owned()];
    if node.bool_at("/spec/unschedulable") == Some(true) {
        return finding.propose(propose::escalate(&reference, "the node is lost and already closed for new pods", steps));
    }
    finding.propose(
        propose::action("cordon_node", &reference, json!({}))
            .when(others > 0, format!("{others} other ready node(s) take pods"))
            .effect("no new pod is sent to the node while it is looked at")
            .steps(steps)
            .done(),
    )
}

/// The pod that uses by far the most of the node's disk.
fn disk_hog(facts: &Facts, node: &Object) -> Option<Finding> {
    let here: Vec<&Object> = facts.store.all("Pod").filter(|p| p.str_at("/spec/nodeName") == Some(node.name())).collect();
    let mut usage: Vec<(f64, &Object, String)> = here.iter().filter_map(|p| disk_usage(facts, p).map(|(u, why)| (u, *p, why))).collect();
    usage.sort_by(|a, b| b.0.total_cmp(&a.0));
    let total: f64 = usage.iter().map(|(u, _, _)| u).sum();
    let (used, object, why) = usage
        .first()
        .cloned()
        .filter(|(u, _, _)| *u >= 0.5 * total && *u > 1_073_741_824.0)
        .or_else(|| suspect(&here).map(|p| (0.0, p, String::new())))?;
    let owner = workload::owner_of(facts, object);
    let measured = used > 0.0;
    let volumes: Vec<&str> = object
        .list_at("/spec/volumes")
        .iter()
        .filter(|v| v["emptyDir"].is_object() && v["emptyDir"]["sizeLimit"].is_null())
        .filter_map(|v| v["name"].as_str())
        .collect();
    let mut finding = Finding::new(
        Category::EphemeralStorageHog,
        &owner,
        if measured { 0.95 } else { 0.6 },
        format!("its pod {} uses most of the disk of {}", object.name(), node.name()),
    )
    .because(&node.reference(), EvidenceSource::Status, "DiskPressure=True");
    if measured {
        finding = finding.because(&object.reference(), EvidenceSource::Metric, why);
    }
    if !volumes.is_empty() {
        finding = finding.because(&object.reference(), EvidenceSource::Spec, format!("emptyDir {} without a size limit", volumes.join(", ")));
    }
    let victims: Vec<&str> = here.iter().filter(|p| object_evicted(p)).map(|p| p.name()).collect();
    if !victims.is_empty() {
        finding = finding.because(&node.reference(), EvidenceSource::Event, format!("evicted: {}", victims.join(", ")));
    }
    Some(limit_disk(facts, node, object, &owner, finding))
}

/// A limit on the disk that the container may use; it also frees what is used now, as the pod is replaced.
fn limit_disk(facts: &Facts, node: &Object, object: &Object, owner: &ObjectRef, finding: Finding) -> Finding {
    let container = object.list_at("/spec/containers").first().and_then(|c| c["name"].as_str()).unwrap_or_default();
    let share = (capacity::allocatable(node, "ephemeral-storage") * 0.1).max(1_073_741_824.0);
    let limit = quantity::memory((share / 1_073_741_824.0).floor() * 1_073_741_824.0);
    let controlled = facts.store.find(owner).is_some() && owner.kind != "Pod";
    finding.propose(
        propose::action("set_resource_limits", owner, json!({ "container": container, "limits": { "ephemeral-storage": limit } }))
            .when(controlled, "a controller replaces the pod")
            .effect("the disk is freed, and the pod cannot fill it again")
            .irreversible()
            .steps(vec![
                "what the pod holds in its emptyDir is lost; save it first if it is needed".to_owned(),
                format!("let {owner} ship or remove what it writes"),
            ])
            .done(),
    )
}

/// What a pod uses of the node's disk: by metric, else by what the kubelet said when it evicted it.
fn disk_usage(facts: &Facts, object: &Object) -> Option<(f64, String)> {
    let labels = [("namespace", object.namespace().unwrap_or_default()), ("pod", object.name())];
    for name in ["ephemeral_storage_pod_usage", "container_fs_usage_bytes"] {
        let value = facts
            .series(name, &labels)
            .iter()
            .filter(|s| s.labels.values().any(|v| v == object.name()))
            .filter_map(|s| s.values.last())
            .map(|(_, v)| *v)
            .reduce(f64::max);
        if let Some(value) = value {
            return Some((value, format!("{} of the node's disk in use", quantity::memory(value))));
        }
    }
    let message = object.str_at("/status/message").filter(|_| object_evicted(object))?;
    let used = message.split("was using ").nth(1)?.split([',', ' ']).next()?;
    Some((quantity::parse(used)?, format!("evicted while using {used}")))
}

/// Without figures: the only pod that may write without bound and that the kubelet does not evict.
fn suspect<'a>(here: &[&'a Object]) -> Option<&'a Object> {
    let unbounded = |p: &&&Object| {
        let open = p
            .list_at("/spec/volumes")
            .iter()
            .any(|v| v["emptyDir"].is_object() && v["emptyDir"]["sizeLimit"].is_null() && v["emptyDir"]["medium"] != "Memory");
        let bounded = p.list_at("/spec/containers").iter().all(|c| !c["resources"]["limits"]["ephemeral-storage"].is_null());
        open && !bounded && !pod::is_finished(p)
    };
    let found: Vec<&&Object> = here.iter().filter(unbounded).collect();
    match found.as_slice() {
        [only] => Some(**only),
        _ => None,
    }
}

fn pressure(node: &Object, kind: &str) -> Finding {
    let reference = node.reference();
    let steps = vec![format!("find out what uses the {} of {}", kind.trim_end_matches("Pressure").to_lowercase(), node.name())];
    Finding::new(Category::Unknown, &reference, 0.5, format!("the node is under {kind}"))
        .because(&reference, EvidenceSource::Status, format!("{kind}=True"))
        .propose(propose::escalate(&reference, "no pod stands out as the cause", steps))
}
