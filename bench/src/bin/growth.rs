//! What one alert costs a ledger file in which many incidents are open. Method and results: bench/README.md.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use kubernaut_bench::{
    alerts::{Mix, Planned, plan, stored},
    subject::cpu_seconds_of,
};
use kubernaut_core::{
    Error, Result,
    model::Alert,
    port::{Intake, IntakePolicy, Ledger, SystemClock},
    service::CallContext,
};
use kubernaut_storage::{SqliteConfig, SqliteLedger};

/// Fills a ledger and measures intake at each size.
#[derive(Debug, Parser)]
struct Args {
    /// Open incidents.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    open: Vec<usize>,
    /// Alerts measured at each size, half of them new and half repeated.
    #[arg(long, default_value_t = 20_000)]
    alerts: usize,
    /// Callers, each with one alert under way.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// Where the file is made; by default the system's folder for temporary files.
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let args = Args::parse();
    let folder = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::tempdir_in(folder).map_err(|e| Error::internal("bench", "no temporary folder").source(e))?;
    let path = folder.path().join("ledger.db");
    let ledger = Arc::new(SqliteLedger::open(SqliteConfig::file(&path), Arc::new(SystemClock)).await?);
    let mut known = 0;
    println!(
        "| open incidents | new alerts/s | CPU µs/new alert | repeated alerts/s | CPU µs/repeated alert | file MiB |\n|---|---|---|---|---|---|"
    );
    for open in &args.open {
        let rest = plan(Mix::New, open.saturating_sub(known), known);
        known = known.max(*open);
        fill(&ledger, rest).await?;
        let repeated: Vec<Planned> = (0..args.alerts / 2).map(|n| Planned { owner: n * 7919 % known, resolved: false }).collect();
        let (repeats, repeat_cpu) = measure(&args, &ledger, repeated).await?;
        let new = plan(Mix::New, args.alerts / 2, known);
        known += new.len();
        let (news, new_cpu) = measure(&args, &ledger, new).await?;
        let mib = std::fs::metadata(&path).map_or(0, |file| file.len()) as f64 / 1_048_576.0;
        println!("| {open} | {news:.0} | {new_cpu:.0} | {repeats:.0} | {repeat_cpu:.0} | {mib:.0} |");
    }
    ledger.close().await
}

async fn fill(ledger: &Arc<SqliteLedger>, planned: Vec<Planned>) -> Result<()> {
    for some in planned.chunks(2000) {
        take(ledger, some.iter().map(|one| stored(one.owner)).collect()).await?;
    }
    Ok(())
}

/// Alerts a second, and processor time of an alert.
async fn measure(args: &Args, ledger: &Arc<SqliteLedger>, planned: Vec<Planned>) -> Result<(f64, f64)> {
    let cpu = || cpu_seconds_of(std::process::id()).map_err(|e| Error::internal("bench", "no processor time").source(e));
    let (planned, next) = (Arc::new(planned), Arc::new(AtomicU64::new(0)));
    let (began, before) = (Instant::now(), cpu()?);
    let tasks = (0..args.callers).map(|_| {
        let (ledger, planned, next) = (ledger.clone(), planned.clone(), next.clone());
        tokio::spawn(async move {
            while let Some(one) = planned.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                take(&ledger, vec![stored(one.owner)]).await?;
            }
            Ok::<_, Error>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.map_err(|e| Error::internal("bench", "a caller ended").source(e))??;
    }
    let count = planned.len() as f64;
    Ok((count / began.elapsed().as_secs_f64(), (cpu()? - before) * 1e6 / count))
}

async fn take(ledger: &SqliteLedger, alerts: Vec<Alert>) -> Result<()> {
    ledger.intake(CallContext::system("bench"), Intake { alerts, policy: IntakePolicy::default() }).await.map(drop)
}
