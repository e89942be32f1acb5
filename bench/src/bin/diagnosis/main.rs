//! Facts and diagnosis: time per recorded incident, and what is said about large clusters in which nothing is wrong.
//!
//! `diagnosis --cases DIR [--cases DIR] --runs 5 --pods 5000`: the first part takes each bundle `runs` times, files read beforehand, from the webhook
//! body to the decision. The second part makes a healthy namespace set of 500 objects and a healthy cluster of `pods` pods, scans every namespace,
//! and asks about workloads as if an alert had named them; every answer other than "nothing to do" is a false finding.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use kubernaut::{
    Config, Kubernaut, Result, ScanOptions, analyze_bundle,
    model::{Decision, ObjectRef},
    service::CallContext,
    services::storage::SqliteConfig,
};

mod healthy;

#[derive(Debug, Parser)]
struct Args {
    /// Folder with bundles; may be given several times.
    #[arg(long)]
    cases: Vec<PathBuf>,
    /// Runs of each bundle.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Pods of the large healthy cluster; 0 leaves it out.
    #[arg(long, default_value_t = 5000)]
    pods: usize,
    /// Workloads of each healthy cluster that are asked about.
    #[arg(long, default_value_t = 200)]
    asked: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(args: Args) -> Result<()> {
    for dir in &args.cases {
        recorded(dir, args.runs).await?;
    }
    quiet("500 objects", healthy::Size::of_objects(500), args.asked).await?;
    if args.pods > 0 {
        quiet(&format!("{} pods", args.pods), healthy::Size::of_pods(args.pods), args.asked).await?;
    }
    Ok(())
}

/// Times every bundle of a folder.
async fn recorded(dir: &std::path::Path, runs: usize) -> Result<()> {
    let entries =
        std::fs::read_dir(dir).map_err(|e| kubernaut::Error::not_found("bench", "cannot read the folder").with("path", dir.display()).source(e))?;
    let mut bundles: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.join("alert.json").is_file()).collect();
    bundles.sort();
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for bundle in &bundles {
        for run in 0..runs {
            let report = analyze_bundle(CallContext::system("bench"), bundle, &Config::default()).await?;
            if run == 0 { first.push(report.latency_ms) } else { later.push(report.latency_ms) }
        }
    }
    println!("{} bundles of {}", bundles.len(), dir.display());
    println!("  first run  {}", spread(&mut first));
    println!("  later runs {}", spread(&mut later));
    Ok(())
}

/// Scans a cluster in which nothing is wrong.
async fn quiet(name: &str, size: healthy::Size, asked: usize) -> Result<()> {
    let dir = tempfile::tempdir().map_err(|e| kubernaut::Error::internal("bench", "cannot make a folder").source(e))?;
    let made = healthy::write(dir.path(), size).map_err(|e| kubernaut::Error::internal("bench", "cannot write the cluster").source(e))?;
    let mut config = Config::default();
    config.ledger = SqliteConfig::memory();
    config.cluster.bundle = Some(dir.path().to_owned());
    let opened = Instant::now();
    let kubernaut = Kubernaut::builder(config).build().await?;
    let opened = opened.elapsed().as_secs_f64() * 1000.0;
    let ctx = CallContext::system("bench");
    let scanned = Instant::now();
    let scan = kubernaut.scan(ctx.clone(), ScanOptions::default()).await?;
    let scanned = scanned.elapsed().as_secs_f64() * 1000.0;
    let step = (made.workloads.len() / asked.max(1)).max(1);
    let mut times = Vec::new();
    let mut findings = Vec::new();
    for target in made.workloads.iter().step_by(step) {
        let began = Instant::now();
        let report = kubernaut.analyze(ctx.clone(), target.parse::<ObjectRef>()?).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        if report.decision != Decision::NoAction {
            let cause = report.candidates.first().map_or_else(String::new, |c| format!("{} {}", c.category, c.object));
            findings.push(format!("{target}: {} {cause}", report.decision.as_str()));
        }
    }
    println!("healthy cluster, {name}: {} objects, {} pods, opened in {opened:.0} ms", made.objects, made.pods);
    println!(
        "  scan of {} namespaces: {} findings, {} looked at closer, {scanned:.0} ms",
        scan.namespaces,
        scan.causes.len(),
        scan.causes.len() + scan.benign.len()
    );
    println!("  asked about {} workloads: {} findings; {}", times.len(), findings.len(), spread(&mut times));
    println!("  resident {:.0} MB", resident_mb());
    let scanned = scan.causes.iter().map(|c| format!("scan: {}", c.affected.join(", ")));
    scanned.chain(findings).take(10).for_each(|f| println!("  FALSE {f}"));
    Ok(())
}

fn spread(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |q: usize| times.get((times.len() * q / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default();
    format!("ms p50 {:.1}  p95 {:.1}  max {:.1}  (n {})", at(50), at(95), times.last().copied().unwrap_or_default(), times.len())
}

/// Resident memory of this process in MB; 0 where the system does not say.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or_default() / 1024.0
}
