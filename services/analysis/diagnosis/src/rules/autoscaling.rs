//! Autoscalers: at their ceiling under real load, or without requests to compute with.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::{Value, json};

use crate::{
    facts::{Facts, capacity, collect::focus, workload::Workload},
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(facts: &Facts, subject: &ObjectRef, report: &mut Report) {
    let Some(hpa) = facts.store.find(subject) else { return };
    let scaled = focus(facts, subject).into_iter().next();
    let workload = scaled.as_ref().and_then(|s| Workload::find(facts, s));
    if let Some(finding) = no_target(facts, hpa) {
        report.find(finding);
        return;
    }
    if let Some(finding) = cannot_compute(hpa, workload.as_ref()) {
        report.find(finding);
        return;
    }
    let healthy = workload.as_ref().is_none_or(|w| w.is_healthy(facts.now));
    if let Some(finding) = at_ceiling(facts, hpa, workload.as_ref()) {
        report.find(Finding { confidence: if healthy { finding.confidence } else { finding.confidence * 0.8 }, ..finding });
    }
    if let Some(workload) = workload.filter(|w| !w.is_healthy(facts.now)) {
        report.lead(Lead::new(&workload.reference(), 0.9, "the workload that it scales is not well"));
    }
}

/// The workload that is to be scaled does not exist.
fn no_target(facts: &Facts, hpa: &Object) -> Option<Finding> {
    let reference = hpa.reference();
    let (kind, name) = (hpa.str_at("/spec/scaleTargetRef/kind")?, hpa.str_at("/spec/scaleTargetRef/name")?);
    let failed = reason(hpa, "AbleToScale", "False").filter(|(r, _)| *r == "FailedGetScale");
    if !facts.store.is_absent(kind, hpa.namespace(), name) {
        return None;
    }
    Some(
        Finding::new(
            Category::ResourceNotReady,
            &reference,
            if failed.is_some() { 0.92 } else { 0.85 },
            format!("it scales {kind} {name}, which does not exist"),
        )
        .because(&reference, EvidenceSource::Spec, format!("scaleTargetRef {kind}/{name}"))
        .because_some(&reference, EvidenceSource::Status, failed.map(|(r, m)| format!("AbleToScale=False {r}: {m}")))
        .propose(propose::escalate(
            &reference,
            "the autoscaler has nothing to scale",
            vec![format!("correct its target, or bring {kind} {name} back")],
        )),
    )
}

fn reason<'a>(hpa: &'a Object, kind: &str, status: &str) -> Option<(&'a str, &'a str)> {
    let c = hpa.condition(kind).filter(|c| c["status"] == status)?;
    Some((c["reason"].as_str().unwrap_or_default(), c["message"].as_str().unwrap_or_default()))
}

/// A utilisation target without a request to relate it to.
fn cannot_compute(hpa: &Object, workload: Option<&Workload<'_>>) -> Option<Finding> {
    let (why, message) = reason(hpa, "ScalingActive", "False")?;
    let resources: Vec<&str> = hpa
        .list_at("/spec/metrics")
        .iter()
        .filter(|m| m["resource"]["target"]["type"] == "Utilization")
        .filter_map(|m| m["resource"]["name"].as_str())
        .collect();
    let workload = workload?;
    let reference = workload.reference();
    let containers = workload.object.pod_spec()?["containers"].as_array()?;
    let without = |c: &&Value| resources.iter().any(|r| c["resources"]["requests"][*r].is_null() && c["resources"]["limits"][*r].is_null());
    let missing: Vec<&Value> = containers.iter().filter(without).collect();
    if missing.is_empty() {
        let steps = vec!["look at the source of metrics (metrics-server or the adapter) and its APIService".to_owned()];
        return Some(
            Finding::new(Category::Unknown, &hpa.reference(), 0.7, "the autoscaler gets no metrics")
                .because(&hpa.reference(), EvidenceSource::Status, format!("ScalingActive=False {why}: {message}"))
                .propose(propose::escalate(&hpa.reference(), "the source of metrics does not answer", steps)),
        );
    }
    let names: Vec<&str> = missing.iter().filter_map(|c| c["name"].as_str()).collect();
    let mut finding = Finding::new(
        Category::HpaNoRequests,
        &reference,
        if message.contains("missing request") { 0.97 } else { 0.9 },
        format!("container(s) {} have no request for {}, so utilisation cannot be computed", names.join(", "), resources.join(", ")),
    )
    .because(&hpa.reference(), EvidenceSource::Status, format!("ScalingActive=False {why}: {message}"))
    .because(&reference, EvidenceSource::Spec, format!("no requests for {} on {}", resources.join(", "), names.join(", ")));
    for container in missing {
        let mut requests = serde_json::Map::new();
        for resource in resources.iter().filter(|r| container["resources"]["requests"][**r].is_null()) {
            requests.insert((*resource).to_owned(), json!(if *resource == "cpu" { "100m" } else { "128Mi" }));
        }
        finding = finding.propose(
            propose::action("set_resource_requests", &reference, json!({ "container": container["name"], "requests": requests }))
                .when(true, "the workload has no request of that kind, so none is overwritten")
                .effect("the autoscaler computes utilisation again")
                .done(),
        );
    }
    Some(finding)
}

