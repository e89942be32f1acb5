//! Calls to the executor: each ends with what is known about the effect.

use std::{sync::Arc, time::Duration};

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{
        ActionRequest, DryRun, Execution, ExecutionOutcome, IncidentId, Intent, IntentState, JournalKind, Observation, RunId, Step, StepRun, veil,
    },
    port::Ledger,
    service::{CallContext, ExecuteRequest, Executor, UndoRequest},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    EngineConfig,
    plan::{action_request, undo_key},
    retry::Cause,
    state::{TryOutcome, UndoOutcome, refusal},
};

/// Longest time to look what became of a step.
const LOOK: Duration = Duration::from_secs(30);

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Reply {
    Shown { step: String, result: Result<DryRun> },
    Tried { step: String, observed: Option<Observation>, outcome: TryOutcome },
    Undone { step: String, observed: Option<Observation>, outcome: UndoOutcome },
}

impl Reply {
    pub(crate) fn step(&self) -> &str {
        match self {
            Self::Shown { step, .. } | Self::Tried { step, .. } | Self::Undone { step, .. } => step,
        }
    }
}

/// Calls the executor for one step. Owned, so that a call can run beside others.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) config: EngineConfig,
    pub(crate) ctx: CallContext,
    pub(crate) run_id: RunId,
    pub(crate) incident_id: IncidentId,
    pub(crate) step: Step,
    pub(crate) is: StepRun,
}

impl Caller {
    fn request(&self) -> ActionRequest {
        action_request(&self.step, self.is.key.clone())
    }

    fn limited(&self) -> CallContext {
        self.ctx.clone().with_timeout(Duration::from_secs(self.step.timeout_s))
    }

    /// Shows the effect.
    pub(crate) async fn dry_run(self) -> Reply {
        let ctx = self.limited();
        let result = ctx.run("workflow.dry_run", self.executor.dry_run(ctx.clone(), self.request())).await;
        Reply::Shown { step: self.step.id, result }
    }

    /// Carries the step out, and looks what became of it if that does not say.
    pub(crate) async fn execute(self, digest: String) -> Reply {
        let ctx = self.limited();
        let approved_by_person = self.is.approval_id.is_some();
        let request = ExecuteRequest {
            request: self.request(),
            incident_id: Some(self.incident_id),
            approved_digest: Some(digest),
            approved_by_person,
            approval_id: self.is.approval_id,
        };
        let started = tokio::time::Instant::now();
        let result = ctx.run("workflow.execute", self.executor.execute(ctx.clone(), request)).await;
        metrics::histogram!("kubernaut_workflow_step_seconds", "action" => self.step.action.clone()).record(started.elapsed().as_secs_f64());
        let (observed, outcome) = match result {
            Ok(execution) if execution.outcome == ExecutionOutcome::Refused && self.stopped().await => {
                (None, TryOutcome::NotApplied { error: refusal(&execution), cause: Cause::Interrupted })
            }
            Ok(execution) => (None, tried(execution)),
            Err(error) => {
                self.stop_if_cancelled().await;
                let cause = self.cause(&error).await;
                self.resolved(error.to_string(), cause).await
            }
        };
        Reply::Tried { step: self.step.id, observed, outcome }
    }

    /// Looks what became of a try whose end nobody saw.
    pub(crate) async fn resolve(self) -> Reply {
        let (observed, outcome) = self.resolved("interrupted before it was carried out".into(), Cause::Interrupted).await;
        Reply::Tried { step: self.step.id, observed, outcome }
    }

    async fn resolved(&self, error: String, cause: Cause) -> (Option<Observation>, TryOutcome) {
        let observed = self.observe(self.is.key.clone()).await;
        let outcome = match observed {
            Observation::Applied => TryOutcome::Done(Box::new(self.recovered().await)),
            Observation::NotApplied => TryOutcome::NotApplied { error, cause },
            Observation::Unknown => TryOutcome::Unknown { error: format!("{error}; the executor cannot tell whether it took effect") },
        };
        (Some(observed), outcome)
    }

