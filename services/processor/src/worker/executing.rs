//! Phases `executing` and `awaiting_approval`: follow the run.

use std::time::Duration;

use kubernaut_core::{
    ErrorKind,
    model::{Block, BlockReason, ExecutionOutcome, Incident, Phase, Run, RunState, StepState, Timestamp},
    service::Signal,
};

use super::session::{Flow, Session, Step, Stop};
use crate::lifecycle::{Input, after, after_ms};

const READ: Duration = Duration::from_secs(10);
pub(super) const GONE: &str = "the workflow engine does not know the run; what it did cannot be told";

impl Session<'_> {
    pub(super) async fn follow_run(&mut self) -> Step<Flow> {
        // A run that is gone is never started again: what it did is not known.
        let Some(run) = self.fetch_run().await? else {
            return self.end(Input::RunUnknown, GONE.into()).await;
        };
        if !run.state.is_terminal() && self.must_stop(&run) && !run.cancel_requested && !self.signalled(&run, &Signal::Cancel).await {
            let engine = &self.inner.parts.engine;
            self.call("workflow_engine.cancel", READ, |ctx| engine.cancel(ctx, run.id)).await?;
        }
        match run.state {
            RunState::AwaitingApproval if self.incident.phase == Phase::Executing => {
                self.go(Input::ApprovalAsked, or(&run.message, "a person is asked to agree"), Vec::new()).await
            }
            RunState::Running | RunState::Compensating if self.incident.phase == Phase::AwaitingApproval => {
                self.go(Input::ApprovalGiven, or(&run.message, "agreed; the plan goes on"), Vec::new()).await
            }
            state if !state.is_terminal() => Ok(Flow::Wait(self.next_look_at_run())),
            state => self.run_ended(&run, state).await,
        }
    }

    /// The ledger wakes the incident when its run moves; this is for engines that do not use it.
    fn next_look_at_run(&self) -> Timestamp {
        match self.incident.phase {
            Phase::AwaitingApproval => after(self.now(), self.inner.config.waiting_poll_s.max(1)),
            _ => after_ms(self.now(), self.inner.config.run_poll_ms.max(50)),
        }
    }

    /// The incident's run; `None` if the engine does not know it.
    pub(super) async fn fetch_run(&self) -> Step<Option<Run>> {
        let Some(id) = self.incident.run_id else { return Ok(None) };
        let engine = &self.inner.parts.engine;
        match self.call("workflow_engine.get", READ, |ctx| engine.get(ctx, id)).await {
            Ok(run) => Ok(Some(run)),
            Err(Stop::Service(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// Whether the engine has been told but has not read it yet.
    pub(super) async fn signalled(&self, run: &Run, signal: &Signal) -> bool {
        let waiting = self.inner.parts.ledger.signals(self.ctx(), run.id).await.unwrap_or_default();
        waiting.iter().any(|(_, s)| s == signal)
    }

    /// A person asked for it, or there is nothing left to fix and nothing was done. Once a step began, its effect has to be judged.
    fn must_stop(&self, run: &Run) -> bool {
        self.cancel || (self.incident.phase == Phase::AwaitingApproval && self.incident.firing == 0 && untouched(run))
    }

    async fn run_ended(&mut self, run: &Run, state: RunState) -> Step<Flow> {
        if self.cancel {
            return self.end(Input::CancelRequested, format!("cancelled by a person; the run ended {}", state.as_str())).await;
        }
        match state {
            RunState::Succeeded => self.go(Input::RunSucceeded, "the plan was carried out; its effect is being checked".into(), Vec::new()).await,
            RunState::Rejected => self.end(Input::RunRefused, or(&run.message, "a person said no")).await,
            RunState::Unknown => self.end(Input::RunUnknown, or(&run.message, "it cannot be told whether a step took effect")).await,
            RunState::RolledBack => self.end(Input::RunTakenBack, or(&run.message, "the plan was taken back")).await,
            RunState::Cancelled if self.incident.phase == Phase::AwaitingApproval && self.incident.firing == 0 && untouched(run) => {
                self.end(Input::AlertEnded, "the alert ended before anything was done".into()).await
            }
            RunState::Cancelled => self.end(Input::RunCancelled, or(&run.message, "the run was cancelled")).await,
            _ => self.run_failed(run).await,
        }
    }

    async fn run_failed(&mut self, run: &Run) -> Step<Flow> {
        if let Some(refusal) = refusal(run) {
            return self.end(Input::RunRefused, format!("refused by the gate: {refusal}")).await;
        }
        let message = failure(run);
        if untouched(run) && self.incident.attempt < self.inner.config.max_attempts {
            return self.try_again(message).await;
        }
        self.end(Input::RunFailed, message).await
    }

    /// Another attempt begins with a fresh look: what was found belongs to the one before.
    async fn try_again(&mut self, message: String) -> Step<Flow> {
        let until = after(self.now(), self.inner.config.blocks.backoff_after(self.incident.attempt));
        let text = format!("attempt {} failed before anything was changed: {message}; next try after {until}", self.incident.attempt);
        self.incident = Incident {
            attempt: self.incident.attempt.saturating_add(1),
            block: Some(Block { reason: BlockReason::Backoff, until, text: text.clone() }),
            analysis: None,
            decision: None,
            decision_reason: String::new(),
            plan: None,
            run_id: None,
            verification: None,
            ..self.incident.clone()
        };
        self.go(Input::RunToRetry, text, Vec::new()).await
    }
}

/// Whether certainly no step changed anything.
pub(super) fn untouched(run: &Run) -> bool {
    let idle = |state| matches!(state, StepState::Pending | StepState::AwaitingApproval | StepState::Skipped | StepState::Failed);
    run.steps.iter().all(|step| idle(step.state)) && !acted(run)
}

/// Whether any step changed something.
pub(super) fn acted(run: &Run) -> bool {
    let outcomes = run.steps.iter().filter_map(|s| s.execution.as_ref()).map(|e| e.outcome);
    outcomes.into_iter().any(|o| matches!(o, ExecutionOutcome::Applied | ExecutionOutcome::AlreadyApplied))
}

/// The check of the gate that refused a step.
fn refusal(run: &Run) -> Option<String> {
    run.steps.iter().filter_map(|s| s.execution.as_ref()).find_map(|e| match (e.report.refusal(), e.outcome) {
        (Some(check), _) => Some(format!("{}: {}", check.name, check.text)),
        (None, ExecutionOutcome::Refused) => Some(e.message.clone()),
        _ => None,
    })
}

fn failure(run: &Run) -> String {
    let step = run.steps.iter().find_map(|s| Some(format!("step {}: {}", s.id, s.error.as_ref()?)));
    step.unwrap_or_else(|| or(&run.message, "the run failed"))
}

fn or(message: &str, otherwise: &str) -> String {
    if message.is_empty() { otherwise.to_owned() } else { message.to_owned() }
}
