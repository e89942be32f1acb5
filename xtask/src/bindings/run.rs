//! Builds the packages from the libraries of the workspace, installs each into an empty environment and runs its tests there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cluster::Cluster,
    process::{Failure, Outcome, Phases, cargo, root, run, target_dir},
    test::SENTENCE_MODEL,
};

/// A language whose package is built and tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// The wheel, in a new virtual environment
    Python,
    /// The npm package, in a new project
    Node,
    /// The Ruby library over UniFFI
    Ruby,
}

/// Which packages.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Only these; all if none is given
    languages: Vec<Language>,
    /// Take the libraries as they were built last
    #[arg(long)]
    no_build: bool,
    /// With a real cluster, started for it and ended after it
    #[arg(long)]
    cluster: bool,
}

impl Options {
    /// All of it, after the tests: their build is taken as it is.
    pub(crate) fn in_ci() -> Self {
        Self { cluster: true, ..Self::default() }
    }
}

pub(crate) fn bindings(options: &Options) -> Outcome {
    let mut phases = Phases::default();
    let result = in_phases(options, &mut phases);
    phases.summarise();
    result
}

/// The phases are the caller's, so that a longer command can show them among its own.
pub(crate) fn in_phases(options: &Options, phases: &mut Phases) -> Outcome {
    if !options.cluster {
        return packages(options, &[], phases);
    }
    let cluster = Cluster::new("bindings");
    phases.run("the cluster's programs", || cluster.build())?;
    let guard = phases.run("start the cluster", || cluster.start())?;
    let mut variables = cluster.variables()?;
    variables.push(("KUBERNAUT_REQUIRE_CLUSTER".into(), "1".into()));
    let done = packages(options, &variables, phases);
    done.and(phases.run("end the cluster", || guard.finish()))
}

fn packages(options: &Options, variables: &[(String, String)], phases: &mut Phases) -> Outcome {
    if !options.no_build {
        // With the features that tests have, so that nothing is built twice.
        phases.run("build the native libraries", || run(&mut cargo(["build", "--workspace", "--all-targets", "--features", SENTENCE_MODEL])))?;
    }
    let wanted = |language| options.languages.is_empty() || options.languages.contains(&language);
    let place = target_dir().join("bindings");
    if wanted(Language::Python) {
        phases.run("Python package", || python(&place.join("python"), variables))?;
    }
    if wanted(Language::Node) {
        phases.run("Node package", || node(&place.join("node"), variables))?;
    }
    if wanted(Language::Ruby) {
        phases.run("Ruby library", || ruby(&place.join("ruby")))?;
    }
    Ok(())
}

fn library(name: &str) -> PathBuf {
    target_dir().join("debug").join(format!("lib{name}.so"))
}

fn script(path: &str, place: &Path) -> Command {
    let mut command = Command::new(root().join(path));
    command.arg(place).current_dir(root());
    command
}

fn prepare(place: &Path) -> Outcome {
    fs::create_dir_all(place).map_err(|e| Failure::new(format!("could not make {}: {e}", place.display())))
}

fn python(place: &Path, variables: &[(String, String)]) -> Outcome {
    prepare(place)?;
    run(script("kubernaut-py/test.sh", place).envs(variables.iter().cloned()).env("KUBERNAUT_NATIVE", library("_native")))
}

fn node(place: &Path, variables: &[(String, String)]) -> Outcome {
    prepare(place)?;
    run(script("kubernaut-node/test.sh", place).envs(variables.iter().cloned()).env("KUBERNAUT_NATIVE", library("kubernaut_node")))
}

fn ruby(place: &Path) -> Outcome {
    prepare(place)?;
    let bindgen = target_dir().join("debug/uniffi-bindgen");
    run(script("kubernaut-uniffi/test.sh", place).env("KUBERNAUT_NATIVE", library("kubernaut_uniffi")).env("KUBERNAUT_BINDGEN", bindgen))
}
