//! What the driver reads from the ledger and stores there.

use std::time::Duration;

use kubernaut_core::{
    ErrorKind, Result,
    model::{Notification, Run, StepState, Timestamp},
    port::RunChange,
};

use super::Driver;
use crate::{
    record::{Record, record},
    state::{Transition, TryOutcome, apply},
};

/// Tries to store one transition while the ledger cannot be reached.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Answers that came in between in a row; each is read before the next try, so more means a defect.
const MAX_LOST_RACES: u32 = 5;

impl Driver {
    /// Reads what others may have changed.
    pub(super) async fn gather(&mut self) -> Result<()> {
        let ledger = &self.shared.ledger;
        self.signals = ledger.signals(self.ctx.clone(), self.run.id).await?;
        self.stopped = ledger.stopped(self.ctx.clone()).await?;
        self.approvals.clear();
        let waiting = self.run.steps.iter().filter(|s| matches!(s.state, StepState::AwaitingApproval | StepState::Pending));
        for id in waiting.filter_map(|s| s.approval_id) {
            self.approvals.insert(id, ledger.approval(self.ctx.clone(), id).await?);
        }
        Ok(())
    }

    /// Makes a transition durable.
    ///
    /// An answer that came in just before is not overwritten: nothing is stored then, and the caller decides anew with the answer.
    pub(super) async fn commit(&mut self, transition: Transition, notifications: Vec<Notification>) -> Result<()> {
        let now = self.now();
        let next = apply(&self.run, &transition, now);
        let Record { journal, events, approval, consumed_signals } = record(&next, &transition, now);
        let may_race = approval.is_some();
        let change = RunChange { journal, events, approval, consumed_signals, notifications, ..self.change(next) };
        match self.store(change).await {
            Ok(stored) => {
                self.lost_races = 0;
                self.fresh = false;
                measure(&transition);
                tracing::info!(run = %self.run.id, incident = %self.run.incident_id, state = stored.state.as_str(), message = %stored.message, "run moved on");
                self.run = stored;
                Ok(())
            }
            Err(error) if may_race && error.kind() == ErrorKind::Conflict && self.lost_races < MAX_LOST_RACES => {
                self.lost_races += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the run back: targets first, because whoever takes it up next locks them under the same name.
    pub(super) async fn park(&mut self, wake_at: Option<Timestamp>) -> Result<()> {
        self.locks.release().await;
        let change = RunChange { wake_at, release: true, ..self.change(self.run.clone()) };
        self.store(change).await.map(drop)
    }

    fn change(&self, run: Run) -> RunChange {
        RunChange {
            run,
            epoch: self.epoch,
            journal: Vec::new(),
            approval: None,
            consumed_signals: None,
            events: Vec::new(),
            notifications: Vec::new(),
            wake_at: None,
            release: false,
        }
    }

    async fn store(&mut self, change: RunChange) -> Result<Run> {
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match self.shared.ledger.advance_run(self.ctx.clone(), change.clone()).await {
                Err(error) if error.is_transient() && error.kind() != ErrorKind::Conflict => {
                    tracing::warn!(run = %self.run.id, %error, "the ledger did not take a transition; trying again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                done => return done,
            }
        }
        self.shared.ledger.advance_run(self.ctx.clone(), change).await
    }

    /// Keeps the run ours while calls take their time.
    pub(super) async fn renew(&mut self) -> Result<()> {
        let ttl = self.shared.config.lease_ttl();
        match self.shared.ledger.renew_run(self.ctx.clone(), self.run.id, self.epoch, ttl).await {
            Ok(until) => self.until = until,
            Err(error) if !error.is_transient() || self.now() >= self.until => return Err(error),
            Err(error) => tracing::warn!(run = %self.run.id, %error, "the lease could not be renewed"),
        }
        self.locks.renew().await;
        Ok(())
    }
}

fn measure(transition: &Transition) {
    match transition {
        Transition::Ended { outcome, .. } => {
            let outcome = match outcome {
                TryOutcome::Done(_) => "done",
                TryOutcome::Refused(_) => "refused",
                TryOutcome::NeedsApproval(_) => "needs_approval",
                TryOutcome::NotApplied { .. } => "not_applied",
                TryOutcome::Unknown { .. } => "unknown",
            };
            metrics::counter!("kubernaut_workflow_tries_total", "outcome" => outcome).increment(1);
        }
        Transition::Asked { .. } => metrics::counter!("kubernaut_workflow_approvals_total").increment(1),
        Transition::UndoEnded { .. } => metrics::counter!("kubernaut_workflow_undos_total").increment(1),
        Transition::Finished { state, .. } => metrics::counter!("kubernaut_workflow_runs_ended_total", "state" => state.as_str()).increment(1),
        _ => {}
    }
}
