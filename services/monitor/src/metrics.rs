//! Metrics of all services in this process.
//!
//! Services count through the `metrics` facade. A host that has a recorder of its own keeps it; the server installs this one.

use std::sync::{Mutex, PoisonError};

use kubernaut_core::{Error, ErrorKind, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bounds of every histogram whose name ends with `_seconds`: from a millisecond, an answer to a webhook, to an hour, a whole incident.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

/// The installed recorder. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Installs the recorder of this process; the second call returns the one that is installed.
///
/// # Errors
/// `Conflict` if the host has installed a recorder of its own: what services count is found there.
pub fn install() -> Result<Metrics> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(metrics) = &*installed {
        return Ok(metrics.clone());
    }
    let failed = |kind, message: &'static str, e: metrics_exporter_prometheus::BuildError| Error::new(kind, "metrics.install", message).source(e);
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .map_err(|e| failed(ErrorKind::Internal, "the histogram bounds are refused", e))?;
    let handle = builder.install_recorder().map_err(|e| failed(ErrorKind::Conflict, "another metrics recorder is installed; render that one", e))?;
    describe();
    let metrics = Metrics(handle);
    *installed = Some(metrics.clone());
    Ok(metrics)
}

impl Metrics {
    /// All metrics in the Prometheus text format; the content type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds collected samples together; call it every few seconds if nobody scrapes, so that memory stays bounded.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn describe() {
    metrics::describe_counter!("kubernaut_monitor_verifications_total", "Looks at the effect of a run, by verdict.");
    metrics::describe_gauge!("kubernaut_monitor_check_up", "Whether a health check passes: 1 or 0.");
    metrics::gauge!("kubernaut_monitor_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics::describe_gauge!("kubernaut_monitor_build_info", "The version that runs.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_recorder_serves_all_and_seconds_have_bounds() {
        let first = install().unwrap();
        metrics::histogram!("kubernaut_test_wait_seconds").record(0.02);
        metrics::counter!("kubernaut_test_things_total", "kind" => "a").increment(2);
        let text = install().unwrap().render();
        assert!(text.contains("kubernaut_test_things_total{kind=\"a\"} 2"), "{text}");
        assert!(text.contains("kubernaut_test_wait_seconds_bucket{le=\"0.025\"} 1"), "{text}");
        first.upkeep();
    }
}
