//! The ledger's trait over the functions that speak SQL.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    model::{
        Alert, Approval, ApprovalDecision, ApprovalId, AuditRow, Event, Execution, Incident, IncidentId, IntakeResult, Intent, IntentState,
        JournalEntry, Notification, NotificationId, ObjectRef, Run, RunId, Timestamp,
    },
    port::{Advance, Clock, IncidentFilter, Intake, Lease, Ledger, LedgerStats, NewEvent, OutboxItem, RunChange, RunLease},
    service::{CallContext, RunFilter, Signal},
};
use tokio::sync::watch;

use super::{
    approvals, backend::Backend, config::PostgresConfig, context::PostgresContextStore, control, events, incidents, intents, journal, leases, locks,
    outbox, rekey, runs, signals,
};
use crate::shared::request::request;

/// The ledger in a PostgreSQL database. Several processes may share it. Cheap to clone; all clones are the same ledger.
#[derive(Debug, Clone)]
pub struct PostgresLedger {
    backend: Arc<Backend>,
    clock: Arc<dyn Clock>,
}

impl PostgresLedger {
    /// Opens the ledger, and makes or upgrades it where needed. Times come from `clock` alone.
    ///
    /// # Errors
    /// `InvalidInput` for settings that cannot work, `Unauthorized` or `NotFound` where the address names a wrong user or database,
    /// `Unsupported` if a newer version wrote the schema, `Corrupt` if it is another program's, `Unavailable` if it cannot be reached.
    pub async fn open(config: PostgresConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let backend = Arc::new(Backend::open(config, clock.clone()).await?);
        Ok(Self { backend, clock })
    }

    pub(crate) fn shared(&self) -> &super::backend::Shared {
        &self.backend.shared
    }

    /// The memory of incidents in the same database.
    #[must_use]
    pub fn context_store(&self) -> PostgresContextStore {
        PostgresContextStore::new(self.backend.clone())
    }

    /// Finishes the alerts that wait, then closes all connections. Later calls are `Unavailable`.
    ///
    /// # Errors
    /// None so far.
    pub async fn close(&self) -> Result<()> {
        self.backend.close().await
    }
}

