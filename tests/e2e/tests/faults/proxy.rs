//! A proxy in front of the API server that loses, refuses and delays.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

/// Longer than a caller waits.
const HANG: Duration = Duration::from_secs(5);
const LARGEST: usize = 16 * 1024 * 1024;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Conflict,
    TooMany,
    Internal,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is not carried out, and there is no answer.
    Hangs,
}

/// What is known at the end.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Requests, those with a fault included.
    pub requests: AtomicU64,
    pub faults: Mutex<BTreeMap<Fault, u64>>,
    /// Writes that the API server accepted, by the key that they carry.
    pub accepted: Mutex<BTreeMap<String, u64>>,
}

#[derive(Clone)]
struct Proxy {
    upstream: Client,
    seen: Arc<Seen>,
    /// Faults in a thousand requests, of each kind.
    per_mille: u64,
    luck: Arc<AtomicU64>,
}

/// Starts a proxy; gives its address and what it sees.
pub(crate) async fn start(kubeconfig: &Path, per_mille: u64, seed: u64) -> (SocketAddr, Arc<Seen>) {
    let read = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.expect("a usable kubeconfig");
    config.default_retry = false;
    let seen = Arc::new(Seen::default());
    let upstream = Client::try_from(config).expect("a client");
    let proxy = Proxy { upstream, seen: seen.clone(), per_mille, luck: Arc::new(AtomicU64::new(seed)) };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().fallback(pass).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, seen)
}

impl Proxy {
    /// A number that looks random (SplitMix64), the same for the same seed and order.
    fn roll(&self) -> u64 {
        let mut z = self.luck.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fault(&self, writes: bool) -> Option<Fault> {
        let kinds: &[Fault] = if writes {
            &[Fault::Conflict, Fault::TooMany, Fault::Internal, Fault::AnswerLost, Fault::Hangs]
        } else {
            &[Fault::TooMany, Fault::Internal, Fault::AnswerLost, Fault::Hangs]
        };
        let at = self.roll() % 1000 / self.per_mille.max(1);
        let fault = kinds.get(usize::try_from(at).ok()?).copied()?;
        // A caller waits for its full time: one of them weighs as much as many others.
        if fault == Fault::Hangs && !self.roll().is_multiple_of(4) {
            return None;
        }
        *self.seen.faults.lock().expect("not poisoned").entry(fault).or_default() += 1;
        Some(fault)
    }

    async fn forward(&self, method: &Method, uri: &Uri, kind: Option<&header::HeaderValue>, body: Bytes) -> Response {
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(kube::client::Body::from(body.to_vec())).expect("a request");
        match self.upstream.send(request).await {
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                Response::from_parts(parts, Body::new(body)).into_response()
            }
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    proxy.seen.requests.fetch_add(1, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST).await.unwrap_or_default();
    let review = parts.uri.path().contains("accessreviews");
    let writes = !parts.method.is_safe() && !review;
    let shows = parts.uri.query().is_some_and(|q| q.contains("dryRun"));
    let fault = proxy.fault(writes);
    match fault {
        Some(Fault::Conflict) => return status(StatusCode::CONFLICT, "Conflict", None),
        Some(Fault::TooMany) => return status(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", Some("1")),
        Some(Fault::Internal) => return status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", None),
        Some(Fault::Hangs) => {
            tokio::time::sleep(HANG).await;
            return status(StatusCode::GATEWAY_TIMEOUT, "Timeout", None);
        }
        Some(Fault::AnswerLost) | None => {}
    }
    let answer = proxy.forward(&parts.method, &parts.uri, parts.headers.get(header::CONTENT_TYPE), body.clone()).await;
    if writes && !shows && answer.status().is_success() {
        let key = key_of(&body).unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path()));
        *proxy.seen.accepted.lock().expect("not poisoned").entry(key).or_default() += 1;
    }
    if fault == Some(Fault::AnswerLost) { status(StatusCode::GATEWAY_TIMEOUT, "Timeout", None) } else { answer }
}

fn status(code: StatusCode, reason: &str, retry_after: Option<&'static str>) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code.as_u16(), "message": "injected"});
    let mut answer = (code, axum::Json(body)).into_response();
    if let Some(after) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(after));
    }
    answer
}

/// The key that a write marks its object with.
fn key_of(body: &[u8]) -> Option<String> {
    const MARK: &str = "kubernaut.ai/last-action";
    let value: Value = serde_json::from_slice(body).ok()?;
    let whole = |v: &Value| v.pointer("/metadata/annotations")?.get(MARK)?.as_str().map(str::to_owned);
    let operation = |o: &Value| match o["path"].as_str()? {
        "/metadata/annotations" => o["value"].get(MARK)?.as_str().map(str::to_owned),
        "/metadata/annotations/kubernaut.ai~1last-action" => o["value"].as_str().map(str::to_owned),
        _ => None,
    };
    whole(&value).or_else(|| value.as_array()?.iter().find_map(operation))
}
