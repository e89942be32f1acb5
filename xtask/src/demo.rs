//! `cargo xtask demo`: builds the server and shows one alert from its arrival to its verified fix.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use crate::{
    cluster::Cluster,
    process::{Failure, Outcome, cargo, run, target_dir},
};

/// What the demo shows, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// End when the incident is over, with status 0 only if it was resolved
    #[arg(long)]
    exit: bool,
    /// Do the wrong thing on purpose, to see that it is noticed
    #[arg(long)]
    wrong_action: bool,
    /// On a real cluster, started for the demo and ended after it
    #[arg(long, conflicts_with = "kubeconfig")]
    cluster: bool,
    /// On the live cluster of this file
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Further arguments for `kubernaut demo`
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) fn demo(options: &Options) -> Outcome {
    let server = build_server()?;
    if options.cluster {
        return on_own_cluster(&server, options);
    }
    let mut command = command(&server, options, options.kubeconfig.as_deref());
    // This program becomes the server, so that signals and the exit status are the server's own.
    let error = command.exec();
    Err(Failure::new(format!("could not start {}: {error}", server.display())))
}

fn build_server() -> Outcome<PathBuf> {
    eprintln!("==> building the server (the first time takes some minutes, nearly all of it dependencies)");
    let start = Instant::now();
    run(&mut cargo(["build", "--package", "kubernaut-server"]))?;
    eprintln!("==> built in {:.0} s", start.elapsed().as_secs_f64());
    Ok(target_dir().join("debug/kubernaut"))
}

fn command(server: &Path, options: &Options, kubeconfig: Option<&Path>) -> Command {
    let mut command = Command::new(server);
    command.arg("demo");
    if options.exit {
        command.arg("--exit");
    }
    if options.wrong_action {
        command.arg("--wrong-action");
    }
    if let Some(file) = kubeconfig {
        command.arg("--kubeconfig").arg(file);
    }
    command.args(&options.rest);
    command
}

/// There the alert is the cluster's own: Alertmanager sends it to the address that the server listens on.
fn on_own_cluster(server: &Path, options: &Options) -> Outcome {
    let cluster = Cluster::new("demo");
    cluster.build()?;
    let guard = cluster.start()?;
    let variables = cluster.variables()?;
    let value = |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let mut command = command(server, options, value("KUBECONFIG").map(Path::new));
    for name in ["IMAGE", "WEBHOOK_TOKEN"] {
        command.envs(value(&format!("KUBERNAUT_TEST_{name}")).map(|value| (format!("KUBERNAUT_DEMO_{name}"), value)));
    }
    if let Some(address) = value("KUBERNAUT_TEST_WEBHOOK_ADDR") {
        command.args(["--listen", address]);
    }
    let shown = run(command.envs(variables.iter().cloned()));
    shown.and(guard.finish())
}