/// One line for each method: whether it reads or writes, under which name, and the function that does it.
macro_rules! call {
    ($self:ident.$how:ident($ctx:ident, $operation:literal, |$tx:ident| $work:expr)) => {
        $self.backend.shared.$how(&$ctx, $operation, |$tx| Box::pin($work)).await
    };
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn intake(&self, ctx: CallContext, intake: Intake) -> Result<Vec<IntakeResult>> {
        if intake.alerts.is_empty() {
            return Ok(Vec::new());
        }
        self.backend.intake(&ctx, request(&ctx, intake, self.clock.now())).await
    }

    async fn incident(&self, ctx: CallContext, id: IncidentId) -> Result<Incident> {
        call!(self.read(ctx, "ledger.incident", |tx| async move { Ok(incidents::row(tx, "ledger.incident", id).await?.incident) }))
    }

    async fn incidents(&self, ctx: CallContext, filter: IncidentFilter) -> Result<Vec<Incident>> {
        call!(self.read(ctx, "ledger.incidents", |tx| incidents::list(tx, filter.clone())))
    }

    async fn alerts(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<Alert>> {
        call!(self.read(ctx, "ledger.alerts", |tx| incidents::alerts(tx, id)))
    }

    async fn claim(&self, ctx: CallContext, worker: String, ttl: Duration) -> Result<Option<Lease>> {
        call!(self.write(ctx, "ledger.claim", |tx| leases::claim(tx, worker.clone(), ttl)))
    }

    async fn renew(&self, ctx: CallContext, id: IncidentId, epoch: u64, ttl: Duration) -> Result<Timestamp> {
        call!(self.write(ctx, "ledger.renew", |tx| leases::renew(tx, id, epoch, ttl)))
    }

    async fn advance(&self, ctx: CallContext, advance: Advance) -> Result<Incident> {
        call!(self.write(ctx, "ledger.advance", |tx| leases::advance(tx, advance.clone())))
    }

    async fn rekey(&self, ctx: CallContext, id: IncidentId, epoch: u64, owner: ObjectRef, fingerprint: String) -> Result<Option<IncidentId>> {
        let actor = ctx.actor.to_string();
        call!(self.write(ctx, "ledger.rekey", |tx| rekey::rekey(tx, id, epoch, owner.clone(), fingerprint.clone(), actor.clone())))
    }

    async fn absorb(&self, ctx: CallContext, into: IncidentId, from: Vec<IncidentId>) -> Result<Vec<IncidentId>> {
        let actor = ctx.actor.to_string();
        call!(self.write(ctx, "ledger.absorb", |tx| rekey::absorb(tx, into, from.clone(), actor.clone())))
    }

    async fn wake_incident(&self, ctx: CallContext, id: IncidentId) -> Result<()> {
        call!(self.write(ctx, "ledger.wake_incident", |tx| incidents::wake(tx, "ledger.wake_incident", id)))
    }

    async fn cancel_incident(&self, ctx: CallContext, id: IncidentId) -> Result<()> {
        let actor = ctx.actor.to_string();
        call!(self.write(ctx, "ledger.cancel_incident", |tx| incidents::cancel(tx, id, actor.clone())))
    }

    async fn cancel_requested(&self, ctx: CallContext, id: IncidentId) -> Result<bool> {
        call!(self.read(
            ctx,
            "ledger.cancel_requested",
            |tx| async move { Ok(incidents::row(tx, "ledger.cancel_requested", id).await?.cancel_requested) }
        ))
    }

    async fn create_run(&self, ctx: CallContext, run: Run) -> Result<Run> {
        call!(self.write(ctx, "ledger.create_run", |tx| runs::create(tx, run.clone())))
    }

    async fn run(&self, ctx: CallContext, id: RunId) -> Result<Run> {
        call!(self.read(ctx, "ledger.run", |tx| async move { Ok(runs::row(tx, "ledger.run", id).await?.run) }))
    }

    async fn runs(&self, ctx: CallContext, filter: RunFilter) -> Result<Vec<Run>> {
        call!(self.read(ctx, "ledger.runs", |tx| runs::list(tx, filter.clone())))
    }

    async fn claim_run(&self, ctx: CallContext, worker: String, ttl: Duration) -> Result<Option<RunLease>> {
        call!(self.write(ctx, "ledger.claim_run", |tx| runs::claim(tx, worker.clone(), ttl)))
    }

    async fn renew_run(&self, ctx: CallContext, id: RunId, epoch: u64, ttl: Duration) -> Result<Timestamp> {
        call!(self.write(ctx, "ledger.renew_run", |tx| runs::renew(tx, id, epoch, ttl)))
    }

    async fn advance_run(&self, ctx: CallContext, change: RunChange) -> Result<Run> {
        call!(self.write(ctx, "ledger.advance_run", |tx| runs::advance(tx, change.clone())))
    }

    async fn journal(&self, ctx: CallContext, id: RunId) -> Result<Vec<JournalEntry>> {
        call!(self.read(ctx, "ledger.journal", |tx| journal::list(tx, id)))
    }

    async fn push_signal(&self, ctx: CallContext, id: RunId, signal: Signal) -> Result<u64> {
        call!(self.write(ctx, "ledger.push_signal", |tx| signals::push(tx, id, signal.clone())))
    }

    async fn signals(&self, ctx: CallContext, id: RunId) -> Result<Vec<(u64, Signal)>> {
        call!(self.read(ctx, "ledger.signals", |tx| signals::unread(tx, id)))
    }

    async fn approval(&self, ctx: CallContext, id: ApprovalId) -> Result<Approval> {
        call!(self.read(ctx, "ledger.approval", |tx| approvals::get(tx, "ledger.approval", id)))
    }

    async fn approvals(&self, ctx: CallContext, pending_only: bool) -> Result<Vec<Approval>> {
        call!(self.read(ctx, "ledger.approvals", |tx| approvals::list(tx, pending_only)))
    }

    async fn decide_approval(&self, ctx: CallContext, id: ApprovalId, decision: ApprovalDecision) -> Result<Approval> {
        call!(self.write(ctx, "ledger.decide_approval", |tx| approvals::answer(tx, id, decision.clone())))
    }

    async fn lock_target(&self, ctx: CallContext, target: String, holder: String, ttl: Duration) -> Result<bool> {
        call!(self.write(ctx, "ledger.lock_target", |tx| locks::take(tx, target.clone(), holder.clone(), ttl)))
    }

    async fn unlock_target(&self, ctx: CallContext, target: String, holder: String) -> Result<()> {
        call!(self.write(ctx, "ledger.unlock_target", |tx| locks::give_back(tx, target.clone(), holder.clone())))
    }

    async fn open_intent(&self, ctx: CallContext, intent: Intent) -> Result<Intent> {
        call!(self.write(ctx, "ledger.open_intent", |tx| intents::open(tx, intent.clone())))
    }

    async fn close_intent(&self, ctx: CallContext, key: String, state: IntentState, execution: Option<Execution>) -> Result<Intent> {
        call!(self.write(ctx, "ledger.close_intent", |tx| intents::close(tx, key.clone(), state, execution.clone())))
    }

    async fn intent(&self, ctx: CallContext, key: String) -> Result<Option<Intent>> {
        call!(self.read(ctx, "ledger.intent", |tx| intents::get(tx, key.clone())))
    }

    async fn append_events(&self, ctx: CallContext, id: IncidentId, new: Vec<NewEvent>) -> Result<()> {
        call!(self.write(ctx, "ledger.append_events", |tx| events::append(tx, id, new.clone())))
    }

    async fn events(&self, ctx: CallContext, after: u64, incident: Option<IncidentId>, limit: Option<u32>) -> Result<Vec<Event>> {
        self.backend.shared.number_events(&ctx).await?;
        call!(self.read(ctx, "ledger.events", |tx| events::after(tx, after, incident, limit)))
    }

    async fn audit(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<AuditRow>> {
        call!(self.read(ctx, "ledger.audit", |tx| events::chain(tx, id)))
    }

    async fn enqueue(&self, ctx: CallContext, notification: Notification) -> Result<()> {
        call!(self.write(ctx, "ledger.enqueue", |tx| outbox::enqueue(tx, notification.clone())))
    }

    async fn claim_outbox(&self, ctx: CallContext, limit: u32, ttl: Duration) -> Result<Vec<OutboxItem>> {
        call!(self.write(ctx, "ledger.claim_outbox", |tx| outbox::claim(tx, limit, ttl)))
    }

    async fn settle_outbox(&self, ctx: CallContext, id: NotificationId, error: Option<String>, retry_at: Option<Timestamp>) -> Result<()> {
        call!(self.write(ctx, "ledger.settle_outbox", |tx| outbox::settle(tx, id, error.clone(), retry_at)))
    }

    async fn stopped(&self, ctx: CallContext) -> Result<Option<String>> {
        call!(self.read(ctx, "ledger.stopped", |tx| control::stopped(tx)))
    }

    async fn set_stopped(&self, ctx: CallContext, reason: Option<String>) -> Result<()> {
        let actor = ctx.actor.to_string();
        call!(self.write(ctx, "ledger.set_stopped", |tx| control::set_stopped(tx, reason.clone(), actor.clone())))
    }

    async fn stats(&self, ctx: CallContext) -> Result<LedgerStats> {
        self.backend.shared.number_events(&ctx).await?;
        call!(self.read(ctx, "ledger.stats", |tx| control::stats(tx)))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.backend.changes()
    }
}
