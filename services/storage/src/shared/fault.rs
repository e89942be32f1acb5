//! From errors of databases to the public one.

use std::time::Duration;

use kubernaut_core::{Error, ErrorKind};

#[cfg(feature = "postgres")]
use crate::postgres::error as postgres;
use crate::sqlite::error as sqlite;

/// What can go wrong inside the back-end; becomes public where the operation is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Already in its public form.
    #[error(transparent)]
    Public(#[from] Error),
    /// An error of the database or the driver.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// An error of PostgreSQL or the way to it.
    #[cfg(feature = "postgres")]
    #[error("postgresql: {0}")]
    Postgres(sqlx::Error),
    /// The transaction met a state that another one has changed meanwhile; it has to be done again.
    #[cfg(feature = "postgres")]
    #[error("another transaction was in the way")]
    Again,
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
            Self::Sql(error) => from_sql(operation, sqlite::describe(&error), error),
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => from_sql(operation, postgres::describe(&error), error),
            #[cfg(feature = "postgres")]
            Self::Again => Error::new(ErrorKind::Unavailable, operation, "other writes were in the way again and again; try again a little later")
                .retry_after(Duration::from_secs(1)),
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

fn from_sql(operation: &'static str, (kind, message): (ErrorKind, &'static str), error: sqlx::Error) -> Error {
    let public = Error::new(kind, operation, message);
    let public = if kind == ErrorKind::Unavailable { public.retry_after(Duration::from_secs(1)) } else { public };
    public.source(error)
}
