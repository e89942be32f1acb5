//! Answers and failures of an API server as our errors.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use kubernaut_core::{Error, ErrorKind};
use serde_json::Value;

/// Longest server message that is passed on.
const MESSAGE_LIMIT: usize = 600;

/// What the server said about a request it did not carry out.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) code: StatusCode,
    /// The `Status` object; `Null` if the body was none.
    pub(super) status: Value,
    retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let status: Value = serde_json::from_slice(body).ok().filter(|v: &Value| v["kind"] == "Status").unwrap_or_default();
        let header = headers.get(http::header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let seconds: Option<u64> = header.or_else(|| status["details"]["retryAfterSeconds"].as_u64());
        Self { code, status, retry_after: seconds.map(Duration::from_secs) }
    }

    pub(super) fn message(&self) -> &str {
        let message = self.status["message"].as_str().unwrap_or_default();
        let end = message.char_indices().nth(MESSAGE_LIMIT).map_or(message.len(), |(at, _)| at);
        &message[..end]
    }

    fn caused_by(&self, key: &str, value: &str) -> bool {
        self.status["details"]["causes"].as_array().into_iter().flatten().any(|c| c[key] == value)
    }

    /// Whether the named object is what is missing, rather than the kind.
    pub(super) fn is_missing_object(&self) -> bool {
        self.code == StatusCode::NOT_FOUND && self.status["details"]["name"].as_str().is_some_and(|n| !n.is_empty())
    }

    /// Whether a disruption budget stands against an eviction.
    pub(super) fn is_budget(&self) -> bool {
        let budget = self.code == StatusCode::TOO_MANY_REQUESTS && self.caused_by("reason", "DisruptionBudget");
        budget || (self.code == StatusCode::INTERNAL_SERVER_ERROR && self.message().contains("more than one PodDisruptionBudget"))
    }

    /// Whether an expected uid or resource version was another.
    fn is_precondition(&self) -> bool {
        self.code == StatusCode::UNPROCESSABLE_ENTITY
            && (self.caused_by("field", "metadata.uid") || self.caused_by("field", "metadata.resourceVersion"))
    }

    /// Whether the account lacks the right; other refusals with the same code come from admission and are about the content.
    fn is_right_missing(&self) -> bool {
        let message = self.message();
        self.status.is_null()
            || message.is_empty()
            || (message.contains("User \"") && message.contains(" cannot "))
            || !message.contains("denied") && !message.contains("is forbidden:")
    }

    fn kind(&self) -> ErrorKind {
        match self.code.as_u16() {
            401 => ErrorKind::Unauthorized,
            403 if self.is_right_missing() => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            405 | 406 | 415 => ErrorKind::Unsupported,
            409 | 410 => ErrorKind::Conflict,
            413 => ErrorKind::PayloadTooLarge,
            422 if self.is_precondition() => ErrorKind::Conflict,
            429 => ErrorKind::Overloaded,
            504 => ErrorKind::Timeout,
            500 | 502 | 503 => ErrorKind::Unavailable,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// As the error of `operation`.
    pub(super) fn into_error(self, operation: &'static str) -> Error {
        let said = self.message();
        let message = if said.is_empty() {
            format!("the API server answered {}", self.code)
        } else {
            format!("the API server answered {}: {said}", self.code.as_u16())
        };
        let error = Error::new(self.kind(), operation, message);
        match self.retry_after {
            Some(after) => error.retry_after(after),
            None => error,
        }
    }
}

/// A request that got no answer.
pub(super) fn transport(operation: &'static str, error: kube::Error) -> Error {
    let (kind, message) = match &error {
        kube::Error::Auth(_) => (ErrorKind::Unauthorized, "no usable credentials for the API server; check the kubeconfig"),
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => (ErrorKind::Internal, "the request could not be built"),
        _ => (ErrorKind::Unavailable, "the API server cannot be reached; check address and network"),
    };
    Error::new(kind, operation, message).source(error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(code: u16, status: Value) -> ErrorKind {
        let mut status = status;
        status["kind"] = json!("Status");
        Failure::new(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), status.to_string().as_bytes()).into_error("op").kind()
    }

    #[test]
    fn answers_become_the_kind_that_a_caller_acts_on() {
        let rights =
            json!({"message": "deployments.apps \"x\" is forbidden: User \"u\" cannot patch resource \"deployments\" in API group \"apps\""});
        let quota = json!({"message": "pods \"x\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"});
        let webhook = json!({"message": "admission webhook \"w.example\" denied the request: no"});
        let uid =
            json!({"message": "Deployment.apps \"x\" is invalid: metadata.uid: Invalid value", "details": {"causes": [{"field": "metadata.uid"}]}});
        for (code, status, expected) in [
            (400, json!({}), ErrorKind::InvalidInput),
            (401, json!({}), ErrorKind::Unauthorized),
            (403, rights, ErrorKind::Forbidden),
            (403, json!({}), ErrorKind::Forbidden),
            (403, quota, ErrorKind::InvalidInput),
            (403, webhook, ErrorKind::InvalidInput),
            (404, json!({}), ErrorKind::NotFound),
            (409, json!({}), ErrorKind::Conflict),
            (415, json!({}), ErrorKind::Unsupported),
            (422, json!({}), ErrorKind::InvalidInput),
            (422, uid, ErrorKind::Conflict),
            (429, json!({}), ErrorKind::Overloaded),
            (500, json!({}), ErrorKind::Unavailable),
            (503, json!({}), ErrorKind::Unavailable),
            (504, json!({}), ErrorKind::Timeout),
        ] {
            assert_eq!(kind(code, status.clone()), expected, "{code} {status}");
        }
    }

    #[test]
    fn a_throttled_eviction_is_not_taken_for_a_budget() {
        let failure = |causes: Value| {
            let body = json!({"kind": "Status", "details": {"causes": causes, "retryAfterSeconds": 7}}).to_string();
            Failure::new(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes())
        };
        assert!(failure(json!([{"reason": "DisruptionBudget"}])).is_budget());
        let throttled = failure(json!([]));
        assert!(!throttled.is_budget());
        assert_eq!(throttled.into_error("op").retry_delay(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_body_that_is_no_status_gives_the_code() {
        let failure = Failure::new(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>");
        assert_eq!(failure.into_error("op").to_string(), "op: the API server answered 502 Bad Gateway");
    }
}
