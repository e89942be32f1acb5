//! Taking an action back.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Execution, ExecutionOutcome, Reversibility},
    port::{PatchKind, PatchRequest},
    service::{CallContext, UndoRequest},
};
use serde_json::Value;

use super::{KubeExecutor, execution, gone, unchanged};
use crate::{
    action::Action,
    effect::{Effects, restore},
    marks::{self, FIELD_MANAGER},
    registry,
};

const TRIES: u32 = 4;

impl KubeExecutor {
    pub(super) async fn take_back(&self, ctx: &CallContext, undo: &UndoRequest) -> Result<Execution> {
        let action = registry::find(&undo.request.action).ok_or_else(|| registry::unknown(&undo.request.action))?;
        match action.reversibility {
            Reversibility::Undo => {}
            Reversibility::NotNeeded => {
                return Ok(unchanged(action, &undo.request, ExecutionOutcome::NoChange, format!("{} leaves nothing to take back", action.name)));
            }
            Reversibility::Compensate | Reversibility::Irreversible => {
                return Err(Error::unsupported("executor.undo", "this action cannot be taken back").with("action", action.name));
            }
        }
        if undo.execution.changes.is_empty() {
            return Ok(unchanged(action, &undo.request, ExecutionOutcome::NoChange, "nothing was changed, so nothing is taken back".into()));
        }
        let mut tries = 1;
        loop {
            match self.try_undo(ctx, action, undo).await {
                // A moved resource version is read again; a field that somebody changed fails before any write.
                Err(Attempt::Write(error)) if error.kind() == ErrorKind::Conflict && tries < TRIES => tries += 1,
                // A conflict would say that the fields were changed, which they were not.
                Err(Attempt::Write(error)) if error.kind() == ErrorKind::Conflict => {
                    return Err(Error::new(ErrorKind::Unavailable, "executor.undo", "the object does not hold still; try again")
                        .with("target", &undo.request.target)
                        .source(error));
                }
                Err(Attempt::Write(error) | Attempt::Plan(error)) => return Err(error),
                Ok(done) => return Ok(done),
            }
        }
    }

    async fn try_undo(&self, ctx: &CallContext, action: &Action, undo: &UndoRequest) -> Result<Execution, Attempt> {
        let target = undo.request.target.clone();
        let current = self.read.get(ctx.clone(), target.clone()).await.map_err(Attempt::Plan)?.ok_or_else(|| Attempt::Plan(gone(&undo.request)))?;
        if marks::holds(&current, &undo.key) {
            return Ok(unchanged(action, &undo.request, ExecutionOutcome::AlreadyApplied, "it was taken back under this key before".into()));
        }
        let operations = restore(&current, &undo.execution.changes, &undo.execution.pre_state).map_err(Attempt::Plan)?;
        if operations.is_empty() {
            return Ok(unchanged(action, &undo.request, ExecutionOutcome::NoChange, "the fields are as they were before the action".into()));
        }
        let mut reference = current.reference();
        reference.cluster = target.cluster;
        let request = PatchRequest {
            target: reference.clone(),
            kind: PatchKind::Json,
            body: marks::add_to_patch(PatchKind::Json, Value::Array(operations), &current, &undo.key),
            resource_version: current.resource_version().map(str::to_owned),
            field_manager: FIELD_MANAGER.into(),
            dry_run: false,
        };
        let outcome = self.write.patch(ctx.clone(), request).await.map_err(Attempt::Write)?;
        let effects = Effects::of_patch(action.name, &reference, &outcome.before, &outcome.after);
        tracing::info!(action = action.name, target = %reference, key = %undo.key, "taken back");
        let message = format!("took {} on {reference} back: {} fields restored", action.name, effects.changes.len());
        Ok(execution(ExecutionOutcome::Applied, effects, message, outcome.simulated))
    }
}

/// Where a try failed: only a failed write is worth another one.
enum Attempt {
    Plan(Error),
    Write(Error),
}