fn at_ceiling(facts: &Facts, hpa: &Object, workload: Option<&Workload<'_>>) -> Option<Finding> {
    let reference = hpa.reference();
    let max = hpa.i64_at("/spec/maxReplicas")?;
    // What it just asked for counts: the pods follow.
    let current = ["/status/currentReplicas", "/status/desiredReplicas"].iter().filter_map(|p| hpa.i64_at(p)).max().unwrap_or(0);
    let (load, text) = load(hpa);
    let limited = reason(hpa, "ScalingLimited", "True").filter(|(r, _)| *r == "TooManyReplicas");
    let real = load.is_some_and(|l| l > 1.1);
    if current < max || !(limited.is_some() || real) || load.is_some_and(|l| l <= 1.0) {
        return None;
    }
    let wanted = load.map_or(max + 1, |l| (current as f64 * l).ceil() as i64);
    // One step at a time: half as many again, no more than the load asks for, no more than fits.
    let step = ((max as f64 * 1.5).ceil() as i64).min(wanted).max(max + 1);
    let spec = workload.and_then(|w| w.object.pod_spec());
    let room = spec.map(|s| capacity::room_for(facts, s, 1_000));
    let fits = room.is_none_or(|r| i64::try_from(r).unwrap_or(i64::MAX) >= step - current);
    let finding = Finding::new(
        Category::HpaMaxTooLow,
        &reference,
        if real { 0.96 } else { 0.85 },
        format!("the load asks for {wanted} replicas, the ceiling is {max}"),
    )
    .because(&reference, EvidenceSource::Status, format!("{current} of at most {max} replicas{text}"))
    .because_some(&reference, EvidenceSource::Status, limited.map(|(r, m)| format!("ScalingLimited {r}: {m}")));
    Some(
        finding.propose(
            propose::action("patch_hpa_max", &reference, json!({ "max_replicas": step }))
                .when(fits, room.map_or_else(|| "room on the nodes is not known".to_owned(), |r| format!("the nodes have room for {r} more pods")))
                .effect(format!("up to {step} replicas share the load"))
                .done(),
        ),
    )
}

/// Whether it would have more replicas than it may.
pub(super) fn wants_more(hpa: &Object) -> bool {
    reason(hpa, "ScalingLimited", "True").is_some_and(|(r, _)| r == "TooManyReplicas")
}

/// An autoscaler whose load is within its target.
pub(super) fn at_rest(hpa: &Object) -> Option<String> {
    let (load, text) = load(hpa);
    load.filter(|l| *l <= 1.0).map(|_| format!("the load is within its target{text}"))
}

/// The highest ratio of a metric to its target.
fn load(hpa: &Object) -> (Option<f64>, String) {
    let mut best: Option<f64> = None;
    let mut text = String::new();
    for (spec, status) in hpa.list_at("/spec/metrics").iter().zip(hpa.list_at("/status/currentMetrics")) {
        let now = status["resource"]["current"]["averageUtilization"].as_f64();
        let target = spec["resource"]["target"]["averageUtilization"].as_f64();
        let Some((now, target)) = now.zip(target).filter(|(_, t)| *t > 0.0) else { continue };
        let ratio = now / target;
        if best.is_none_or(|b| ratio > b) {
            best = Some(ratio);
            text = format!(", {} at {now} % of a target of {target} %", spec["resource"]["name"].as_str().unwrap_or("metric"));
        }
    }
    (best, text)
}
