//! The demo on a live cluster: a namespace of its own with a release that crashes.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, Client as KubeClient,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use kubernaut::{Config, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::Client;
use crate::output::say;

const WORKLOAD: &str = "storefront";

#[derive(Debug)]
pub(super) struct LiveScene {
    pub(super) namespace: String,
    kubeconfig: std::path::PathBuf,
    sends_alert: bool,
    kube: KubeClientBox,
}

/// `kube::Client` has no `Debug`.
struct KubeClientBox(KubeClient);

impl std::fmt::Debug for KubeClientBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeClient")
    }
}

impl LiveScene {
    /// Makes the namespace, a healthy deployment, and then its bad release.
    pub(super) async fn open(kubeconfig: &Path, image: &str, sends_alert: bool) -> Result<Self> {
        let config = Kubeconfig::read_from(kubeconfig)
            .map_err(|e| Error::invalid("demo.kubeconfig", "cannot read the kubeconfig").with("path", kubeconfig.display()).source(e))?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
            .await
            .map_err(|e| Error::invalid("demo.kubeconfig", "not a usable kubeconfig").source(e))?;
        let kube = KubeClient::try_from(config).map_err(|e| failed("connect", e))?;
        let namespace = format!("kubernaut-demo-{}", &uuid::Uuid::new_v4().simple().to_string()[..6]);
        let scene = Self { namespace, kubeconfig: kubeconfig.to_owned(), sends_alert, kube: KubeClientBox(kube) };
        match scene.prepare(image).await {
            Ok(()) => Ok(scene),
            Err(error) => {
                if let Err(left) = scene.close().await {
                    tracing::warn!(error = %left, "cannot remove the demo's namespace");
                }
                Err(error)
            }
        }
    }

    async fn prepare(&self, image: &str) -> Result<()> {
        say!("Making namespace {} with deployment {WORKLOAD} ({image}) …", self.namespace);
        self.apply(&Api::<Namespace>::all(self.kube.0.clone()), &namespace(&self.namespace)).await?;
        self.apply(&self.deployments(), &deployment(image, GOOD)).await?;
        self.until("the first release to be ready", |d| ready(d) == Some(2)).await?;
        say!("The first release is ready; applying one that crashes …");
        let pods = Api::<Pod>::namespaced(self.kube.0.clone(), &self.namespace);
        self.apply(&self.deployments(), &deployment(image, BAD)).await?;
        for _ in 0..240 {
            if crashing_pod(&pods).await?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(Error::new(ErrorKind::Timeout, "demo.live", "the bad release did not crash within a minute"))
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.kube.0.clone(), &self.namespace)
    }

    async fn apply<K: Clone + std::fmt::Debug + DeserializeOwned>(&self, api: &Api<K>, object: &Value) -> Result<()> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        api.patch(name, &PatchParams::apply("kubernaut-demo").force(), &Patch::Apply(object)).await.map_err(|e| failed("apply", e)).map(|_| ())
    }

    async fn until(&self, what: &str, holds: impl Fn(&Deployment) -> bool) -> Result<()> {
        for _ in 0..480 {
            let now = self.deployments().get(WORKLOAD).await.map_err(|e| failed("read", e))?;
            if holds(&now) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(Error::new(ErrorKind::Timeout, "demo.live", format!("waited two minutes for {what}; can the cluster pull the image?")))
    }

    pub(super) fn configure(&self, config: &mut Config) {
        config.cluster.kubeconfig = Some(self.kubeconfig.clone());
        config.processor.verification.window_s = 120;
    }

    pub(super) async fn raise_alert(&mut self, client: &Client) -> Result<String> {
        if !self.sends_alert {
            return Ok("Waiting for Prometheus to fire and Alertmanager to deliver …".into());
        }
        let pods = Api::<Pod>::namespaced(self.kube.0.clone(), &self.namespace);
        let pod = crashing_pod(&pods).await?.ok_or_else(|| Error::internal("demo.live", "no pod crashes any more"))?;
        let body = webhook(&self.namespace, &pod).to_string().into_bytes();
        let answer = client.post_alerts(body).await?;
        Ok(format!("Posted an Alertmanager webhook in place of the cluster's own: answered {answer}"))
    }

    pub(super) async fn close(self) -> Result<()> {
        let namespaces = Api::<Namespace>::all(self.kube.0.clone());
        match namespaces.delete(&self.namespace, &DeleteParams::background()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(failed("remove the namespace", error)),
        }
    }
}

fn failed(what: &'static str, error: kube::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "demo.live", format!("the cluster refused to {what}")).source(error)
}

fn ready(deployment: &Deployment) -> Option<i32> {
    deployment.status.as_ref()?.ready_replicas
}

async fn crashing_pod(pods: &Api<Pod>) -> Result<Option<String>> {
    let all = pods.list(&ListParams::default().labels(&format!("app={WORKLOAD}"))).await.map_err(|e| failed("list pods", e))?;
    let crashed = |pod: &&Pod| pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten()).any(|c| c.restart_count >= 1);
    Ok(all.iter().find(crashed).and_then(|p| p.metadata.name.clone()))
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": { "environment": "production", "kubernaut.ai/managed": "true" } } })
}

const GOOD: &str = "echo storefront is serving; exec tail -f /dev/null";
const BAD: &str = "echo 'fatal: unknown flag --catalogue' >&2; exit 2";

fn deployment(image: &str, script: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": WORKLOAD, "labels": { "app": WORKLOAD } },
        "spec": {
            "minReadySeconds": 2,
            "replicas": 2, "selector": { "matchLabels": { "app": WORKLOAD } },
            "strategy": { "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
            "template": {
                "metadata": { "labels": { "app": WORKLOAD } },
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "web", "image": image, "command": ["sh", "-c", script],
                        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } }
                    }]
                }
            }
        }
    })
}

fn webhook(namespace: &str, pod: &str) -> Value {
    let now = Timestamp::now().to_string();
    let labels = json!({ "alertname": "KubePodCrashLooping", "severity": "warning", "namespace": namespace, "pod": pod, "container": "web", "reason": "CrashLoopBackOff" });
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"KubePodCrashLooping\"}", "status": "firing", "receiver": "kubernaut", "groupLabels": {},
        "commonLabels": labels, "commonAnnotations": {}, "externalURL": "", "truncatedAlerts": 0,
        "alerts": [{
            "status": "firing", "labels": labels, "annotations": { "summary": "Pod is crash looping." },
            "startsAt": now, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": ""
        }]
    })
}
