//! The default ledger: everything that must survive, in one SQLite file.
//!
//! - [`SqliteLedger`] implements [`Ledger`](kubernaut_core::port::Ledger). One task writes; what callers ask for at the same moment shares one
//!   commit, and a caller is answered only after it. Reads go through connections of their own.
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

#[cfg(feature = "postgres")]
mod postgres;
mod rules;
mod shared;
mod sqlite;

#[cfg(feature = "postgres")]
pub use postgres::{PostgresConfig, PostgresContextStore, PostgresLedger};
pub use sqlite::{SqlContextStore, SqliteConfig, SqliteLedger};