    /// Takes the step back, and looks what became of it if that does not say.
    pub(crate) async fn undo(self) -> Reply {
        let ctx = self.limited();
        let Some(execution) = self.is.execution.clone() else {
            let error = "nothing is known of what it did".to_owned();
            return Reply::Undone { step: self.step.id, observed: None, outcome: UndoOutcome::NotUndone { error, cause: Cause::Permanent } };
        };
        let request = UndoRequest { request: self.request(), incident_id: Some(self.incident_id), execution, key: undo_key(&self.is) };
        let result = ctx.run("workflow.undo", self.executor.undo(ctx.clone(), request)).await;
        let (observed, outcome) = match result {
            Ok(execution) if execution.outcome == ExecutionOutcome::Refused && self.stopped().await => {
                (None, UndoOutcome::NotUndone { error: refusal(&execution), cause: Cause::Interrupted })
            }
            Ok(execution) => (None, undone(execution)),
            // Both say that nothing was changed, and will not go better.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unsupported) => {
                (None, UndoOutcome::NotUndone { error: error.to_string(), cause: Cause::Permanent })
            }
            Err(error) => {
                self.stop_if_cancelled().await;
                let cause = self.cause(&error).await;
                self.undo_resolved(error.to_string(), cause).await
            }
        };
        Reply::Undone { step: self.step.id, observed, outcome }
    }

    /// Looks what became of taking a step back whose end nobody saw.
    pub(crate) async fn resolve_undo(self) -> Reply {
        let (observed, outcome) = self.undo_resolved("interrupted before it was taken back".into(), Cause::Interrupted).await;
        Reply::Undone { step: self.step.id, observed, outcome }
    }

    async fn undo_resolved(&self, error: String, cause: Cause) -> (Option<Observation>, UndoOutcome) {
        let observed = self.observe(undo_key(&self.is)).await;
        let outcome = match observed {
            Observation::Applied => UndoOutcome::Done(Box::new(found("found taken back after an interruption"))),
            Observation::NotApplied => UndoOutcome::NotUndone { error, cause },
            Observation::Unknown => UndoOutcome::Unknown { error: format!("{error}; the executor cannot tell whether it was taken back") },
        };
        (Some(observed), outcome)
    }

    /// Asks several times before it settles for `Unknown`: what broke the call often keeps the answer away for a moment, too.
    async fn observe(&self, key: String) -> Observation {
        let request = action_request(&self.step, key);
        let mut wait = Duration::from_millis(self.config.observe_backoff_ms);
        for left in (0..self.config.observe_attempts.max(1)).rev() {
            let ctx = self.ctx.clone().with_timeout(LOOK);
            match ctx.run("workflow.observe", self.executor.observe(ctx.clone(), request.clone())).await {
                Ok(told @ (Observation::Applied | Observation::NotApplied)) => return told,
                Ok(Observation::Unknown) => {}
                Err(error) => tracing::warn!(run = %self.run_id, step = %self.step.id, %error, "what became of a step cannot be seen"),
            }
            self.stop_if_cancelled().await;
            if left > 0 {
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(LOOK);
            }
        }
        Observation::Unknown
    }

    /// Whether a refusal is due to the global stop, which came between our look and the gate's. It passes, so it is no answer about the step.
    async fn stopped(&self) -> bool {
        self.ledger.stopped(self.ctx.clone()).await.is_ok_and(|reason| reason.is_some())
    }

    /// Whether trying again may help; a refusal by the stop passes with it.
    async fn cause(&self, error: &Error) -> Cause {
        if error.kind() == ErrorKind::Refused && self.stopped().await { Cause::Interrupted } else { cause(error) }
    }

    /// Once the driver has given up, nothing is concluded from an error that giving up has caused; the next one looks again.
    async fn stop_if_cancelled(&self) {
        if self.ctx.cancellation.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// What a step did that nobody saw end: from the promise to act, else from the journal. The ledger keeps values that nobody should read, so
    /// they are hidden here as the gate hides them.
    async fn recovered(&self) -> Execution {
        let intent = self.ledger.intent(self.ctx.clone(), self.is.key.clone()).await.unwrap_or_else(|error| {
            tracing::warn!(run = %self.run_id, step = %self.step.id, %error, "the promise to act cannot be read");
            None
        });
        let promised = intent.as_ref().and_then(|i| i.execution.clone());
        let execution = match promised {
            Some(promised) => Execution { outcome: ExecutionOutcome::Applied, ..promised },
            None => self.as_shown(intent.as_ref()).await,
        };
        if intent.is_some_and(|i| i.state == IntentState::Open) {
            let closed = self.ledger.close_intent(self.ctx.clone(), self.is.key.clone(), IntentState::Applied, Some(execution.clone())).await;
            if let Err(error) = closed {
                tracing::warn!(run = %self.run_id, step = %self.step.id, %error, "the promise to act stays open");
            }
        }
        veil::execution(execution)
    }

    async fn as_shown(&self, intent: Option<&Intent>) -> Execution {
        let shown = self.shown().await;
        Execution {
            outcome: ExecutionOutcome::Applied,
            changes: field(&shown, "changes").unwrap_or_default(),
            digest: self.is.approved_digest.clone().unwrap_or_default(),
            pre_state: intent.map_or_else(|| shown["pre_state"].clone(), |i| i.pre_state.clone()),
            ..found("found done after an interruption")
        }
    }

    /// The last dry-run of the step, as journalled.
    async fn shown(&self) -> Value {
        let journal = self.ledger.journal(self.ctx.clone(), self.run_id).await.unwrap_or_default();
        let last = journal.into_iter().rev().find(|line| line.kind == JournalKind::DryRun && line.step.as_deref() == Some(self.step.id.as_str()));
        last.map_or(Value::Null, |line| line.data)
    }
}

