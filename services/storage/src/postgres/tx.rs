//! One transaction, as the functions that speak SQL see it.

use kubernaut_core::model::Timestamp;
use sqlx::{
    PgConnection, Postgres, Transaction,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
};

use super::error::Fault;

pub(crate) type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

#[derive(Debug)]
enum Connection {
    Writer(Transaction<'static, Postgres>),
    Reader(PoolConnection<Postgres>),
}

/// A connection, inside a transaction if it writes, with the time of the call.
#[derive(Debug)]
pub(crate) struct Tx {
    connection: Connection,
    /// Now, from the injected clock.
    pub(crate) now: Timestamp,
    wrote: bool,
}

impl Tx {
    pub(crate) fn writer(transaction: Transaction<'static, Postgres>, now: Timestamp) -> Self {
        Self { connection: Connection::Writer(transaction), now, wrote: false }
    }

    pub(crate) fn reader(connection: PoolConnection<Postgres>, now: Timestamp) -> Self {
        Self { connection: Connection::Reader(connection), now, wrote: false }
    }

    pub(crate) fn sql(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Connection::Writer(transaction) => transaction,
            Connection::Reader(connection) => connection,
        }
    }

    /// Runs a statement that writes; answers how many rows it changed.
    pub(crate) async fn execute(&mut self, query: Query<'_>) -> Result<u64, Fault> {
        let changed = query.execute(self.sql()).await.map_err(Fault::Postgres)?.rows_affected();
        self.wrote |= changed > 0;
        Ok(changed)
    }

    /// Runs a statement that writes and answers with the rows it changed.
    pub(crate) async fn returning(&mut self, query: Query<'_>) -> Result<Vec<PgRow>, Fault> {
        let rows = self.all(query).await?;
        self.wrote |= !rows.is_empty();
        Ok(rows)
    }

    pub(crate) async fn optional(&mut self, query: Query<'_>) -> Result<Option<PgRow>, Fault> {
        query.fetch_optional(self.sql()).await.map_err(Fault::Postgres)
    }

    pub(crate) async fn all(&mut self, query: Query<'_>) -> Result<Vec<PgRow>, Fault> {
        query.fetch_all(self.sql()).await.map_err(Fault::Postgres)
    }

    /// Takes everything back, and returns when that is done: a lock that lingers makes others pass the row over.
    pub(crate) async fn rollback(self) {
        if let Connection::Writer(transaction) = self.connection
            && let Err(error) = transaction.rollback().await
        {
            tracing::debug!(%error, "a transaction could not be taken back; it ends with its connection");
        }
    }

    /// Commits, and answers whether anything was written.
    pub(crate) async fn commit(self) -> Result<bool, sqlx::Error> {
        if let Connection::Writer(transaction) = self.connection {
            transaction.commit().await?;
        }
        Ok(self.wrote)
    }
}
