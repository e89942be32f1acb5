//! One incident in the hands of a worker: transitions, calls under a renewed lease, waiting, trouble.

use std::time::Duration;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Incident, Notification, Phase, Run, Timestamp},
    port::{Advance, Lease, NewEvent},
    service::CallContext,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Inner, PART, close};
use crate::lifecycle::{self, Input, after_ms};

/// What follows a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Go on at once.
    Next,
    /// Give the incident back until then.
    Wait(Timestamp),
    /// It has ended, or belongs to another now.
    Ended,
}

/// Why a step did not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The ledger refused: nothing can be recorded, so nothing more is done.
    Ledger(Error),
    /// A service failed: recorded on the incident.
    Service(Error),
}

pub(super) type Step<T> = std::result::Result<T, Stop>;

/// Limit of a call that belongs to the end of an incident.
const LAST_CALL: Duration = Duration::from_secs(10);

/// Takes a service's error as an answer, but not the loss of the lease nor a shutdown.
pub(super) fn tolerate<T>(called: Step<T>) -> Step<Result<T>> {
    match called {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Service(error)) if error.kind() != ErrorKind::Cancelled => Ok(Err(error)),
        Err(stop) => Err(stop),
    }
}

#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) inner: &'a Inner,
    pub(super) incident: Incident,
    pub(super) cancel: bool,
    epoch: u64,
    shutdown: CancellationToken,
}

impl<'a> Session<'a> {
    pub(super) fn new(inner: &'a Inner, lease: Lease, shutdown: CancellationToken) -> Self {
        Self { inner, incident: lease.incident, cancel: false, epoch: lease.epoch, shutdown }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }

    /// The context of ledger calls: they end with what was begun, also while shutting down.
    pub(super) fn ctx(&self) -> CallContext {
        let mut ctx = CallContext::system(PART).with_trace(self.incident.id).with_mode(self.inner.config.mode);
        ctx.tenant = self.incident.tenant.as_str().into();
        ctx.cluster = self.incident.cluster.as_str().into();
        ctx
    }

    pub(super) async fn drive(&mut self) {
        loop {
            let step = match self.step().await {
                Err(Stop::Service(error)) => self.trouble(error).await,
                other => other,
            };
            match step {
                Ok(Flow::Next) => {}
                Ok(Flow::Ended) => return,
                Ok(Flow::Wait(until)) => match self.wait(until).await {
                    Ok(()) => return,
                    Err(stop) => return self.lost(&stop),
                },
                Err(stop) => return self.lost(&stop),
            }
        }
    }

    async fn step(&mut self) -> Step<Flow> {
        let ledger = &self.inner.parts.ledger;
        self.cancel = ledger.cancel_requested(self.ctx(), self.incident.id).await.map_err(Stop::Ledger)?;
        match self.incident.phase {
            Phase::Executing | Phase::AwaitingApproval => self.follow_run().await,
            _ if self.cancel => self.end(Input::CancelRequested, "cancelled by a person".into()).await,
            Phase::Verifying => self.verify().await,
            _ if self.recovered().await? => self.end(Input::AlertEnded, "the alert ended before anything was done".into()).await,
            Phase::Received => self.go(Input::Claimed, "being classified".into(), Vec::new()).await,
            Phase::Blocked => self.blocked().await,
            Phase::Processing => self.process().await,
            Phase::Investigating => self.investigate().await,
            _ => Ok(Flow::Ended),
        }
    }

    /// Whether the alert ended and nothing was begun. A run that was started just before a crash has begun.
    async fn recovered(&self) -> Step<bool> {
        if self.incident.firing > 0 {
            return Ok(false);
        }
        match (self.incident.phase, self.incident.run_id) {
            (Phase::Investigating, Some(_)) => Ok(self.fetch_run().await?.is_none()),
            _ => Ok(true),
        }
    }

    async fn blocked(&mut self) -> Step<Flow> {
        let until = self.incident.block.as_ref().map_or(self.now(), |b| b.until);
        if self.now() < until {
            let look = lifecycle::after(self.now(), self.inner.config.waiting_poll_s.max(1));
            return Ok(Flow::Wait(until.min(look)));
        }
        self.go(Input::Released, "the hold is over".into(), Vec::new()).await
    }

