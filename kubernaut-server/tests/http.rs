//! The HTTP interface as clients see it: authentication, statuses, problem documents, the stream.

#![allow(clippy::unwrap_used, reason = "helpers of tests report by panicking")]

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode, header},
};
use futures::StreamExt;
use kubernaut::{
    Config, Kubernaut, async_trait,
    model::{ActionRequest, ActionSpec, Execution, Observation, SecretString},
    service::{CallContext, ExecuteRequest, Executor},
    services::{
        executor::registry,
        monitor::{Health, metrics},
        storage::SqliteConfig,
    },
};
use kubernaut_server::http::{AppState, Scope, TokenConfig, Tokens, app, openapi_document};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// A server on an empty bundle and a ledger in memory, with one token of each scope. Nobody works on its incidents.
async fn server() -> AppState {
    let bundle = bundle();
    let mut config = Config::default();
    config.cluster.bundle = Some(bundle.path().to_owned());
    config.ledger = SqliteConfig::memory();
    let token = |name: &str, scope| TokenConfig {
        name: name.into(),
        token: SecretString::from(format!("{name}-token-0123456789")),
        scope,
        groups: Vec::new(),
    };
    let tokens = Tokens(vec![token("sender", Scope::Alerts), token("reader", Scope::Read), token("operator", Scope::Operate)]);
    AppState {
        kubernaut: Kubernaut::builder(config).build().await.unwrap(),
        tokens: Arc::new(tokens),
        health: Arc::new(Health::new()),
        metrics: metrics::install().unwrap(),
        shutdown: CancellationToken::new(),
    }
}

