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
    approvals, backend::Backend, config::SqliteConfig, context::SqlContextStore, control, events, incidents, intents, journal, leases, locks, outbox,
    rekey, row::minus, runs, signals,
};
use crate::rules::intake::Request;

/// The ledger in one SQLite file, or in memory. Cheap to clone; all clones are the same ledger.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    backend: Arc<Backend>,
    clock: Arc<dyn Clock>,
}

impl SqliteLedger {
    /// Opens the ledger, and makes or upgrades it where needed. Times come from `clock` alone.
    ///
    /// # Errors
    /// `LedgerInUse` if another process has the file open, `Unsupported` if a newer version wrote it, `Corrupt` if it is damaged or another
    /// program's, `Unavailable` if it cannot be read or written.
    pub async fn open(config: SqliteConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let backend = Arc::new(Backend::open(config, clock.clone()).await?);
        Ok(Self { backend, clock })
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The memory of incidents in the same database.
    #[must_use]
    pub fn context_store(&self) -> SqlContextStore {
        SqlContextStore::new(self.backend.clone())
    }

    /// Finishes what waits, then closes the database and gives the file free. Later calls are `Unavailable`.
    ///
    /// # Errors
    /// None so far; a file that cannot be closed cleanly is recovered when it is opened again.
    pub async fn close(&self) -> Result<()> {
        self.backend.close().await
    }

    fn request(&self, ctx: &CallContext, intake: Intake) -> Request {
        let since = |quiet: Duration| (!quiet.is_zero()).then(|| minus(self.clock.now(), quiet));
        Request {
            tenant: ctx.tenant.to_string(),
            cluster: ctx.cluster.to_string(),
            actor: ctx.actor.to_string(),
            alerts: intake.alerts,
            quiet_since: since(intake.policy.quiet_after_no_action),
            handed_over_since: since(intake.policy.quiet_after_handover),
        }
    }
}

/// One line for each method: whether it reads or writes, under which name, and the function that does it.
macro_rules! call {
    ($self:ident.$how:ident($ctx:ident, $operation:literal, |$tx:ident| $work:expr)) => {
        $self.backend.$how(&$ctx, $operation, move |$tx| Box::pin($work)).await
    };
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn intake(&self, ctx: CallContext, intake: Intake) -> Result<Vec<IntakeResult>> {
        if intake.alerts.is_empty() {
            return Ok(Vec::new());
        }
        self.backend.intake(&ctx, self.request(&ctx, intake)).await
    }

    async fn incident(&self, ctx: CallContext, id: IncidentId) -> Result<Incident> {
        call!(self.read(ctx, "ledger.incident", |tx| async move { Ok(incidents::row(tx, "ledger.incident", id).await?.incident) }))
    }

    async fn incidents(&self, ctx: CallContext, filter: IncidentFilter) -> Result<Vec<Incident>> {
        call!(self.read(ctx, "ledger.incidents", |tx| incidents::list(tx, filter)))
    }

    async fn alerts(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<Alert>> {
        call!(self.read(ctx, "ledger.alerts", |tx| incidents::alerts(tx, id)))
    }

    async fn claim(&self, ctx: CallContext, worker: String, ttl: Duration) -> Result<Option<Lease>> {
        call!(self.write(ctx, "ledger.claim", |tx| leases::claim(tx, worker, ttl)))
    }

    async fn renew(&self, ctx: CallContext, id: IncidentId, epoch: u64, ttl: Duration) -> Result<Timestamp> {
        call!(self.write(ctx, "ledger.renew", |tx| leases::renew(tx, id, epoch, ttl)))
    }

    async fn advance(&self, ctx: CallContext, advance: Advance) -> Result<Incident> {
        call!(self.write(ctx, "ledger.advance", |tx| leases::advance(tx, advance)))
    }

    async fn rekey(&self, ctx: CallContext, id: IncidentId, epoch: u64, owner: ObjectRef, fingerprint: String) -> Result<Option<IncidentId>> {
        let actor = ctx.actor.to_string();
        call!(self.write(ctx, "ledger.rekey", |tx| rekey::rekey(tx, id, epoch, owner, fingerprint, actor)))
    }

    async fn absorb(&self, ctx: CallContext, into: IncidentId, from: Vec<IncidentId>) -> Result<Vec<IncidentId>> {
        let actor = ctx.actor.to_string();
        call!(self.write(ctx, "ledger.absorb", |tx| rekey::absorb(tx, into, from, actor)))
    }

    async fn wake_incident(&self, ctx: CallContext, id: IncidentId) -> Result<()> {
        call!(self.write(ctx, "ledger.wake_incident", |tx| incidents::wake(tx, "ledger.wake_incident", id)))
    }

    async fn cancel_incident(&self, ctx: CallContext, id: IncidentId) -> Result<()> {
        let actor = ctx.actor.to_string();
        call!(self.write(ctx, "ledger.cancel_incident", |tx| incidents::cancel(tx, id, actor)))
    }

    async fn cancel_requested(&self, ctx: CallContext, id: IncidentId) -> Result<bool> {
        call!(self.read(
            ctx,
            "ledger.cancel_requested",
            |tx| async move { Ok(incidents::row(tx, "ledger.cancel_requested", id).await?.cancel_requested) }
        ))
    }

    async fn create_run(&self, ctx: CallContext, run: Run) -> Result<Run> {
        call!(self.write(ctx, "ledger.create_run", |tx| runs::create(tx, run)))
    }

    async fn run(&self, ctx: CallContext, id: RunId) -> Result<Run> {
        call!(self.read(ctx, "ledger.run", |tx| async move { Ok(runs::row(tx, "ledger.run", id).await?.run) }))
    }

    async fn runs(&self, ctx: CallContext, filter: RunFilter) -> Result<Vec<Run>> {
        call!(self.read(ctx, "ledger.runs", |tx| runs::list(tx, filter)))
    }

    async fn claim_run(&self, ctx: CallContext, worker: String, ttl: Duration) -> Result<Option<RunLease>> {
        call!(self.write(ctx, "ledger.claim_run", |tx| runs::claim(tx, worker, ttl)))
    }

    async fn renew_run(&self, ctx: CallContext, id: RunId, epoch: u64, ttl: Duration) -> Result<Timestamp> {
        call!(self.write(ctx, "ledger.renew_run", |tx| runs::renew(tx, id, epoch, ttl)))
    }

    async fn advance_run(&self, ctx: CallContext, change: RunChange) -> Result<Run> {
        call!(self.write(ctx, "ledger.advance_run", |tx| runs::advance(tx, change)))
    }

    async fn journal(&self, ctx: CallContext, id: RunId) -> Result<Vec<JournalEntry>> {
        call!(self.read(ctx, "ledger.journal", |tx| journal::list(tx, id)))
    }

    async fn push_signal(&self, ctx: CallContext, id: RunId, signal: Signal) -> Result<u64> {
        call!(self.write(ctx, "ledger.push_signal", |tx| async move { signals::push(tx, id, &signal).await }))
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
        call!(self.write(ctx, "ledger.decide_approval", |tx| approvals::answer(tx, id, decision)))
    }

    async fn lock_target(&self, ctx: CallContext, target: String, holder: String, ttl: Duration) -> Result<bool> {
        call!(self.write(ctx, "ledger.lock_target", |tx| locks::take(tx, target, holder, ttl)))
    }

    async fn unlock_target(&self, ctx: CallContext, target: String, holder: String) -> Result<()> {
        call!(self.write(ctx, "ledger.unlock_target", |tx| locks::give_back(tx, target, holder)))
    }

    async fn open_intent(&self, ctx: CallContext, intent: Intent) -> Result<Intent> {
        call!(self.write(ctx, "ledger.open_intent", |tx| intents::open(tx, intent)))
    }

    async fn close_intent(&self, ctx: CallContext, key: String, state: IntentState, execution: Option<Execution>) -> Result<Intent> {
        call!(self.write(ctx, "ledger.close_intent", |tx| async move { intents::close(tx, &key, state, execution).await }))
    }

    async fn intent(&self, ctx: CallContext, key: String) -> Result<Option<Intent>> {
        call!(self.read(ctx, "ledger.intent", |tx| async move { intents::get(tx, &key).await }))
    }

    async fn append_events(&self, ctx: CallContext, id: IncidentId, new: Vec<NewEvent>) -> Result<()> {
        call!(self.write(ctx, "ledger.append_events", |tx| events::append(tx, id, new)))
    }

    async fn events(&self, ctx: CallContext, after: u64, incident: Option<IncidentId>, limit: Option<u32>) -> Result<Vec<Event>> {
        call!(self.read(ctx, "ledger.events", |tx| events::after(tx, after, incident, limit)))
    }

    async fn audit(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<AuditRow>> {
        call!(self.read(ctx, "ledger.audit", |tx| events::chain(tx, id)))
    }

    async fn enqueue(&self, ctx: CallContext, notification: Notification) -> Result<()> {
        call!(self.write(ctx, "ledger.enqueue", |tx| outbox::enqueue(tx, notification)))
    }

    async fn claim_outbox(&self, ctx: CallContext, limit: u32, ttl: Duration) -> Result<Vec<OutboxItem>> {
        call!(self.write(ctx, "ledger.claim_outbox", |tx| outbox::claim(tx, limit, ttl)))
    }

    async fn settle_outbox(&self, ctx: CallContext, id: NotificationId, error: Option<String>, retry_at: Option<Timestamp>) -> Result<()> {
        call!(self.write(ctx, "ledger.settle_outbox", |tx| outbox::settle(tx, id, error, retry_at)))
    }

    async fn stopped(&self, ctx: CallContext) -> Result<Option<String>> {
        call!(self.read(ctx, "ledger.stopped", |tx| control::stopped(tx)))
    }

    async fn set_stopped(&self, ctx: CallContext, reason: Option<String>) -> Result<()> {
        let actor = ctx.actor.to_string();
        call!(self.write(ctx, "ledger.set_stopped", |tx| control::set_stopped(tx, reason, actor)))
    }

    async fn stats(&self, ctx: CallContext) -> Result<LedgerStats> {
        call!(self.read(ctx, "ledger.stats", |tx| control::stats(tx)))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.backend.changes()
    }
}
