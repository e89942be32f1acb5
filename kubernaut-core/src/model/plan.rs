//! Plans: steps with dependencies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ObjectRef, PlanId};

/// Version of the stored shape of [`Plan`].
pub const PLAN_VERSION: u32 = 1;

/// How often a step is tried. Only transient errors are tried again, and only where nothing can have been changed or `observe` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetryPolicy {
    /// Tries in all, the first included; 1 to 10, default 3.
    pub max_attempts: u32,
    /// Wait before the second try in milliseconds; doubled for each further one. Default 500.
    pub backoff_ms: u64,
    /// Longest wait in milliseconds. Default 30 000.
    pub max_backoff_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 3, backoff_ms: 500, max_backoff_ms: 30_000 }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Name within the plan, such as `rollback`.
    pub id: String,
    /// Canonical action name.
    pub action: String,
    /// Version of the action.
    pub action_version: u32,
    /// The object to change.
    pub target: ObjectRef,
    /// Parameters after the action's schema.
    #[serde(default)]
    pub params: Value,
    /// Steps that must have ended well before.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// How often it is tried.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Longest time for one try, in seconds; default 300.
    #[serde(default = "default_timeout")]
    pub timeout_s: u64,
    /// Whether its failure ends the run and compensates completed steps. Default true.
    #[serde(default = "yes")]
    pub critical: bool,
    /// Whether a person must agree first, whatever the gate says.
    #[serde(default)]
    pub requires_approval: bool,
}

fn default_timeout() -> u64 {
    300
}

fn yes() -> bool {
    true
}

/// What is to be done, in which order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Its identifier.
    pub id: PlanId,
    /// Version of this shape.
    pub version: u32,
    /// Why; one line.
    pub reason: String,
    /// The steps.
    pub steps: Vec<Step>,
    /// Seconds an approval stays open before it counts as "no". Default 900.
    pub approval_timeout_s: u64,
}
