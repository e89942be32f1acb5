//! Workloads that are scaled to nothing.

use kubernaut_core::model::{Category, EvidenceSource, ProposedAction};
use serde_json::json;

use super::Case;
use crate::{
    facts::{Facts, managed, service, workload::Workload},
    graph::{Finding, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let scalable = matches!(case.workload.kind(), "Deployment" | "StatefulSet");
    if !scalable || case.workload.desired() != 0 {
        return;
    }
    let reference = case.reference();
    let wanted = !service::of_workload(case.facts, &case.workload).is_empty() || case.is_target;
    let confidence = if wanted { 0.96 } else { 0.8 };
    let mut finding = Finding::new(Category::ScaledToZero, &reference, confidence, "the workload is scaled to no replicas").because(
        &reference,
        EvidenceSource::Spec,
        "spec.replicas is 0",
    );
    if let Some(write) = managed::writes(case.workload.object).filter(|w| w.fields["f:spec"].get("f:replicas").is_some()).max_by_key(|w| w.at) {
        finding = finding.because(
            &reference,
            EvidenceSource::Spec,
            format!("replicas last set by {} at {}", write.manager, write.at.map(|t| t.to_string()).unwrap_or_default()),
        );
    }
    if let Some(event) = case.facts.event(&reference, &["ScalingReplicaSet"], "Scaled down") {
        finding = finding.because(&reference, EvidenceSource::Event, event.message.clone());
    }
    report.find(finding.propose(restore(case.facts, &case.workload)));
}

/// Scaling back to the number of replicas it had.
pub(super) fn restore(facts: &Facts, workload: &Workload<'_>) -> ProposedAction {
    let (replicas, why) = former(facts, workload);
    let known = why.is_some();
    propose::action("scale_replicas", &workload.reference(), json!({ "replicas": replicas }))
        .when(true, why.unwrap_or_else(|| "one replica is the least that serves".to_owned()))
        .when(!is_suspended(workload), "nothing says that it is off on purpose")
        .effect(format!("{replicas} replica(s) become Ready{}", if known { ", as before" } else { "" }))
        .done()
}

/// Annotations by which tools mark a workload that is off on purpose.
fn is_suspended(workload: &Workload<'_>) -> bool {
    workload.object.annotations().iter().any(|(k, v)| {
        let key = k.to_lowercase();
        (key.contains("downtime") || key.contains("paused") || key.contains("hibernat") || key.contains("decommission")) && *v != "false"
    })
}

/// The number of replicas before, and how it is known.
fn former(facts: &Facts, workload: &Workload<'_>) -> (i64, Option<String>) {
    let reference = workload.reference();
    let scaled = facts
        .events_of(&reference)
        .filter(|e| e.reason == "ScalingReplicaSet" && e.message.contains("Scaled down") && e.message.ends_with("to 0"))
        .last();
    let from_event = scaled.and_then(|e| e.message.split(" from ").nth(1)?.split(' ').next()?.parse::<i64>().ok().map(|n| (n, e.message.clone())));
    if let Some((n, text)) = from_event.filter(|(n, _)| *n > 0) {
        return (n, Some(text));
    }
    let applied = workload
        .object
        .annotation("kubectl.kubernetes.io/last-applied-configuration")
        .and_then(|a| serde_json::from_str::<serde_json::Value>(a).ok());
    if let Some(n) = applied.and_then(|a| a["spec"]["replicas"].as_i64()).filter(|n| *n > 0) {
        return (n, Some(format!("the applied configuration says {n} replicas")));
    }
    let minimum = facts
        .store
        .list("HorizontalPodAutoscaler", workload.namespace())
        .find(|h| h.str_at("/spec/scaleTargetRef/name") == Some(workload.name()))
        .and_then(|h| h.i64_at("/spec/minReplicas"));
    if let Some(n) = minimum.filter(|n| *n > 0) {
        return (n, Some(format!("its autoscaler wants at least {n}")));
    }
    let set = facts.store.children(&reference).filter_map(|c| c.annotation("deployment.kubernetes.io/desired-replicas")?.parse::<i64>().ok()).max();
    match set.filter(|n| *n > 0) {
        Some(n) => (n, Some(format!("its ReplicaSet was last meant for {n} replicas"))),
        None => (1, None),
    }
}
