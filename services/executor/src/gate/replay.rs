//! A key that was seen before is settled, not carried out again.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ActionRequest, Execution, ExecutionOutcome, IncidentId, Intent, IntentState, Observation},
    service::CallContext,
};
use serde_json::{Value, json};

use super::GatedExecutor;
use crate::registry::find_spec;

const OPERATION: &str = "gate.replay";

impl GatedExecutor {
    /// What became of an earlier call under this key; `None` if it is still to be carried out.
    pub(super) async fn replay(&self, ctx: &CallContext, request: &ActionRequest, incident: Option<IncidentId>) -> Result<Option<Execution>> {
        let Some(intent) = self.parts.ledger.intent(ctx.clone(), request.key.clone()).await? else { return Ok(None) };
        if !self.is_same(ctx, &intent.request, request).await? {
            let used = format!("{} on {}", intent.request.action, intent.request.target);
            return Err(Error::conflict(OPERATION, "the key is in use for another action; take a new one")
                .with("key", &request.key)
                .with("used_for", used));
        }
        match intent.state {
            IntentState::Applied => Ok(Some(already(intent))),
            IntentState::Undone => {
                Err(Error::new(ErrorKind::Refused, OPERATION, "the action under this key was taken back; take a new key").with("key", &request.key))
            }
            IntentState::Abandoned => Ok(None),
            IntentState::Open => self.settle(ctx, intent, incident).await,
        }
    }

    /// Whether both ask for the same action on the same object with the same parameters; the intent has the canonical name.
    pub(super) async fn is_same(&self, ctx: &CallContext, promised: &ActionRequest, asked: &ActionRequest) -> Result<bool> {
        if !promised.target.same_object(&asked.target) || given(&promised.params) != given(&asked.params) {
            return Ok(false);
        }
        let specs = self.inner.actions(ctx.clone()).await?;
        Ok(promised.action == asked.action || find_spec(&specs, &asked.action).is_some_and(|s| s.name == promised.action))
    }

    /// An intent without a result: the process ended, or the answer was lost, between promise and result.
    async fn settle(&self, ctx: &CallContext, intent: Intent, incident: Option<IncidentId>) -> Result<Option<Execution>> {
        match self.inner.observe(ctx.clone(), intent.request.clone()).await? {
            Observation::NotApplied => Ok(None),
            Observation::Applied => {
                let key = intent.key.clone();
                let settled = self.parts.ledger.close_intent(ctx.clone(), key.clone(), IntentState::Applied, intent.execution.clone()).await?;
                self.record_done(ctx, incident, "action.applied", json!({"key": key, "target": intent.request.target.to_string(), "observed": true}))
                    .await;
                Ok(Some(already(settled)))
            }
            // Transient: what cannot be seen now may be seen later. Whoever tries asks again before, and ends `unknown` if it stays so.
            Observation::Unknown => Err(Error::new(
                ErrorKind::Unavailable,
                OPERATION,
                "an earlier try under this key may have acted and it cannot be told now; a person must look if that stays so",
            )
            .with("key", &intent.key)),
        }
    }
}

/// Absent parameters are the same as none.
fn given(params: &Value) -> Option<&Value> {
    Some(params).filter(|p| p.as_object().map_or(!p.is_null(), |fields| !fields.is_empty()))
}

fn already(intent: Intent) -> Execution {
    let message = format!("it was done under this key before, {}", intent.at);
    match intent.execution {
        Some(execution) => Execution { outcome: ExecutionOutcome::AlreadyApplied, message, ..execution },
        None => Execution {
            outcome: ExecutionOutcome::AlreadyApplied,
            report: Default::default(),
            changes: Vec::new(),
            digest: intent.digest,
            pre_state: Value::Null,
            message,
            simulated: false,
        },
    }
}
