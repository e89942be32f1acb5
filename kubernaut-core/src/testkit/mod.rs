//! Behaviour suites per trait and port. Every implementation, wrapper and host object runs them.
//!
//! Each suite takes the implementation under test (and what it needs around it) and panics with the rule that does not hold.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "suites report by panicking, like any test")]

mod cluster_fixture;
mod fakes;
mod objects;

pub mod analyzer;
pub mod classifier;
pub mod cluster_read;
pub mod cluster_write;
pub mod context_store;
pub mod embedder;
pub mod executor;
pub mod ledger;
pub mod notifier;
pub mod vector_index;
pub mod workflow_engine;

pub use cluster_fixture::{ClusterFixture, FIXTURE_LOG_LINES, FIXTURE_SECRET};
pub use fakes::{Behaviour, Called, FakeExecutor, Operation};
pub use objects::ObjectsCluster;
