//! What PostgreSQL's errors mean, and which of them another try helps against.

use kubernaut_core::ErrorKind;
use sqlx::Error;

pub(crate) use crate::shared::fault::Fault;

/// Whether and how a transaction that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It would fail again.
    No,
    /// Another transaction was in the way.
    Now,
    /// The connection is gone; on another one it may work.
    Elsewhere,
}

impl Again {
    pub(crate) fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Again => Self::Now,
            Fault::Postgres(error) | Fault::Sql(error) => Self::of_sql(error),
            _ => Self::No,
        }
    }

    pub(crate) fn of_sql(error: &Error) -> Self {
        match error {
            Error::Database(e) => match e.code().as_deref().unwrap_or_default() {
                // Two opened the same incident, waited for each other, or could not be put in an order.
                "23505" | "40P01" | "40001" => Self::Now,
                code if is_gone(code) => Self::Elsewhere,
                _ => Self::No,
            },
            Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed | Error::BeginFailed => Self::Elsewhere,
            _ => Self::No,
        }
    }
}

/// The server ends, begins, or has ended the connection.
fn is_gone(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
}

/// Kind and message of an error.
pub(crate) fn describe(error: &Error) -> (ErrorKind, &'static str) {
    match error {
        Error::Database(e) => describe_code(e.code().as_deref().unwrap_or_default()),
        Error::PoolTimedOut => (ErrorKind::Unavailable, "postgresql did not give a connection in time; check that it runs and how many it allows"),
        Error::PoolClosed | Error::WorkerCrashed => (ErrorKind::Unavailable, "the ledger is closed"),
        Error::Tls(_) => (ErrorKind::Unavailable, "no secure connection to postgresql; check `sslmode` and the certificates"),
        Error::Io(_) | Error::Protocol(_) | Error::BeginFailed => {
            (ErrorKind::Unavailable, "the connection to postgresql is lost; check that it runs")
        }
        Error::ColumnDecode { .. } | Error::Decode(_) => (ErrorKind::Corrupt, "a stored row cannot be read; restore the ledger from a backup"),
        _ => (ErrorKind::Internal, "postgresql failed unexpectedly"),
    }
}

/// By SQLSTATE.
fn describe_code(code: &str) -> (ErrorKind, &'static str) {
    match code {
        "28000" | "28P01" => (ErrorKind::Unauthorized, "postgresql refuses the user or password; correct `storage.postgres.url`"),
        "3D000" => (ErrorKind::NotFound, "the database does not exist; create it or correct `storage.postgres.url`"),
        "42501" => (ErrorKind::Forbidden, "the database user may not do this; it needs to own the ledger's schema"),
        "53100" => (ErrorKind::Unavailable, "the disk of postgresql is full; free some space"),
        "53300" => (ErrorKind::Unavailable, "postgresql has no connection left; raise `max_connections` or lower `connections`"),
        "23505" | "40P01" | "40001" => (ErrorKind::Unavailable, "other writes were in the way again and again; try again a little later"),
        "25006" => (ErrorKind::Unavailable, "this postgresql is read-only, as a standby is; name the primary"),
        "XX001" | "XX002" => (ErrorKind::Corrupt, "the database is damaged; restore it from a backup"),
        _ if is_gone(code) => (ErrorKind::Unavailable, "postgresql ended the connection; it is starting or stopping"),
        _ => (ErrorKind::Internal, "postgresql failed unexpectedly"),
    }
}
