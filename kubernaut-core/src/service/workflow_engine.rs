//! Durable runs of plans.

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Capability, delegate};
use crate::{
    Error, Result,
    model::{ApprovalDecision, ApprovalId, IncidentId, Mode, Plan, Run, RunId, RunState},
};

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartRequest {
    /// The run's id, chosen by the caller: starting the same id again returns the run that exists.
    pub run_id: RunId,
    /// The incident it serves.
    pub incident_id: IncidentId,
    /// Attempt of the incident.
    pub attempt: u32,
    /// What is to be done.
    pub plan: Plan,
    /// How far it may go.
    pub mode: Mode,
}

/// What a person or another part tells a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "signal")]
pub enum Signal {
    /// An answer to a request for approval.
    Decide {
        /// The request.
        approval_id: ApprovalId,
        /// The answer.
        decision: ApprovalDecision,
    },
    /// Other parameters for a step that waits for an answer. They are checked and shown anew, and a new request is made for the new effect.
    Edit {
        /// The request.
        approval_id: ApprovalId,
        /// Parameters after the action's schema.
        params: serde_json::Value,
        /// Who changes them; with four eyes they cannot agree to it themselves.
        by: String,
    },
    /// Begin no further step until resumed.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Take completed steps back, in reverse order.
    Rollback,
    /// End at the next safe point; completed steps stay. [`WorkflowEngine::cancel`] sends it.
    Cancel,
}

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunFilter {
    /// Only of this incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// Only in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// At most this many, newest first; default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Runs plans so that a crash at any point loses nothing and doubles nothing.
#[async_trait]
pub trait WorkflowEngine: Debug + Send + Sync + 'static {
    /// Accepts a plan; returns when it is durable, not when it has ended.
    ///
    /// Rules:
    /// 1. Starting an id again returns the existing run unchanged.
    /// 2. A plan with no step, a repeated step id, an unknown dependency or a cycle is refused with `InvalidInput`, and nothing is stored.
    /// 3. Steps begin only after all their dependencies have completed.
    /// 4. One run at a time holds a target; another waits. The lock is released on every path.
    ///
    /// # Errors
    /// `InvalidInput` as above, or errors of the ledger.
    async fn start(&self, ctx: CallContext, request: StartRequest) -> Result<Run>;

    /// The run as it stands.
    ///
    /// # Errors
    /// `NotFound` for an unknown id.
    async fn get(&self, ctx: CallContext, id: RunId) -> Result<Run>;

    /// Tells a run something.
    ///
    /// Rules:
    /// 1. An approval counts once; a second answer is a `Conflict`. After its expiry it counts as "no".
    /// 2. An answer that names another digest than the one asked for is refused with `DigestChanged`.
    /// 3. A run that has ended takes no signal but `Rollback`, which takes back what can be taken back.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `DigestChanged`, or errors of the ledger.
    async fn signal(&self, ctx: CallContext, id: RunId, signal: Signal) -> Result<Run>;

    /// Asks a run to end at the next safe point; completed steps stay.
    ///
    /// # Errors
    /// `NotFound` for an unknown id. A run that has ended is returned unchanged.
    async fn cancel(&self, ctx: CallContext, id: RunId) -> Result<Run>;

    /// Lists runs.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::ListRuns`].
    async fn list(&self, _ctx: CallContext, _filter: RunFilter) -> Result<Vec<Run>> {
        Err(Error::unsupported("workflow_engine.list", "this engine cannot list its runs"))
    }

    /// Optional operations offered.
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
}

delegate!(WorkflowEngine {
    async fn start(&self, ctx: CallContext, request: StartRequest) -> Result<Run>;
    async fn get(&self, ctx: CallContext, id: RunId) -> Result<Run>;
    async fn signal(&self, ctx: CallContext, id: RunId, signal: Signal) -> Result<Run>;
    async fn cancel(&self, ctx: CallContext, id: RunId) -> Result<Run>;
    async fn list(&self, ctx: CallContext, filter: RunFilter) -> Result<Vec<Run>>;
} sync { fn capabilities(&self) -> Vec<Capability>; });
