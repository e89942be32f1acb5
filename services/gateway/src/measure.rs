//! Counters and histograms.

use std::time::Duration;

use kubernaut_core::model::{IntakeOutcome, IntakeResult};
use metrics::{counter, histogram};

/// One request, once its answer is known. `source` is a configured name, so that the number of series is bounded.
pub(crate) fn request(source: &str, status: &'static str, took: Duration) {
    counter!("kubernaut_gateway_requests_total", "source" => source.to_owned(), "status" => status).increment(1);
    histogram!("kubernaut_gateway_request_seconds", "source" => source.to_owned()).record(took);
}

/// What became of each alert.
pub(crate) fn alerts(source: &str, results: &[IntakeResult]) {
    for result in results {
        let outcome = match result.outcome {
            IntakeOutcome::Created => "created",
            IntakeOutcome::Duplicate => "duplicate",
            IntakeOutcome::Resolved => "resolved",
            IntakeOutcome::Ignored => "ignored",
            IntakeOutcome::Rejected => "rejected",
        };
        counter!("kubernaut_gateway_alerts_total", "source" => source.to_owned(), "outcome" => outcome).increment(1);
    }
}

/// Alerts that the sender left out of a batch.
pub(crate) fn truncated(source: &str, count: u64) {
    counter!("kubernaut_gateway_truncated_alerts_total", "source" => source.to_owned()).increment(count);
}

/// How a target was found: `cached`, `resolved`, `labels_only`.
pub(crate) fn target(how: &'static str) {
    counter!("kubernaut_gateway_targets_total", "how" => how).increment(1);
}

/// One lookup in the cluster: `found`, `absent`, `slow`, `failed`, `skipped`.
pub(crate) fn lookup(outcome: &'static str) {
    counter!("kubernaut_gateway_lookups_total", "outcome" => outcome).increment(1);
}
