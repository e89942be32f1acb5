//! What is kept in memory, across a restart of the API server. A program of its own, because nothing else can be tested meanwhile.
//!
//! Needs `KUBERNAUT_TEST_KUBECONFIG` and `KUBERNAUT_TEST_CLUSTER_CTL`; skipped without, unless `KUBERNAUT_REQUIRE_CLUSTER=1` makes that a
//! failure.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{env, process::Command, time::Duration};

use kubernaut_cluster::CacheConfig;
use kubernaut_core::port::{ClusterRead, ListQuery};
use serde_json::json;
use support::{
    ctx,
    kept::{Kept, within},
    live::reach,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_a_restart_of_the_api_server() {
    let Some(live) = reach("restart").await else { return };
    let Some(control) = env::var_os("KUBERNAUT_TEST_CLUSTER_CTL") else {
        assert!(env::var("KUBERNAUT_REQUIRE_CLUSTER").as_deref() != Ok("1"), "KUBERNAUT_REQUIRE_CLUSTER=1 but KUBERNAUT_TEST_CLUSTER_CTL is not set");
        eprintln!("skipped: KUBERNAUT_TEST_CLUSTER_CTL is not set, so the API server cannot be restarted");
        return;
    };
    live.create_namespace().await;
    let config_map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": live.fixture.namespace}});
    live.create(&config_map("before")).await;
    let kept = Kept::start(&live.cluster, &["ConfigMap"], CacheConfig::default());
    kept.until_all("following").await;
    // Only what memory says counts here; a read that falls through is always right.
    let listed = async |name: &str| {
        let following = || kept.cache.states() == [("ConfigMap", "following")];
        let served = following();
        let all = kept.cache.list(ctx(), ListQuery::of("ConfigMap", Some(&live.fixture.namespace))).await.unwrap_or_default();
        served && following() && all.iter().any(|o| o.name() == name)
    };

    let restarted = Command::new(control).args(["restart", "kube-apiserver", "KILL"]).status().unwrap();
    assert!(restarted.success());
    within(Duration::from_secs(60), "the server answers again", async || live.cluster.info(ctx()).await.is_ok()).await;
    live.create(&config_map("after")).await;
    let took = within(Duration::from_secs(30), "memory has what was created after the restart", async || listed("after").await).await;
    assert!(listed("before").await, "and what was there before");
    eprintln!("{took:?} after the restart memory is current");
    live.tear_down().await;
}
