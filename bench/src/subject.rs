//! The programs that are measured, each as a process of its own.

use std::{
    fs,
    io::{Error, Result},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    alerts::{self, Planned},
    http,
};

/// A program under load; it is ended when this is dropped.
#[derive(Debug)]
pub struct Subject {
    /// What it is called in the report.
    pub name: String,
    /// Where it takes alerts.
    pub address: SocketAddr,
    kind: Kind,
    process: Child,
    home: tempfile::TempDir,
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kubernaut,
    Alertmanager,
}

/// Where Kubernaut keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// A file in the temporary folder.
    Sqlite,
    /// A PostgreSQL database that is empty.
    Postgres(String),
}

impl Subject {
    /// The server on a recorded cluster with so many Deployments. Incidents are worked on while alerts come, as in any server.
    ///
    /// # Errors
    /// If it does not start.
    pub fn kubernaut(binary: &Path, store: &Store, owners: usize, more: &Value) -> Result<Self> {
        Self::kubernaut_with(binary, store, owners, more, |_| Vec::new())
    }

    /// The same with variables in its environment, given its folder.
    ///
    /// # Errors
    /// If it does not start.
    pub fn kubernaut_with(
        binary: &Path,
        store: &Store,
        owners: usize,
        more: &Value,
        environment: impl Fn(&Path) -> Vec<(String, PathBuf)>,
    ) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let bundle = home.path().join("bundle");
        fs::create_dir_all(bundle.join("objects"))?;
        fs::write(
            bundle.join("bundle.yaml"),
            "id: bench\nformat: incident-bundle/v1\ncluster: bench\ntaken_at: '2026-01-01T00:20:00Z'\nversion: v1.34.4\n",
        )?;
        fs::write(bundle.join("objects/deployments.json"), alerts::objects(owners))?;
        let address = free_address()?;
        let mut config = json!({
            "http": { "listen": address.to_string() }, "cluster": { "bundle": bundle }, "log": { "filter": "error" },
            // What is told to people goes nowhere.
            "notifications": { "routes": [{}] }
        });
        match store {
            Store::Sqlite => config["ledger"] = json!({ "path": home.path().join("ledger.db") }),
            Store::Postgres(url) => config["storage"] = json!({ "postgres": { "url": url } }),
        }
        merge(&mut config, more);
        let path = home.path().join("config.yaml");
        fs::write(&path, config.to_string())?;
        let mut command = Command::new(binary);
        command.args(["serve", "--config"]).arg(&path).envs(environment(home.path())).stdout(Stdio::null());
        let process = command.spawn()?;
        let name = if *store == Store::Sqlite { "kubernaut, SQLite" } else { "kubernaut, PostgreSQL" };
        Self { name: name.into(), address, kind: Kind::Kubernaut, process, home, command }.ready()
    }

    /// Debian's Alertmanager, which keeps alerts in memory. Nothing is delivered while it is measured.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn alertmanager(binary: &Path) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let (address, config) = (free_address()?, home.path().join("alertmanager.yml"));
        fs::write(&config, "route: { receiver: none, group_by: [namespace], group_wait: 1h }\nreceivers: [{ name: none }]\n")?;
        let mut command = Command::new(binary);
        command.arg(format!("--config.file={}", config.display())).arg(format!("--storage.path={}", home.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--cluster.listen-address=").arg("--log.level=error");
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Self { name: "Alertmanager, in memory".into(), address, kind: Kind::Alertmanager, process, home, command }.ready()
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// Starts it again on what it left, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = self.command.spawn()?;
        while !self.look()? {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Its folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Whether it is ready; an error if it has ended.
    fn look(&mut self) -> Result<bool> {
        if let Some(status) = self.process.try_wait()? {
            return Err(Error::other(format!("{} ended with {status} before it was ready", self.name)));
        }
        let path = if self.kind == Kind::Kubernaut { "/readyz" } else { "/-/ready" };
        Ok(is_ready(self.address, path).unwrap_or(false))
    }

    fn ready(mut self) -> Result<Self> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if self.look()? {
                return Ok(self);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(Error::other(format!("{} was not ready within a minute", self.name)))
    }

    /// The request that brings these alerts, in the envelope of the program's interface.
    #[must_use]
    pub fn request(&self, alerts: &[Planned]) -> Vec<u8> {
        match self.kind {
            Kind::Kubernaut => http::post("/api/v1/alerts/alertmanager", &alerts::webhook(alerts)),
            Kind::Alertmanager => http::post("/api/v2/alerts", &alerts::alertmanager(alerts)),
        }
    }

    /// Processor time used so far, in seconds.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds_of(self.process.id())
    }

    /// Resident memory in MiB.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn resident_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).and_then(|line| line.split_whitespace().next());
        Ok(line.and_then(|kib| kib.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0))
    }

    /// Bytes of its files, by the end of their names.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn file_bytes(&self, ending: &str) -> Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(self.home.path())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(ending) {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Processor time that a process has used so far, in seconds.
///
/// # Errors
/// If the system does not tell.
pub fn cpu_seconds_of(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The program's name may hold spaces and stands in brackets; user and system time are the 14th and 15th field.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

/// A binary of this workspace, built beside the running one.
///
/// # Errors
/// If it is not there.
pub fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(Error::other(format!("{} is missing; build it with the same profile", path.display()))) }
}

fn free_address() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn is_ready(address: SocketAddr, path: &str) -> Result<bool> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b"200"))
}

fn merge(base: &mut Value, more: &Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => more.iter().for_each(|(key, value)| merge(base.entry(key).or_insert(Value::Null), value)),
        (base, more) if !more.is_null() => *base = more.clone(),
        _ => {}
    }
}