fn field<T: DeserializeOwned>(data: &Value, name: &str) -> Option<T> {
    serde_json::from_value(data.get(name)?.clone()).ok()
}

fn found(message: &str) -> Execution {
    Execution {
        outcome: ExecutionOutcome::AlreadyApplied,
        report: Default::default(),
        changes: Vec::new(),
        digest: String::new(),
        pre_state: Value::Null,
        message: message.to_owned(),
        simulated: false,
    }
}

fn tried(execution: Execution) -> TryOutcome {
    match execution.outcome {
        ExecutionOutcome::Applied | ExecutionOutcome::AlreadyApplied | ExecutionOutcome::NoChange => TryOutcome::Done(Box::new(execution)),
        ExecutionOutcome::Refused => TryOutcome::Refused(Box::new(execution)),
        ExecutionOutcome::NeedsApproval => TryOutcome::NeedsApproval(Box::new(execution)),
    }
}

fn undone(execution: Execution) -> UndoOutcome {
    match execution.outcome {
        ExecutionOutcome::Applied | ExecutionOutcome::AlreadyApplied | ExecutionOutcome::NoChange => UndoOutcome::Done(Box::new(execution)),
        ExecutionOutcome::Refused => UndoOutcome::NotUndone { error: refusal(&execution), cause: Cause::Permanent },
        ExecutionOutcome::NeedsApproval => {
            UndoOutcome::NotUndone { error: format!("a person must take it back: {}", execution.message), cause: Cause::Permanent }
        }
    }
}

/// Whether trying again may help.
pub(crate) fn cause(error: &Error) -> Cause {
    match error.kind() {
        ErrorKind::Overloaded => Cause::Busy(error.retry_delay()),
        _ if error.is_transient() => Cause::Transient(error.retry_delay()),
        _ => Cause::Permanent,
    }
}
