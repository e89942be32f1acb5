//! The answer of an `Analyzer`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Category, Evidence, ObjectRef, ProposedAction};

/// What should happen, before the mode is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Run the plan.
    Act,
    /// Ask a person first.
    Approve,
    /// Hand over to a person.
    Escalate,
    /// Restraint is right.
    NoAction,
}

impl Decision {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Approve => "approve",
            Self::Escalate => "escalate",
            Self::NoAction => "no_action",
        }
    }
}

/// One possible root cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Kind of cause.
    pub category: Category,
    /// The object to change.
    pub object: ObjectRef,
    /// Probability that this is the cause, 0 to 1.
    pub confidence: f64,
    /// One sentence that says why.
    pub summary: String,
    /// The facts behind it.
    pub evidence: Vec<Evidence>,
    /// From the symptom to the cause, each explained by the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

/// What would tell alternatives apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// The question.
    pub text: String,
    /// The object it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
}

/// Tokens used by models; all zero without one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenUsage {
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
}

/// What an `Analyzer` found. It cannot act: actions are proposals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Analysis {
    /// The alerted object.
    pub target: ObjectRef,
    /// Possible causes, most likely first. Empty only if nothing could be read.
    pub candidates: Vec<Candidate>,
    /// Proposals, best first.
    pub actions: Vec<ProposedAction>,
    /// Whether restraint is right: nothing to fix.
    pub no_action: bool,
    /// What would tell alternatives apart.
    #[serde(default)]
    pub questions: Vec<Question>,
    /// Why part of the picture is missing, such as a forbidden read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
    /// The engine, such as `diagnosis`.
    pub engine: String,
    /// Milliseconds from request to answer.
    pub latency_ms: f64,
    /// Tokens used by models.
    pub tokens: TokenUsage,
    /// Whether an action was derived by a model rather than a rule.
    #[serde(default)]
    pub model_derived: bool,
}
