//! What a refusal of a provider means.

use std::time::Duration;

use kubernaut_core::{Error, ErrorKind, redact::redact};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

use super::OPERATION;

/// Longest text of a provider that is shown, in characters.
const SHOWN: usize = 300;
/// Longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Where a provider says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `{"error": {"message", "type", "code"}}`; Azure's adds nothing that matters here.
    OpenAi,
    /// `{"type": "error", "error": {"type", "message"}}`.
    Anthropic,
    /// `{"error": "message"}`.
    Ollama,
}

impl Dialect {
    /// The error of an answer whose status is not good.
    pub(crate) fn refusal(self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        let said = serde_json::from_slice::<Value>(body).map_or_else(|_| Said::text(&String::from_utf8_lossy(body)), |v| self.said(&v));
        let kind = said.kind().unwrap_or_else(|| kind_of(status));
        let mut error = Error::new(kind, OPERATION, explain(kind)).with("status", status.as_u16());
        if !said.message.is_empty() {
            error = error.with("provider_says", &said.message);
        }
        match wait(headers).filter(|_| kind.is_transient()) {
            Some(wait) => error.retry_after(wait.min(LONGEST_WAIT)),
            None => error,
        }
    }

    /// The error that a stream ended with.
    pub(crate) fn in_stream(self, body: &Value) -> Error {
        let said = self.said(body);
        let kind = said.kind().unwrap_or(ErrorKind::Unavailable);
        Error::new(kind, OPERATION, explain(kind)).with("provider_says", &said.message)
    }

    fn said(self, body: &Value) -> Said {
        let error = &body["error"];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        match self {
            // Some servers of the OpenAI dialect answer with a bare text, FastAPI ones with `detail`.
            Self::OpenAi if error.is_object() => {
                let code = match &error["code"] {
                    Value::Number(n) => n.to_string(),
                    other => text(other),
                };
                Said { message: shown(&text(&error["message"])), codes: [code, text(&error["type"])] }
            }
            Self::Anthropic => Said { message: shown(&text(&error["message"])), codes: [text(&error["type"]), String::new()] },
            Self::OpenAi | Self::Ollama => {
                let message = [error, &body["message"], &body["detail"]].into_iter().find_map(Value::as_str).unwrap_or_default();
                Said::text(message)
            }
        }
    }
}

#[derive(Debug)]
struct Said {
    message: String,
    codes: [String; 2],
}

impl Said {
    fn text(message: &str) -> Self {
        Self { message: shown(message), codes: Default::default() }
    }

    /// What is said more precisely than by the status.
    fn kind(&self) -> Option<ErrorKind> {
        let by_code = self.codes.iter().find_map(|code| {
            Some(match code.as_str() {
                "context_length_exceeded" | "string_above_max_length" | "request_too_large" => ErrorKind::PayloadTooLarge,
                "insufficient_quota" | "billing_hard_limit_reached" | "billing_error" | "permission_error" => ErrorKind::Forbidden,
                "model_not_found" | "not_found_error" | "DeploymentNotFound" => ErrorKind::NotFound,
                "invalid_api_key" | "authentication_error" => ErrorKind::Unauthorized,
                "rate_limit_exceeded" | "rate_limit_error" | "overloaded_error" => ErrorKind::Overloaded,
                "api_error" | "server_error" => ErrorKind::Unavailable,
                "timeout_error" => ErrorKind::Timeout,
                "content_filter" | "content_policy_violation" => ErrorKind::Refused,
                _ => return None,
            })
        });
        by_code.or_else(|| {
            let message = self.message.to_lowercase();
            let long = ["prompt is too long", "maximum context length", "context window", "exceeds the available context size"];
            long.iter().any(|t| message.contains(t)).then_some(ErrorKind::PayloadTooLarge)
        })
    }
}

fn shown(text: &str) -> String {
    let text: String = redact(text).chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    text.trim().to_owned()
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Unauthorized,
        402 | 403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::PayloadTooLarge,
        429 | 529 => ErrorKind::Overloaded,
        500..=599 | 409 | 425 => ErrorKind::Unavailable,
        _ => ErrorKind::InvalidInput,
    }
}

