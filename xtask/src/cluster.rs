//! The real Kubernetes cluster under tests/cluster, which its own script builds, starts and ends.

use std::{
    ffi::OsStr,
    process::{Child, Command, Stdio},
};

use crate::process::{Failure, Outcome, output, root, run};

/// What can be done with a cluster.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Action {
    /// Install the packages it uses and build its programs, where missing
    Build,
    /// Start it, after `build`
    Up,
    /// End it, or whatever an interrupted start left of it
    Down,
    /// Show its components, their memory, and the nodes
    Status,
    /// Print variables for tests, as shell exports (`--plain`: as plain lines)
    Env,
    /// Run a command inside its namespaces
    Exec,
    /// End one of its components and start it again: COMPONENT, then a signal if it is not TERM
    Restart,
}

/// One cluster, known by its name.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    name: String,
}

impl Cluster {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    fn script<I: AsRef<OsStr>>(&self, command: &str, args: impl IntoIterator<Item = I>) -> Command {
        let mut script = Command::new(root().join("tests/cluster/cluster"));
        script.arg(command).arg("--name").arg(&self.name).args(args);
        script
    }

    /// Runs one action with further arguments for the script.
    pub(crate) fn act(&self, action: Action, args: &[String]) -> Outcome {
        match action {
            Action::Build => self.build(),
            Action::Up => self.build().and_then(|()| run(&mut self.script("up", args))),
            Action::Down => run(&mut self.script("down", args)),
            Action::Status => run(&mut self.script("status", args)),
            Action::Env => run(&mut self.script("env", args)),
            Action::Exec => run(self.script("exec", ["--"]).args(args)),
            Action::Restart => run(&mut self.script("restart", args)),
        }
    }

    /// Installs the Debian packages and builds the programs that are missing.
    pub(crate) fn build(&self) -> Outcome {
        let none: [&str; 0] = [];
        run(&mut self.script("packages", none))?;
        run(&mut self.script("build", none))
    }

    /// Starts the cluster from nothing; it ends when the returned guard is dropped, or with this program, however that ends.
    pub(crate) fn start(&self) -> Outcome<Guard> {
        let guard = self.guard()?;
        // Some actions need nodes to move pods between.
        run(&mut self.script("up", ["--fresh", "--fake-nodes", "2"]))?;
        Ok(guard)
    }

    /// How tests and the demo reach the running cluster.
    pub(crate) fn variables(&self) -> Outcome<Vec<(String, String)>> {
        let text = output(&mut self.script("env", ["--plain"]))?;
        text.lines()
            .map(|line| {
                let (name, value) = line.split_once('=').ok_or_else(|| Failure::new(format!("no variable in \"{line}\"")))?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect()
    }

    /// Starts a process that waits for the end of its standard input and then ends the cluster. The other end of that pipe
    /// closes when this program ends, be it by a signal; and in a session of its own no signal of the terminal reaches it.
    fn guard(&self) -> Outcome<Guard> {
        let none: [&str; 0] = [];
        let script = self.script("guard", none);
        let waiting = Command::new("setsid")
            .arg(script.get_program())
            .args(script.get_args())
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::new(format!("could not start the cluster's guard: {e}")))?;
        Ok(Guard { waiting })
    }
}

/// Ends its cluster when dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    waiting: Child,
}

impl Guard {
    /// Ends the cluster now and tells whether that worked.
    pub(crate) fn finish(mut self) -> Outcome {
        self.end()
    }

    fn end(&mut self) -> Outcome {
        drop(self.waiting.stdin.take());
        let status = self.waiting.wait().map_err(|e| Failure::new(format!("could not wait for the cluster's end: {e}")))?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("the cluster could not be ended: {status}"))) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(failure) = self.end() {
            eprintln!("xtask: {failure}");
        }
    }
}
