//! The ledger and the memory in one SQLite file.

mod approvals;
mod backend;
mod bulk;
mod config;
mod context;
mod control;
pub(crate) mod error;
mod events;
mod file_lock;
mod incidents;
mod intake;
mod intents;
mod job;
mod journal;
mod leases;
mod ledger;
mod locks;
mod outbox;
mod rekey;
mod row;
mod runs;
mod schema;
mod signals;
mod tx;
mod writer;

pub use config::SqliteConfig;
pub use context::SqlContextStore;
pub use ledger::SqliteLedger;
