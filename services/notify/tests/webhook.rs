//! The webhook against a real HTTP server on this machine.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests report by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use kubernaut_core::{
    ErrorKind,
    model::{IncidentId, Notification, NotificationId, NotificationKind, SecretString, Severity, Timestamp},
    service::{CallContext, Notifier},
    testkit::notifier::{failing_notifier_suite, notifier_suite},
};
use kubernaut_notify::{WebhookChannel, WebhookConfig, verify_signature};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A receiver that keeps what it gets and answers as it is told.
#[derive(Clone)]
struct Receiver {
    kept: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    answer: Arc<Mutex<(StatusCode, Option<HeaderValue>, &'static str)>>,
    address: String,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let receiver = Self { kept: Arc::default(), answer: Arc::new(Mutex::new((StatusCode::OK, None, ""))), address };
        let app = Router::new().route("/{*path}", post(keep)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    fn answers(&self, status: u16, retry_after: Option<&'static str>, body: &'static str) {
        *self.answer.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), retry_after.map(HeaderValue::from_static), body);
    }

    fn last(&self) -> (HeaderMap, Bytes) {
        self.kept.lock().unwrap().last().cloned().expect("something was received")
    }

    fn config(&self) -> WebhookConfig {
        WebhookConfig::new(format!("http://{}/hook/p4th", self.address))
    }
}

async fn keep(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    receiver.kept.lock().unwrap().push((headers, body));
    let (status, retry_after, body) = receiver.answer.lock().unwrap().clone();
    let mut response = (status, body).into_response();
    if let Some(value) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    if status.is_redirection() {
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/elsewhere"));
    }
    response
}

fn notification() -> Notification {
    let at = Timestamp::UNIX_EPOCH;
    Notification {
        id: NotificationId::new(at),
        incident_id: IncidentId::new(at),
        kind: NotificationKind::Escalated,
        severity: Severity::Critical,
        title: "web is down".into(),
        body: "log: DB_PASSWORD=hunter2".into(),
        data: json!({"target": "Deployment/shop/web", "env": [{"name": "API_TOKEN", "value": "hunter2"}]}),
        at,
    }
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

#[tokio::test]
async fn the_notification_arrives_signed_and_without_credentials() {
    let receiver = Receiver::start().await;
    let config = WebhookConfig { bearer_token: Some(secret("t0ken")), hmac_secret: Some(secret("k3y")), ..receiver.config() };
    let sent = notification();
    let delivery = WebhookChannel::new("hook", &config).unwrap().notify(ctx(), sent.clone()).await.unwrap();
    assert_eq!(delivery.channels, ["hook"]);
    let (headers, body) = receiver.last();
    assert_eq!(headers["authorization"], "Bearer t0ken");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["idempotency-key"], sent.id.to_string());
    let signature = headers["x-kubernaut-signature"].to_str().unwrap();
    assert!(verify_signature(&secret("k3y"), signature, &body));
    assert!(!verify_signature(&secret("k3y"), signature, b"{}") && !verify_signature(&secret("other"), signature, &body));
    let read: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((read["incident_id"].as_str(), read["kind"].as_str()), (Some(sent.incident_id.to_string().as_str()), Some("escalated")));
    assert_eq!(read["data"]["target"], "Deployment/shop/web");
    assert!(!String::from_utf8_lossy(&body).contains("hunter2"), "{read}");
}

#[tokio::test]
async fn the_answer_tells_whether_to_try_again_and_when() {
    let receiver = Receiver::start().await;
    let channel = WebhookChannel::new("hook", &receiver.config()).unwrap();
    for (status, kind, transient) in [
        (400, ErrorKind::InvalidInput, false),
        (401, ErrorKind::Unauthorized, false),
        (404, ErrorKind::NotFound, false),
        (307, ErrorKind::InvalidInput, false),
        (408, ErrorKind::Unavailable, true),
        (429, ErrorKind::Overloaded, true),
        (500, ErrorKind::Unavailable, true),
        (503, ErrorKind::Unavailable, true),
    ] {
        receiver.answers(status, Some("17"), "no: token=abcdef\u{1b}[2J");
        let error = channel.notify(ctx(), notification()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{status}");
        assert_eq!(error.retry_delay(), transient.then_some(Duration::from_secs(17)), "{status}");
        assert!(error.to_string().contains(&format!("status={status}, answer=no: token=[redacted]")), "{error}");
    }
    receiver.answers(503, Some("Fri, 01 Jan 2100 00:00:00 GMT"), "");
    assert!(channel.notify(ctx(), notification()).await.unwrap_err().retry_delay() > Some(Duration::from_secs(86_400 * 365)));
    receiver.answers(503, Some("Thu, 01 Jan 1970 00:00:00 GMT"), "");
    assert_eq!(channel.notify(ctx(), notification()).await.unwrap_err().retry_delay(), Some(Duration::ZERO));
    for status in [200, 201, 202, 204] {
        receiver.answers(status, None, "");
        channel.notify(ctx(), notification()).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_of_the_url_but_its_host_is_shown() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = WebhookConfig { bearer_token: Some(secret("t0ken")), ..WebhookConfig::new(format!("http://us3r:pa55@{free}/p4th?key=qu3ry")) };
    let channel: Arc<dyn Notifier> = Arc::new(WebhookChannel::new("hook", &config).unwrap());
    failing_notifier_suite(channel.clone(), &["us3r", "pa55", "p4th", "qu3ry", "t0ken"]).await;
    let error = channel.notify(ctx(), notification()).await.unwrap_err();
    assert!(error.to_string().contains(&format!("http://{free}")), "{error}");
    let error = WebhookChannel::new("hook", &WebhookConfig::new("ftp://us3r:pa55@host/p4th")).unwrap_err();
    assert!(!format!("{error:?}").contains("pa55") && error.to_string().contains("channel=hook"), "{error:?}");
}

#[tokio::test]
async fn a_silent_receiver_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let channel = WebhookChannel::new("hook", &WebhookConfig { timeout_s: 1, ..WebhookConfig::new(url) }).unwrap();
    let error = channel.notify(ctx(), notification()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    let cancelled = ctx();
    cancelled.cancellation.cancel();
    assert_eq!(channel.notify(cancelled, notification()).await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn it_keeps_the_rules_of_a_notifier() {
    let receiver = Receiver::start().await;
    notifier_suite(Arc::new(WebhookChannel::new("hook", &receiver.config()).unwrap())).await;
    receiver.answers(503, None, "");
    failing_notifier_suite(Arc::new(WebhookChannel::new("hook", &receiver.config()).unwrap()), &["p4th"]).await;
}
