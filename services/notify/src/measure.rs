//! Counters and histograms.

use std::time::Duration;

use metrics::{counter, histogram};

/// One try on one channel. `channel` is a configured name, so that the number of series is bounded.
pub(crate) fn delivery(channel: &str, outcome: &'static str, took: Duration) {
    counter!("kubernaut_notify_deliveries_total", "channel" => channel.to_owned(), "outcome" => outcome).increment(1);
    histogram!("kubernaut_notify_delivery_seconds", "channel" => channel.to_owned()).record(took);
}

/// What became of a notification: `delivered`, `retried`, `dead`.
pub(crate) fn outbox(outcome: &'static str) {
    counter!("kubernaut_notify_outbox_total", "outcome" => outcome).increment(1);
}
