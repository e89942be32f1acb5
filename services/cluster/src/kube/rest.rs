//! Requests to the API server: one answer each, headers included, and typed errors.

use std::{fmt, time::Duration};

use http::{HeaderMap, Method, Request, StatusCode, header};
use kube::client::Body;
use kubernaut_core::{Error, ErrorKind, Result};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::error::{Failure, transport};

/// A client with a time limit per request.
#[derive(Clone)]
pub(super) struct Rest {
    client: kube::Client,
    limit: Duration,
}

/// What is asked.
pub(super) struct Ask<'a> {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<(&'static str, Value)>,
    pub(super) accept: &'static str,
}

impl<'a> Ask<'a> {
    pub(super) fn get(operation: &'static str, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { operation, method: Method::GET, path, query, body: None, accept: "application/json" }
    }
}

/// A successful answer.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self, operation: &'static str) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|e| Error::new(ErrorKind::Unavailable, operation, "the API server's answer is not JSON").source(e))
    }

    /// Texts of the `Warning` headers: `299 - "text"`.
    pub(super) fn warnings(&self) -> Vec<String> {
        let values = self.headers.get_all(header::WARNING).iter().filter_map(|v| v.to_str().ok());
        values.filter_map(|v| Some(v.split_once('"')?.1.rsplit_once('"')?.0.replace("\\\"", "\""))).collect()
    }
}

impl Rest {
    pub(super) fn new(client: kube::Client, limit: Duration) -> Self {
        Self { client, limit }
    }

    pub(super) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// The answer, or what the server said instead.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Result<Answer, Failure>> {
        let operation = ask.operation;
        let request = build(&ask)?;
        let exchange = async {
            let response = self.client.send(request).await?;
            let (parts, body) = response.into_parts();
            Ok((parts, body.collect_bytes().await?))
        };
        let answered = tokio::time::timeout(self.limit, exchange).await;
        let answered = answered
            .map_err(|_| Error::new(ErrorKind::Timeout, operation, "the API server did not answer in time").with("limit_s", self.limit.as_secs()))?;
        let (parts, body) = answered.map_err(|e| transport(operation, e))?;
        if parts.status.is_success() {
            return Ok(Ok(Answer { headers: parts.headers, body: body.to_vec() }));
        }
        Ok(Err(Failure::new(parts.status, &parts.headers, &body)))
    }

    /// The answer; anything else is an error.
    pub(super) async fn request(&self, ask: Ask<'_>) -> Result<Answer> {
        let operation = ask.operation;
        self.send(ask).await?.map_err(|failure| failure.into_error(operation))
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("limit", &self.limit).finish_non_exhaustive()
    }
}

fn build(ask: &Ask<'_>) -> Result<Request<Body>> {
    let mut uri = ask.path.to_owned();
    if !ask.query.is_empty() {
        uri.push('?');
        uri.push_str(&Serializer::new(String::new()).extend_pairs(ask.query).finish());
    }
    let mut builder = Request::builder().method(ask.method.clone()).uri(uri).header(header::ACCEPT, ask.accept);
    let body = match &ask.body {
        Some((content_type, value)) => {
            builder = builder.header(header::CONTENT_TYPE, *content_type);
            Body::from(value.to_string().into_bytes())
        }
        None => Body::empty(),
    };
    builder.body(body).map_err(|e| Error::invalid(ask.operation, "the request could not be built").source(e))
}

/// Whether a status means that the list has to be started anew.
pub(super) fn is_expired(failure: &Failure) -> bool {
    failure.code == StatusCode::GONE
}