fn explain(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthorized => "the provider does not accept the credential; check api_key",
        ErrorKind::Forbidden => "the provider gives no access or credit for this",
        ErrorKind::NotFound => "the provider has no such model or address; check model and base_url",
        ErrorKind::Timeout => "the provider did not answer in time",
        ErrorKind::PayloadTooLarge => "the conversation is too long for the model",
        ErrorKind::Overloaded => "the provider has no room now; try again later",
        ErrorKind::Unavailable => "the provider failed; try again",
        ErrorKind::Refused => "the provider's content filter withheld the answer",
        _ => "the provider refused the request",
    }
}

/// How long to wait, from the headers of the providers: milliseconds, seconds, or the time until a limit is filled up again (`1m30s`).
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let number = |name: &str| text(name).and_then(|v| v.parse::<f64>().ok()).filter(|v| v.is_finite() && *v >= 0.0);
    if let Some(ms) = number("retry-after-ms") {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    if let Some(seconds) = number("retry-after") {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let exhausted = |kind: &str| number(&format!("x-ratelimit-remaining-{kind}")) == Some(0.0);
    ["requests", "tokens"].into_iter().filter(|k| exhausted(k)).filter_map(|k| span(text(&format!("x-ratelimit-reset-{k}"))?)).max()
}

/// `6m0s`, `1.5s`, `20ms`.
fn span(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| at + digits);
        let seconds = match &rest[digits..unit_end] {
            "ms" => value / 1000.0,
            "s" => value,
            "m" => value * 60.0,
            "h" => value * 3600.0,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(seconds).ok()?;
        rest = &rest[unit_end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(dialect: Dialect, status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let headers = headers.iter().map(|(k, v)| (reqwest::header::HeaderName::from_static(k), v.parse().unwrap())).collect();
        dialect.refusal(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn what_is_said_counts_more_than_the_status() {
        use Dialect::{Anthropic, Ollama, OpenAi};
        let cases = [
            (
                OpenAi,
                400,
                r#"{"error":{"message":"too many","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
                ErrorKind::PayloadTooLarge,
            ),
            (OpenAi, 429, r#"{"error":{"message":"no credit","type":"insufficient_quota","code":"insufficient_quota"}}"#, ErrorKind::Forbidden),
            (OpenAi, 429, r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#, ErrorKind::Overloaded),
            (OpenAi, 422, r#"{"detail":"field required"}"#, ErrorKind::InvalidInput),
            (OpenAi, 502, "<html>bad gateway</html>", ErrorKind::Unavailable),
            (
                Anthropic,
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#,
                ErrorKind::PayloadTooLarge,
            ),
            (Anthropic, 529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, ErrorKind::Overloaded),
            (Anthropic, 401, r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#, ErrorKind::Unauthorized),
            (Ollama, 404, r#"{"error":"model 'x' not found"}"#, ErrorKind::NotFound),
        ];
        for (dialect, status, body, kind) in cases {
            assert_eq!(refusal(dialect, status, &[], body).kind(), kind, "{body}");
        }
    }

    #[test]
    fn waits_are_read_from_whichever_header_has_them() {
        let wait = |headers: &[(&'static str, &str)]| refusal(Dialect::OpenAi, 429, headers, "").retry_delay().map(|d| d.as_millis());
        assert_eq!(wait(&[("retry-after", "2"), ("retry-after-ms", "150")]), Some(150));
        assert_eq!(wait(&[("retry-after", "2")]), Some(2000));
        assert_eq!(wait(&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m2.5s")]), Some(62_500));
        assert_eq!(wait(&[("x-ratelimit-remaining-tokens", "9"), ("x-ratelimit-reset-tokens", "1m")]), None);
        assert_eq!(wait(&[("retry-after", "1e12")]), Some(3_600_000));
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(refusal(Dialect::OpenAi, 401, &[("retry-after", "2")], "").retry_delay(), None, "waiting does not help a wrong key");
    }

    #[test]
    fn a_credential_that_a_provider_repeats_is_not_shown() {
        let error = refusal(Dialect::OpenAi, 401, &[], r#"{"error":{"message":"Incorrect API key provided: sk-abcdefghijklmnopqrstuvwx"}}"#);
        assert!(!format!("{error:?}").contains("sk-abcdef"), "{error:?}");
    }
}
