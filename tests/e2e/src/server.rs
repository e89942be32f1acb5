//! The real server binary as a child process.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{Api, Lab, wait_for};

/// The `kubernaut` binary built beside this test.
#[must_use]
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    while path.file_name().is_none_or(|n| n != "deps") {
        assert!(path.pop(), "the test does not run from a target folder");
    }
    path.pop();
    let binary = path.join("kubernaut");
    assert!(binary.is_file(), "{} is missing; build the workspace first", binary.display());
    binary
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    /// Its client, with a token of scope operate.
    pub api: Api,
    /// Its folder, with the ledger.
    pub home: tempfile::TempDir,
    address: String,
    config: PathBuf,
}

const OPERATOR_TOKEN: &str = "operator-token-of-the-tests";

impl ServerProcess {
    /// Starts a server that Alertmanager reaches, in mode `auto`, with notifications to `notify_url`.
    pub async fn start(lab: &Lab, notify_url: &str, extra: Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = write_config(home.path(), lab, notify_url, extra);
        let child = spawn(&config, home.path());
        let api = Api::new(&lab.webhook_addr, Some(OPERATOR_TOKEN));
        let server = Self { child, api, home, address: lab.webhook_addr.clone(), config };
        server.until_ready().await;
        server
    }

    async fn until_ready(&self) {
        let api = self.api.clone();
        wait_for("the server to be ready", Duration::from_secs(20), async || api.ready().await).await;
    }

    /// Ends it as `kill -9` does, and starts it again on the same ledger.
    pub async fn crash_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.config, self.home.path());
        self.until_ready().await;
    }

    /// Resident memory in MiB.
    #[must_use]
    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Ok(log) = std::fs::read_to_string(self.home.path().join("server.log"))
        {
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- end of the server's log ---\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

fn spawn(config: &Path, home: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(home.join("server.log")).unwrap();
    Command::new(binary()).args(["serve", "--config"]).arg(config).stdout(Stdio::null()).stderr(log).spawn().expect("the server starts")
}

fn write_config(home: &Path, lab: &Lab, notify_url: &str, extra: Value) -> PathBuf {
    let mut config = json!({
        "config_version": 1,
        "mode": "auto",
        "http": { "listen": lab.webhook_addr, "tokens": [
            { "name": "alertmanager", "token": lab.webhook_token, "scope": "alerts" },
            { "name": "tester", "token": OPERATOR_TOKEN, "scope": "operate" }
        ]},
        "log": { "filter": "info,kubernaut=debug" },
        "cluster": { "kubeconfig": lab.kubeconfig, "id": "lab" },
        "ledger": { "path": home.join("ledger.db") },
        "gate": { "allow_node_actions": true },
        "notifications": { "channels": { "hook": { "type": "webhook", "url": notify_url } }, "routes": [{ "channels": ["hook"] }] }
    });
    merge(&mut config, extra);
    let path = home.join("kubernaut.yaml");
    std::fs::write(&path, serde_yaml_ng::to_string(&config).unwrap()).unwrap();
    path
}

fn merge(base: &mut Value, extra: Value) {
    match (base, extra) {
        (Value::Object(base), Value::Object(extra)) => {
            for (key, value) in extra {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, extra) => *base = extra,
    }
}
