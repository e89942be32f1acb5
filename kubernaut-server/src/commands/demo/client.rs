//! The demo's own client of the HTTP interface.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use kubernaut::{Error, ErrorKind, Result, model::Event};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// An audit chain, as far as the demo tells.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) rows: usize,
    pub(super) verified: bool,
}

#[derive(Deserialize)]
struct ChainBody {
    verified: bool,
    rows: Vec<Value>,
}

impl Client {
    pub(super) fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { http: reqwest::Client::new(), base: format!("http://{address}/api/v1"), token }
    }

    fn with_token(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Posts an Alertmanager body; gives the status line and what became of each alert.
    pub(super) async fn post_alerts(&self, body: Vec<u8>) -> Result<String> {
        let request = self.http.post(format!("{}/alerts/alertmanager", self.base)).header("content-type", "application/json").body(body);
        let response = self.with_token(request).send().await.map_err(unanswered)?;
        let status = response.status();
        let answer: Value = response.json().await.map_err(unanswered)?;
        if !status.is_success() {
            return Err(Error::internal("demo.alert", format!("the server answered {status}: {answer}")));
        }
        let outcomes: Vec<&str> = answer["alerts"].as_array().into_iter().flatten().filter_map(|a| a["outcome"].as_str()).collect();
        Ok(format!("{status} ({})", outcomes.join(", ")))
    }

    pub(super) async fn approve(&self, id: &str, digest: &str) -> Result<()> {
        let body = json!({ "approve": true, "by": "demo", "digest": digest, "comment": "seen the diff" });
        let request = self.http.post(format!("{}/approvals/{id}", self.base)).json(&body);
        self.with_token(request).send().await.and_then(reqwest::Response::error_for_status).map_err(unanswered).map(|_| ())
    }

    pub(super) async fn audit(&self, incident: &str) -> Result<Chain> {
        let request = self.http.get(format!("{}/incidents/{incident}/audit", self.base));
        let body: ChainBody = self
            .with_token(request)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(unanswered)?
            .json()
            .await
            .map_err(unanswered)?;
        Ok(Chain { rows: body.rows.len(), verified: body.verified })
    }

    pub(super) async fn incident(&self, id: &str) -> Result<Value> {
        let request = self.http.get(format!("{}/incidents/{id}", self.base));
        self.with_token(request).send().await.and_then(reqwest::Response::error_for_status).map_err(unanswered)?.json().await.map_err(unanswered)
    }

    /// The event stream from the beginning.
    pub(super) async fn events(&self) -> Result<impl Stream<Item = Result<Event>> + Unpin + Send + use<>> {
        let request = self.http.get(format!("{}/events", self.base));
        let response = self.with_token(request).send().await.and_then(reqwest::Response::error_for_status).map_err(unanswered)?;
        let lines = Lines { body: Box::pin(response.bytes_stream()), buffer: Vec::new() };
        Ok(Box::pin(stream::unfold(lines, |mut lines| async move {
            loop {
                let line = match lines.next().await? {
                    Ok(line) => line,
                    Err(error) => return Some((Err(error), lines)),
                };
                if let Some(data) = line.strip_prefix("data:") {
                    let event = serde_json::from_str(data.trim()).map_err(|e| Error::internal("demo.events", "an event cannot be read").source(e));
                    return Some((event, lines));
                }
            }
        })))
    }
}

fn unanswered(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "demo.http", "the server did not answer as expected").source(error)
}

type Body = std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

struct Lines {
    body: Body,
    buffer: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(Ok(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            match self.body.next().await? {
                Ok(chunk) => self.buffer.extend_from_slice(&chunk),
                Err(error) => return Some(Err(unanswered(error))),
            }
        }
    }
}
