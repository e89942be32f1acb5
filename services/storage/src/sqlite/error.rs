//! From SQLite's errors to the public one.

use std::time::Duration;

use kubernaut_core::{Error, ErrorKind};

/// What can go wrong inside the back-end; becomes public where the operation is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Already in its public form.
    #[error(transparent)]
    Public(#[from] Error),
    /// An error of the database or the driver.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A stored document that cannot be read.
    #[error("stored {what} cannot be read")]
    Document { what: &'static str, id: String, source: serde_json::Error },
    /// A stored value that cannot be read.
    #[error("stored {what} is out of range")]
    Value { what: &'static str, value: String },
    /// A value that cannot be written.
    #[error("{what} cannot be written as json")]
    Encode { what: &'static str, source: serde_json::Error },
}

impl Fault {
    /// The public error of `operation`.
    pub(crate) fn public(self, operation: &'static str) -> Error {
        match self {
            Self::Public(error) => error,
            Self::Sql(error) => from_sql(operation, error),
            Self::Document { what, id, source } => {
                Error::new(ErrorKind::Corrupt, operation, format!("the stored {what} cannot be read; restore the ledger from a backup"))
                    .with("id", id)
                    .source(source)
            }
            Self::Value { what, value } => {
                Error::new(ErrorKind::Corrupt, operation, format!("the stored {what} is out of range; restore the ledger from a backup"))
                    .with("value", value)
            }
            Self::Encode { what, source } => Error::invalid(operation, format!("the {what} cannot be written as json")).source(source),
        }
    }
}

fn from_sql(operation: &'static str, error: sqlx::Error) -> Error {
    let (kind, message) = describe(&error);
    let public = Error::new(kind, operation, message);
    let public = if kind == ErrorKind::Unavailable { public.retry_after(Duration::from_secs(1)) } else { public };
    public.source(error)
}

fn describe(error: &sqlx::Error) -> (ErrorKind, &'static str) {
    match error {
        sqlx::Error::Database(e) => describe_code(e.code().and_then(|c| c.parse().ok()).unwrap_or(0)),
        sqlx::Error::PoolTimedOut => (ErrorKind::Unavailable, "no connection to the ledger became free; raise `readers` or lower the load"),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => (ErrorKind::Unavailable, "the ledger is closed"),
        sqlx::Error::Io(_) => (ErrorKind::Unavailable, "the ledger file cannot be read or written; check disk and permissions"),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, "a stored row cannot be read; restore the ledger from a backup")
        }
        _ => (ErrorKind::Internal, "the ledger's database failed unexpectedly"),
    }
}

/// By SQLite's result code; extended codes keep the plain one in the low byte.
fn describe_code(code: u32) -> (ErrorKind, &'static str) {
    match code & 0xff {
        5 | 6 => (ErrorKind::Unavailable, "the ledger is busy"),
        8 => (ErrorKind::Unavailable, "the ledger file is read-only; check its permissions"),
        10 => (ErrorKind::Unavailable, "the ledger file cannot be read or written; check the disk"),
        11 => (ErrorKind::Corrupt, "the ledger file is damaged; restore it from a backup"),
        13 => (ErrorKind::Unavailable, "the disk of the ledger is full; free some space"),
        14 => (ErrorKind::Unavailable, "the ledger file cannot be opened; check its path and permissions"),
        26 => (ErrorKind::Corrupt, "the file is not a database; name another path"),
        _ => (ErrorKind::Internal, "the ledger's database failed unexpectedly"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_keep_their_meaning() {
        assert_eq!(describe_code(261).0, ErrorKind::Unavailable, "SQLITE_BUSY_RECOVERY");
        assert_eq!(describe_code(779).0, ErrorKind::Corrupt, "SQLITE_CORRUPT_INDEX");
        assert_eq!(describe_code(2067).0, ErrorKind::Internal, "SQLITE_CONSTRAINT_UNIQUE");
    }
}
