//! A real cluster to test on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write as _;

use std::{env, path::PathBuf, time::Duration};

use http::{Method, Request};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use kubernaut_cluster::{KubeCluster, KubeConfig};
use kubernaut_core::{
    model::{Object, well_known},
    port::{ClusterRead, ListQuery},
    testkit::ClusterFixture,
};
use serde_json::{Value, json};

use super::ctx;

/// A namespace on the real cluster that holds the fixture. It is deleted at the end; after a failed test it stays to be looked at.
pub(crate) struct Live {
    pub(crate) admin: Client,
    pub(crate) cluster: KubeCluster,
    pub(crate) fixture: ClusterFixture,
}

/// The cluster with the fixture in its namespace; `None` where there is no cluster.
pub(crate) async fn live(purpose: &str) -> Option<Live> {
    let live = reach(purpose).await?;
    live.set_up().await;
    Some(live)
}

/// `None`, with the reason printed, where there is no cluster to test on.
pub(crate) async fn reach(purpose: &str) -> Option<Live> {
    let Some(path) = env::var_os("KUBERNAUT_TEST_KUBECONFIG").map(PathBuf::from) else {
        assert!(env::var("KUBERNAUT_REQUIRE_CLUSTER").as_deref() != Ok("1"), "KUBERNAUT_REQUIRE_CLUSTER=1 but KUBERNAUT_TEST_KUBECONFIG is not set");
        let _ = writeln!(
            std::io::stderr(),
            "skipped: KUBERNAUT_TEST_KUBECONFIG is not set, so there is no cluster to test on; start one with `cargo xtask cluster up`"
        );
        return None;
    };
    let admin = Config::from_custom_kubeconfig(Kubeconfig::read_from(&path).unwrap(), &KubeConfigOptions::default()).await.unwrap();
    let admin = Client::try_from(admin).unwrap();
    let prometheus_url = env::var("KUBERNAUT_TEST_PROMETHEUS_URL").ok().map(|url| url.parse().unwrap());
    let config = KubeConfig { kubeconfig: Some(path), cluster_id: Some("live".into()), prometheus_url, ..KubeConfig::default() };
    let cluster = KubeCluster::connect(config).await.unwrap();
    let fixture = ClusterFixture {
        namespace: format!("cluster-{purpose}-{}", std::process::id()),
        image: env::var("KUBERNAUT_TEST_IMAGE").unwrap_or_else(|_| "127.0.0.1:5001/test/app:1".into()),
        logs: env::var("KUBERNAUT_TEST_CONTAINERS").as_deref() != Ok("0"),
    };
    Some(Live { admin, cluster, fixture })
}

impl Live {
    pub(crate) async fn create_namespace(&self) {
        self.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.fixture.namespace}})).await;
    }

    async fn set_up(&self) {
        self.create_namespace().await;
        for object in self.fixture.objects() {
            self.create(&object).await;
        }
        self.until("all pods are ready and the budget is worked out", |pods, budgets| {
            let ready = pods.iter().filter(|p| p.condition("Ready").is_some_and(|c| c["status"] == "True")).count();
            ready == 3 && budgets.iter().all(|b| b.i64_at("/status/currentHealthy") == Some(1))
        })
        .await;
    }

    async fn until(&self, what: &str, holds: impl Fn(&[Object], &[Object]) -> bool) {
        let list = async |kind| self.cluster.list(ctx(), ListQuery::of(kind, Some(&self.fixture.namespace))).await.unwrap();
        for _ in 0..300 {
            if holds(&list("Pod").await, &list("PodDisruptionBudget").await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("within a minute: {what}; look at namespace {}", self.fixture.namespace);
    }

    pub(crate) async fn create(&self, object: &Value) {
        let known = well_known(object["kind"].as_str().unwrap()).unwrap();
        let root = if known.group.is_empty() { "/api" } else { "/apis" };
        let namespace = object["metadata"]["namespace"].as_str().map(|n| format!("/namespaces/{n}")).unwrap_or_default();
        self.send(Method::POST, &format!("{root}/{}{namespace}/{}", known.api_version(), known.plural), object).await;
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json").body(body.to_string().into_bytes());
        self.admin.request::<Value>(request.unwrap()).await.unwrap();
    }

    pub(crate) async fn tear_down(self) {
        self.send(Method::DELETE, &format!("/api/v1/namespaces/{}", self.fixture.namespace), &json!({})).await;
    }
}
