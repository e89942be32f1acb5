//! The protocol against a scripted server.

use std::sync::{Arc, Mutex};

use ::kube::client::Body;
use http::{Request, Response, StatusCode};
use kubernaut_core::{
    ErrorKind,
    port::{ClusterRead, ListQuery, LogQuery},
    service::CallContext,
};
use serde_json::{Value, json};

use super::*;

/// Requests seen, as `METHOD path?query`.
type Seen = Arc<Mutex<Vec<String>>>;

fn cluster(answer: impl Fn(&str) -> (u16, String) + Clone + Send + 'static) -> (KubeCluster, Seen) {
    let seen = Seen::default();
    let log = seen.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let asked = format!("{} {}", request.method(), request.uri());
        let (code, body) = answer(&asked);
        log.lock().unwrap().push(asked);
        let response = Response::builder().status(StatusCode::from_u16(code).unwrap()).body(Body::from(body.into_bytes()));
        async move { response }
    });
    let cluster = KubeCluster::over(Client::new(service, "default"), "test".into(), &KubeConfig::default()).unwrap();
    (cluster, seen)
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

fn status(code: u16, mut status: Value) -> (u16, String) {
    status["kind"] = json!("Status");
    (code, status.to_string())
}

#[tokio::test]
async fn a_missing_object_is_none_and_a_missing_kind_is_unsupported() {
    let (cluster, _) = cluster(|asked| match asked {
        a if a.contains("/pods/") => status(404, json!({"details": {"name": "web", "kind": "pods"}})),
        a if a.contains("leases") => (404, "404 page not found".into()),
        a if a.ends_with("/apis") => (200, json!({"items": []}).to_string()),
        _ => status(500, json!({})),
    });
    assert_eq!(cluster.get(ctx(), ObjectRef::new("Pod", Some("s"), "web")).await.unwrap(), None);
    assert_eq!(cluster.get(ctx(), ObjectRef::new("Lease", Some("s"), "l")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(cluster.list(ctx(), ListQuery::of("Lease", Some("s"))).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(cluster.get(ctx(), ObjectRef::new("Gate", Some("s"), "g")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(cluster.get(ctx(), ObjectRef::new("Pod", None, "web")).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_list_follows_its_pages_and_starts_over_once_when_its_snapshot_is_gone() {
    let expired = Arc::new(Mutex::new(true));
    let (cluster, seen) = cluster(move |asked| {
        let item = |name: &str| json!({"metadata": {"name": name, "namespace": "s", "managedFields": [{}]}});
        if !asked.contains("continue=") {
            return (200, json!({"items": [item("b")], "metadata": {"continue": "token"}}).to_string());
        }
        if std::mem::take(&mut *expired.lock().unwrap()) {
            return status(410, json!({}));
        }
        (200, json!({"items": [item("a")], "metadata": {}}).to_string())
    });
    let pods = cluster.list(ctx(), ListQuery::of("Pod", Some("s"))).await.unwrap();
    assert_eq!(pods.iter().map(|p| p.reference().to_string()).collect::<Vec<_>>(), ["Pod/s/a", "Pod/s/b"]);
    assert!(pods[0].at("/metadata/managedFields").is_none());
    assert_eq!(seen.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn only_owners_are_remembered_never_the_object_itself() {
    let owned = |kind: &str, uid: &str| json!({"controller": true, "apiVersion": "apps/v1", "kind": kind, "name": kind.to_lowercase(), "uid": uid});
    let (cluster, seen) = cluster(move |asked| {
        let (uid, owners) = match asked {
            a if a.contains("/pods/") => ("p", json!([owned("ReplicaSet", "r")])),
            a if a.contains("/replicasets/") => ("r", json!([owned("Deployment", "d")])),
            _ => ("d", json!([])),
        };
        (200, json!({"metadata": {"name": "x", "namespace": "s", "uid": uid, "ownerReferences": owners}}).to_string())
    });
    for _ in 0..2 {
        let owners = cluster.owners(ctx(), ObjectRef::new("Pod", Some("s"), "x")).await.unwrap();
        assert_eq!(owners.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ReplicaSet/s/replicaset", "Deployment/s/deployment"]);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|a| a.contains("/pods/")).count(), 2);
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn a_log_cut_by_the_byte_limit_is_asked_for_again_with_fewer_lines() {
    let (cluster, _) = cluster(|asked| {
        let number = |key: &str| asked.split(key).nth(1).and_then(|t| t.split('&').next()).unwrap().parse::<usize>().unwrap();
        // Each line has 20,000 bytes; the server cuts at the limit, which loses the newest.
        let all: String = (0..number("tailLines=")).map(|i| format!("{i:0>19999}\n")).collect();
        (200, all[..all.len().min(number("limitBytes="))].to_owned())
    });
    let query = LogQuery { tail_lines: 30, limit_bytes: 50_000, ..LogQuery::of("s", "web", "app", false) };
    let log = cluster.logs(ctx(), query).await.unwrap().unwrap();
    assert_eq!((log.text.len(), log.truncated), (40_000, true));
}

#[tokio::test]
async fn a_log_that_is_not_there_is_none_and_a_lost_node_is_an_error() {
    let (cluster, _) = cluster(|asked| match asked {
        a if a.contains("/pods/fresh/") => status(400, json!({"message": "previous terminated container \"app\" in pod \"fresh\" not found"})),
        a if a.contains("/pods/rotated/") => (200, "unable to retrieve container logs for containerd://0".into()),
        _ => status(500, json!({"message": "Get \"https://10.0.0.1:10250/containerLogs\": dial tcp 10.0.0.1:10250: connect: connection refused"})),
    });
    for pod in ["fresh", "rotated"] {
        assert_eq!(cluster.logs(ctx(), LogQuery::of("s", pod, "app", true)).await.unwrap(), None);
    }
    assert_eq!(cluster.logs(ctx(), LogQuery::of("s", "lost", "app", false)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up_at_the_deadline_or_the_limit() {
    let service = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, std::io::Error>>());
    let cluster = KubeCluster::over(Client::new(service, "default"), "test".into(), &KubeConfig::default()).unwrap();
    let began = tokio::time::Instant::now();
    let early = cluster.info(ctx().with_timeout(Duration::from_secs(2))).await.unwrap_err();
    assert_eq!((early.kind(), began.elapsed().as_secs()), (ErrorKind::Timeout, 2));
    let late = cluster.info(ctx()).await.unwrap_err();
    assert_eq!((late.kind(), began.elapsed().as_secs()), (ErrorKind::Timeout, 32));
    let cancelled = ctx();
    cancelled.cancellation.cancel();
    assert_eq!(cluster.info(cancelled).await.unwrap_err().kind(), ErrorKind::Cancelled);
}
