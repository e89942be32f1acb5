//! The ledger and the memory in a PostgreSQL database that several processes share.

mod approvals;
mod backend;
mod config;
mod context;
mod control;
pub(crate) mod error;
mod events;
mod incidents;
mod intake;
mod intents;
mod journal;
mod lanes;
mod leases;
mod ledger;
mod listen;
mod locks;
mod outbox;
mod rekey;
mod row;
mod runs;
mod schema;
mod signals;
mod tx;

pub use config::PostgresConfig;
pub use context::PostgresContextStore;
pub use ledger::PostgresLedger;
