//! The bundle that the demo plays: what follows the right and the wrong action.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{path::Path, time::Duration};

use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    model::{Object, ObjectRef},
    port::{ClusterRead, ClusterWrite, EventQuery, EvictRequest, ListQuery, LogQuery, PatchKind, PatchRequest},
    service::CallContext,
};
use serde_json::{Value, json};
use support::ctx;

const NAMESPACE: &str = "ferry-terminal";

fn open() -> BundleCluster {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/bundles/crashing-release");
    BundleCluster::open(&dir).unwrap()
}

fn deployment() -> ObjectRef {
    ObjectRef::new("Deployment", Some(NAMESPACE), "departures")
}

async fn get(bundle: &BundleCluster, reference: ObjectRef) -> Object {
    bundle.get(ctx(), reference).await.unwrap().unwrap()
}

async fn pods(bundle: &BundleCluster) -> Vec<Object> {
    let query = ListQuery::of("Pod", Some(NAMESPACE)).with_selector(json!({"matchLabels": {"app": "departures"}}));
    bundle.list(ctx(), query).await.unwrap()
}

fn crashing(pods: &[Object]) -> usize {
    pods.iter().filter(|p| p.str_at("/status/containerStatuses/0/state/waiting/reason") == Some("CrashLoopBackOff")).count()
}

/// The template of the replica set that worked, as a rollback writes it.
async fn first_template(bundle: &BundleCluster) -> Value {
    let sets = bundle.list(ctx(), ListQuery::of("ReplicaSet", Some(NAMESPACE))).await.unwrap();
    let first = sets.iter().find(|s| s.name().starts_with("departures") && s.annotation("deployment.kubernetes.io/revision") == Some("1")).unwrap();
    let mut template = first.at("/spec/template").unwrap().clone();
    template["metadata"]["labels"].as_object_mut().unwrap().remove("pod-template-hash");
    template
}

async fn patch(bundle: &BundleCluster, kind: PatchKind, body: Value, dry_run: bool) {
    let request = PatchRequest { target: deployment(), kind, body, resource_version: None, field_manager: "kubernaut".into(), dry_run };
    let outcome = bundle.patch(CallContext::system("test"), request).await.unwrap();
    assert!(outcome.simulated);
}

async fn roll_back(bundle: &BundleCluster, dry_run: bool) {
    let body = json!([{"op": "replace", "path": "/spec/template", "value": first_template(bundle).await}]);
    patch(bundle, PatchKind::Json, body, dry_run).await;
    tokio::time::advance(Duration::from_secs(2)).await;
}

async fn restart(bundle: &BundleCluster) {
    let stamp = json!({"kubectl.kubernetes.io/restartedAt": bundle.info(ctx()).await.unwrap().now});
    patch(bundle, PatchKind::Strategic, json!({"spec": {"template": {"metadata": {"annotations": stamp}}}}), false).await;
    tokio::time::advance(Duration::from_secs(2)).await;
}

