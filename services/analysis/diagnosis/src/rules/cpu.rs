//! Containers that their cpu limit holds back.

use kubernaut_core::model::{Category, EvidenceSource, Object};
use serde_json::json;

use super::Case;
use crate::{
    facts::{
        capacity,
        pod::{self, Container},
        quantity,
    },
    graph::{Finding, Report},
    propose,
};

/// Share of periods held back from which answers are slow for it.
const HELD_BACK: f64 = 0.5;

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let slow = |o: &Object| {
        let timed_out = |m: &str| ["deadline exceeded", "timeout", "timed out"].iter().any(|w| m.to_lowercase().contains(w));
        case.facts.events_of(&o.reference()).any(|e| e.reason == "Unhealthy" && timed_out(&e.message))
    };
    for object in case.workload.live_pods() {
        if !(case.is_target || case.failing.iter().any(|f| f.name() == object.name())) {
            continue;
        }
        for container in pod::containers(object).iter().filter(|c| !c.init) {
            let Some(share) = throttled(case, object, container).filter(|s| *s >= HELD_BACK) else { continue };
            let Some(limit) = container.resource("limits", "cpu") else { continue };
            report.find(finding(case, object, container, share, limit, slow(object)));
            return;
        }
    }
}

/// The share of periods in which a container was held back.
fn throttled(case: &Case<'_>, object: &Object, container: &Container<'_>) -> Option<f64> {
    let labels = [("namespace", case.namespace()), ("pod", object.name()), ("container", container.name)];
    let grown = |name: &str| {
        let series = case.facts.series(name, &labels);
        let mine = series.into_iter().find(|s| s.labels.get("container").is_none_or(|c| c == container.name) && !s.query.contains('/'))?;
        let (first, last) = (mine.values.first()?.1, mine.values.last()?.1);
        (last > first).then_some(last - first)
    };
    Some(grown("container_cpu_cfs_throttled_periods_total")? / grown("container_cpu_cfs_periods_total")?)
}

fn finding(case: &Case<'_>, object: &Object, container: &Container<'_>, share: f64, limit: f64, slow: bool) -> Finding {
    let reference = case.reference();
    let summary = format!("container {} is held back by its cpu limit in {:.0} % of the time", container.name, share * 100.0);
    let largest = case.facts.store.all("Node").map(|n| capacity::allocatable(n, "cpu")).fold(0.0, f64::max);
    let wanted = if largest > 0.0 { (limit * 2.0).min(largest * 0.8) } else { limit * 2.0 };
    Finding::new(Category::CpuThrottling, &reference, if slow { 0.9 } else { 0.7 }, summary)
        .because(&object.reference(), EvidenceSource::Metric, format!("{:.0} % of its periods throttled", share * 100.0))
        .because(&reference, EvidenceSource::Spec, format!("container {} cpu limit {}", container.name, quantity::cpu(limit)))
        .propose(
            propose::action("increase_cpu_limit", &reference, json!({ "container": container.name, "cpu_limit": quantity::cpu(wanted) }))
                .when(wanted > limit * 1.05, format!("nodes leave room above {}", quantity::cpu(limit)))
                .effect(format!("container {} has {} and answers in time", container.name, quantity::cpu(wanted)))
                .done(),
        )
}
