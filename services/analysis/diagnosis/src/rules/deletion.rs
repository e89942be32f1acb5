//! Objects that are to go and do not: held by a finalizer, or by a node that no longer answers.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};

use super::Case;
use crate::{
    facts::{Facts, capacity, collect::focus, pod},
    graph::{Finding, Lead, Report},
    propose,
};

/// Seconds after the end of the grace period from which an object counts as held.
const OVERDUE_S: i64 = 60;

/// Pods on their way out that do not go, where their workload lacks a pod.
pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    if case.workload.is_healthy(case.facts.now) {
        return;
    }
    let Some(object) = case.workload.pods.iter().find(|p| is_overdue(case.facts, p)) else { return };
    let node = object.str_at("/spec/nodeName").and_then(|n| case.facts.store.get("Node", None, n));
    if let Some(node) = node.filter(|n| !capacity::node_ready(n)) {
        report.lead(Lead::new(&node.reference(), 0.98, "its pod cannot leave the node, which does not answer").because(
            &object.reference(),
            EvidenceSource::Status,
            since(case.facts, object),
        ));
        return;
    }
    report.find(match finalizers(object).as_slice() {
        [] => not_ended(case.facts, object, node),
        held => held_by(case.facts, object, held),
    });
}

/// An alerted object of another kind that is to go and does not.
pub(super) fn examine_object(facts: &Facts, subject: &ObjectRef, report: &mut Report) {
    let Some(object) = facts.store.find(subject).filter(|o| is_overdue(facts, o)) else { return };
    let held = finalizers(object);
    if !held.is_empty() {
        report.find(held_by(facts, object, &held));
    }
}

fn is_overdue(facts: &Facts, object: &Object) -> bool {
    object.time_at("/metadata/deletionTimestamp").is_some_and(|at| facts.age_s(at) > OVERDUE_S)
}

fn since(facts: &Facts, object: &Object) -> String {
    let minutes = object.time_at("/metadata/deletionTimestamp").map_or(0, |at| facts.age_s(at) / 60);
    format!("to be deleted, overdue for {minutes} minutes")
}

/// Finalizers of the object itself, and of a namespace's specification.
fn finalizers(object: &Object) -> Vec<&str> {
    ["/metadata/finalizers", "/spec/finalizers"].iter().flat_map(|p| object.list_at(p)).filter_map(serde_json::Value::as_str).collect()
}

fn held_by(facts: &Facts, object: &Object, held: &[&str]) -> Finding {
    let reference = object.reference();
    let names = held.join(", ");
    let mut finding = Finding::new(Category::FinalizerStuck, &reference, 0.93, format!("its deletion waits for {names}"))
        .because(&reference, EvidenceSource::Status, since(facts, object))
        .because(&reference, EvidenceSource::Spec, format!("finalizers {names}"));
    let users = focus(facts, &reference);
    if held.iter().any(|f| f.ends_with("pvc-protection")) && !users.is_empty() {
        let used = users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        finding = finding.because(&reference, EvidenceSource::Status, format!("still mounted by {used}"));
    }
    for condition in object.list_at("/status/conditions").iter().filter(|c| c["status"] == "True") {
        if let Some(message) = condition["message"].as_str().filter(|_| object.kind() == "Namespace") {
            finding = finding.because(&reference, EvidenceSource::Status, message);
        }
    }
    let steps = vec![
        format!("find out which controller removes {names}, and whether it runs"),
        "take a finalizer out by hand only if what it protects is no longer needed".to_owned(),
    ];
    finding.propose(propose::escalate(&reference, "what the finalizer protects has to be looked at by a person", steps))
}

/// No finalizer, and the node answers: the kubelet or the runtime does not end the pod.
fn not_ended(facts: &Facts, object: &Object, node: Option<&Object>) -> Finding {
    let reference = object.reference();
    let at = node.map_or_else(|| reference.clone(), Object::reference);
    let failed = facts.events_of(&reference).filter(|e| e.kind == "Warning").last();
    let steps = vec![
        format!("look at the kubelet and the container runtime on {}", object.str_at("/spec/nodeName").unwrap_or("its node")),
        format!("force the deletion of {reference} only once its processes are known to be gone"),
    ];
    let confidence = if pod::phase(object) == "Running" && failed.is_some() { 0.84 } else { 0.72 };
    Finding::new(Category::ClusterComponentDown, &at, confidence, "the node does not end a pod that is to go")
        .because(&reference, EvidenceSource::Status, since(facts, object))
        .because_some(&reference, EvidenceSource::Event, failed.map(|e| format!("{}: {}", e.reason, e.message)))
        .propose(propose::escalate(&at, "a pod that is not known to have ended must not be started elsewhere", steps))
}
