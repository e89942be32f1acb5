//! Durable workflow steps a second: runs of plans over a ledger, with actions that do nothing. Method and results: bench/README.md.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use kubernaut_bench::subject::cpu_seconds_of;
use kubernaut_core::{
    Error, Result,
    model::{Mode, PLAN_VERSION, Plan, PlanId, RunId, RunState},
    port::{Clock, Intake, IntakePolicy, Ledger, SystemClock},
    service::{CallContext, RunFilter, StartRequest, WorkflowEngine},
    testkit::{FakeExecutor, workflow_engine::step},
};
use kubernaut_storage::{PostgresConfig, PostgresLedger, SqliteConfig, SqliteLedger};
use kubernaut_workflow::{DurableEngine, EngineConfig};
use tokio_util::sync::CancellationToken;

/// Runs plans of a few steps, many at once.
#[derive(Debug, Parser)]
struct Args {
    /// Runs.
    #[arg(long, default_value_t = 500)]
    runs: usize,
    /// Steps of each, one after the other.
    #[arg(long, default_value_t = 4)]
    steps: usize,
    /// Runs driven at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    at_once: Vec<usize>,
    /// An empty PostgreSQL database; without it the ledger is a SQLite file.
    #[arg(long, env = "KUBERNAUT_BENCH_POSTGRES")]
    postgres: Option<String>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let args = Args::parse();
    println!("| ledger | runs at once | steps/s | commits/step | CPU µs/step |\n|---|---|---|---|---|");
    for (number, at_once) in args.at_once.iter().enumerate() {
        let folder = tempfile::tempdir().map_err(|e| Error::internal("bench", "no temporary folder").source(e))?;
        let (name, ledger): (_, Arc<dyn Ledger>) = match &args.postgres {
            None => ("SQLite", Arc::new(SqliteLedger::open(SqliteConfig::file(folder.path().join("k.db")), Arc::new(SystemClock)).await?)),
            Some(url) => {
                let config = serde_json::json!({ "url": url, "schema": format!("steps_{}_{number}", std::process::id()) });
                let config: PostgresConfig =
                    serde_json::from_value(config).map_err(|e| Error::invalid("bench", "the settings are wrong").source(e))?;
                ("PostgreSQL", Arc::new(PostgresLedger::open(config, Arc::new(SystemClock)).await?))
            }
        };
        let (steps, commits, cpu) = measure(&args, ledger, *at_once).await?;
        println!("| {name} | {at_once} | {steps:.0} | {commits:.2} | {cpu:.0} |");
    }
    Ok(())
}

async fn measure(args: &Args, ledger: Arc<dyn Ledger>, at_once: usize) -> Result<(f64, f64, f64)> {
    let ctx = || CallContext::system("bench");
    let mut requests = Vec::new();
    for number in 0..args.runs {
        let alert = kubernaut_bench::alerts::stored(number);
        let results = ledger.intake(ctx(), Intake { alerts: vec![alert], policy: IntakePolicy::default() }).await?;
        let incident_id = results.first().and_then(|r| r.incident_id).ok_or_else(|| Error::internal("bench", "no incident"))?;
        let now = SystemClock.now();
        let names: Vec<String> = (0..args.steps).map(|at| format!("r{number}-s{at}")).collect();
        let steps =
            names.iter().enumerate().map(|(at, name)| step(name, &names[at.saturating_sub(1)..at].iter().map(String::as_str).collect::<Vec<_>>()));
        let plan = Plan { id: PlanId::new(now), version: PLAN_VERSION, reason: "bench".into(), steps: steps.collect(), approval_timeout_s: 900 };
        requests.push(StartRequest { run_id: RunId::new(now), incident_id, attempt: 1, plan, mode: Mode::Auto });
    }
    let config = EngineConfig { max_runs: at_once, ..EngineConfig::default() };
    let engine = Arc::new(DurableEngine::new(ledger.clone(), Arc::new(FakeExecutor::default()), Arc::new(SystemClock), config));
    for request in requests {
        engine.start(ctx(), request).await?;
    }
    let cpu = || cpu_seconds_of(std::process::id()).map_err(|e| Error::internal("bench", "no processor time").source(e));
    let (began, cpu_before, commits_before) = (Instant::now(), cpu()?, *ledger.changes().borrow());
    let stop = CancellationToken::new();
    let (driver, token) = (engine.clone(), stop.clone());
    let driving = tokio::spawn(async move { driver.run(token).await });
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let filter = RunFilter { state: Some(RunState::Running), limit: Some(1), ..RunFilter::default() };
        if ledger.runs(ctx(), filter).await?.is_empty() {
            break;
        }
    }
    let (seconds, commits) = (began.elapsed().as_secs_f64(), *ledger.changes().borrow() - commits_before);
    let count = (args.runs * args.steps) as f64;
    let used = (cpu()? - cpu_before) * 1e6 / count;
    stop.cancel();
    driving.await.map_err(|e| Error::internal("bench", "the engine ended").source(e))?;
    Ok((count / seconds, commits as f64 / count, used))
}
