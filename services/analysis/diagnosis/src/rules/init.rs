//! Init containers: those that fail, and those that never end.

use kubernaut_core::model::{Category, EvidenceSource, Object};

use super::{Case, dependency, rollout};
use crate::{
    facts::{
        pod::{self, Container},
        revision::ChangeKind,
    },
    graph::{Finding, Report},
    propose,
};

/// Seconds after which a running init container counts as hanging.
const HANG_S: i64 = 600;

/// The same for one that the last release brought or changed, while the revision before is known to have started.
const HANG_AFTER_RELEASE_S: i64 = 240;

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    for object in &case.failing {
        for container in pod::containers(object).iter().filter(|c| c.init) {
            let failed = container.last_end().filter(|t| t.failed() && !container.is_running());
            let finding = if failed.is_some() || container.waiting_reason() == "CrashLoopBackOff" {
                failing(case, object, container)
            } else {
                let patience = if changed_by_release(case, container) { HANG_AFTER_RELEASE_S } else { HANG_S };
                container
                    .running_since()
                    .filter(|since| case.facts.age_s(*since) >= patience)
                    .and_then(|since| hanging(case, object, container, since))
            };
            if let Some(finding) = finding {
                report.find(finding);
                return;
            }
        }
    }
}

fn changed_by_release(case: &Case<'_>, container: &Container<'_>) -> bool {
    case.rollout().filter(|r| r.proven.is_some()).is_some_and(|r| r.changes.iter().any(|c| c.container.as_deref() == Some(container.name)))
}

fn failing(case: &Case<'_>, object: &Object, container: &Container<'_>) -> Option<Finding> {
    let hits = case.hits(object, container.name);
    // Waiting for a peer that is down is the peer's fault.
    if hits.iter().any(|h| h.sign.names_a_host()) && dependency::peer_is_down(case, hits) {
        return None;
    }
    let code = container.last_end().map_or(0, |t| t.exit_code);
    let reference = case.reference();
    let finding = Finding::new(
        Category::InitContainerFailure,
        &reference,
        0.93,
        format!("init container {} ends with exit code {code}, so the pod never starts", container.name),
    )
    .because(
        &object.reference(),
        EvidenceSource::Status,
        format!("init container {} exit code {code}, {} restarts", container.name, container.restarts()),
    );
    let line =
        hits.first().map(|h| h.line.clone()).or_else(|| case.facts.logs.get(case.namespace(), object.name(), container.name)?.last_line.clone());
    let finding = finding.because_some(&object.reference(), EvidenceSource::Log, line);
    Some(with_way_back(case, container, finding, "the init container fails and no earlier revision without it is known"))
}

fn hanging(case: &Case<'_>, object: &Object, container: &Container<'_>, since: kubernaut_core::model::Timestamp) -> Option<Finding> {
    let hits = case.hits(object, container.name);
    if dependency::waits_for_a_peer_that_is_down(case, container, hits) {
        return None;
    }
    let reference = case.reference();
    let minutes = case.facts.age_s(since) / 60;
    let finding = Finding::new(
        Category::InitContainerHang,
        &reference,
        0.94,
        format!("init container {} has been running for {minutes} minutes, so the pod never starts", container.name),
    )
    .because(
        &object.reference(),
        EvidenceSource::Status,
        format!("init container {} running since {since}, containers wait in PodInitializing", container.name),
    )
    .because(&reference, EvidenceSource::Spec, format!("command {}", container.spec["command"]));
    Some(with_way_back(case, container, finding, "the init container does not end and no earlier revision without it is known"))
}

fn with_way_back(case: &Case<'_>, container: &Container<'_>, finding: Finding, reason: &str) -> Finding {
    let changed = case
        .rollout()
        .filter(|r| r.proven.is_some())
        .and_then(|r| Some((r, r.changes.iter().find(|c| c.kind == ChangeKind::InitContainer || c.container.as_deref() == Some(container.name))?)));
    if let Some((rollout, change)) = changed {
        let finding = finding.because(&case.reference(), EvidenceSource::Revision, rollout::describe(rollout, change)).because_some(
            &case.reference(),
            EvidenceSource::Revision,
            rollout.proven.clone(),
        );
        return rollout::with_undo(case, rollout, &[change], finding);
    }
    if let Some(rollout) = case.blamed_rollout().filter(|r| r.proven.is_some()) {
        let all: Vec<_> = rollout.changes.iter().collect();
        return rollout::with_undo(case, rollout, &all, finding);
    }
    let steps = vec![format!("read the log of init container {} and correct what it needs", container.name)];
    finding.propose(propose::escalate(&case.reference(), reason, steps))
}
