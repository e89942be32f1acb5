//! Remediation Processor.

mod block;
mod classify;
mod config;
mod decide;
mod glob;
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
