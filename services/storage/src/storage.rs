//! A ledger in either database, chosen by configuration.

use std::{path::PathBuf, sync::Arc};

use futures::future::BoxFuture;
use kubernaut_core::{
    Result,
    port::{Clock, Ledger},
    service::{CallContext, ContextStore},
};
use serde::{Deserialize, Serialize};

#[cfg(feature = "postgres")]
use crate::{PostgresConfig, PostgresLedger, postgres::sql::PostgresSql};
use crate::{
    RetentionConfig, SqliteConfig, SqliteLedger,
    portable::LedgerPlace,
    shared::{fault::Fault, sql::Sql},
    sqlite::sql::SqliteSql,
};

/// What holds for either database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// A PostgreSQL database that several processes may share, instead of the file named in `ledger`. Default: none.
    #[cfg(feature = "postgres")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresConfig>,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// Checkpoints over the audit chains.
    pub audit: AuditConfig,
}

/// Checkpoints over the audit chains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Ed25519 key that signs them, as `kubernaut audit keygen` makes it. Default: none; then they are chained but not signed.
    pub key_file: Option<PathBuf>,
    /// Seconds between two checkpoints, where something was written; 0 takes none. Default 300.
    pub checkpoint_interval_s: u64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { key_file: None, checkpoint_interval_s: 300 }
    }
}

impl StorageConfig {
    /// Where the ledger is, given the file that is used without PostgreSQL.
    #[must_use]
    pub fn place(&self, file: &SqliteConfig) -> LedgerPlace {
        #[cfg(feature = "postgres")]
        if let Some(postgres) = &self.postgres {
            return LedgerPlace::Postgres(Box::new(postgres.clone()));
        }
        LedgerPlace::Sqlite(file.path.clone())
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// `InvalidInput` naming the setting.
    pub fn validate(&self) -> Result<()> {
        #[cfg(feature = "postgres")]
        if let Some(postgres) = &self.postgres {
            postgres.validate()?;
        }
        self.retention.validate()
    }
}

/// An open ledger in either database. Cheap to clone; all clones are the same ledger.
#[derive(Debug, Clone)]
pub enum Storage {
    /// One SQLite file.
    Sqlite(SqliteLedger),
    /// A PostgreSQL database.
    #[cfg(feature = "postgres")]
    Postgres(PostgresLedger),
}

impl Storage {
    /// Opens the ledger that is configured: PostgreSQL if it is named, else the file.
    ///
    /// # Errors
    /// Those of [`SqliteLedger::open`] and of [`PostgresLedger::open`].
    pub async fn open(config: &StorageConfig, file: &SqliteConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        config.validate()?;
        #[cfg(feature = "postgres")]
        if let Some(postgres) = &config.postgres {
            return Ok(Self::Postgres(PostgresLedger::open(postgres.clone(), clock).await?));
        }
        Ok(Self::Sqlite(SqliteLedger::open(file.clone(), clock).await?))
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            Self::Sqlite(ledger) => Arc::new(ledger.clone()),
            #[cfg(feature = "postgres")]
            Self::Postgres(ledger) => Arc::new(ledger.clone()),
        }
    }

    /// The memory of incidents in the same database.
    #[must_use]
    pub fn context_store(&self) -> Arc<dyn ContextStore> {
        match self {
            Self::Sqlite(ledger) => Arc::new(ledger.context_store()),
            #[cfg(feature = "postgres")]
            Self::Postgres(ledger) => Arc::new(ledger.context_store()),
        }
    }

    /// Finishes what waits and closes the database.
    ///
    /// # Errors
    /// None so far.
    pub async fn close(&self) -> Result<()> {
        match self {
            Self::Sqlite(ledger) => ledger.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(ledger) => ledger.close().await,
        }
    }

    /// Runs `work` in a transaction, on PostgreSQL again where another one was in the way.
    pub(crate) async fn transaction<T, F>(&self, ctx: &CallContext, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut dyn Sql) -> BoxFuture<'t, Result<T, Fault>> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        match self {
            Self::Sqlite(ledger) => {
                ledger.backend().write(ctx, operation, move |tx| Box::pin(async move { work(&mut SqliteSql(tx.sql())).await })).await
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(ledger) => {
                let again = move || work.clone();
                ledger
                    .shared()
                    .write(ctx, operation, |tx| {
                        let work = again();
                        Box::pin(async move { work(&mut PostgresSql(tx.sql())).await })
                    })
                    .await
            }
        }
    }

    /// Makes sure that all events that are committed have their number.
    pub(crate) async fn number_events(&self, ctx: &CallContext) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(ledger) => ledger.shared().number_events(ctx).await,
        }
    }
}