    /// Moves on and keeps the lease.
    pub(super) async fn go(&mut self, input: Input, message: String, events: Vec<NewEvent>) -> Step<Flow> {
        self.transit(input, message, events, Vec::new()).await?;
        Ok(if self.incident.phase.is_terminal() { Flow::Ended } else { Flow::Next })
    }

    /// Ends the incident: memory first, since it can be written again, then phase, events and notification in one transaction.
    pub(super) async fn end(&mut self, input: Input, message: String) -> Step<Flow> {
        self.end_with(input, message, Vec::new(), &close::Extra::default()).await
    }

    pub(super) async fn end_with(&mut self, input: Input, message: String, events: Vec<NewEvent>, extra: &close::Extra) -> Step<Flow> {
        let mut ended = self.following(input, message)?;
        let now = self.now();
        ended.closed_at = Some(now);
        ended.outcome = lifecycle::outcome(ended.phase);
        let run = self.run_if_any(&ended).await?;
        let (entry, context) = (close::entry(&ended, run.as_ref(), now), &self.inner.parts.context);
        let remembered = self.last_call("context_store.remember", |ctx| context.remember(ctx, entry)).await;
        if let Err(error) = tolerate(remembered)? {
            tracing::warn!(incident = %ended.id, %error, "the incident is not remembered");
        }
        let notification = close::notification(&ended, run.as_ref(), extra, now);
        self.write(ended, events, vec![notification]).await?;
        let seconds = now.duration_since(self.incident.opened_at).as_secs_f64();
        metrics::histogram!("kubernaut_processor_incident_seconds", "phase" => self.incident.phase.as_str()).record(seconds);
        Ok(Flow::Ended)
    }

    async fn run_if_any(&self, incident: &Incident) -> Step<Option<Run>> {
        let Some(id) = incident.run_id else { return Ok(None) };
        let engine = &self.inner.parts.engine;
        let run = self.last_call("workflow_engine.get", |ctx| engine.get(ctx, id)).await;
        Ok(tolerate(run)?.ok())
    }

    async fn transit(&mut self, input: Input, message: String, events: Vec<NewEvent>, notifications: Vec<Notification>) -> Step<()> {
        let following = self.following(input, message)?;
        self.write(following, events, notifications).await
    }

    fn following(&self, input: Input, message: String) -> Step<Incident> {
        let phase = lifecycle::next(self.incident.phase, input).map_err(Stop::Service)?;
        Ok(Incident { phase, phase_since: self.now(), message, ..self.incident.clone() })
    }

    async fn write(&mut self, incident: Incident, mut events: Vec<NewEvent>, notifications: Vec<Notification>) -> Step<()> {
        let (from, to) = (self.incident.phase, incident.phase);
        let data = json!({"from": from, "to": to, "attempt": incident.attempt, "message": incident.message});
        events.push(NewEvent::system("incident.phase_changed", PART, data));
        let release = to.is_terminal();
        tracing::info!(incident = %incident.id, %from, %to, message = %incident.message, "phase changed");
        self.advance(Advance { incident, epoch: self.epoch, events, notifications, wake_at: None, release }).await?;
        metrics::counter!("kubernaut_processor_transitions_total", "phase" => to.as_str()).increment(1);
        Ok(())
    }

    /// Records facts without a change of phase.
    pub(super) async fn note(&mut self, incident: Incident, events: Vec<NewEvent>) -> Step<()> {
        self.advance(Advance { incident, epoch: self.epoch, events, notifications: Vec::new(), wake_at: None, release: false }).await
    }

    async fn advance(&mut self, advance: Advance) -> Step<()> {
        self.incident = self.inner.parts.ledger.advance(self.ctx(), advance).await.map_err(Stop::Ledger)?;
        Ok(())
    }

    /// Gives the incident back until `until`, or ends it if its time is over.
    async fn wait(&mut self, until: Timestamp) -> Step<()> {
        let deadline = lifecycle::deadline(&self.incident, &self.inner.config.timeouts, self.inner.config.verification.longest());
        let now = self.now();
        if now >= deadline {
            return self.time_out().await.map(|_| ());
        }
        let incident = self.incident.clone();
        let wake_at = Some(until.min(deadline));
        self.advance(Advance { incident, epoch: self.epoch, events: Vec::new(), notifications: Vec::new(), wake_at, release: true }).await
    }

