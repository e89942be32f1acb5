//! Actions, behind the gate.

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Capability, delegate};
use crate::{
    Error, Result,
    model::{ActionRequest, ActionSpec, ApprovalId, DryRun, Execution, IncidentId, Observation, Precondition},
};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecuteRequest {
    /// The action.
    pub request: ActionRequest,
    /// The incident it serves; `None` for an ad-hoc call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// Digest of the effect that a person or the policy agreed to. The gate compares it with a fresh dry-run under the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_digest: Option<String>,
    /// Whether a person agreed to that digest.
    #[serde(default)]
    pub approved_by_person: bool,
    /// The request for approval that they answered. The gate reads it again; without it one person's word counts, where that is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<ApprovalId>,
}

/// What is to be taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UndoRequest {
    /// The action as it was asked for.
    pub request: ActionRequest,
    /// The incident it served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// What it did, with its pre-state.
    pub execution: Execution,
    /// Idempotency key of the undo itself.
    pub key: String,
}

/// Carries out actions. The gate is a wrapper of this trait that stands around every implementation.
#[async_trait]
pub trait Executor: Debug + Send + Sync + 'static {
    /// The actions offered. Names and aliases are unique over all of them.
    ///
    /// # Errors
    /// Errors of the implementation.
    async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>>;

    /// Carries out an action and returns when the API server has accepted it.
    ///
    /// Rules:
    /// 1. The same key never acts twice; the second call answers `AlreadyApplied` or `NoChange`.
    /// 2. The write leaves a mark by which [`Executor::observe`] can tell.
    /// 3. An unknown action, a target of a wrong kind or parameters outside their schema are `InvalidInput`, and nothing is changed.
    /// 4. On an error nothing was changed, or `observe` answers `Applied` or `Unknown`.
    ///
    /// # Errors
    /// `InvalidInput`, `NotFound` for the target, `Conflict` if it changed underneath, `Forbidden`, `Unavailable`, `Timeout`.
    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution>;

    /// Tells whether the effect of a key is there. Asked after a crash, before acting again.
    ///
    /// Rules: never changes anything; `Unknown` if it cannot be told.
    ///
    /// # Errors
    /// Errors of reading; the caller treats them as `Unknown`.
    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation>;

    /// Shows what the action would do now.
    ///
    /// Rules: changes nothing; equal effects on equal objects have equal digests.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::DryRun`]: such an executor needs approval always. Else as [`Executor::execute`].
    async fn dry_run(&self, _ctx: CallContext, _request: ActionRequest) -> Result<DryRun> {
        Err(Error::unsupported("executor.dry_run", "this executor has no dry-run"))
    }

    /// Evaluates what must hold before the action, with the values that were read.
    ///
    /// Rules: changes nothing; empty where the action has no preconditions.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::Preconditions`]: an action that declares preconditions then needs approval. Else as
    /// [`Executor::execute`].
    async fn preconditions(&self, _ctx: CallContext, _request: ActionRequest) -> Result<Vec<Precondition>> {
        Err(Error::unsupported("executor.preconditions", "this executor cannot evaluate preconditions"))
    }

    /// Takes an action back: restores exactly the fields it changed.
    ///
    /// Rules: a field that somebody changed since is a `Conflict`, and nothing is changed.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::Undo`] or for an irreversible action; `Conflict` as above.
    async fn undo(&self, _ctx: CallContext, _request: UndoRequest) -> Result<Execution> {
        Err(Error::unsupported("executor.undo", "this executor cannot take actions back"))
    }

    /// Optional operations offered.
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
}

delegate!(Executor {
    async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>>;
    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution>;
    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation>;
    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun>;
    async fn preconditions(&self, ctx: CallContext, request: ActionRequest) -> Result<Vec<Precondition>>;
    async fn undo(&self, ctx: CallContext, request: UndoRequest) -> Result<Execution>;
} sync { fn capabilities(&self) -> Vec<Capability>; });
