//! A PostgreSQL server for tests: in a temporary folder, on a free port of this machine, as durable as a real one.

use std::{
    env,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::process::{Failure, Outcome, output, run};

/// PostgreSQL refuses to run as root; then it runs as the user of this number, who owns nothing else.
const NOBODY: u32 = 65534;
const USER: &str = "kubernaut";

/// The folder of `initdb` and `pg_ctl`: the newest of Debian's, else what is on the path.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/initdb").exists().then(|| (version, path.join("bin")))
        })
        .collect();
    versions.sort();
    let on_path = || env::split_paths(&env::var_os("PATH")?).find(|folder| folder.join("initdb").exists());
    versions.pop().map(|(_, bin)| bin).or_else(on_path)
}

/// Installs Debian's package where there is no PostgreSQL yet.
pub(crate) fn install() -> Outcome<PathBuf> {
    if let Some(bin) = programs() {
        return Ok(bin);
    }
    let apt = |args: &[&str]| {
        let mut command = if is_root()? { Command::new("apt-get") } else { Command::new("sudo") };
        if !is_root()? {
            command.args(["-n", "apt-get"]);
        }
        run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-q"])?;
    apt(&["install", "-y", "-q", "--no-install-recommends", "postgresql"])?;
    programs().ok_or_else(|| Failure::new("the package postgresql is installed, but initdb is not under /usr/lib/postgresql"))
}

fn is_root() -> Outcome<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// A running server; it ends, and its folder goes, when this is dropped or with this program, however that ends.
#[derive(Debug)]
pub(crate) struct Server {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    as_nobody: bool,
    waiting: Child,
}

impl Server {
    /// Makes a database cluster and starts it.
    pub(crate) fn start(bin: PathBuf) -> Outcome<Self> {
        let as_nobody = is_root()?;
        let folder = env::temp_dir().join(format!("kubernaut-postgres-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| Failure::new(format!("could not make {}: {e}", folder.display())))?;
        if as_nobody {
            chown(&folder, Some(NOBODY), Some(NOBODY)).map_err(|e| Failure::new(format!("could not give {} away: {e}", folder.display())))?;
        }
        let waiting = guard(&bin, &folder, as_nobody)?;
        let server = Self { bin, port: free_port()?, as_nobody, waiting, folder };
        let data = server.data();
        let make = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--pgdata"];
        run(server.program("initdb").args(make).arg(&data).stdout(Stdio::null()))?;
        run(&mut server.control("start"))?;
        Ok(server)
    }

    /// What tests read: where it is, and how to start it anew in the middle of a test.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let url = format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port);
        let control = self.control("restart");
        let words = std::iter::once(control.get_program()).chain(control.get_args());
        let quoted: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"))).collect();
        vec![("KUBERNAUT_TEST_POSTGRES_URL".to_owned(), url), ("KUBERNAUT_TEST_POSTGRES_RESTART".to_owned(), quoted.join(" "))]
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, name: &str) -> Command {
        program(&self.bin, name, self.as_nobody, &self.folder)
    }

    fn control(&self, action: &str) -> Command {
        let mut command = self.program("pg_ctl");
        // A commit waits for the disk, as it does where it matters.
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories= -c max_connections=300 -c fsync=on -c synchronous_commit=on",
            self.port
        );
        command.arg(action).arg("--pgdata").arg(self.data()).arg("--log").arg(self.folder.join("log"));
        command.args(["--wait", "--silent", "--options", &options]);
        command
    }

    /// Ends it now.
    pub(crate) fn finish(mut self) -> Outcome {
        self.end()
    }

    fn end(&mut self) -> Outcome {
        drop(self.waiting.stdin.take());
        let status = self.waiting.wait().map_err(|e| Failure::new(format!("could not wait for PostgreSQL's end: {e}")))?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("PostgreSQL could not be ended: {status}"))) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(failure) = self.end() {
            eprintln!("xtask: {failure}");
        }
    }
}

fn program(bin: &Path, name: &str, as_nobody: bool, folder: &Path) -> Command {
    let mut command = if as_nobody {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).arg("--clear-groups").arg(bin.join(name));
        command
    } else {
        Command::new(bin.join(name))
    };
    command.current_dir(folder);
    command
}

/// Waits for the end of its standard input, which comes when this program ends, and then ends the server and removes its folder.
fn guard(bin: &Path, folder: &Path, as_nobody: bool) -> Outcome<Child> {
    let stop = program(bin, "pg_ctl", as_nobody, folder);
    let script = r#"cat >/dev/null; data="$1/data"; folder="$1"; shift
        if [ -f "$data/postmaster.pid" ]; then "$@" stop --pgdata "$data" --mode immediate --silent || exit 1; fi
        cd / && rm -rf "$folder""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "guard"]).arg(folder).arg(stop.get_program()).args(stop.get_args());
    // In a group of its own no signal of the terminal reaches it.
    command.process_group(0).stdin(Stdio::piped()).current_dir("/");
    command.spawn().map_err(|e| Failure::new(format!("could not start PostgreSQL's guard: {e}")))
}

fn free_port() -> Outcome<u16> {
    let socket = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    socket.map(|address| address.port()).map_err(|e| Failure::new(format!("no free port: {e}")))
}
