//! Reading a bundle from a folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    ErrorKind,
    model::ObjectRef,
    port::{ClusterRead, EventQuery, ListQuery, LogQuery},
};
use support::{ctx, write};

const PODS: &str = "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: web-1, namespace: shop, uid: u1, labels: {app: web}}\n\
    - metadata: {name: db-0, namespace: data}\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: token, namespace: shop}\ndata: {key: aHVudGVyMg==}\n";
const EVENTS: &str = "apiVersion: v1\nkind: Event\nmetadata: {name: e2, namespace: shop}\ntype: Warning\nreason: BackOff\nlastTimestamp: '2026-01-02T00:00:00Z'\n\
    involvedObject: {kind: Pod, namespace: shop, name: web-1, uid: u1}\n---\napiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {name: e1, namespace: shop}\n\
    type: Normal\nreason: Pulled\neventTime: '2026-01-01T00:00:00Z'\nregarding: {kind: Pod, namespace: shop, name: web-1, uid: u1}\n";

#[tokio::test]
async fn every_part_is_served_and_unknown_files_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            ("bundle.yaml", "id: B1\ntaken_at: '2026-02-01T00:00:00Z'\nnote: extra keys are fine\n"),
            ("alert.json", "{\"version\": \"4\"}"),
            ("objects/shop/pods.yaml", PODS),
            ("objects/secret.yml", SECRET),
            ("objects/README.md", "# not: [an object"),
            ("events.yaml", EVENTS),
            ("logs/shop/web-1/app.log", "one\ntwo\nthree\n"),
            ("logs/shop/web-1/app.previous.log", "before\n"),
            ("notes.txt", "ignored"),
        ],
    );
    let bundle = BundleCluster::open(dir.path()).unwrap();
    let info = bundle.info(ctx()).await.unwrap();
    assert_eq!((info.id.as_str(), info.recorded, info.now), ("B1", true, "2026-02-01T00:00:00Z".parse().unwrap()));
    assert_eq!(bundle.alert_json(), Some(&b"{\"version\": \"4\"}"[..]));
    let pods = bundle.list(ctx(), ListQuery::of("Pod", None)).await.unwrap();
    assert_eq!(pods.iter().map(|p| p.reference().to_string()).collect::<Vec<_>>(), ["Pod/data/db-0", "Pod/shop/web-1"]);
    let secret = bundle.get(ctx(), ObjectRef::new("Secret", Some("shop"), "token")).await.unwrap().unwrap();
    assert_eq!(secret.str_at("/data/key"), Some(""));
    let about = EventQuery { namespace: None, object: Some(pods[1].reference()) };
    let reasons: Vec<_> = bundle.events(ctx(), about).await.unwrap().into_iter().map(|e| e.reason).collect();
    assert_eq!(reasons, ["Pulled", "BackOff"]);
    let log = bundle.logs(ctx(), LogQuery { tail_lines: 2, ..LogQuery::of("shop", "web-1", "app", false) }).await.unwrap().unwrap();
    assert_eq!((log.text.as_str(), log.truncated), ("two\nthree\n", true));
    assert_eq!(bundle.logs(ctx(), LogQuery::of("shop", "web-1", "app", true)).await.unwrap().unwrap().text, "before\n");
    assert_eq!(bundle.logs(ctx(), LogQuery::of("shop", "../web-1", "app", true)).await.unwrap(), None);
}

#[tokio::test]
async fn missing_parts_are_allowed_and_the_time_then_comes_from_the_recording() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("events.yaml", EVENTS)]);
    let bundle = BundleCluster::open(dir.path()).unwrap();
    assert_eq!(bundle.taken_at(), "2026-01-02T00:00:00Z".parse().unwrap());
    assert_eq!(bundle.metrics(ctx(), "up".into()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(bundle.alert_json().is_none() && bundle.history().is_empty());
    assert_eq!(BundleCluster::open(&dir.path().join("nowhere")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_malformed_part_is_an_error_that_names_file_and_line() {
    for (file, text, place) in [
        ("bundle.yaml", "id: a\ntaken_at: yesterday\n", "file=bundle.yaml, line=2"),
        ("alert.json", "{\n  \"version\": \n}", "file=alert.json, line=3"),
        ("metrics.json", "{\"results\": 1}", "file=metrics.json, line=1"),
        ("history.json", "{}", "file=history.json, line=1"),
        ("objects/a/pod.yaml", "kind: Pod\n  apiVersion: v1\n", "file=objects/a/pod.yaml, line=2"),
        ("events.yaml", "- just: text\n", "file=events.yaml, line=1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &[(file, text)]);
        let error = BundleCluster::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(place), "{error}");
    }
}
