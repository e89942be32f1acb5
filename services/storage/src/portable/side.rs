//! One end of a copy: a connection in a transaction.

use kubernaut_core::{Error, Result, model::Timestamp};
use sqlx::{
    Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use super::LedgerPlace;
#[cfg(feature = "postgres")]
use crate::postgres;
use crate::{
    shared::{fault::Fault, sql::Sql},
    sqlite::{
        self,
        file_lock::{FileLock, create_private},
    },
};

const OPERATION: &str = "ledger.open";

/// Whether others may write meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Others may go on: what is read is how it stood when reading began.
    Snapshot,
    /// Nobody may have a SQLite file open. Other processes of a PostgreSQL database cannot be kept out.
    Alone,
}

/// A connection in a transaction.
pub(crate) enum Side {
    Sqlite {
        connection: SqliteConnection,
        _lock: Option<FileLock>,
    },
    #[cfg(feature = "postgres")]
    Postgres(Box<sqlx::PgConnection>),
}

fn failed(place: &LedgerPlace) -> impl Fn(sqlx::Error) -> Error + '_ {
    move |error| {
        let fault = match place {
            LedgerPlace::Sqlite(_) => Fault::Sql(error),
            #[cfg(feature = "postgres")]
            LedgerPlace::Postgres(_) => Fault::Postgres(error),
        };
        fault.public(OPERATION).with("ledger", place)
    }
}

impl Side {
    /// Opens a ledger for reading; it must be of this version.
    pub(crate) async fn source(place: &LedgerPlace, sharing: Sharing) -> Result<Self> {
        let sql = failed(place);
        match place {
            LedgerPlace::Sqlite(path) => {
                if !path.is_file() {
                    return Err(Error::not_found(OPERATION, "no ledger file there").with("ledger", place));
                }
                let lock = if sharing == Sharing::Alone { Some(FileLock::take(path)?) } else { None };
                // Not `read_only`: a file whose last writer was killed has to be recovered before it can be read.
                let options = SqliteConnectOptions::new().filename(path).pragma("query_only", "ON");
                let mut connection = SqliteConnection::connect_with(&options).await.map_err(&sql)?;
                sqlite::schema::require_current(&mut connection).await.map_err(|e| e.with("ledger", place))?;
                sqlx::query("BEGIN").execute(&mut connection).await.map_err(&sql)?;
                Ok(Self::Sqlite { connection, _lock: lock })
            }
            #[cfg(feature = "postgres")]
            LedgerPlace::Postgres(config) => {
                let (options, _) = config.options()?;
                let mut connection = sqlx::PgConnection::connect_with(&options).await.map_err(&sql)?;
                postgres::schema::require_current(&mut connection, &config.schema).await.map_err(|e| e.with("ledger", place))?;
                sqlx::query("BEGIN").execute(&mut connection).await.map_err(&sql)?;
                let numbered = postgres::number_events(&mut postgres::sql::PostgresSql(&mut connection)).await;
                numbered.map_err(|fault| fault.public(OPERATION).with("ledger", place))?;
                sqlx::query("COMMIT").execute(&mut connection).await.map_err(&sql)?;
                // What is read may have to wait for what is written elsewhere.
                sqlx::query("SET idle_in_transaction_session_timeout = 0").execute(&mut connection).await.map_err(&sql)?;
                sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await.map_err(&sql)?;
                Ok(Self::Postgres(Box::new(connection)))
            }
        }
    }

    /// Makes a ledger where there is none, and opens it for writing.
    pub(crate) async fn target(place: &LedgerPlace, now: Timestamp) -> Result<Self> {
        let sql = failed(place);
        match place {
            LedgerPlace::Sqlite(path) => {
                create_private(path)?;
                let lock = FileLock::take(path)?;
                let options = SqliteConnectOptions::new().filename(path).foreign_keys(true).synchronous(SqliteSynchronous::Full);
                let mut connection = SqliteConnection::connect_with(&options).await.map_err(&sql)?;
                sqlite::schema::migrate(&mut connection, now).await.map_err(|e| e.with("ledger", place))?;
                sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.map_err(&sql)?;
                Ok(Self::Sqlite { connection, _lock: Some(lock) })
            }
            #[cfg(feature = "postgres")]
            LedgerPlace::Postgres(config) => {
                let (options, _) = config.options()?;
                let mut connection = sqlx::PgConnection::connect_with(&options).await.map_err(&sql)?;
                postgres::schema::migrate(&mut connection, &config.schema, now).await.map_err(|e| e.with("ledger", place))?;
                // Reading what is to be copied may take longer than a transaction may otherwise be idle.
                sqlx::query("SET idle_in_transaction_session_timeout = 0").execute(&mut connection).await.map_err(&sql)?;
                sqlx::query("BEGIN").execute(&mut connection).await.map_err(&sql)?;
                Ok(Self::Postgres(Box::new(connection)))
            }
        }
    }

    pub(crate) fn sql(&mut self) -> Box<dyn Sql + '_> {
        match self {
            Self::Sqlite { connection, .. } => Box::new(sqlite::sql::SqliteSql(connection)),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => Box::new(postgres::sql::PostgresSql(connection)),
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// Commits and closes.
    pub(crate) async fn commit(mut self) -> Result<(), Fault> {
        self.sql().run("COMMIT", &[]).await?;
        match self {
            Self::Sqlite { connection, .. } => connection.close().await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.close().await.map_err(Fault::Postgres)?,
        }
        Ok(())
    }
}
