//! HTTP to a provider: one request, its answer whole or in pieces, errors told apart.

mod error;
mod lines;

use std::time::Duration;

use bytes::BytesMut;
use kubernaut_core::{Error, ErrorKind, Result, service::CallContext};
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::Value;
use url::Url;

use crate::config::ConnectionConfig;

pub(crate) use error::Dialect;
pub(crate) use lines::{Lines, ServerEvents};

const OPERATION: &str = "models.chat";

/// A connection to one address.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: Client,
    provider: String,
    idle: Duration,
    limit: usize,
    dialect: Dialect,
}

impl Transport {
    pub(crate) fn new(provider: &str, config: &ConnectionConfig, dialect: Dialect) -> Result<Self> {
        let bad = |message: &'static str| Error::invalid("models.config", message).with("provider", provider);
        if config.timeout_s == 0 || config.connect_timeout_s == 0 || config.idle_timeout_s == 0 {
            return Err(bad("timeouts must be at least one second"));
        }
        let mut builder = Client::builder()
            .connect_timeout(Duration::from_secs(config.connect_timeout_s))
            .timeout(Duration::from_secs(config.timeout_s))
            // A redirect would carry the credential elsewhere.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("kubernaut/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &config.ca_file {
            let unread = || bad("the file of certificate authorities cannot be read").with("file", file.display());
            let pem = std::fs::read(file).map_err(|e| unread().source(e))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| unread().source(e))? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder.build().map_err(|e| bad("the http client cannot be built").source(e))?;
        let idle = Duration::from_secs(config.idle_timeout_s);
        Ok(Self { client, provider: provider.to_owned(), idle, limit: config.max_response_bytes, dialect })
    }

    pub(crate) fn post(&self, url: &Url) -> RequestBuilder {
        self.client.post(url.clone())
    }

    /// Sends, and gives the answer once its status is good.
    pub(crate) async fn send(&self, ctx: &CallContext, request: RequestBuilder, body: &Value) -> Result<Answer> {
        let sent = ctx.run(OPERATION, async { request.json(body).send().await.map_err(|e| self.failed(e)) }).await?;
        if sent.status().is_success() {
            return Ok(Answer { transport: self.clone(), response: sent, read: 0 });
        }
        let (status, headers) = (sent.status(), sent.headers().clone());
        let text = ctx.run(OPERATION, async { Ok(self.excerpt(sent).await) }).await?;
        Err(self.dialect.refusal(status, &headers, &text).with("provider", &self.provider))
    }

    /// The beginning of an answer that says what is wrong.
    async fn excerpt(&self, mut response: Response) -> Vec<u8> {
        let mut text = Vec::new();
        while text.len() < 64 << 10
            && let Ok(Ok(Some(piece))) = tokio::time::timeout(self.idle, response.chunk()).await
        {
            text.extend_from_slice(&piece);
        }
        text
    }

    fn failed(&self, error: reqwest::Error) -> Error {
        let (kind, message) = if error.is_timeout() {
            (ErrorKind::Timeout, "the provider did not answer in time")
        } else if error.is_connect() {
            (ErrorKind::Unavailable, "the provider cannot be reached")
        } else {
            (ErrorKind::Unavailable, "the connection to the provider broke")
        };
        // The address may carry a credential.
        Error::new(kind, OPERATION, message).with("provider", &self.provider).source(error.without_url())
    }

    fn corrupt(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Corrupt, OPERATION, message).with("provider", &self.provider)
    }
}

/// An answer with a good status, its body still to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    transport: Transport,
    response: Response,
    read: usize,
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.response.headers().get(name)?.to_str().ok().map(str::to_owned)
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn piece(&mut self, ctx: &CallContext) -> Result<Option<bytes::Bytes>> {
        let idle = self.transport.idle;
        let next = async {
            match tokio::time::timeout(idle, self.response.chunk()).await {
                Ok(Ok(piece)) => Ok(piece),
                Ok(Err(error)) => Err(self.transport.failed(error)),
                Err(_) => {
                    let text = "the provider fell silent in the middle of its answer";
                    Err(Error::new(ErrorKind::Timeout, OPERATION, text).with("provider", &self.transport.provider))
                }
            }
        };
        let piece = ctx.run(OPERATION, next).await?;
        self.read += piece.as_ref().map_or(0, bytes::Bytes::len);
        if self.read > self.transport.limit {
            return Err(self.transport.corrupt("the answer is larger than max_response_bytes"));
        }
        Ok(piece)
    }

    /// The whole body as JSON.
    pub(crate) async fn json(mut self, ctx: &CallContext) -> Result<Value> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece(ctx).await? {
            body.extend_from_slice(&piece);
        }
        // The parser's message may quote the body.
        serde_json::from_slice(&body).map_err(|_| self.transport.corrupt("the answer is not JSON"))
    }

    /// An answer that breaks the provider's own format.
    pub(crate) fn corrupt(&self, message: &'static str) -> Error {
        self.transport.corrupt(message)
    }

    /// An error that came in the middle of a stream.
    pub(crate) fn refused(&self, error: &Value) -> Error {
        self.transport.dialect.in_stream(error).with("provider", &self.transport.provider)
    }
}

/// `base` with more segments at its end; `base` may end with a slash or not.
pub(crate) fn address(provider: &str, base: &str, path: &str) -> Result<Url> {
    let bad = || Error::invalid("models.config", "the address must be http or https with a host").with("provider", provider);
    // The parser's message may quote the address, which may carry a credential.
    let url = Url::parse(&format!("{}/{path}", base.trim_end_matches('/'))).map_err(|_| bad())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(bad());
    }
    Ok(url)
}
