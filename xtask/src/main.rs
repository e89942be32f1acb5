//! The developer's commands: `cargo xtask demo`, `test`, `ci` and `cluster`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bindings;
mod chaos;
mod ci;
mod cluster;
mod demo;
mod generate;
mod helm;
mod model;
mod postgres;
mod process;
mod test;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The developer's commands")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show an alert becoming a verified fix
    Demo(demo::Options),
    /// Install and start what the tests need, run all tests, end what was started
    Test(test::Options),
    /// Write the generated files: JSON Schemas, the OpenAPI document, the packages of other languages
    Gen {
        /// Only the packages, from the committed description of the interface
        #[arg(long)]
        packages: bool,
    },
    /// Build the packages of other languages, install them into empty environments and test them there
    Bindings(bindings::Options),
    /// Kill the server under load, many times, and check that nothing is lost or doubled
    Chaos(chaos::Options),
    /// Formatting, lints, documentation, dependencies, feature sets, then `test`
    Ci,
    /// The real Kubernetes cluster of tests/cluster
    Cluster {
        /// What to do with it
        action: cluster::Action,
        /// Its name: 1 to 10 of a-z, 0-9 and -
        #[arg(long, default_value = "dev")]
        name: String,
        /// Further arguments: `tests/cluster/cluster help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(options) => demo::demo(&options),
        Command::Test(options) => test::test(&options),
        Command::Gen { packages: true } => bindings::generate(),
        Command::Gen { packages: false } => generate::generate(),
        Command::Bindings(options) => bindings::bindings(&options),
        Command::Chaos(options) => chaos::chaos(&options),
        Command::Ci => ci::ci(),
        Command::Cluster { action, name, rest } => cluster::Cluster::new(name).act(action, &rest),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
