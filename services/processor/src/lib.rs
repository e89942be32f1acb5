//! Remediation Processor: drives every incident from the alert to its end.
//!
//! - [`lifecycle`] is the pure state machine: which phase follows which event, and until when a phase may last.
//! - [`LabelClassifier`] gives environment, priority and business context, each with its basis.
//! - [`hold`] tells whether an incident has to wait, or needs a person, because of what happened before.
//! - [`decide`] turns an analysis into a decision, [`plan()`] turns the decision into a plan. Both are pure.
//! - [`Processor`] claims incidents and carries all of it out: it reads, asks and records, and never acts itself. What it does can be cut off
//!   anywhere; another worker goes on from the last recorded phase.
//!
//! ```
//! use kubernaut_core::model::{Environment, Phase, Priority, Severity};
//! use kubernaut_processor::{
//!     lifecycle::{Input, next},
//!     priority,
//! };
//!
//! # fn main() -> kubernaut_core::Result<()> {
//! let phase = next(Phase::Received, Input::Claimed)?;
//! assert_eq!(phase.as_str(), "processing");
//! assert_eq!(priority(Severity::Critical, Environment::Production), Priority::P0);
//! # Ok(())
//! # }
//! ```

mod block;
mod classify;
mod config;
mod decide;
pub mod lifecycle;
mod plan;
mod scope;
mod worker;

pub use block::{BlockFacts, BlockPolicy, Hold, hold};
pub use classify::{ClassifyConfig, EnvironmentRule, LabelClassifier, priority};
pub use config::{ProcessorConfig, VerificationConfig};
pub use decide::{DecisionPolicy, Verdict, decide, is_restraint};
pub use plan::{PlanInput, plan};
pub use scope::{MANAGED_LABEL, ScopeConfig, not_opted_in};
pub use worker::{Processor, ProcessorParts};
