//! The ledger and the memory in a PostgreSQL database that several processes share.

mod approvals;
pub(crate) mod backend;
pub(crate) mod config;
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
pub(crate) mod schema;
mod signals;
pub(crate) mod sql;
pub(crate) mod tx;

pub use config::PostgresConfig;
pub use context::PostgresContextStore;
pub(crate) use events::number_all as number_events;
pub use ledger::PostgresLedger;
