//! One transaction, as the functions that speak SQL see it.

use kubernaut_core::model::Timestamp;
use sqlx::{
    Sqlite, SqliteConnection,
    pool::PoolConnection,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::error::Fault;

pub(crate) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

#[derive(Debug)]
enum Connection {
    Writer(Box<SqliteConnection>),
    Reader(PoolConnection<Sqlite>),
}

/// A connection inside a transaction, with the time of the call.
#[derive(Debug)]
pub(crate) struct Tx {
    connection: Connection,
    /// Now, from the injected clock.
    pub(crate) now: Timestamp,
    wrote: bool,
}

impl Tx {
    pub(crate) fn writer(connection: SqliteConnection) -> Self {
        Self { connection: Connection::Writer(Box::new(connection)), now: Timestamp::UNIX_EPOCH, wrote: false }
    }

    pub(crate) fn reader(connection: PoolConnection<Sqlite>, now: Timestamp) -> Self {
        Self { connection: Connection::Reader(connection), now, wrote: false }
    }

    pub(crate) fn sql(&mut self) -> &mut SqliteConnection {
        match &mut self.connection {
            Connection::Writer(connection) => connection,
            Connection::Reader(connection) => connection,
        }
    }

    /// Runs a statement that writes; answers how many rows it changed.
    pub(crate) async fn execute(&mut self, query: Query<'_>) -> Result<u64, Fault> {
        let changed = query.execute(self.sql()).await?.rows_affected();
        self.wrote |= changed > 0;
        Ok(changed)
    }

    pub(crate) async fn optional(&mut self, query: Query<'_>) -> Result<Option<SqliteRow>, Fault> {
        Ok(query.fetch_optional(self.sql()).await?)
    }

    pub(crate) async fn all(&mut self, query: Query<'_>) -> Result<Vec<SqliteRow>, Fault> {
        Ok(query.fetch_all(self.sql()).await?)
    }

    /// Whether something was written since this was asked last.
    pub(crate) fn take_wrote(&mut self) -> bool {
        std::mem::take(&mut self.wrote)
    }

    /// Gives the connection back for closing.
    pub(crate) fn into_connection(self) -> Option<SqliteConnection> {
        match self.connection {
            Connection::Writer(connection) => Some(*connection),
            Connection::Reader(_) => None,
        }
    }
}
