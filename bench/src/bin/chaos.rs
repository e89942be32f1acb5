//! Kills the server under load, many times, and checks that no promise was broken. Called by `cargo xtask chaos`; method: bench/README.md.

use std::{io::Result, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use kubernaut_bench::{
    chaos::{Options, campaign},
    subject::{Store, beside},
};

/// Kills the server under load and checks what is left.
#[derive(Debug, Parser)]
struct Args {
    /// How often it is killed.
    #[arg(long, default_value_t = 500)]
    kills: usize,
    /// Longest time from readiness to the kill, in milliseconds.
    #[arg(long, default_value_t = 600)]
    longest_life_ms: u64,
    /// Let each kill take what was not synced, and tear pages of it (SQLite only; needs a C compiler).
    #[arg(long)]
    power_loss: bool,
    /// An empty PostgreSQL database instead of a SQLite file.
    #[arg(long, conflicts_with = "power_loss")]
    postgres: Option<String>,
    /// Senders.
    #[arg(long, default_value_t = 8)]
    senders: usize,
    /// Seed of the random points.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server; by default the one built beside this program.
    #[arg(long)]
    kubernaut: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let options = Options {
        binary: args.kubernaut.map_or_else(|| beside("kubernaut"), Ok)?,
        store: args.postgres.map_or(Store::Sqlite, Store::Postgres),
        kills: args.kills,
        longest_life: Duration::from_millis(args.longest_life_ms),
        power_loss: args.power_loss,
        senders: args.senders,
        seed: args.seed,
        end_limit: Duration::from_secs(300),
    };
    let report = campaign(&options).await?;
    println!("{report:#?}");
    let holds = report.verdict.holds();
    println!("{}", if holds { "every promise was kept" } else { "A PROMISE WAS BROKEN" });
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
