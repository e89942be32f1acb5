//! Running other programs: where they run, how their failure is told, how long they took.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// Why a command of the developer ended early, and the exit status that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The checkout, wherever the command was called from.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The folder that cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The same cargo that runs this program, in the checkout.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// The words of a command as one would type them.
pub(crate) fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = command.get_args().map(|a| a.to_string_lossy());
    [name.to_string_lossy()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end on this terminal; an exit status other than zero is a failure with that status.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|e| Failure::new(format!("could not start `{}`: {e}", shown(command))))?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
    Err(Failure { message: format!("`{}` ended with {status}", shown(command)), code })
}

/// Runs a command and returns what it wrote to its standard output.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let done =
        command.stderr(std::process::Stdio::inherit()).output().map_err(|e| Failure::new(format!("could not start `{}`: {e}", shown(command))))?;
    if !done.status.success() {
        return Err(Failure::new(format!("`{}` ended with {}", shown(command), done.status)));
    }
    String::from_utf8(done.stdout).map_err(|e| Failure::new(format!("`{}` wrote no text: {e}", shown(command))))
}

/// The phases of a longer command, with the seconds each took.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    done: Vec<(String, f64, bool)>,
}

impl Phases {
    /// Runs one phase, announced by its name.
    pub(crate) fn run<T>(&mut self, name: &str, phase: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        eprintln!("==> {name}");
        let start = Instant::now();
        let result = phase();
        self.done.push((name.to_owned(), start.elapsed().as_secs_f64(), result.is_ok()));
        result
    }

    /// Prints one line a phase.
    pub(crate) fn summarise(&self) {
        eprintln!();
        for (name, seconds, ok) in &self.done {
            eprintln!("{:>8.1} s  {:<6}  {name}", seconds, if *ok { "ok" } else { "FAILED" });
        }
    }
}
