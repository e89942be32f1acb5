//! One file a command.

mod actions;
mod analyze;
mod audit;
mod demo;
mod doctor;
mod eval;
mod ledger;
mod record;
mod schema;
mod serve;
mod stop;

use std::process::ExitCode;

use kubernaut::{Error, Result, services::cluster::KubeConfig};
use serde::Serialize;

use crate::cli::{Cli, ClusterArgs, Command};
use crate::output::say;

/// Runs a command. Status 0: done and well; 1: done, and the answer is "no"; 2: could not be done.
///
/// # Errors
/// Those of the command.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Analyze(args) => analyze::run(args).await,
        Command::Eval(args) => eval::run(args).await,
        Command::Record(args) => record::run(args).await,
        Command::Actions(args) => actions::run(&args),
        Command::Stop(args) => stop::stop(&args).await,
        Command::Resume(args) => stop::resume(&args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Migrate(args) => ledger::migrate(args).await,
        Command::Backup(args) => ledger::backup(args).await,
        Command::Restore(args) => ledger::restore(args).await,
        Command::Retention(args) => ledger::retention(args).await,
        Command::Hold(args) => ledger::hold(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Schema(args) => schema::run(&args),
    }
}

fn kube_config(args: &ClusterArgs) -> KubeConfig {
    KubeConfig { kubeconfig: args.kubeconfig.clone(), context: args.context.clone(), ..KubeConfig::default() }
}

fn print_json<T: Serialize>(value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::internal("cli.output", "cannot print the answer as JSON").source(e))?;
    say!("{text}");
    Ok(())
}
