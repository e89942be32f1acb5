//! Webhook to durable answer, over HTTP, beside Alertmanager. Method and results: bench/README.md.

use std::{io::Result, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use kubernaut_bench::{
    alerts::{Mix, Planned, plan},
    load,
    report::Times,
    subject::{Store, Subject, beside},
};
use serde_json::Value;

/// Sends alerts to one program after the other and measures the time to each answer.
#[derive(Debug, Parser)]
struct Args {
    /// Rates in requests a second, one alert each.
    #[arg(long, value_delimiter = ',', default_values_t = [500, 2000, 5000])]
    rates: Vec<usize>,
    /// Seconds of each rate.
    #[arg(long, default_value_t = 20)]
    seconds: usize,
    /// Deployments that have alerted before the measurement begins.
    #[arg(long, default_value_t = 5000)]
    known: usize,
    /// Requests sent as fast as the senders can, of each mix.
    #[arg(long, default_value_t = 60_000)]
    flat_out: usize,
    /// Senders, each with one connection and one request under way.
    #[arg(long, default_value_t = 64)]
    senders: usize,
    /// What to measure.
    #[arg(long, value_delimiter = ',', default_values_t = ["sqlite".to_owned(), "alertmanager".to_owned()])]
    subjects: Vec<String>,
    /// An empty PostgreSQL database, for the subject `postgres`.
    #[arg(long, env = "KUBERNAUT_BENCH_POSTGRES")]
    postgres: Option<String>,
    /// The server; by default the one built beside this program.
    #[arg(long)]
    kubernaut: Option<PathBuf>,
    /// Alertmanager's program.
    #[arg(long, default_value = "/usr/bin/prometheus-alertmanager")]
    alertmanager: PathBuf,
    /// Further settings of the server, as JSON.
    #[arg(long, default_value = "{}")]
    settings: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    println!(
        "| subject | load | alerts/s | refused | p50 ms | p99 ms | p99.9 ms | max ms | CPU µs/alert | RSS MiB |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for name in &args.subjects {
        measure(&args, &start(&args, name)?).await?;
    }
    Ok(())
}

fn start(args: &Args, name: &str) -> Result<Subject> {
    if name == "alertmanager" {
        return Subject::alertmanager(&args.alertmanager);
    }
    let store = match (name, &args.postgres) {
        ("sqlite", _) => Store::Sqlite,
        ("postgres", Some(url)) => Store::Postgres(url.clone()),
        _ => return Err(std::io::Error::other(format!("no subject {name}; there are sqlite, postgres (with --postgres) and alertmanager"))),
    };
    let binary = args.kubernaut.clone().map_or_else(|| beside("kubernaut"), Ok)?;
    let more: Value = serde_json::from_str(&args.settings)?;
    Subject::kubernaut(&binary, &store, owners(args), &more)
}

/// All Deployments that any load speaks of.
fn owners(args: &Args) -> usize {
    let scheduled: usize = args.rates.iter().map(|rate| (rate * args.seconds).div_ceil(5)).sum();
    args.known + scheduled + args.flat_out.div_ceil(5) + args.flat_out
}

async fn measure(args: &Args, subject: &Subject) -> Result<()> {
    let mut known = 0;
    let mut next = |mix, count| {
        let planned = plan(mix, count, known);
        known = planned.iter().map(|a| a.owner + 1).fold(known, usize::max);
        planned
    };
    let first: Vec<Vec<u8>> = next(Mix::New, args.known).chunks(100).map(|some| subject.request(some)).collect();
    load::flat_out(subject.address, Arc::new(first), 4).await?;
    for rate in &args.rates {
        let requests = requests(subject, &next(Mix::Mixed, rate * args.seconds));
        let load = load::on_schedule(subject.address, requests, *rate as f64, 512);
        show(subject, &format!("mixed, {rate}/s"), load).await?;
    }
    for (mix, word) in [(Mix::Mixed, "mixed"), (Mix::New, "all new")] {
        let requests = requests(subject, &next(mix, args.flat_out));
        let load = load::flat_out(subject.address, requests, args.senders);
        show(subject, &format!("{word}, {} senders", args.senders), load).await?;
    }
    Ok(())
}

fn requests(subject: &Subject, planned: &[Planned]) -> load::Requests {
    Arc::new(planned.iter().map(|alert| subject.request(std::slice::from_ref(alert))).collect())
}

async fn show(subject: &Subject, what: &str, load: impl Future<Output = Result<Times>>) -> Result<()> {
    // What the load before left to be done is not part of this one.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = subject.cpu_seconds()?;
    let times = load.await?;
    let cpu = (subject.cpu_seconds()? - before) * 1e6 / times.accepted().max(1) as f64;
    println!(
        "| {} | {what} | {:.0} | {} | {:.2} | {:.2} | {:.2} | {:.1} | {cpu:.0} | {:.0} |",
        subject.name,
        times.rate(),
        times.refused,
        times.millis(0.5),
        times.millis(0.99),
        times.millis(0.999),
        times.millis(1.0),
        subject.resident_mib()?
    );
    Ok(())
}
