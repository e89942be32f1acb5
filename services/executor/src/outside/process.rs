//! Running another program.

use std::{path::Path, process::Stdio, time::Duration};

use kubernaut_core::{Error, ErrorKind, Result, redact::redact};
use tokio::process::Command;

/// A program to run, with a time limit.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) operation: &'static str,
    pub(super) program: &'a Path,
    pub(super) folder: Option<&'a Path>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) limit: Duration,
}

impl Call<'_> {
    /// What it prints.
    ///
    /// # Errors
    /// `Unsupported` if there is no such program, `Timeout`, and `Unavailable` if it fails, with the end of what it says.
    pub(super) async fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.envs(self.environment.iter().map(|(k, v)| (k.as_str(), v.as_str()))).env("LC_ALL", "C");
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        let child = command.spawn().map_err(|e| {
            let text = format!("the program cannot be started: {}", e.kind());
            Error::unsupported(self.operation, text).with("program", self.program.display())
        })?;
        let ended = tokio::time::timeout(self.limit, child.wait_with_output()).await;
        let done = ended
            .map_err(|_| Error::new(ErrorKind::Timeout, self.operation, "the program took too long").with("limit_s", self.limit.as_secs()))?
            .map_err(|e| Error::new(ErrorKind::Unavailable, self.operation, "the program broke off").source(e))?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            return Ok(said);
        }
        let told = String::from_utf8_lossy(&done.stderr);
        let last: Vec<&str> = told.trim().lines().rev().take(3).collect();
        let text = last.into_iter().rev().collect::<Vec<_>>().join(" | ");
        Err(Error::new(ErrorKind::Unavailable, self.operation, format!("the program failed: {}", redact(&text)))
            .with("program", self.program.display())
            .with("command", args.first().copied().unwrap_or_default()))
    }
}
