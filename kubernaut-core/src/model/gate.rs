//! What the gate checked, what a dry-run showed, what an execution did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApprovalTerms, FieldChange};

/// The outcome of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// Holds.
    Pass,
    /// A person must agree.
    Ask,
    /// Refused.
    Fail,
    /// Does not apply here.
    Skip,
}

/// One check of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name, in the order of the gate: schema, capability, rights, identity, protected, ownership, preconditions, blast_radius, window,
    /// policy, dry_run, approval, lock, unchanged.
    pub name: String,
    /// Its outcome.
    pub outcome: CheckOutcome,
    /// One line with the values.
    pub text: String,
}

/// All checks, in order. After the first failure nothing further is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateReport {
    /// The checks.
    pub checks: Vec<Check>,
    /// What agreement takes, where a check asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<ApprovalTerms>,
}

impl GateReport {
    /// Adds a check.
    pub fn push(&mut self, name: &str, outcome: CheckOutcome, text: impl Into<String>) {
        self.checks.push(Check { name: name.to_owned(), outcome, text: text.into() });
    }

    /// The check that refused, if any.
    #[must_use]
    pub fn refusal(&self) -> Option<&Check> {
        self.checks.iter().find(|c| c.outcome == CheckOutcome::Fail)
    }

    /// The checks that ask for a person.
    pub fn asks(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|c| c.outcome == CheckOutcome::Ask)
    }
}

/// What an action would do now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRun {
    /// Checks so far; empty from an executor without a gate around it.
    #[serde(default)]
    pub report: GateReport,
    /// Fields that would change.
    pub changes: Vec<FieldChange>,
    /// Identity of the effect; an approval is bound to it. Empty if refused.
    pub digest: String,
    /// What is needed to take it back; fields as they are now.
    pub pre_state: Value,
    /// Whether the API server took part, or the change was only computed.
    pub server_side: bool,
    /// What the server or the bundle warned of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionOutcome {
    /// Done.
    Applied,
    /// It was done before under the same key; nothing was done now.
    AlreadyApplied,
    /// Nothing to change: the object is already as wanted.
    NoChange,
    /// A check refused; nothing was changed.
    Refused,
    /// A person must agree (again): no approval, or the effect differs from the approved one. Nothing was changed.
    NeedsApproval,
}

/// What an execution did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Execution {
    /// How it ended.
    pub outcome: ExecutionOutcome,
    /// All checks.
    #[serde(default)]
    pub report: GateReport,
    /// Fields that changed.
    pub changes: Vec<FieldChange>,
    /// Identity of the effect.
    pub digest: String,
    /// What is needed to take it back.
    pub pre_state: Value,
    /// One line that says what was done.
    pub message: String,
    /// Whether the effect is only simulated, as on a recorded bundle.
    #[serde(default)]
    pub simulated: bool,
}

/// What is known about a key after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// The effect is there.
    Applied,
    /// The effect is not there.
    NotApplied,
    /// It cannot be told; a person decides.
    Unknown,
}
