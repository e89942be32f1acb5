//! `cargo xtask chaos`: kills the server under load, many times, and checks that no promise was broken.

use std::process::Command;

use crate::{
    postgres,
    process::{Outcome, cargo, run, target_dir},
};

/// What the campaign does.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often the server is killed
    #[arg(long, default_value_t = 500)]
    kills: usize,
    /// Let each kill take what was not synced to the disk, and tear pages of it (SQLite only; needs a C compiler)
    #[arg(long)]
    power_loss: bool,
    /// Keep state in a PostgreSQL that is started for it, instead of a SQLite file
    #[arg(long, conflicts_with = "power_loss")]
    postgres: bool,
    /// Seed of the random points
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn chaos(options: &Options) -> Outcome {
    run(&mut cargo(["build", "--workspace", "--bins"]))?;
    let mut campaign = Command::new(target_dir().join("debug/chaos"));
    campaign.args(["--kills", &options.kills.to_string(), "--seed", &options.seed.to_string()]);
    if options.power_loss {
        campaign.arg("--power-loss");
    }
    if !options.postgres {
        return run(&mut campaign);
    }
    let server = postgres::Server::start(postgres::install()?)?;
    let url = server.variables().into_iter().find(|(name, _)| name == "KUBERNAUT_TEST_POSTGRES_URL");
    campaign.args(url.map(|(_, url)| format!("--postgres={url}")));
    run(&mut campaign).and(server.finish())
}
