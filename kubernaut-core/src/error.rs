//! The one public error: a stable kind, whether trying again helps, what was attempted, and the source.

use std::{borrow::Cow, fmt, time::Duration};

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed or violates a documented bound.
    InvalidInput,
    /// The named thing does not exist.
    NotFound,
    /// The thing changed or exists already; read again before another try.
    Conflict,
    /// The implementation does not offer this operation.
    Unsupported,
    /// No or wrong credentials.
    Unauthorized,
    /// The credentials do not allow this.
    Forbidden,
    /// The body is larger than the configured limit.
    PayloadTooLarge,
    /// The content type is not accepted.
    UnsupportedMediaType,
    /// A bounded queue is full; try again after the given time.
    Overloaded,
    /// A dependency cannot be reached now.
    Unavailable,
    /// The deadline passed.
    Timeout,
    /// The caller cancelled.
    Cancelled,
    /// A worker wrote with a lease that has since been given to another.
    StaleEpoch,
    /// Another process has the ledger file open.
    LedgerInUse,
    /// The dry-run now differs from the one that was approved.
    DigestChanged,
    /// A safety check refused the action.
    Refused,
    /// Stored data is not what was written.
    Corrupt,
    /// A part that the host program supplied raised an error of its own, or answered with something else than its contract.
    PluginFailed,
    /// A blocking call was made on a thread that must not block; use the asynchronous form.
    BlockingInAsync,
    /// A defect in Kubernaut.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::InvalidInput,
        Self::NotFound,
        Self::Conflict,
        Self::Unsupported,
        Self::Unauthorized,
        Self::Forbidden,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Overloaded,
        Self::Unavailable,
        Self::Timeout,
        Self::Cancelled,
        Self::StaleEpoch,
        Self::LedgerInUse,
        Self::DigestChanged,
        Self::Refused,
        Self::Corrupt,
        Self::PluginFailed,
        Self::BlockingInAsync,
        Self::Internal,
    ];

    /// The stable name used on the wire and in every binding.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::StaleEpoch => "stale_epoch",
            Self::LedgerInUse => "ledger_in_use",
            Self::DigestChanged => "digest_changed",
            Self::Refused => "refused",
            Self::Corrupt => "corrupt",
            Self::PluginFailed => "plugin_failed",
            Self::BlockingInAsync => "blocking_in_async",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later without any change.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable | Self::Timeout | Self::Conflict)
    }
}

/// The error of every public operation.
///
/// `Display` gives one lower-case line that names the value and the next step; it never holds a secret.
pub struct Error {
    kind: ErrorKind,
    operation: &'static str,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that happened in `operation` (such as `ledger.intake`).
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, operation, message: message.into(), context: Vec::new(), retry_after: None, source: None }
    }

    /// [`ErrorKind::InvalidInput`].
    pub fn invalid(operation: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, operation, message)
    }

    /// [`ErrorKind::NotFound`].
    pub fn not_found(operation: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, operation, message)
    }

    /// [`ErrorKind::Unsupported`].
    pub fn unsupported(operation: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unsupported, operation, message)
    }

    /// [`ErrorKind::Conflict`].
    pub fn conflict(operation: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Conflict, operation, message)
    }

    /// [`ErrorKind::Internal`].
    pub fn internal(operation: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, operation, message)
    }

    /// Adds a named value.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((key, value.to_string()));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The stable kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where it happened, such as `ledger.intake`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The message without operation and context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Named values, in the order they were added.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.context
    }

    /// How long to wait before trying again, where the callee said so.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same request may succeed later without any change.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)?;
        for (i, (key, value)) in self.context.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { " (" } else { ", " })?;
        }
        if self.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {self}", self.kind.as_str())?;
        let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(self);
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_operation_value_and_keeps_its_cause() {
        let e = Error::not_found("ledger.incident", "no such incident").with("id", 7).source(std::io::Error::other("gone"));
        assert_eq!(e.to_string(), "ledger.incident: no such incident (id=7)");
        assert_eq!(format!("{e:?}"), "[not_found] ledger.incident: no such incident (id=7): gone");
        assert!(!e.is_transient());
    }
}
