//! `cargo xtask test`: everything the tests need, then all tests, then nothing is left running.

use std::process::Command;

use crate::{
    cluster::Cluster,
    helm, model,
    postgres::{self, Server},
    process::{Outcome, Phases, cargo, root, run},
};

/// Which tests run.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The cluster's name; two test runs at the same time need two names
    #[arg(long, default_value = CLUSTER)]
    name: Option<String>,
    /// Arguments for `cargo test --workspace`, such as a filter
    #[arg(last = true)]
    rest: Vec<String>,
}

const CLUSTER: &str = "test";

/// What an ordinary build leaves out.
pub(crate) const SENTENCE_MODEL: &str = "kubernaut-embed/candle";

pub(crate) fn test(options: &Options) -> Outcome {
    let mut phases = Phases::default();
    let result = in_phases(options, &mut phases);
    phases.summarise();
    result
}

/// The phases are the caller's, so that a longer command can show them among its own.
pub(crate) fn in_phases(options: &Options, phases: &mut Phases) -> Outcome {
    let cluster = Cluster::new(options.name.as_deref().unwrap_or(CLUSTER));
    phases.run("packages and the cluster's programs", || cluster.build())?;
    let postgres = phases.run("PostgreSQL", postgres::install)?;
    let model = phases.run("sentence model", model::install)?;
    let helm = phases.run("Helm", helm::install)?;
    phases.run("tests of the cluster's programs", cluster_programs)?;
    // Before the cluster is up, for the first build takes minutes.
    phases.run("build all tests", || run(cargo(["test", "--workspace", "--no-run", "--features", SENTENCE_MODEL]).args(&options.rest)))?;
    let guard = phases.run("start the cluster", || cluster.start())?;
    let database = phases.run("start PostgreSQL", || Server::start(postgres))?;
    let mut variables = cluster.variables()?;
    variables.extend(database.variables());
    // One invocation for all packages: a selection of packages would build their dependencies once more with other features.
    let tests = phases.run("all tests", || {
        let mut command = cargo(["test", "--workspace", "--no-fail-fast", "--features", SENTENCE_MODEL]);
        run(command
            .args(&options.rest)
            .envs(variables)
            .env("KUBERNAUT_REQUIRE_CLUSTER", "1")
            .env("KUBERNAUT_REQUIRE_POSTGRES", "1")
            .env("KUBERNAUT_TEST_HELM", helm)
            .env("KUBERNAUT_TEST_MINILM", model)
            .env("KUBERNAUT_REQUIRE_MODEL", "1"))
    });
    let stopped = phases.run("end PostgreSQL", || database.finish());
    let ended = phases.run("end the cluster", || guard.finish());
    tests.and(stopped).and(ended)
}

fn cluster_programs() -> Outcome {
    let mut command = Command::new("python3");
    run(command.args(["-B", "-m", "unittest", "discover", "-s", "tests/cluster/programs", "-p", "*_test.py"]).current_dir(root()))
}
