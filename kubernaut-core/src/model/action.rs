//! Actions: what exists, what is proposed, what is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ObjectRef;

/// How much harm a wrong use can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Changes nothing.
    None,
    /// Local and quickly undone.
    Low,
    /// One workload changes behaviour.
    Medium,
    /// A node, shared or many workloads.
    High,
    /// May lose data or service.
    Critical,
}

/// Whether and how an action can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reversibility {
    /// Changes nothing, so there is nothing to take back.
    NotNeeded,
    /// The fields that were changed are restored.
    Undo,
    /// Another action compensates.
    Compensate,
    /// Cannot be taken back.
    Irreversible,
}

/// One permission that an action needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RbacRule {
    /// API group; empty for the core group.
    pub group: String,
    /// Resource, with subresource such as `pods/eviction`.
    pub resource: String,
    /// Verbs, such as `get`, `patch`.
    pub verbs: Vec<String>,
}

/// One action that an `Executor` offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionSpec {
    /// Canonical name, such as `rollback_deployment`.
    pub name: String,
    /// Other names that are accepted.
    pub aliases: Vec<String>,
    /// Family, such as `workload`.
    pub family: String,
    /// One line that says what it does.
    pub summary: String,
    /// Version of parameters and behaviour; stored with every plan.
    pub version: u32,
    /// JSON Schema of the parameters, with units and bounds.
    pub parameters: Value,
    /// Kinds it may be aimed at; empty for actions without a target.
    pub target_kinds: Vec<String>,
    /// How much harm a wrong use can do.
    pub risk: Risk,
    /// Whether it can be taken back.
    pub reversibility: Reversibility,
    /// What must hold; each is evaluated before the action.
    pub preconditions: Vec<String>,
    /// Permissions it needs.
    pub rbac: Vec<RbacRule>,
}

/// A condition with its state now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Precondition {
    /// What must hold, with the values that were read.
    pub text: String,
    /// Whether it holds.
    pub holds: bool,
}

/// An action that analysis proposes. Only a typed proposal can become a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProposedAction {
    /// Canonical name.
    pub action: String,
    /// The object to change.
    pub target: ObjectRef,
    /// Parameters after the action's schema.
    pub params: Value,
    /// What must hold, and whether it does.
    pub preconditions: Vec<Precondition>,
    /// How much harm a wrong use can do.
    pub risk: Risk,
    /// Whether it can be taken back.
    pub reversible: bool,
    /// What should be true afterwards.
    #[serde(default)]
    pub expected_effect: String,
    /// Manual steps, where the action hands over to a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manual_steps: Vec<String>,
}

/// A request to an `Executor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActionRequest {
    /// Canonical name or alias.
    pub action: String,
    /// The object to change.
    pub target: ObjectRef,
    /// Parameters after the action's schema.
    #[serde(default)]
    pub params: Value,
    /// Idempotency key: the same key never acts twice.
    pub key: String,
}
