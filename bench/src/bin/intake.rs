//! Webhook to durable acknowledgement, over HTTP, on a ledger file.
//!
//! Method: bench/README.md.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use kubernaut::{
    Config, Error, Kubernaut, Result,
    services::{notify::RouteConfig, storage::SqliteConfig},
};
use kubernaut_server::{serve, settings::Settings};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Sends alerts and measures the time to the answer.
#[derive(Debug, Parser)]
struct Args {
    /// Requests.
    #[arg(long, default_value_t = 5000)]
    requests: u64,
    /// Alerts a request.
    #[arg(long, default_value_t = 1)]
    batch: u64,
    /// Requests under way at the same time.
    #[arg(long, default_value_t = 32)]
    concurrency: u64,
    /// Distinct workloads that the alerts are about; fewer than alerts gives duplicates.
    #[arg(long, default_value_t = 5000)]
    workloads: u64,
    /// Bundle that stands for the cluster.
    #[arg(long, default_value = "examples/bundles/crashing-release")]
    bundle: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let home = tempfile::tempdir().map_err(|e| Error::internal("bench", "no temporary folder").source(e))?;
    let mut engine = Config::default();
    engine.cluster.bundle = Some(args.bundle.clone());
    engine.ledger = SqliteConfig::file(home.path().join("ledger.db"));
    // Incidents are worked on beside it, as in a real server; what is told to people goes nowhere.
    engine.notifications.routes = vec![RouteConfig::default()];
    let mut settings = Settings { engine, ..Settings::default() };
    settings.http.listen = ([127, 0, 0, 1], 0).into();
    let server = serve::start(&settings, Kubernaut::builder(settings.engine.clone())).await?;
    let url = format!("http://{}/api/v1/alerts/alertmanager", server.address);
    let began = Instant::now();
    let mut latencies = load(&args, &url).await?;
    let seconds = began.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |q: f64| latencies[((latencies.len() as f64 * q) as usize).min(latencies.len() - 1)].as_secs_f64() * 1e3;
    let alerts = (args.requests * args.batch) as f64;
    println!(
        "{:.0} alerts/s  {:.0} requests/s  ms p50 {:.2} p95 {:.2} p99 {:.2} max {:.2}",
        alerts / seconds,
        args.requests as f64 / seconds,
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    server.stop().await
}

async fn load(args: &Args, url: &str) -> Result<Vec<Duration>> {
    let next = Arc::new(AtomicU64::new(0));
    let client = reqwest::Client::new();
    let mut tasks = JoinSet::new();
    for _ in 0..args.concurrency {
        let (next, client, url) = (next.clone(), client.clone(), url.to_owned());
        let (requests, batch, workloads) = (args.requests, args.batch, args.workloads);
        tasks.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok(taken);
                }
                let body = webhook(number * batch, batch, workloads).to_string();
                let began = Instant::now();
                let answer = client.post(&url).header("content-type", "application/json").body(body).send().await;
                let answer = answer.map_err(|e| Error::internal("bench", "no answer").source(e))?;
                if !answer.status().is_success() {
                    return Err(Error::internal("bench", format!("the server answered {}", answer.status())));
                }
                taken.push(began.elapsed());
            }
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.map_err(|e| Error::internal("bench", "a sender failed").source(e))??);
    }
    Ok(all)
}

fn webhook(first: u64, batch: u64, workloads: u64) -> Value {
    let alert = |n: u64| {
        let labels = json!({ "alertname": "KubeDeploymentReplicasMismatch", "severity": "warning", "namespace": "bench", "deployment": format!("app-{}", n % workloads) });
        json!({ "status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": format!("{n:016x}") })
    };
    json!({ "version": "4", "groupKey": "bench", "status": "firing", "receiver": "kubernaut", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "alerts": (first..first + batch).map(alert).collect::<Vec<_>>() })
}
