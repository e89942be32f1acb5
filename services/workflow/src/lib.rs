//! The default workflow engine: runs plans so that a crash at any point loses nothing and doubles nothing.
//!
//! - `plan`: whether a plan can be run, and in which order.
//! - `state`: the pure state machine. `decide` says what is next, `apply` gives the run after a transition.
//! - `driver`: one claimed run in the hands of this process: journals each transition, then acts.
//! - [`DurableEngine`]: claims runs from the ledger and drives several at once.
//!
//! A step is journalled as begun before the executor is called. After a crash the executor is asked what became of it before anything else.
//!
//! ```
//! use std::sync::Arc;
//!
//! use kubernaut_core::{
//!     port::{Clock, Ledger},
//!     service::Executor,
//! };
//! use kubernaut_workflow::{DurableEngine, EngineConfig};
//! use tokio_util::sync::CancellationToken;
//!
//! async fn serve(ledger: Arc<dyn Ledger>, gated: Arc<dyn Executor>, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
//!     let engine = DurableEngine::new(ledger, gated, clock, EngineConfig::default());
//!     engine.run(shutdown).await;
//! }
//! ```

mod approval;
mod config;
mod driver;
mod engine;
mod plan;
mod record;
mod retry;
mod rollback;
mod state;

pub use config::EngineConfig;
pub use engine::DurableEngine;
