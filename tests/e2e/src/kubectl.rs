//! kubectl, for making faults and reading effects.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

/// Runs kubectl against the cluster under test.
#[derive(Debug, Clone)]
pub struct Kubectl(String);

impl Kubectl {
    /// A kubectl at that path.
    #[must_use]
    pub fn new(path: String) -> Self {
        Self(path)
    }

    /// Runs it; panics with its words if it fails.
    pub fn run(&self, args: &[&str]) -> String {
        let output = Command::new(&self.0).args(args).output().expect("kubectl starts");
        assert!(output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs it; gives nothing if it fails.
    #[must_use]
    pub fn try_run(&self, args: &[&str]) -> Option<String> {
        let output = Command::new(&self.0).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &Value) {
        let mut child = Command::new(&self.0)
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        child.stdin.take().unwrap().write_all(manifest.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "kubectl apply: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// One object as JSON.
    #[must_use]
    pub fn get(&self, namespace: &str, what: &str) -> Option<Value> {
        let text = self.try_run(&["-n", namespace, "get", what, "-o", "json"])?;
        serde_json::from_str(&text).ok()
    }

    /// Ready replicas of a deployment.
    #[must_use]
    pub fn ready_replicas(&self, namespace: &str, deployment: &str) -> i64 {
        let found = self.get(namespace, &format!("deployment/{deployment}"));
        found.and_then(|d| d["status"]["readyReplicas"].as_i64()).unwrap_or(0)
    }

    /// Whether a deployment's newest template runs everywhere and every wanted pod is ready.
    #[must_use]
    pub fn rolled_out(&self, namespace: &str, deployment: &str) -> bool {
        let Some(d) = self.get(namespace, &format!("deployment/{deployment}")) else { return false };
        let status = |field: &str| d["status"][field].as_i64().unwrap_or(0);
        let wanted = d["spec"]["replicas"].as_i64().unwrap_or(1);
        status("observedGeneration") == d["metadata"]["generation"].as_i64().unwrap_or(-1)
            && status("updatedReplicas") == wanted
            && status("readyReplicas") == wanted
            && status("replicas") == wanted
    }
}