async fn assert_healthy(bundle: &BundleCluster) {
    let (pods, deployment) = (pods(bundle).await, get(bundle, deployment()).await);
    assert_eq!((pods.len(), crashing(&pods)), (4, 0));
    assert!(pods.iter().all(|p| p.condition("Ready").is_some_and(|c| c["status"] == "True")));
    for field in ["replicas", "readyReplicas", "updatedReplicas", "availableReplicas"] {
        assert_eq!(deployment.i64_at(&format!("/status/{field}")), Some(4), "{field}");
    }
    assert_eq!(deployment.i64_at("/status/observedGeneration"), deployment.i64_at("/metadata/generation"));
    assert_eq!(deployment.at("/status/unavailableReplicas"), None);
    for pod in pods {
        let owners = bundle.owners(ctx(), pod.reference()).await.unwrap();
        assert!(owners.last().unwrap().same_object(&ObjectRef::new("Deployment", Some(NAMESPACE), "departures")), "{owners:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_recording_shows_a_bad_release_with_its_alert_events_and_logs() {
    let bundle = open();
    let pods = pods(&bundle).await;
    assert_eq!((pods.len(), crashing(&pods)), (5, 2));
    let alert: Value = serde_json::from_slice(bundle.alert_json().unwrap()).unwrap();
    for alert in alert["alerts"].as_array().unwrap() {
        let name = alert["labels"]["pod"].as_str().unwrap();
        let pod = get(&bundle, ObjectRef::new("Pod", Some(NAMESPACE), name)).await;
        assert_eq!(pod.uid(), alert["labels"]["uid"].as_str());
        for previous in [true, false] {
            let log = bundle.logs(ctx(), LogQuery::of(NAMESPACE, name, "board", previous)).await.unwrap().unwrap();
            assert!(log.text.contains("unrecognized option"), "{name}");
        }
        let events = bundle.events(ctx(), EventQuery { namespace: None, object: Some(pod.reference()) }).await.unwrap();
        assert!(events.iter().any(|e| e.reason == "BackOff"), "{name}");
    }
    let latest = bundle.events(ctx(), EventQuery::default()).await.unwrap().into_iter().filter_map(|e| e.last_at).max().unwrap();
    assert!(latest <= bundle.taken_at() && bundle.info(ctx()).await.unwrap().now == bundle.taken_at());
}

#[tokio::test(start_paused = true)]
async fn going_back_to_the_first_release_heals_it_and_a_dry_run_does_not() {
    let bundle = open();
    roll_back(&bundle, true).await;
    assert_eq!(crashing(&pods(&bundle).await), 2);
    roll_back(&bundle, false).await;
    assert_healthy(&bundle).await;
    let gone = bundle.logs(ctx(), LogQuery::of(NAMESPACE, "departures-98b749874-xf5xw", "board", false)).await.unwrap();
    assert_eq!(gone, None, "the logs of a pod go with it");
}

#[tokio::test(start_paused = true)]
async fn a_restart_alone_changes_nothing_that_matters_and_the_rollback_still_helps() {
    let bundle = open();
    let before: Vec<_> = pods(&bundle).await.iter().map(|p| p.name().to_owned()).collect();
    restart(&bundle).await;
    let after = pods(&bundle).await;
    assert_eq!((after.len(), crashing(&after)), (5, 2), "the fresh pods crash again");
    assert!(after.iter().any(|p| !before.contains(&p.name().to_owned())), "they are fresh");
    let deployment = get(&bundle, deployment()).await;
    let sets = bundle.list(ctx(), ListQuery::of("ReplicaSet", Some(NAMESPACE))).await.unwrap();
    let fresh = sets.iter().find(|s| s.annotation("deployment.kubernetes.io/revision") == Some("3")).unwrap();
    assert_eq!(fresh.at("/spec/template/metadata/annotations"), deployment.at("/spec/template/metadata/annotations"));
    assert!(fresh.map_at("/spec/selector/matchLabels").iter().all(|(k, v)| fresh.map_at("/spec/template/metadata/labels").get(k) == Some(v)));
    assert_eq!((deployment.i64_at("/status/readyReplicas"), deployment.i64_at("/status/unavailableReplicas")), (Some(3), Some(2)));
    roll_back(&bundle, false).await;
    assert_healthy(&bundle).await;
    let revision = get(&bundle, ObjectRef::new("Deployment", Some(NAMESPACE), "departures")).await;
    assert_eq!(revision.annotation("deployment.kubernetes.io/revision"), Some("4"));
}

#[tokio::test(start_paused = true)]
async fn an_evicted_pod_has_a_successor_of_the_same_health() {
    for (prefix, expected) in [("departures-98b749874-", 2), ("departures-84799f4b-", 2)] {
        let bundle = open();
        let pod = pods(&bundle).await.into_iter().find(|p| p.name().starts_with(prefix)).unwrap().reference();
        bundle.evict(ctx(), EvictRequest { pod: pod.clone(), grace_period_s: None, dry_run: false }).await.unwrap();
        assert_eq!(pods(&bundle).await.len(), 4, "not at once");
        tokio::time::advance(Duration::from_secs(2)).await;
        let after = pods(&bundle).await;
        assert_eq!((after.len(), crashing(&after)), (5, expected), "{pod}");
        assert!(after.iter().all(|p| p.uid() != pod.uid.as_deref()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_recording_stands_still_until_the_first_write() {
    let bundle = open();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(bundle.info(ctx()).await.unwrap().now, bundle.taken_at());
    restart(&bundle).await;
    assert_eq!(bundle.info(ctx()).await.unwrap().now, bundle.taken_at() + Duration::from_secs(2));
    let fresh = pods(&bundle).await.into_iter().filter_map(|p| p.created_at()).max().unwrap();
    assert!(fresh > bundle.taken_at() - Duration::from_secs(1) && fresh < bundle.taken_at() + Duration::from_secs(2));
}
