//! Health of this process as named checks: liveness says whether to restart it, readiness whether to send it work.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use kubernaut_core::Result;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Longest time of one check.
const LIMIT: Duration = Duration::from_secs(1);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<String>> + Send + Sync>;

/// Which probe a check belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Whether the process works at all; it is restarted if not. Never ask a dependency here.
    Liveness,
    /// Whether it can do its work now; it gets none if not.
    Readiness,
}

/// A registry of checks. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<(Probe, String), Check>>>);

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks().keys()).finish()
    }
}

/// Whether a check, or all of them, passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It passes.
    Ok,
    /// It fails.
    Failing,
}

/// One check's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Its name.
    pub name: String,
    /// Whether it passes.
    pub status: Status,
    /// One line.
    pub text: String,
    /// How long it took, in milliseconds.
    pub latency_ms: f64,
}

/// The answer of a probe, as JSON on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthReport {
    /// Whether all checks pass.
    pub status: Status,
    /// The checks by name.
    pub checks: Vec<CheckResult>,
}

impl HealthReport {
    /// Whether all checks pass: answer 200, else 503.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }
}

impl Health {
    /// A registry without checks, which passes both probes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a check. It gives one line that says what it saw; an error, a panic or more than a second is a failure. No secret may
    /// be in either.
    pub fn register<F, R>(&self, probe: Probe, name: &str, check: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String>> + Send + 'static,
    {
        let check: Check = Arc::new(move || check().boxed());
        self.checks().insert((probe, name.to_owned()), check);
    }

    /// Runs the checks of a probe at the same time.
    pub async fn report(&self, probe: Probe) -> HealthReport {
        let due: Vec<_> = self.checks().iter().filter(|((p, _), _)| *p == probe).map(|((_, name), check)| (name.clone(), check.clone())).collect();
        let checks = futures::future::join_all(due.into_iter().map(|(name, check)| run(name, check))).await;
        let all = checks.iter().all(|c| c.status == Status::Ok);
        HealthReport { status: if all { Status::Ok } else { Status::Failing }, checks }
    }

    fn checks(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Probe, String), Check>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(name: String, check: Check) -> CheckResult {
    let began = Instant::now();
    // A task of its own: a check that panics or blocks fails alone.
    let mut task = tokio::spawn(async move { check().await });
    let (status, text) = match tokio::time::timeout(LIMIT, &mut task).await {
        Ok(Ok(Ok(text))) => (Status::Ok, text),
        Ok(Ok(Err(error))) => (Status::Failing, error.to_string()),
        Ok(Err(_)) => (Status::Failing, "the check panicked".to_owned()),
        Err(_) => {
            task.abort();
            (Status::Failing, format!("no answer within {} s", LIMIT.as_secs()))
        }
    };
    metrics::gauge!("kubernaut_monitor_check_up", "check" => name.clone()).set(if status == Status::Ok { 1.0 } else { 0.0 });
    CheckResult { name, status, text, latency_ms: began.elapsed().as_secs_f64() * 1000.0 }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::{Error, ErrorKind};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_failing_slow_or_panicking_check_fails_its_probe_only() {
        let health = Health::new();
        health.register(Probe::Liveness, "process", || async { Ok("runs".to_owned()) });
        health.register(Probe::Readiness, "a_ledger", || async { Ok("open".to_owned()) });
        assert!(health.report(Probe::Readiness).await.is_ok());
        health.register(Probe::Readiness, "b_cluster", || async { Err(Error::new(ErrorKind::Unavailable, "cluster.info", "no answer")) });
        health.register(Probe::Readiness, "c_hangs", std::future::pending);
        health.register(Probe::Readiness, "d_breaks", || async { panic!("no") });
        let report = health.report(Probe::Readiness).await;
        let seen: Vec<_> = report.checks.iter().map(|c| (c.name.as_str(), c.status)).collect();
        assert_eq!(seen, [("a_ledger", Status::Ok), ("b_cluster", Status::Failing), ("c_hangs", Status::Failing), ("d_breaks", Status::Failing)]);
        assert!(!report.is_ok());
        assert!(health.report(Probe::Liveness).await.is_ok());
    }

    #[test]
    fn the_report_is_plain_json() {
        let check = CheckResult { name: "ledger".into(), status: Status::Failing, text: "closed".into(), latency_ms: 1.5 };
        let json = serde_json::to_value(HealthReport { status: Status::Failing, checks: vec![check] }).unwrap();
        let expected =
            serde_json::json!({"status": "failing", "checks": [{"name": "ledger", "status": "failing", "text": "closed", "latency_ms": 1.5}]});
        assert_eq!(json, expected);
    }
}
