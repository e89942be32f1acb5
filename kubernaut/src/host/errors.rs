//! One table for all languages: what an error kind is called there.

use std::time::Duration;

use kubernaut_core::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One kind of error as each language knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ErrorRow {
    /// The kind; its stable name is also the `kind` on the wire.
    pub kind: ErrorKind,
    /// Class of the Python exception.
    pub python: &'static str,
    /// `code` of the JavaScript error.
    pub node: &'static str,
    /// Variant in UniFFI languages.
    pub uniffi: &'static str,
    /// Status over HTTP.
    pub http: u16,
}

macro_rules! errors {
    ($($kind:ident, $python:literal, $node:literal, $http:literal;)*) => {
        /// Every kind, once.
        pub const ERRORS: &[ErrorRow] = &[$(ErrorRow { kind: ErrorKind::$kind, python: $python, node: $node, uniffi: stringify!($kind), http: $http },)*];
    };
}

errors! {
    InvalidInput, "InvalidInputError", "ERR_KUBERNAUT_INVALID_INPUT", 400;
    NotFound, "NotFoundError", "ERR_KUBERNAUT_NOT_FOUND", 404;
    Conflict, "ConflictError", "ERR_KUBERNAUT_CONFLICT", 409;
    Unsupported, "UnsupportedError", "ERR_KUBERNAUT_UNSUPPORTED", 501;
    Unauthorized, "UnauthorizedError", "ERR_KUBERNAUT_UNAUTHORIZED", 401;
    Forbidden, "ForbiddenError", "ERR_KUBERNAUT_FORBIDDEN", 403;
    PayloadTooLarge, "PayloadTooLargeError", "ERR_KUBERNAUT_PAYLOAD_TOO_LARGE", 413;
    UnsupportedMediaType, "UnsupportedMediaTypeError", "ERR_KUBERNAUT_UNSUPPORTED_MEDIA_TYPE", 415;
    Overloaded, "OverloadedError", "ERR_KUBERNAUT_OVERLOADED", 503;
    Unavailable, "UnavailableError", "ERR_KUBERNAUT_UNAVAILABLE", 503;
    Timeout, "DeadlineError", "ERR_KUBERNAUT_TIMEOUT", 504;
    Cancelled, "CancelledError", "ERR_KUBERNAUT_CANCELLED", 503;
    StaleEpoch, "StaleEpochError", "ERR_KUBERNAUT_STALE_EPOCH", 409;
    LedgerInUse, "LedgerInUseError", "ERR_KUBERNAUT_LEDGER_IN_USE", 503;
    DigestChanged, "DigestChangedError", "ERR_KUBERNAUT_DIGEST_CHANGED", 409;
    Refused, "RefusedError", "ERR_KUBERNAUT_REFUSED", 422;
    Corrupt, "CorruptError", "ERR_KUBERNAUT_CORRUPT", 500;
    PluginFailed, "PluginFailedError", "ERR_KUBERNAUT_PLUGIN_FAILED", 500;
    BlockingInAsync, "BlockingInAsyncError", "ERR_KUBERNAUT_BLOCKING_IN_ASYNC", 500;
    Internal, "InternalError", "ERR_KUBERNAUT_INTERNAL", 500;
}

/// The row of a kind; one that is newer than this table counts as `Internal`.
#[must_use]
pub fn error_row(kind: ErrorKind) -> &'static ErrorRow {
    const LAST: &ErrorRow = &ERRORS[ERRORS.len() - 1];
    ERRORS.iter().find(|row| row.kind == kind).unwrap_or(LAST)
}

/// The kind of that name.
#[must_use]
pub fn kind_from(name: &str) -> Option<ErrorKind> {
    ErrorKind::ALL.iter().copied().find(|kind| kind.as_str() == name)
}

/// An error on its way to another language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Stable name of the kind.
    pub kind: ErrorKind,
    /// Where it happened, such as `ledger.intake`.
    pub operation: String,
    /// One line with the values and the next step.
    pub message: String,
    /// Whether the same request may succeed later without any change.
    pub transient: bool,
    /// Milliseconds to wait before another try, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl From<&Error> for ErrorBody {
    fn from(error: &Error) -> Self {
        let retry_after_ms = error.retry_delay().map(|after: Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        Self {
            kind: error.kind(),
            operation: error.operation().to_owned(),
            message: error.to_string(),
            transient: error.is_transient(),
            retry_after_ms,
        }
    }
}

impl ErrorBody {
    /// As JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Only strings, numbers and booleans: writing them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row_and_one_name_in_each_language() {
        assert_eq!(ERRORS.iter().map(|row| row.kind).collect::<Vec<_>>(), ErrorKind::ALL);
        for row in ERRORS {
            assert_eq!(kind_from(row.kind.as_str()), Some(row.kind));
            assert_eq!(row.node, format!("ERR_KUBERNAUT_{}", row.kind.as_str().to_uppercase()));
            assert_eq!(ERRORS.iter().filter(|other| other.python == row.python).count(), 1, "{}", row.python);
        }
    }
}
