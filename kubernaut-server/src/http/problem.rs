//! Errors as RFC 9457 problem documents.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kubernaut::{Error, ErrorKind, host::error_row};
use serde_json::{Value, json};

/// An error on its way to a client.
#[derive(Debug)]
pub struct Problem(pub Error);

/// Answer of a route.
pub(super) type Answer<T> = Result<T, Problem>;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The HTTP status of an error kind.
#[must_use]
pub fn status_of(kind: ErrorKind) -> StatusCode {
    // One table says it for all languages.
    StatusCode::from_u16(error_row(kind).http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = self.0;
        let status = status_of(error.kind());
        if status.is_server_error() {
            tracing::warn!(error = ?error, kind = error.kind().as_str(), "request failed");
        }
        let mut body = json!({
            "type": format!("https://kubernaut.dev/problems/{}", error.kind().as_str()),
            "title": error.kind().as_str().replace('_', " "),
            "status": status.as_u16(),
            "detail": error.message(),
            "kind": error.kind().as_str(),
            "operation": error.operation(),
        });
        for (key, value) in error.context() {
            body[*key] = Value::String(value.clone());
        }
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let retry = error.retry_delay().map(|d| d.as_secs().max(1)).or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(5));
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
