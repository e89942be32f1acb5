//! The behaviour suites of the cluster ports on a real cluster.
//!
//! Needs `KUBERNAUT_TEST_KUBECONFIG`; skipped without it, unless `KUBERNAUT_REQUIRE_CLUSTER=1` makes that a failure.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{env, path::PathBuf, time::Duration};

use http::{Method, Request};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use kubernaut_cluster::{BundleCluster, KubeCluster, KubeConfig, RecordOptions, record};
use kubernaut_core::{
    ErrorKind,
    model::{Object, well_known},
    port::{ClusterRead, ClusterWrite, ListQuery, PatchKind, PatchRequest},
    testkit::{ClusterFixture, cluster_read::cluster_read_suite, cluster_write::cluster_write_suite},
};
use serde_json::{Value, json};
use support::ctx;

/// A namespace on the real cluster that holds the fixture. It is deleted at the end; after a failed test it stays to be looked at.
struct Live {
    admin: Client,
    cluster: KubeCluster,
    fixture: ClusterFixture,
}

/// `None`, with the reason printed, where there is no cluster to test on.
async fn live(purpose: &str) -> Option<Live> {
    let Some(path) = env::var_os("KUBERNAUT_TEST_KUBECONFIG").map(PathBuf::from) else {
        assert!(env::var("KUBERNAUT_REQUIRE_CLUSTER").as_deref() != Ok("1"), "KUBERNAUT_REQUIRE_CLUSTER=1 but KUBERNAUT_TEST_KUBECONFIG is not set");
        eprintln!("skipped: KUBERNAUT_TEST_KUBECONFIG is not set, so there is no cluster to test on; start one with `cargo xtask cluster up`");
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
    let live = Live { admin, cluster, fixture };
    live.set_up().await;
    Some(live)
}

impl Live {
    async fn set_up(&self) {
        self.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.fixture.namespace}})).await;
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

    async fn create(&self, object: &Value) {
        let known = well_known(object["kind"].as_str().unwrap()).unwrap();
        let root = if known.group.is_empty() { "/api" } else { "/apis" };
        let namespace = object["metadata"]["namespace"].as_str().map(|n| format!("/namespaces/{n}")).unwrap_or_default();
        self.send(Method::POST, &format!("{root}/{}{namespace}/{}", known.api_version(), known.plural), object).await;
    }

    async fn send(&self, method: Method, path: &str, body: &Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json").body(body.to_string().into_bytes());
        self.admin.request::<Value>(request.unwrap()).await.unwrap();
    }

    async fn tear_down(self) {
        self.send(Method::DELETE, &format!("/api/v1/namespaces/{}", self.fixture.namespace), &json!({})).await;
    }
}

#[tokio::test]
async fn a_live_cluster_keeps_the_rules_of_reading() {
    let Some(live) = live("read").await else { return };
    cluster_read_suite(&live.cluster, &live.fixture).await;
    live.tear_down().await;
}

/// What changes between our read and our write is seen by the server alone: uid and version in the body stand for that.
#[tokio::test]
async fn the_server_itself_refuses_another_uid_or_version() {
    let Some(live) = live("race").await else { return };
    for (field, value) in [("uid", "00000000-0000-4000-8000-000000000000"), ("resourceVersion", "1")] {
        for (kind, body) in [
            (PatchKind::Merge, json!({"metadata": {field: value}, "data": {"name": "x"}})),
            (PatchKind::Strategic, json!({"metadata": {field: value}, "data": {"name": "x"}})),
            (
                PatchKind::Json,
                json!([{"op": "replace", "path": "/data/name", "value": "x"}, {"op": "add", "path": format!("/metadata/{field}"), "value": value}]),
            ),
        ] {
            let target = live.fixture.reference("ConfigMap", "front");
            let request = PatchRequest { target, kind, body, resource_version: None, field_manager: "kubernaut".into(), dry_run: false };
            let refused = live.cluster.patch(ctx(), request).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Conflict, "{kind:?} {field}: {refused}");
        }
    }
    live.tear_down().await;
}

#[tokio::test]
async fn a_recording_of_a_live_cluster_answers_as_it_does() {
    let Some(live) = live("record").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let options = RecordOptions { all_logs: true, metrics: vec!["up".into()], ..RecordOptions::default() };
    let summary = record(ctx(), &live.cluster, &live.fixture.namespace, dir.path(), options).await.unwrap();
    let recording = BundleCluster::open(dir.path()).unwrap();
    cluster_read_suite(&recording, &live.fixture).await;
    for kind in ["Pod", "ReplicaSet", "Deployment", "ConfigMap", "Secret", "ServiceAccount", "PodDisruptionBudget"] {
        let query = ListQuery::of(kind, Some(&live.fixture.namespace));
        let (was, is) = (live.cluster.list(ctx(), query.clone()).await.unwrap(), recording.list(ctx(), query).await.unwrap());
        assert_eq!(was, is, "{kind}");
    }
    assert_eq!(recording.capabilities(), live.cluster.capabilities(), "{summary}");
    assert!(summary.left_out.is_empty() && summary.objects["Node"] >= 1, "{summary}");
    cluster_write_suite(&recording, &recording, &live.fixture).await;
    live.tear_down().await;
}

#[tokio::test]
async fn a_live_cluster_keeps_the_rules_of_writing() {
    let Some(live) = live("write").await else { return };
    cluster_write_suite(&live.cluster, &live.cluster, &live.fixture).await;
    live.tear_down().await;
}
