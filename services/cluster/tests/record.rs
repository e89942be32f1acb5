//! A recording of a cluster is a cluster that answers the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use kubernaut_cluster::{BundleCluster, RecordOptions, record};
use kubernaut_core::{
    ErrorKind,
    model::well_known_kinds,
    port::{ClusterRead, EventQuery, ListQuery},
    testkit::{ClusterFixture, FIXTURE_SECRET, cluster_read::cluster_read_suite, cluster_write::cluster_write_suite},
};
use support::{ctx, write_fixture};

fn fixture() -> ClusterFixture {
    ClusterFixture { namespace: "suite".into(), image: "registry.example/app:1".into(), logs: false }
}

/// A bundle with the fixture and its namespace, as a stand-in for a live cluster.
fn original(dir: &std::path::Path) -> BundleCluster {
    write_fixture(dir, &fixture());
    support::write(
        dir,
        &[(
            "objects/ns.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: suite, uid: ns}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, uid: n}\n",
        )],
    );
    BundleCluster::open(dir).unwrap()
}

#[tokio::test]
async fn a_recording_answers_as_the_original() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let original = original(from.path());
    let options = RecordOptions { alert: Some(b"{\"version\": \"4\"}".to_vec()), ..RecordOptions::default() };
    let summary = record(ctx(), &original, "suite", &to.path().join("new"), options).await.unwrap();
    let recording = BundleCluster::open(&summary.dir).unwrap();
    for kind in well_known_kinds() {
        let query = ListQuery::of(kind.kind, kind.namespaced.then_some("suite"));
        let (was, is) = (original.list(ctx(), query.clone()).await.unwrap(), recording.list(ctx(), query).await.unwrap());
        assert_eq!(was, is, "{}", kind.kind);
    }
    let all = EventQuery { namespace: Some("suite".into()), object: None };
    assert_eq!(original.events(ctx(), all.clone()).await.unwrap(), recording.events(ctx(), all).await.unwrap());
    assert_eq!((recording.taken_at(), recording.alert_json()), (original.taken_at(), Some(&b"{\"version\": \"4\"}"[..])));
    assert_eq!((summary.objects["Pod"], summary.objects["Node"], summary.events), (3, 1, 3));
    cluster_read_suite(&recording, &fixture()).await;
    cluster_write_suite(&recording, &recording, &fixture()).await;
}

#[tokio::test]
async fn no_secret_value_reaches_the_disk() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(ctx(), &original(from.path()), "suite", to.path(), RecordOptions::default()).await.unwrap();
    let secrets = fs::read_to_string(to.path().join("objects/secret.yaml")).unwrap();
    assert!(secrets.contains("token") && !secrets.contains(FIXTURE_SECRET), "{secrets}");
}

#[tokio::test]
async fn a_recording_goes_only_into_an_empty_folder_and_needs_its_namespace() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let original = original(from.path());
    let absent = record(ctx(), &original, "absent", to.path(), RecordOptions::default()).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    assert!(fs::read_dir(to.path()).unwrap().next().is_none(), "nothing is written before everything was read");
    let broken = RecordOptions { alert: Some(b"{".to_vec()), ..RecordOptions::default() };
    assert_eq!(record(ctx(), &original, "suite", to.path(), broken).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    support::write(to.path(), &[("mine.txt", "keep")]);
    let refused = record(ctx(), &original, "suite", to.path(), RecordOptions::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
}
