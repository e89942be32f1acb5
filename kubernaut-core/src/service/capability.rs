//! Flags for optional operations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An optional operation that an implementation may offer. Without the flag the operation answers `Unsupported`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capability {
    /// `Classifier::classify_batch` in one go.
    ClassifyBatch,
    /// `Analyzer::chat`.
    Chat,
    /// `WorkflowEngine::list`.
    ListRuns,
    /// `Executor::dry_run`.
    DryRun,
    /// `Executor::preconditions`.
    Preconditions,
    /// `Executor::undo`.
    Undo,
    /// `ContextStore::forget`.
    Forget,
    /// `ContextStore::outcome`.
    Outcome,
    /// `ContextStore::scan` and `ContextStore::fetch`.
    Scan,
    /// `ClusterRead::metrics`.
    Metrics,
}
