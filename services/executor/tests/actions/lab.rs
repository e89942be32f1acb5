//! The real cluster, changed and read with kubectl.

use std::{
    env,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use kubernaut_cluster::{KubeCluster, KubeConfig};
use kubernaut_core::{port::SystemClock, service::Executor};
use kubernaut_executor::KubeExecutor;
use serde_json::Value;

pub struct Lab {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    /// A second process on the same cluster.
    pub later: KubeExecutor,
    pub executor: Arc<dyn Executor>,
    pub image: String,
    pub archive: tempfile::TempDir,
}

pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Lab {
    /// `None`, with the reason printed, where there is no cluster to test on.
    pub async fn open() -> Option<Self> {
        let (Some(kubeconfig), Some(kubectl)) = (env::var_os("KUBERNAUT_TEST_KUBECONFIG"), env::var_os("KUBERNAUT_TEST_KUBECTL")) else {
            let required = env::var("KUBERNAUT_REQUIRE_CLUSTER").as_deref() == Ok("1");
            assert!(!required, "KUBERNAUT_REQUIRE_CLUSTER=1 but KUBERNAUT_TEST_KUBECONFIG or KUBERNAUT_TEST_KUBECTL is not set");
            say("skipped: KUBERNAUT_TEST_KUBECONFIG or KUBERNAUT_TEST_KUBECTL is not set; start a cluster with `cargo xtask cluster up`");
            return None;
        };
        let kubeconfig = PathBuf::from(kubeconfig);
        let prometheus_url = env::var("KUBERNAUT_TEST_PROMETHEUS_URL").ok().map(|url| url.parse().unwrap());
        let config = KubeConfig { kubeconfig: Some(kubeconfig.clone()), prometheus_url, ..KubeConfig::default() };
        let cluster = Arc::new(KubeCluster::connect(config).await.unwrap());
        let archive = tempfile::tempdir().unwrap();
        let later = KubeExecutor::new(cluster.clone(), cluster.clone(), Arc::new(SystemClock));
        let kube: Arc<dyn Executor> =
            Arc::new(KubeExecutor::new(cluster.clone(), cluster, Arc::new(SystemClock)).with_archive(archive.path().to_owned()));
        let image = env::var("KUBERNAUT_TEST_IMAGE").unwrap_or_else(|_| "127.0.0.1:5001/lab/app:1".into());
        Some(Self { kubectl: kubectl.into(), kubeconfig, later, executor: kube, image, archive })
    }

    pub fn kubectl(&self, args: &[&str], input: Option<&Value>) -> Result<String, String> {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        child.stdin.take().unwrap().write_all(input.map(Value::to_string).unwrap_or_default().as_bytes()).map_err(|e| e.to_string())?;
        let done = child.wait_with_output().map_err(|e| e.to_string())?;
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        } else {
            Err(format!("kubectl {args:?}: {}", String::from_utf8_lossy(&done.stderr)))
        }
    }
}

/// One row's view of the cluster.
pub struct Place<'a> {
    pub lab: &'a Lab,
    pub namespace: String,
}

impl Place<'_> {
    pub fn run(&self, args: &[&str]) -> Result<String, String> {
        self.lab.kubectl(&[&["-n", &self.namespace], args].concat(), None)
    }

    /// What kubectl prints for a JSONPath; empty where there is nothing, or no such object.
    pub fn read(&self, object: &str, path: &str) -> String {
        self.run(&["get", object, "--ignore-not-found", "-o", &format!("jsonpath={{{path}}}")]).unwrap_or_default()
    }

    pub fn is_there(&self, object: &str) -> bool {
        !self.run(&["get", object, "--ignore-not-found", "-o", "name"]).unwrap_or_default().trim().is_empty()
    }

    /// The name of the first pod with that label.
    pub fn pod(&self, label: &str) -> String {
        self.run(&["get", "pods", "-l", label, "-o", "jsonpath={.items[0].metadata.name}"]).unwrap_or_default()
    }

    /// The image by its digest, as the registry tells it.
    pub fn digest(&self) -> String {
        let (name, tag) = self.lab.image.rsplit_once(':').unwrap();
        let (registry, repository) = name.split_once('/').unwrap();
        let url = format!("http://{registry}/v2/{repository}/manifests/{tag}");
        let accept = "Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
        let inside = env::var("KUBERNAUT_TEST_CLUSTER_EXEC").unwrap_or_default();
        let said = Command::new(inside).args(["curl", "-sI", "-H", accept, &url]).output();
        let head = said.map(|s| String::from_utf8_lossy(&s.stdout).into_owned()).unwrap_or_default();
        let digest = head.lines().find_map(|l| l.strip_prefix("Docker-Content-Digest: ")).unwrap_or_default();
        format!("{name}@{}", digest.trim())
    }

    pub fn ready(&self, workload: &str) -> Result<(), String> {
        self.run(&["rollout", "status", workload, "--timeout=120s"]).map(drop)
    }

    pub fn wait(&self, object: &str, condition: &str) -> Result<(), String> {
        self.run(&["wait", object, &format!("--for={condition}"), "--timeout=120s"]).map(drop)
    }
}
