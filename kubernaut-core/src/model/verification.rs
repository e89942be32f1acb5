//! Whether an action helped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CheckOutcome, Timestamp};

/// The verdict over all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not all checks can be judged yet; look again.
    Pending,
    /// It helped.
    Effective,
    /// It did not help.
    Ineffective,
    /// It made things worse.
    Harmful,
    /// It cannot be told; a person is asked, nothing is undone.
    Unknown,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationCheck {
    /// `workload_healthy`, `alert_resolved`, `spec_unchanged`, `metrics_better`.
    pub name: String,
    /// Pass, fail, or skip where it does not apply or cannot be read.
    pub outcome: CheckOutcome,
    /// One line with the values.
    pub text: String,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// The verdict.
    pub verdict: Verdict,
    /// 0 to 1: weighted share of the checks that pass.
    pub score: f64,
    /// The checks.
    pub checks: Vec<VerificationCheck>,
    /// When.
    pub at: Timestamp,
    /// Whether the recovery is only simulated, as on a recorded bundle.
    #[serde(default)]
    pub simulated: bool,
}
