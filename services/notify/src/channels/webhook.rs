//! JSON by HTTP POST.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ExposeSecret, Notification, SecretString},
    service::{CallContext, Delivery, Notifier},
};
use reqwest::{Client, Response, StatusCode, header, redirect};
use sha2::Sha256;
use url::Url;

use kubernaut_core::redact::redact_json;

use crate::{WebhookConfig, config::origin, render::clean};

const OPERATION: &str = "notify.webhook";
const SIGNATURE: &str = "x-kubernaut-signature";
/// How much of a refusal is shown.
const SHOWN: usize = 200;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends notifications as JSON: the fields of [`Notification`], without what looks like a credential.
///
/// Headers: `Idempotency-Key` with the notification's id, `Authorization` and `X-Kubernaut-Signature` if configured. Any 2xx is success; 408,
/// 425, 429, 5xx and failures of the network are transient, with the receiver's `Retry-After`; everything else is permanent. Redirects are
/// not followed, as they would carry the credentials elsewhere.
pub struct WebhookChannel {
    name: String,
    url: Url,
    bearer_token: Option<SecretString>,
    hmac_secret: Option<SecretString>,
    client: Client,
}

impl fmt::Debug for WebhookChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookChannel").field("name", &self.name).field("to", &origin(&self.url)).finish_non_exhaustive()
    }
}

impl WebhookChannel {
    /// A channel to a receiver.
    ///
    /// # Errors
    /// `InvalidInput` for a URL that is not `http` or `https`, an empty credential or a timeout out of bounds.
    pub fn new(name: &str, config: &WebhookConfig) -> Result<Self> {
        let bad = |message: &'static str| Error::invalid("notify.config", message).with("channel", name);
        // The parser's message may quote the URL, so it is not kept.
        let url = Url::parse(config.url.expose_secret()).map_err(|_| bad("the url cannot be read"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(bad("the url must be http or https with a host"));
        }
        if [&config.bearer_token, &config.hmac_secret].into_iter().flatten().any(|secret| secret.expose_secret().is_empty()) {
            return Err(bad("a credential is empty; set it or leave it out"));
        }
        if !(1..=300).contains(&config.timeout_s) {
            return Err(bad("timeout_s must be within 1 and 300"));
        }
        let client = Client::builder()
            .timeout(Duration::from_secs(config.timeout_s))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("kubernaut/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| bad("the http client cannot be built").source(e))?;
        Ok(Self { name: name.to_owned(), url, bearer_token: config.bearer_token.clone(), hmac_secret: config.hmac_secret.clone(), client })
    }

    async fn post(&self, id: &str, body: Vec<u8>) -> Result<()> {
        let mut request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").header("idempotency-key", id);
        if let Some(token) = &self.bearer_token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(secret) = &self.hmac_secret {
            request = request.header(SIGNATURE, format!("sha256={}", hex::encode(mac(secret, &body).unwrap_or_default())));
        }
        let response = request.body(body).send().await.map_err(|e| self.not_sent(e))?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(self.refused(response).await)
    }

    /// The network failed. The URL is taken out of the cause, as it may hold a credential.
    fn not_sent(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let (kind, message) = match error {
            _ if error.is_timeout() => (ErrorKind::Timeout, "the receiver did not answer in time"),
            _ if error.is_builder() => (ErrorKind::InvalidInput, "the request cannot be built; check url and token"),
            _ => (ErrorKind::Unavailable, "the receiver cannot be reached"),
        };
        Error::new(kind, OPERATION, message).with("to", origin(&self.url)).source(error)
    }

    async fn refused(&self, response: Response) -> Error {
        let status = response.status();
        let wait = retry_after(&response, Timestamp::now());
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => ErrorKind::Overloaded,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => ErrorKind::Unavailable,
            s if s.is_server_error() => ErrorKind::Unavailable,
            StatusCode::UNAUTHORIZED => ErrorKind::Unauthorized,
            StatusCode::FORBIDDEN => ErrorKind::Forbidden,
            StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        };
        let answer = shown(response).await;
        let error =
            Error::new(kind, OPERATION, "the receiver refused").with("to", origin(&self.url)).with("status", status.as_u16()).with("answer", answer);
        match wait {
            Some(wait) if kind.is_transient() => error.retry_after(wait),
            _ => error,
        }
    }
}

/// The beginning of an answer, as one line that is safe to show.
async fn shown(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < 4 * SHOWN
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    clean(&String::from_utf8_lossy(&bytes)).split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

/// `Retry-After`, as seconds or as a date.
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(at.duration_since(now).max(SignedDuration::ZERO).unsigned_abs())
}

fn mac(secret: &SecretString, body: &[u8]) -> Option<Vec<u8>> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    Some(mac.chain_update(body).finalize().into_bytes().to_vec())
}

/// Whether `header` is the value of `X-Kubernaut-Signature` for a body, for receivers. The comparison takes the same time whatever differs.
#[must_use]
pub fn verify_signature(secret: &SecretString, header: &str, body: &[u8]) -> bool {
    let Some(sent) = header.strip_prefix("sha256=").and_then(|hex| hex::decode(hex).ok()) else {
        return false;
    };
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    mac.is_ok_and(|mac| mac.chain_update(body).verify_slice(&sent).is_ok())
}

#[async_trait]
impl Notifier for WebhookChannel {
    async fn notify(&self, ctx: CallContext, mut notification: Notification) -> Result<Delivery> {
        notification.title = clean(&notification.title);
        notification.body = clean(&notification.body);
        notification.data = redact_json(notification.data);
        let body =
            serde_json::to_vec(&notification).map_err(|e| Error::internal(OPERATION, "the notification cannot be written as json").source(e))?;
        ctx.run(OPERATION, self.post(&notification.id.to_string(), body)).await?;
        Ok(Delivery { channels: vec![self.name.clone()] })
    }
}
