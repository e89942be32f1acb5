//! Jobs and CronJobs.

use kubernaut_core::model::{Category, EvidenceSource, Object};

use super::Case;
use crate::{
    facts::{
        service::{self, Resolved},
        workload::job_failed,
    },
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    match case.workload.kind() {
        "Job" => failed(case, report),
        "CronJob" => {
            cron(case, report);
            for job in last_jobs(case).into_iter().take(1) {
                report.lead(Lead::new(&job.reference(), 0.97, "the last run of the CronJob"));
            }
        }
        _ => {}
    }
}

/// A CronJob that starts no runs.
fn cron(case: &Case<'_>, report: &mut Report) {
    let (reference, object) = (case.reference(), case.workload.object);
    let event = case
        .facts
        .events_of(&reference)
        .filter(|e| {
            e.kind == "Warning"
                && matches!(e.reason.as_str(), "FailedNeedsStart" | "TooManyMissedTimes" | "UnparseableSchedule" | "InvalidSchedule" | "FailedCreate")
        })
        .last();
    if let Some(event) = event.filter(|e| case.facts.is_recent(e, 86_400) && e.reason != "FailedCreate") {
        report.find(
            Finding::new(Category::BadReleaseConfig, &reference, 0.86, "the CronJob cannot start its runs")
                .because(&reference, EvidenceSource::Event, format!("{}: {}", event.reason, event.message))
                .because(&reference, EvidenceSource::Spec, format!("schedule {}", object.str_at("/spec/schedule").unwrap_or_default()))
                .propose(propose::escalate(
                    &reference,
                    "schedule and deadline of the CronJob have to be looked at",
                    vec!["correct schedule, time zone or startingDeadlineSeconds".to_owned()],
                )),
        );
        return;
    }
    if object.bool_at("/spec/suspend") == Some(true) && case.is_target {
        report.find(Finding::new(Category::NoFault, &reference, 0.82, "the CronJob is suspended, so it starts no runs").because(
            &reference,
            EvidenceSource::Spec,
            "spec.suspend is true",
        ));
    }
}

/// Jobs of a CronJob, newest first.
fn last_jobs<'a>(case: &Case<'a>) -> Vec<&'a Object> {
    let mut jobs: Vec<&Object> = case.facts.store.children(&case.reference()).filter(|c| c.kind() == "Job").collect();
    jobs.sort_by_key(|j| std::cmp::Reverse(j.created_at()));
    jobs
}

/// A Job that gave up. Why its pods failed is for the other rules; this is how it shows.
fn failed(case: &Case<'_>, report: &mut Report) {
    if !job_failed(case.workload.object) {
        return;
    }
    let reference = case.reference();
    let condition = case.workload.object.condition("Failed");
    let reason = condition.and_then(|c| c["reason"].as_str()).unwrap_or("failed");
    let succeeded_since = later_success(case);
    if let Some(later) = succeeded_since {
        report.find(
            Finding::new(Category::NoFault, &reference, 0.93, format!("a later run, {}, succeeded", later.name()))
                .because(&reference, EvidenceSource::Status, format!("Failed: {reason}"))
                .because(&later.reference(), EvidenceSource::Status, "Complete"),
        );
        return;
    }
    if let Some(finding) = peer_is_back(case, reason) {
        report.find(finding);
        return;
    }
    let deadline = reason == "DeadlineExceeded";
    let text = if deadline { "the Job did not end within its deadline" } else { "all tries of the Job failed" };
    report.find(
        Finding::new(Category::ApplicationError, &reference, 0.4, text)
            .symptomatic()
            .because(
                &reference,
                EvidenceSource::Status,
                format!("Failed: {reason}, {}", condition.and_then(|c| c["message"].as_str()).unwrap_or_default()),
            )
            .propose(propose::escalate(
                &reference,
                text,
                vec!["read the log of the last try and remove the cause before it is run again".to_owned()],
            )),
    );
}

/// All tries failed for a peer that could not be reached then and is well now: what is left is to run it again.
fn peer_is_back(case: &Case<'_>, reason: &str) -> Option<Finding> {
    let hits = case.all_hits();
    let (object, hit) = hits.iter().filter(|(_, h)| h.sign.kind.is_network() && !h.hosts.is_empty()).min_by_key(|(_, h)| h.from_end)?;
    let peer = hit.hosts.iter().find_map(|h| match service::resolve(case.facts, h, case.namespace()) {
        Resolved::Service(s) => Some(s),
        _ => None,
    })?;
    let found = case.facts.store.find(&peer)?;
    let behind = service::workloads(case.facts, found);
    let workload = behind.first()?;
    let settled = workload.live_pods().filter_map(crate::facts::pod::ready_changed).max()?;
    let failed_at = hit.at.or_else(|| object.created_at())?;
    // Ready before the try failed means that being ready was not enough.
    if !workload.is_healthy(case.facts.now) || super::dependency::is_down(case.facts, &peer) || settled <= failed_at {
        return None;
    }
    let reference = case.reference();
    Some(
        Finding::new(
            Category::DependencyFailure,
            &workload.reference(),
            0.84,
            format!("{peer} was down when the Job ran, and is well since {settled}"),
        )
        .because(&reference, EvidenceSource::Status, format!("Failed: {reason}"))
        .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
        .because(
            &workload.reference(),
            EvidenceSource::Status,
            format!("{} of {} replicas ready since {settled}", workload.ready(), workload.desired()),
        )
        .propose(
            propose::action("rerun_job", &reference, serde_json::json!({}))
                .when(true, format!("{peer} has ready endpoints again"))
                .effect("the Job runs once more, against a peer that answers")
                .done(),
        ),
    )
}

/// A newer Job of the same CronJob that succeeded.
fn later_success<'a>(case: &Case<'a>) -> Option<&'a Object> {
    let owner = case.workload.object.controller().filter(|o| o.kind == "CronJob")?;
    let after = case.workload.object.created_at();
    case.facts
        .store
        .children(&owner)
        .filter(|j| j.kind() == "Job" && j.created_at() > after)
        .find(|j| j.condition("Complete").is_some_and(|c| c["status"] == "True"))
}