fn bundle() -> tempfile::TempDir {
    let bundle = tempfile::tempdir().unwrap();
    write(bundle.path(), "bundle.yaml", "id: empty\ntaken_at: '2026-01-01T00:00:00Z'\n");
    bundle
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

fn request(method: &str, path: &str, who: Option<&str>, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(name) = who {
        request = request.header(header::AUTHORIZATION, format!("Bearer {name}-token-0123456789"));
    }
    match body {
        Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap(),
        None => request.body(Body::empty()).unwrap(),
    }
}

async fn send(state: &AppState, request: Request<Body>) -> Response<Body> {
    app(state.clone()).oneshot(request).await.unwrap()
}

async fn answer(state: &AppState, request: Request<Body>) -> (StatusCode, Value) {
    let response = send(state, request).await;
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn webhook(status: &str) -> Value {
    let labels = json!({"alertname": "KubeDeploymentReplicasMismatch", "severity": "critical", "namespace": "shop", "deployment": "web"});
    let alert = json!({"status": status, "labels": labels, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-01-01T00:05:00Z" }, "generatorURL": "", "fingerprint": "1"});
    json!({"version": "4", "groupKey": "g", "status": status, "receiver": "r", "alerts": [alert]})
}

const ALERTS: &str = "/api/v1/alerts/alertmanager";

#[tokio::test]
async fn each_scope_may_do_its_own_and_no_more() {
    let state = server().await;
    let status = async |method: &str, path: &str, who: Option<&str>, body: Option<Value>| answer(&state, request(method, path, who, body)).await.0;
    assert_eq!(status("GET", "/api/v1/incidents", None, None).await, 401);
    assert_eq!(status("GET", "/api/v1/incidents", Some("nobody"), None).await, 401);
    assert_eq!(status("GET", "/api/v1/incidents", Some("sender"), None).await, 403);
    assert_eq!(status("GET", "/api/v1/incidents", Some("reader"), None).await, 200);
    assert_eq!(status("POST", ALERTS, Some("reader"), Some(webhook("firing"))).await, 403);
    assert_eq!(status("POST", ALERTS, Some("sender"), Some(webhook("firing"))).await, 201);
    assert_eq!(status("PUT", "/api/v1/stop", Some("reader"), Some(json!({"stopped": true}))).await, 403);
    assert_eq!(status("PUT", "/api/v1/stop", Some("operator"), Some(json!({"stopped": true}))).await, 200);
    assert_eq!(status("GET", "/healthz", None, None).await, 200);
    assert_eq!(status("GET", "/metrics", None, None).await, 200);
}

#[tokio::test]
async fn an_alert_opens_counts_and_ends_as_its_status_says() {
    let state = server().await;
    let post = async |body: Value| answer(&state, request("POST", ALERTS, Some("sender"), Some(body))).await;
    let (created, body) = post(webhook("firing")).await;
    assert_eq!((created, body["alerts"][0]["outcome"].as_str()), (StatusCode::CREATED, Some("created")));
    let (counted, again) = post(webhook("firing")).await;
    assert_eq!((counted, again["alerts"][0]["outcome"].as_str()), (StatusCode::ACCEPTED, Some("duplicate")));
    assert_eq!(again["alerts"][0]["incident_id"], body["alerts"][0]["incident_id"]);
    let (ended, resolved) = post(webhook("resolved")).await;
    assert_eq!((ended, resolved["alerts"][0]["outcome"].as_str()), (StatusCode::ACCEPTED, Some("resolved")));
    let incident = format!("/api/v1/incidents/{}", body["alerts"][0]["incident_id"].as_str().unwrap());
    let (_, stored) = answer(&state, request("GET", &incident, Some("reader"), None)).await;
    assert_eq!((stored["firing"].as_u64(), stored["occurrences"].as_u64()), (Some(0), Some(2)), "{stored}");
    let (_, chain) = answer(&state, request("GET", &format!("{incident}/audit"), Some("reader"), None)).await;
    assert_eq!(chain["verified"], true);
}

#[tokio::test]
async fn errors_are_problem_documents_that_name_what_is_wrong() {
    let state = server().await;
    let wrong = json!({"alerts": [{"status": "firing", "labels": "none"}]});
    let (status, body) = answer(&state, request("POST", ALERTS, Some("sender"), Some(wrong))).await;
    assert_eq!(status, 400);
    assert!(body["alerts"][0]["error"].as_str().unwrap().contains("alerts[0].labels"), "{body}");

    let response = send(&state, request("POST", ALERTS, Some("sender"), Some(json!({})))).await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");

    let text = Request::post(ALERTS)
        .header(header::AUTHORIZATION, "Bearer sender-token-0123456789")
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from("x"))
        .unwrap();
    assert_eq!(answer(&state, text).await.0, 415);
    let large = json!({"alerts": [], "padding": "x".repeat(5 << 20)});
    assert_eq!(answer(&state, request("POST", ALERTS, Some("sender"), Some(large))).await.0, 413);

    let (status, body) = answer(&state, request("GET", "/api/v1/incidents?fase=open", Some("reader"), None)).await;
    assert_eq!(status, 400);
    assert!(body["detail"].as_str().unwrap().contains("fase"), "{body}");
    let (status, body) = answer(&state, request("GET", "/api/v1/incidents/00000000-0000-7000-8000-000000000000", Some("reader"), None)).await;
    assert_eq!((status, body["kind"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
    assert_eq!(answer(&state, request("GET", "/api/v1/incidents/none", Some("reader"), None)).await.0, 400);
}

#[tokio::test]
async fn the_stream_resumes_after_the_last_event_seen() {
    let state = server().await;
    for _ in 0..2 {
        let labels = format!("web-{}", uuid::Uuid::new_v4());
        let mut body = webhook("firing");
        body["alerts"][0]["labels"]["deployment"] = json!(labels);
        assert_eq!(answer(&state, request("POST", ALERTS, Some("sender"), Some(body))).await.0, 201);
    }
    let first = next_event(&state, None).await;
    assert_eq!(first["type"], "incident.received");
    let second = next_event(&state, first["seq"].as_u64()).await;
    assert_ne!(second["incident_id"], first["incident_id"]);
    assert!(second["seq"].as_u64() > first["seq"].as_u64());
}

#[tokio::test]
async fn a_stream_ends_with_the_server_whatever_is_left_to_send() {
    let state = server().await;
    for n in 0..2 {
        let mut body = webhook("firing");
        body["alerts"][0]["labels"]["deployment"] = json!(format!("web-{n}"));
        assert_eq!(answer(&state, request("POST", ALERTS, Some("sender"), Some(body))).await.0, 201);
    }
    let mut stream = send(&state, request("GET", "/api/v1/events", Some("reader"), None)).await.into_body().into_data_stream();
    assert!(stream.next().await.is_some());
    state.shutdown.cancel();
    assert!(stream.next().await.is_none(), "the second event is there for who comes back");
}

#[tokio::test]
async fn without_tokens_a_page_of_another_site_is_refused() {
    let state = AppState { tokens: Arc::default(), ..server().await };
    let status = async |name: &str, value: &str, method: &str, path: &str| {
        let body = (method == "POST").then(|| webhook("firing"));
        let mut request = request(method, path, None, body);
        request.headers_mut().insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        answer(&state, request).await.0
    };
    for (name, value) in [("host", "evil.example:8080"), ("host", "127.0.0.1.evil.example"), ("origin", "http://evil.example"), ("origin", "null")] {
        for (method, path) in [("GET", "/api/v1/incidents"), ("PUT", "/api/v1/stop"), ("POST", ALERTS)] {
            assert_eq!(status(name, value, method, path).await, 403, "{name}: {value} {method} {path}");
        }
    }
    for (name, value) in [("host", "localhost:8080"), ("host", "127.0.0.1:1"), ("host", "[::1]:8080"), ("origin", "http://localhost:3000")] {
        assert_eq!(status(name, value, "GET", "/api/v1/incidents").await, 200, "{name}: {value}");
    }
}

/// Carries out nothing before it is told to.
#[derive(Debug)]
struct Slow {
    begun: Notify,
    go: Notify,
    done: Notify,
}

#[async_trait]
impl Executor for Slow {
    async fn actions(&self, _ctx: CallContext) -> kubernaut::Result<Vec<ActionSpec>> {
        Ok(registry().to_vec())
    }

    async fn execute(&self, _ctx: CallContext, request: ExecuteRequest) -> kubernaut::Result<Execution> {
        self.begun.notify_one();
        self.go.notified().await;
        self.done.notify_one();
        Ok(serde_json::from_value(json!({"outcome": "no_change", "changes": [], "digest": "", "pre_state": {}, "message": request.request.action}))
            .unwrap())
    }

    async fn observe(&self, _ctx: CallContext, _request: ActionRequest) -> kubernaut::Result<Observation> {
        Ok(Observation::Unknown)
    }
}

#[tokio::test]
async fn an_action_ends_although_its_client_has_gone() {
    let slow = Arc::new(Slow { begun: Notify::new(), go: Notify::new(), done: Notify::new() });
    let mut config = Config::default();
    config.ledger = SqliteConfig::memory();
    let bundle = bundle();
    config.cluster.bundle = Some(bundle.path().to_owned());
    let state = AppState { kubernaut: Kubernaut::builder(config).executor(slow.clone()).build().await.unwrap(), ..server().await };
    let body = json!({"action": "notify_only", "target": "Deployment/shop/web"});
    tokio::select! {
        () = slow.begun.notified() => {}
        early = send(&state, request("POST", "/api/v1/actions/execute", Some("operator"), Some(body))) => panic!("{early:?}"),
    }
    // The client is gone with its request.
    slow.go.notify_one();
    tokio::time::timeout(Duration::from_secs(5), slow.done.notified()).await.expect("the action was cut off");
}

async fn next_event(state: &AppState, after: Option<u64>) -> Value {
    let mut request = request("GET", "/api/v1/events", Some("reader"), None);
    if let Some(seq) = after {
        request.headers_mut().insert("last-event-id", seq.into());
    }
    let mut body = send(state, request).await.into_body().into_data_stream();
    let chunk = body.next().await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&chunk).into_owned();
    let data = text.lines().find_map(|l| l.strip_prefix("data:")).unwrap();
    serde_json::from_str(data.trim()).unwrap()
}

#[test]
fn every_reference_of_the_openapi_document_resolves() {
    let document = openapi_document();
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for part in text.split("\"$ref\":\"").skip(1) {
        let reference = &part[..part.find('"').unwrap()];
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for path in ["/api/v1/alerts/{source}", "/api/v1/incidents", "/api/v1/approvals/{id}", "/api/v1/events", "/api/v1/stop"] {
        assert!(document["paths"][path].is_object(), "{path} is missing");
    }
}
