//! What is kept in memory, against a real cluster.
//!
//! Needs `KUBERNAUT_TEST_KUBECONFIG`; skipped without it, unless `KUBERNAUT_REQUIRE_CLUSTER=1` makes that a failure.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use http::Method;
use kubernaut_cluster::CacheConfig;
use kubernaut_core::{
    model::Object,
    port::{ClusterRead, ListQuery},
    testkit::cluster_read::cluster_read_suite,
};
use serde_json::{Value, json};
use support::{
    ctx,
    kept::{Kept, within},
    live::{Live, live, reach},
};

/// How late an answer may be while nothing is broken.
const LAG: Duration = Duration::from_secs(2);

fn config_map(live: &Live, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "namespace": live.fixture.namespace}, "data": {"value": value}})
}

#[tokio::test]
async fn what_is_kept_keeps_the_rules_of_reading_and_answers_as_the_cluster_does() {
    let Some(live) = live("kept").await else { return };
    let kinds = ["Pod", "ReplicaSet", "Deployment", "ConfigMap", "PodDisruptionBudget", "Job"];
    let kept = Kept::start(&live.cluster, &kinds, CacheConfig::default());
    kept.until_all("following").await;
    cluster_read_suite(&kept.cache, &live.fixture).await;
    for kind in kinds {
        let query = ListQuery::of(kind, Some(&live.fixture.namespace));
        let (is, kept_now) = (live.cluster.list(ctx(), query.clone()).await.unwrap(), kept.cache.list(ctx(), query).await.unwrap());
        assert_eq!(kept_now, is, "{kind}");
        for object in &is {
            let reference = object.reference();
            let (is, kept_now) = (live.cluster.get(ctx(), reference.clone()).await.unwrap(), kept.cache.get(ctx(), reference.clone()).await.unwrap());
            assert_eq!(kept_now, is, "{reference}");
            assert_eq!(live.cluster.owners(ctx(), reference.clone()).await.unwrap(), kept.cache.owners(ctx(), reference).await.unwrap());
        }
    }
    live.tear_down().await;
}

#[tokio::test]
async fn what_is_created_changed_and_deleted_is_seen_soon() {
    let Some(live) = reach("lag").await else { return };
    live.create_namespace().await;
    let kept = Kept::start(&live.cluster, &["ConfigMap"], CacheConfig::default());
    kept.until_all("following").await;
    let seen = async || {
        let query = ListQuery::of("ConfigMap", Some(&live.fixture.namespace));
        let all = kept.cache.list(ctx(), query).await.unwrap();
        all.iter().find(|o| o.name() == "late").and_then(|o| Object::str_at(o, "/data/value").map(str::to_owned))
    };
    let path = format!("/api/v1/namespaces/{}/configmaps/late", live.fixture.namespace);
    let mut lags = Vec::new();
    live.create(&config_map(&live, "one")).await;
    lags.push(within(LAG, "the new object is listed", async || seen().await.as_deref() == Some("one")).await);
    live.send(Method::PUT, &path, &config_map(&live, "two")).await;
    lags.push(within(LAG, "the change is listed", async || seen().await.as_deref() == Some("two")).await);
    live.send(Method::DELETE, &path, &json!({})).await;
    lags.push(within(LAG, "the deleted object is gone", async || seen().await.is_none()).await);
    assert_eq!(kept.cache.states(), [("ConfigMap", "following")]);
    eprintln!("created, changed and deleted were seen after {lags:?}");
    live.tear_down().await;
}

#[tokio::test]
async fn a_quiet_kind_is_followed_without_being_listed_anew() {
    let Some(live) = reach("quiet").await else { return };
    let kept = Kept::start(&live.cluster, &["ReplicationController"], CacheConfig { stale_after_s: 10, ..CacheConfig::default() });
    kept.until_all("following").await;
    // Watches last five seconds here; without proof the kind would be listed anew after ten.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(16) {
        assert_eq!(kept.cache.states(), [("ReplicationController", "following")]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_is_read_from_the_cluster() {
    let Some(live) = live("full").await else { return };
    let kept = Kept::start(&live.cluster, &["Pod"], CacheConfig { max_objects: 1, ..CacheConfig::default() });
    kept.until_all("full").await;
    let query = ListQuery::of("Pod", Some(&live.fixture.namespace));
    assert_eq!(kept.cache.list(ctx(), query).await.unwrap().len(), 3);
    assert_eq!(kept.cache.held(), (0, 0));
    live.tear_down().await;
}
