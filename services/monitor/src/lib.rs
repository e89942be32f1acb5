//! Monitoring: whether an action helped, and whether Kubernaut itself is well.
//!
//! - [`EffectivenessVerifier`] judges the effect of a run.
//! - [`metrics`] keeps what all services count and gives it out in the Prometheus text format.
//! - [`health`] runs named checks for liveness and readiness probes.

pub mod health;
pub mod metrics;
mod verify;

pub use health::{Health, HealthReport};
pub use verify::{Better, EffectivenessVerifier, MetricRule, VerifyConfig};
