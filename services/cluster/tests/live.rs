//! The behaviour suites of the cluster ports on a real cluster.
//!
//! Needs `KUBERNAUT_TEST_KUBECONFIG`; skipped without it, unless `KUBERNAUT_REQUIRE_CLUSTER=1` makes that a failure.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use kubernaut_cluster::{BundleCluster, RecordOptions, record};
use kubernaut_core::{
    ErrorKind,
    model::Object,
    port::{ClusterRead, ClusterWrite, ListQuery, PatchKind, PatchRequest},
    testkit::{
        cluster_read::cluster_read_suite,
        cluster_write::{cluster_exec_suite, cluster_write_suite},
    },
};
use serde_json::json;
use support::{ctx, live::live};

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

fn without_managers(object: Object) -> serde_json::Value {
    let mut value = object.value().clone();
    value["metadata"].as_object_mut().unwrap().remove("managedFields");
    value
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
        // A recording keeps who wrote what, which lists of a live cluster leave out.
        let plain = |objects: Vec<Object>| objects.into_iter().map(without_managers).collect::<Vec<_>>();
        let (was, is) = (plain(live.cluster.list(ctx(), query.clone()).await.unwrap()), plain(recording.list(ctx(), query).await.unwrap()));
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
    if live.fixture.logs {
        cluster_exec_suite(&live.cluster, &live.cluster, &live.fixture).await;
    }
    cluster_write_suite(&live.cluster, &live.cluster, &live.fixture).await;
    live.tear_down().await;
}
