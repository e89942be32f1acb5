//! Nothing is wrong now: recovered, ended by itself, or never a fault.

use kubernaut_core::model::{Category, EvidenceSource, ObjectRef};

use super::{Case, autoscaling, storage};
use crate::{
    facts::{
        Facts, capacity,
        log::{Hit, Signature},
        pod, service,
    },
    graph::{Finding, Report},
};

/// Seconds of calm after which a recovery is believed.
const CALM_S: i64 = 600;

/// Age in seconds below which a pod may still be starting.
const YOUNG_S: i64 = 240;

/// The alerted workload is well. A symptom, so that any cause that was found wins.
pub(super) fn workload(case: &Case<'_>, report: &mut Report) {
    let (facts, workload) = (case.facts, &case.workload);
    if let Some(finding) = starting(case).filter(|_| report.findings.iter().all(|f| f.symptom)) {
        report.findings.retain(|f| !f.symptom);
        report.find(finding);
        return;
    }
    if !workload.is_healthy(facts.now) || report.findings.iter().any(|f| !f.symptom) {
        return;
    }
    let reference = case.reference();
    let last_end = workload.live_pods().flat_map(pod::containers).filter_map(|c| c.last_end()?.finished).max();
    let warned = workload.pods.iter().flat_map(|p| facts.events_of(&p.reference())).filter(|e| e.kind == "Warning").filter_map(|e| e.last_at).max();
    let calm_s = [last_end, warned].into_iter().flatten().map(|at| facts.age_s(at)).min();
    // What a process that runs and is ready could not read or parse, it got over.
    let grave = |h: &Hit| h.sign.weight() > 0 && !matches!(h.sign.kind, Signature::BadConfig | Signature::MissingFile | Signature::MissingEnv);
    let fresh = |h: &Hit| h.at.map_or(h.from_end < 40, |at| facts.age_s(at) < CALM_S);
    let complains = case.all_hits().into_iter().find(|(_, h)| grave(h) && fresh(h) && !workload.is_complete());
    let confidence = match (calm_s, complains.is_some()) {
        (_, true) => 0.4,
        (Some(s), _) if s < CALM_S => 0.55,
        (Some(_), _) => 0.94,
        (None, _) => 0.8,
    };
    let blind = !facts.store.is_complete("Pod", workload.namespace());
    let confidence = if blind { f64::min(confidence, 0.4) } else { confidence };
    // Requests may fail without a trace in status; without a log there is nothing that says they do not.
    let logged = workload.pods.iter().any(|p| facts.logs.has(p.namespace().unwrap_or_default(), p.name()));
    let confidence = match (facts.about_requests && calm_s.is_none(), logged) {
        (false, _) => confidence,
        (true, true) => f64::min(confidence, 0.65),
        (true, false) => f64::min(confidence, 0.45),
    };
    let state = match workload.kind() {
        "Job" | "CronJob" => "no failed run is open".to_owned(),
        _ => format!("{} of {} replicas ready", workload.ready(), workload.desired()),
    };
    let mut finding = Finding::new(Category::NoFault, &reference, confidence, "the workload is well now")
        .because(&reference, EvidenceSource::Status, state)
        .symptomatic();
    if let Some(at) = last_end {
        finding =
            finding.because(&reference, EvidenceSource::Status, format!("the last container ended at {at}, {} minutes ago", facts.age_s(at) / 60));
    }
    if let Some(at) = warned {
        finding = finding.because(&reference, EvidenceSource::Event, format!("the last warning was at {at}"));
    }
    if let Some((object, hit)) = complains {
        finding = finding.because(&object.reference(), EvidenceSource::Log, hit.line.clone());
    }
    report.find(finding);
}

/// Pods that are not ready only because they were born a moment ago.
fn starting(case: &Case<'_>) -> Option<Finding> {
    let facts = case.facts;
    let young = |p: &&kubernaut_core::model::Object| {
        let fresh = p.created_at().is_some_and(|at| facts.age_s(at) < YOUNG_S);
        let calm = pod::containers(p).iter().all(|c| {
            c.restarts() == 0
                && c.last_end().is_none_or(|t| !t.failed())
                && matches!(c.waiting_reason(), "" | "ContainerCreating" | "PodInitializing")
        });
        fresh && calm && !pod::is_unscheduled(p) && !facts.events_of(&p.reference()).any(|e| e.kind == "Warning")
    };
    if case.failing.is_empty() || !case.failing.iter().all(young) {
        return None;
    }
    let stuck = case.workload.object.condition("Progressing").is_some_and(|c| c["status"] == "False");
    let reference = case.reference();
    (!stuck).then(|| {
        Finding::new(Category::NoFault, &reference, 0.8, "its pods are starting").because(
            &reference,
            EvidenceSource::Status,
            format!("{} pod(s) are younger than {} minutes, without a warning", case.failing.len(), YOUNG_S / 60),
        )
    })
}

/// An alerted object of another kind about which no rule found anything.
pub(super) fn object(facts: &Facts, subject: &ObjectRef, report: &mut Report) {
    let Some(object) = facts.store.find(subject) else {
        let known = facts.store.is_complete(&subject.kind, subject.namespace.as_deref());
        let (confidence, text) =
            if known { (0.5, "the alerted object does not exist any more") } else { (0.1, "the alerted object could not be read") };
        report.find(Finding::new(Category::Unknown, subject, confidence, text).symptomatic().because(subject, EvidenceSource::Alert, text));
        return;
    };
    let fine = match subject.kind.as_str() {
        "Node" => (capacity::node_ready(object) && object.bool_at("/spec/unschedulable") != Some(true))
            .then(|| "Ready, under no pressure, takes pods".to_owned()),
        "PersistentVolumeClaim" => storage::has_room(facts, object).or_else(|| storage::unused(facts, object)),
        "PodDisruptionBudget" => object.i64_at("/status/disruptionsAllowed").filter(|n| *n > 0).map(|n| format!("{n} disruption(s) allowed")),
        "HorizontalPodAutoscaler" => autoscaling::at_rest(object).or_else(|| {
            object
                .i64_at("/status/currentReplicas")
                .zip(object.i64_at("/spec/maxReplicas"))
                .filter(|(c, m)| c < m && !autoscaling::wants_more(object))
                .map(|(c, m)| format!("{c} of at most {m} replicas"))
        }),
        "Service" => {
            let by_pods = || Some(service::pods(facts, object).iter().filter(|p| pod::is_ready(p)).count());
            service::ready_endpoints(facts, object).or_else(by_pods).filter(|n| *n > 0).map(|n| format!("{n} ready endpoints"))
        }
        _ => None,
    };
    if let Some(text) = fine {
        let confidence = if subject.kind == "Service" { 0.6 } else { 0.85 };
        report.find(Finding::new(Category::NoFault, subject, confidence, "nothing is wrong with the object now").symptomatic().because(
            subject,
            EvidenceSource::Status,
            text,
        ));
    }
}
