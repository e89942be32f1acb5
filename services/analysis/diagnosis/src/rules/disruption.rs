//! Disruption budgets that leave no room although nothing is wrong.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::json;

use crate::{
    facts::{Facts, collect::focus, workload::Workload},
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(facts: &Facts, subject: &ObjectRef, report: &mut Report) {
    let Some(budget) = facts.store.find(subject) else { return };
    let number = |p: &str| budget.i64_at(&format!("/status/{p}"));
    let (allowed, healthy, desired, expected) =
        (number("disruptionsAllowed"), number("currentHealthy"), number("desiredHealthy"), number("expectedPods"));
    let behind: Vec<Workload<'_>> = focus(facts, subject).iter().filter_map(|r| Workload::find(facts, r)).collect();
    let unwell: Vec<&Workload<'_>> = behind.iter().filter(|w| !w.is_healthy(facts.now)).collect();
    for workload in &unwell {
        report.lead(Lead::new(&workload.reference(), 0.96, "pods that the budget protects are not healthy").because(
            subject,
            EvidenceSource::Status,
            format!("{} healthy, {} wanted", healthy.unwrap_or(0), desired.unwrap_or(0)),
        ));
    }
    if allowed != Some(0) || !unwell.is_empty() || expected.unwrap_or(0) == 0 {
        return;
    }
    let (healthy, desired, expected) = (healthy.unwrap_or(0), desired.unwrap_or(0), expected.unwrap_or(0));
    if desired < expected || healthy < expected {
        return;
    }
    let blocked =
        facts.events.iter().rfind(|e| e.reason == "FailedEviction" && behind.iter().any(|w| w.pods.iter().any(|p| p.name() == e.object.name)));
    let mut finding = Finding::new(Category::PdbBlocksDrain, subject, 0.96, format!("the budget wants all {expected} pods, so none may be evicted"))
        .because(subject, EvidenceSource::Status, format!("{healthy} healthy of {expected}, {desired} wanted, 0 disruptions allowed"))
        .because(subject, EvidenceSource::Spec, bounds(budget));
    if let Some(event) = blocked {
        finding = finding.because(&event.object, EvidenceSource::Event, format!("{} ({} times)", event.message, event.count));
    }
    report.find(finding.propose(relax(budget, subject, expected, &behind)));
}

fn bounds(budget: &Object) -> String {
    let shown = |k: &str| budget.at(&format!("/spec/{k}")).map(|v| format!("{k} {v}"));
    [shown("minAvailable"), shown("maxUnavailable")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// One disruption at a time; a single replica gets a second one instead, so that protection stays.
fn relax(budget: &Object, subject: &ObjectRef, expected: i64, behind: &[Workload<'_>]) -> kubernaut_core::model::ProposedAction {
    let scalable = behind.iter().find(|w| w.kind() == "Deployment");
    if expected == 1
        && let Some(workload) = scalable
    {
        return propose::action("scale_replicas", &workload.reference(), json!({ "replicas": 2 }))
            .when(true, "a second replica keeps serving while the first is moved")
            .effect("one pod may be evicted at a time")
            .done();
    }
    let params = match budget.at("/spec/minAvailable") {
        Some(_) => json!({ "min_available": (expected - 1).max(0) }),
        None => json!({ "max_unavailable": 1 }),
    };
    propose::action("relax_pdb", subject, params)
        .when(expected > 1, format!("{} of {expected} pods keep serving", expected - 1))
        .effect("one pod may be evicted at a time")
        .done()
}
