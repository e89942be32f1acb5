//! Root-cause diagnosis without a language model.
//!
//! [`Diagnosis`] reads the cluster once per incident, runs rules over what was read, and follows what explains what from the alerted object
//! to the cause. It proposes the smallest action that removes the cause, with parameters computed from the facts, and says for each
//! precondition whether it holds. It has no way to act, and text in logs, events or alerts never chooses an action.

mod config;
mod engine;
mod facts;
mod graph;
mod propose;
mod rank;
mod rules;

pub use config::DiagnosisConfig;
pub use engine::Diagnosis;
