//! What SQLite's errors mean.

use kubernaut_core::ErrorKind;

pub(crate) use crate::shared::fault::Fault;

/// Kind and message of an error.
pub(crate) fn describe(error: &sqlx::Error) -> (ErrorKind, &'static str) {
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
