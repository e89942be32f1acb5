//! The behaviour suites of the cluster ports on a bundle.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    port::{ClusterRead, ClusterWrite},
    testkit::{ClusterFixture, cluster_read::cluster_read_suite, cluster_write::cluster_write_suite},
};

fn opened() -> (tempfile::TempDir, BundleCluster, ClusterFixture) {
    let dir = tempfile::tempdir().unwrap();
    let fixture = ClusterFixture { namespace: "suite".into(), image: "registry.example/app:1".into(), logs: true };
    support::write_fixture(dir.path(), &fixture);
    let bundle = BundleCluster::open(dir.path()).unwrap();
    (dir, bundle, fixture)
}

#[tokio::test]
async fn a_bundle_keeps_the_rules_of_reading() {
    let (_dir, bundle, fixture) = opened();
    cluster_read_suite(&bundle, &fixture).await;
}

#[tokio::test]
async fn a_bundle_keeps_the_rules_of_writing() {
    let (_dir, bundle, fixture) = opened();
    cluster_write_suite(&bundle, &bundle, &fixture).await;
}

#[tokio::test]
async fn the_rules_hold_behind_a_shared_pointer() {
    let (_dir, bundle, fixture) = opened();
    let (read, write): (Arc<dyn ClusterRead>, Arc<dyn ClusterWrite>) = (Arc::new(bundle.clone()), Arc::new(bundle));
    cluster_read_suite(&read, &fixture).await;
    cluster_write_suite(&read, &write, &fixture).await;
}
