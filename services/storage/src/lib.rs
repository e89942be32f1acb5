//! The default ledger: everything that must survive, in one SQLite file or in a PostgreSQL database.
//!
//! - [`SqliteLedger`] implements [`Ledger`](kubernaut_core::port::Ledger). One task writes; what callers ask for at the same moment shares one
//!   commit, and a caller is answered only after it. Reads go through connections of their own.
//! - [`PostgresLedger`] does the same in a PostgreSQL database that several processes share (feature `postgres`, on by default).
//! - [`Storage`] is either of them, chosen by [`StorageConfig`]; [`Upkeep`] takes checkpoints of its audit chains and purges what was kept long
//!   enough; [`migrate`], [`backup`] and [`restore`] move it as a whole.
//! - [`SqlContextStore`] implements [`ContextStore`](kubernaut_core::service::ContextStore) in the same file.
//!
//! Decisions (what an alert changes, whether an answer counts, how similar two incidents are) are pure functions, apart from SQL.
//!
//! ```
//! use std::sync::Arc;
//!
//! use kubernaut_core::{
//!     port::{Ledger, SystemClock},
//!     service::CallContext,
//! };
//! use kubernaut_storage::{SqliteConfig, SqliteLedger};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kubernaut_core::Result<()> {
//! let ledger = SqliteLedger::open(SqliteConfig::memory(), Arc::new(SystemClock)).await?;
//! assert_eq!(ledger.stats(CallContext::system("doc")).await?.open_incidents, 0);
//! ledger.close().await
//! # }
//! ```

mod audit;
mod portable;
#[cfg(feature = "postgres")]
mod postgres;
mod retention;
mod rules;
mod shared;
mod sqlite;
mod storage;
mod upkeep;

pub use audit::{AuditKey, AuditReport, AuditVerifier, BrokenProof, ChainHead, Checkpoint, PROOF_FORMAT, ProofLine, PurgeRecord, public_key};
pub use portable::{ARCHIVE_FORMAT, LedgerPlace, Moved, MovedTable, backup, export_audit, migrate, restore, verify_audit};

#[cfg(feature = "postgres")]
pub use postgres::{PostgresConfig, PostgresContextStore, PostgresLedger};
pub use retention::{RetentionClass, RetentionConfig};
pub use sqlite::{SqlContextStore, SqliteConfig, SqliteLedger};
pub use storage::{AuditConfig, Storage, StorageConfig};
pub use upkeep::{LegalHold, Purged, Upkeep};
