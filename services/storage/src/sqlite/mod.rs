//! The ledger and the memory in one SQLite file.

mod approvals;
pub(crate) mod backend;
mod bulk;
mod checkpoint;
mod config;
mod context;
mod control;
pub(crate) mod error;
mod events;
mod fair;
pub(crate) mod file_lock;
mod incidents;
mod intake;
mod intents;
mod job;
mod journal;
mod leases;
mod ledger;
mod locks;
mod outbox;
#[cfg(test)]
mod plans;
mod rekey;
mod row;
mod runs;
pub(crate) mod schema;
mod signals;
pub(crate) mod sql;
pub(crate) mod tx;
mod waiting;
mod writer;

pub use config::SqliteConfig;
pub use context::SqlContextStore;
pub use ledger::SqliteLedger;