    async fn time_out(&mut self) -> Step<Flow> {
        let phase = self.incident.phase;
        if let (Phase::Executing | Phase::AwaitingApproval, Some(run)) = (phase, self.incident.run_id) {
            let engine = &self.inner.parts.engine;
            let told = self.last_call("workflow_engine.cancel", |ctx| engine.cancel(ctx, run)).await;
            if let Err(error) = tolerate(told)? {
                tracing::warn!(incident = %self.incident.id, %error, "the run of a timed-out incident cannot be cancelled");
            }
        }
        let reason = if self.incident.message.is_empty() { String::new() } else { format!(": {}", self.incident.message) };
        self.end(Input::TimedOut, format!("{phase} took too long{reason}")).await
    }

    /// Runs a service call with a deadline, renewing the lease while it lasts.
    pub(super) async fn call<T, F>(&self, operation: &'static str, limit: Duration, work: impl FnOnce(CallContext) -> F) -> Step<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let ctx = self.ctx().with_cancellation(self.shutdown.child_token()).with_timeout(limit);
        self.under_lease(ctx, operation, work).await
    }

    /// A short call that belongs to the end of an incident: shutting down does not cut it off.
    async fn last_call<T, F>(&self, operation: &'static str, work: impl FnOnce(CallContext) -> F) -> Step<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.under_lease(self.ctx().with_timeout(LAST_CALL), operation, work).await
    }

    async fn under_lease<T, F>(&self, ctx: CallContext, operation: &'static str, work: impl FnOnce(CallContext) -> F) -> Step<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let work = ctx.run(operation, work(ctx.clone()));
        tokio::pin!(work);
        let lease = self.inner.config.lease();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done.map_err(Stop::Service),
                () = tokio::time::sleep(lease / 3) => self.renew(lease).await?,
            }
        }
    }

    async fn renew(&self, lease: Duration) -> Step<()> {
        match self.inner.parts.ledger.renew(self.ctx(), self.incident.id, self.epoch, lease).await {
            Err(error) if error.kind() == ErrorKind::StaleEpoch => Err(Stop::Ledger(error)),
            Err(error) => {
                tracing::warn!(incident = %self.incident.id, %error, "lease not renewed");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// A service failed: give back on shutdown, try again if it may pass, else end.
    async fn trouble(&mut self, error: Error) -> Step<Flow> {
        if self.shutdown.is_cancelled() && error.kind() == ErrorKind::Cancelled {
            return Ok(Flow::Wait(self.now()));
        }
        metrics::counter!("kubernaut_processor_errors_total", "kind" => error.kind().as_str(), "phase" => self.incident.phase.as_str()).increment(1);
        if error.is_transient() || error.kind() == ErrorKind::Cancelled {
            tracing::warn!(incident = %self.incident.id, %error, "a service does not answer; trying again");
            self.incident.message = format!("trying again: {error}");
            return Ok(Flow::Wait(self.retry_at(&error)));
        }
        tracing::error!(incident = %self.incident.id, %error, "a step cannot be carried out");
        self.end(Input::Broken, error.to_string()).await
    }

    /// The longer it has not worked, the longer the wait.
    fn retry_at(&self, error: &Error) -> Timestamp {
        let tried = u64::try_from(self.now().duration_since(self.incident.phase_since).as_millis()).unwrap_or(0);
        let asked = error.retry_delay().and_then(|d| u64::try_from(d.as_millis()).ok()).unwrap_or(0);
        let most = self.inner.config.max_retry_s.max(1).saturating_mul(1000);
        after_ms(self.now(), tried.max(asked).clamp(1000.min(most), most))
    }

    fn lost(&self, stop: &Stop) {
        let (Stop::Ledger(error) | Stop::Service(error)) = stop;
        if error.kind() == ErrorKind::StaleEpoch {
            metrics::counter!("kubernaut_processor_leases_lost_total").increment(1);
            tracing::info!(incident = %self.incident.id, "another worker has taken over");
        } else {
            tracing::error!(incident = %self.incident.id, %error, "the incident cannot be recorded; another try follows when the lease is over");
        }
    }

    pub(super) async fn after_panic(&mut self) {
        if let Ok(stored) = self.inner.parts.ledger.incident(self.ctx(), self.incident.id).await {
            self.incident = stored;
        }
        if let Err(stop) = self.end(Input::Broken, "a service panicked; see the log".into()).await {
            self.lost(&stop);
        }
    }
}
