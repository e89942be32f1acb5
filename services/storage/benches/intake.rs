//! Alerts a second into a ledger file, without HTTP: `cargo bench -p kubernaut-storage`.
//!
//! So many callers at once each take in one alert after the other; new ones open an incident each, repeated ones are counted on 50 open ones.
//! Times are from the call to its answer, which comes after the commit is on disk.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use kubernaut_core::{
    Result,
    model::{Alert, AlertId, AlertStatus, ObjectRef, Severity},
    port::{Clock, Intake, IntakePolicy, Ledger, SystemClock},
    service::CallContext,
};
use kubernaut_storage::{SqliteConfig, SqliteLedger};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    for callers in [1, 16, 64, 256] {
        for (what, distinct) in [("new", u64::MAX), ("repeated", 50)] {
            round(callers, what, distinct, 4_000).await?;
        }
    }
    Ok(())
}

async fn round(callers: u64, what: &str, distinct: u64, alerts: u64) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| kubernaut_core::Error::internal("bench", "no temporary folder").source(e))?;
    let ledger = SqliteLedger::open(SqliteConfig::file(folder.path().join("k.db")), Arc::new(SystemClock)).await?;
    let began = Instant::now();
    let tasks = (0..callers).map(|caller| tokio::spawn(take(ledger.clone(), (caller..alerts).step_by(callers as usize), distinct)));
    let mut times: Vec<Duration> = Vec::new();
    for task in futures::future::join_all(tasks).await {
        times.extend(task.map_err(|e| kubernaut_core::Error::internal("bench", "a caller ended").source(e))??);
    }
    let seconds = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |q: f64| times[((times.len() as f64 * q) as usize).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("{what:>8} {callers:>4} callers {:>8.0} alerts/s  ms p50 {:>7.2} p99 {:>7.2}", alerts as f64 / seconds, at(0.5), at(0.99));
    ledger.close().await
}

async fn take(ledger: SqliteLedger, numbers: impl Iterator<Item = u64>, distinct: u64) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for number in numbers {
        let alerts = vec![alert(number % distinct)];
        let began = Instant::now();
        ledger.intake(CallContext::system("bench"), Intake { alerts, policy: IntakePolicy::default() }).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

fn alert(number: u64) -> Alert {
    let now = SystemClock.now();
    let pod = format!("web-{number}");
    let labels = [
        ("alertname", "PodCrashLooping"),
        ("namespace", "shop"),
        ("pod", &pod),
        ("severity", "warning"),
        ("container", "app"),
        ("job", "kube-state-metrics"),
    ];
    Alert {
        id: AlertId::new(now),
        source: "alertmanager".into(),
        status: AlertStatus::Firing,
        name: "PodCrashLooping".into(),
        severity: Severity::Warning,
        labels: labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        annotations: BTreeMap::from([("summary".to_owned(), "The container restarts again and again.".repeat(4))]),
        starts_at: now,
        ends_at: None,
        received_at: now,
        generator_url: Some("http://prometheus.example/graph?g0.expr=restarts".into()),
        source_fingerprint: Some(format!("{number:016x}")),
        target: ObjectRef::new("Pod", Some("shop"), &pod),
        owner: ObjectRef::new("Deployment", Some("shop"), &pod),
        owner_resolved: true,
        fingerprint: format!("{number:064x}"),
    }
}
