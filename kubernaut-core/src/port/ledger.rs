//! The ledger: everything that must survive, as domain transactions.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    Result,
    model::{
        Alert, Approval, ApprovalDecision, ApprovalId, AuditRow, Event, Execution, Incident, IncidentId, IntakeResult, Intent, IntentState,
        JournalEntry, Notification, NotificationId, ObjectRef, Phase, Run, RunId, Timestamp,
    },
    service::{CallContext, RunFilter, Signal},
};

/// How intake treats repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntakePolicy {
    /// An alert that has fired without a break since an incident that ended `no_action` within this time is counted there again instead of opening
    /// a new one. One that ended meanwhile and begins again opens one, and one that the incident has not seen. Zero turns it off.
    pub quiet_after_no_action: Duration,
    /// While any alert of an incident that ended in a person's hands (`manual_review`, `ineffective`, `rolled_back`, `failed`, `timed_out`) within
    /// this time still fires, further alerts of its fingerprint are counted there, unless they are more severe. Zero turns it off.
    pub quiet_after_handover: Duration,
}

/// Alerts of one request, committed together.
#[derive(Debug, Clone, PartialEq)]
pub struct Intake {
    /// The alerts, firing and resolved, in the order of the request.
    pub alerts: Vec<Alert>,
    /// How repetitions are treated.
    pub policy: IntakePolicy,
}

/// Which incidents to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentFilter {
    /// Only in one of these phases; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    /// Only open ones (`true`) or ended ones (`false`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// Only of this fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Only of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only opened before this incident (by id), for paging.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<IncidentId>,
    /// At most this many, newest first; default 100, at most 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// An incident in the hands of a worker. Writes carry the epoch; a stale one is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The incident as it stood when it was claimed.
    pub incident: Incident,
    /// Grows with every claim.
    pub epoch: u64,
    /// Who holds it.
    pub worker: String,
    /// Until when.
    pub until: Timestamp,
}

/// An event to be written, with its audit row.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Type, such as `incident.classified`.
    pub kind: &'static str,
    /// Who, such as `system:processor`.
    pub actor: String,
    /// Details; never a secret.
    pub data: Value,
}

impl NewEvent {
    /// An event of a part of Kubernaut.
    #[must_use]
    pub fn system(kind: &'static str, part: &str, data: Value) -> Self {
        Self { kind, actor: format!("system:{part}"), data }
    }
}

/// One transition of an incident: state, events with audit rows and notifications in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Advance {
    /// The incident as it is to be. `occurrences`, `firing`, `alert_resolved_at` and `severity` are intake's and are not overwritten; `tenant`,
    /// `cluster`, `fingerprint`, `owner`, `owner_resolved` and `opened_at` change by [`Ledger::rekey`] only. `updated_at` is set, and
    /// `phase_since` and `closed_at` where the worker left them.
    pub incident: Incident,
    /// Epoch of the lease.
    pub epoch: u64,
    /// Events, in order.
    pub events: Vec<NewEvent>,
    /// Notifications for the outbox.
    pub notifications: Vec<Notification>,
    /// When to look at it again; `None` at once, unless it has ended.
    pub wake_at: Option<Timestamp>,
    /// Whether the lease is given back with it.
    pub release: bool,
}

/// A run in the hands of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct RunLease {
    /// The run as it stood when it was claimed.
    pub run: Run,
    /// Grows with every claim.
    pub epoch: u64,
    /// Until when.
    pub until: Timestamp,
}

/// One transition of a run, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct RunChange {
    /// The run as it is to be.
    pub run: Run,
    /// Epoch of the lease.
    pub epoch: u64,
    /// Journal lines, in order.
    pub journal: Vec<JournalEntry>,
    /// An approval that is opened or expires with it.
    pub approval: Option<Approval>,
    /// Signals up to this number are done with.
    pub consumed_signals: Option<u64>,
    /// Events of the incident, in order.
    pub events: Vec<NewEvent>,
    /// Notifications for the outbox.
    pub notifications: Vec<Notification>,
    /// When to look at it again; `None` at once, unless it has ended.
    pub wake_at: Option<Timestamp>,
    /// Whether the lease is given back with it.
    pub release: bool,
}

/// A notification on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxItem {
    /// The notification.
    pub notification: Notification,
    /// Attempts before this one.
    pub attempts: u32,
}

/// Counts for metrics and health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerStats {
    /// Incidents that have not ended.
    pub open_incidents: u64,
    /// Incidents that wait for a person.
    pub awaiting_approval: u64,
    /// Alerts kept.
    pub alerts: u64,
    /// Notifications not delivered yet.
    pub outbox: u64,
    /// Notifications given up.
    pub outbox_dead: u64,
    /// Sequence number of the last event.
    pub last_event: u64,
}

/// Durable state. All implementations pass one behaviour suite.
///
/// General rules: every method is one transaction: after an error nothing of it is there; after success it survives a crash of the process.
/// Times come from the injected clock. A write with a stale epoch is refused with `StaleEpoch`.
#[async_trait]
pub trait Ledger: Debug + Send + Sync + 'static {
    /// Commits the alerts of one request and their incidents.
    ///
    /// Rules:
    /// 1. As many results as alerts, in order; none is dropped.
    /// 2. At most one open incident exists per tenant, cluster and fingerprint, under any concurrency.
    /// 3. A firing alert of an open incident is a `Duplicate` and is counted; a resolved one is `Resolved` and recorded; a resolved one without an
    ///    open incident is `Ignored` and kept.
    /// 4. `firing` counts distinct alerts (source fingerprint, else labels) whose last word is firing; when it falls to zero
    ///    `alert_resolved_at` is set, when it rises it is cleared.
    /// 5. Each `Created` writes an `incident.received` event and audit row.
    /// 6. An incident is woken when more changes than how often an alert was repeated: what fires, its end, its severity.
    /// 7. An alert whose id is stored already is `Rejected` and not counted; the others of the request are taken in.
    ///
    /// # Errors
    /// `Overloaded` if the bounded queue is full; `Unavailable`.
    async fn intake(&self, ctx: CallContext, intake: Intake) -> Result<Vec<IntakeResult>>;

    /// One incident.
    ///
    /// # Errors
    /// `NotFound`.
    async fn incident(&self, ctx: CallContext, id: IncidentId) -> Result<Incident>;

    /// Incidents, newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn incidents(&self, ctx: CallContext, filter: IncidentFilter) -> Result<Vec<Incident>>;

    /// Alerts of an incident, oldest first.
    ///
    /// # Errors
    /// `NotFound` for an unknown incident.
    async fn alerts(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<Alert>>;

    /// Gives the next incident that needs work to `worker`: not ended, its wake time reached, not leased or its lease over; oldest first.
    ///
    /// Rules: an incident goes to one worker at a time; a wake-up that comes while a worker holds it is not lost, whatever wake time that worker
    /// writes.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn claim(&self, ctx: CallContext, worker: String, ttl: Duration) -> Result<Option<Lease>>;

    /// Extends a lease.
    ///
    /// # Errors
    /// `StaleEpoch` if another holds it by now or it was given back; `NotFound`.
    async fn renew(&self, ctx: CallContext, id: IncidentId, epoch: u64, ttl: Duration) -> Result<Timestamp>;

    /// Writes one transition of an incident. Returns it as stored, with intake's fields as they are now.
    ///
    /// # Errors
    /// `StaleEpoch`, also after the lease was given back; `NotFound`; `Conflict` if it would open an incident that has ended.
    async fn advance(&self, ctx: CallContext, advance: Advance) -> Result<Incident>;

    /// Gives an incident its true owner and fingerprint. If another open incident has that fingerprint, alerts and counts move there, this one
    /// ends `cancelled`, and the id of the other is returned.
    ///
    /// # Errors
    /// `StaleEpoch`, `NotFound`.
    async fn rekey(&self, ctx: CallContext, id: IncidentId, epoch: u64, owner: ObjectRef, fingerprint: String) -> Result<Option<IncidentId>>;

    /// Moves alerts and counts of incidents into another open one, of the same tenant; each ends `cancelled`, as after [`Ledger::rekey`]. Answers
    /// those that were moved.
    ///
    /// Rules: one that has ended, has a run or is `into` itself stays as it is, without an error. A worker that holds one finds its lease gone.
    ///
    /// # Errors
    /// `NotFound` if `into` does not exist, `Conflict` if it has ended; `Unsupported` where the implementation cannot.
    async fn absorb(&self, _ctx: CallContext, _into: IncidentId, _from: Vec<IncidentId>) -> Result<Vec<IncidentId>> {
        Err(crate::Error::unsupported("ledger.absorb", "this ledger cannot move incidents into one"))
    }

    /// Wakes an incident now, whatever its wake time.
    ///
    /// # Errors
    /// `NotFound`.
    async fn wake_incident(&self, ctx: CallContext, id: IncidentId) -> Result<()>;

    /// Asks to end an incident; the worker honours it at its next step.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if it has ended.
    async fn cancel_incident(&self, ctx: CallContext, id: IncidentId) -> Result<()>;

    /// Whether somebody asked to end it.
    ///
    /// # Errors
    /// `NotFound`.
    async fn cancel_requested(&self, ctx: CallContext, id: IncidentId) -> Result<bool>;

    /// Stores a new run; an id that exists is returned as it is.
    ///
    /// # Errors
    /// `NotFound` for an unknown incident.
    async fn create_run(&self, ctx: CallContext, run: Run) -> Result<Run>;

    /// One run.
    ///
    /// # Errors
    /// `NotFound`.
    async fn run(&self, ctx: CallContext, id: RunId) -> Result<Run>;

    /// Runs, newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn runs(&self, ctx: CallContext, filter: RunFilter) -> Result<Vec<Run>>;

    /// Gives the next run that needs work to `worker`, as [`Ledger::claim`]; a run with unread signals needs work, an ended one too.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn claim_run(&self, ctx: CallContext, worker: String, ttl: Duration) -> Result<Option<RunLease>>;

    /// Extends the lease of a run.
    ///
    /// # Errors
    /// `StaleEpoch` if another holds it by now.
    async fn renew_run(&self, ctx: CallContext, id: RunId, epoch: u64, ttl: Duration) -> Result<Timestamp>;

    /// Writes one transition of a run, and wakes its incident if the run's state changed.
    ///
    /// # Errors
    /// `StaleEpoch`, `NotFound`; `Conflict` if its approval was answered meanwhile: read it again.
    async fn advance_run(&self, ctx: CallContext, change: RunChange) -> Result<Run>;

    /// The journal of a run, oldest first.
    ///
    /// # Errors
    /// `NotFound`.
    async fn journal(&self, ctx: CallContext, id: RunId) -> Result<Vec<JournalEntry>>;

    /// Leaves a signal for the engine that drives the run.
    ///
    /// # Errors
    /// `NotFound`.
    async fn push_signal(&self, ctx: CallContext, id: RunId, signal: Signal) -> Result<u64>;

    /// Signals not done with, oldest first.
    ///
    /// # Errors
    /// `NotFound`.
    async fn signals(&self, ctx: CallContext, id: RunId) -> Result<Vec<(u64, Signal)>>;

    /// One approval.
    ///
    /// # Errors
    /// `NotFound`.
    async fn approval(&self, ctx: CallContext, id: ApprovalId) -> Result<Approval>;

    /// Approvals, newest first; only pending ones if asked so.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn approvals(&self, ctx: CallContext, pending_only: bool) -> Result<Vec<Approval>>;

    /// Records a person's answer and wakes the run.
    ///
    /// Rules:
    /// 1. Counts once; after `expires_at` it is `expired` and a `Conflict`; a digest that differs is `DigestChanged`.
    /// 2. It is approved when as many different people agreed as its terms ask for, and stays pending before; one "no" is a no.
    /// 3. An answer of somebody in none of the groups is `Forbidden`, and with four eyes a yes of who asked for it, or changed its parameters.
    ///    Saying yes twice is a `Conflict`.
    /// 4. Writes an `approval.decided` event and audit row each time, `pending` until it is decided.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `DigestChanged`, `Forbidden`.
    async fn decide_approval(&self, ctx: CallContext, id: ApprovalId, decision: ApprovalDecision) -> Result<Approval>;

    /// Takes or extends the lock on a target; `false` if another holder has it and its time is not over.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn lock_target(&self, ctx: CallContext, target: String, holder: String, ttl: Duration) -> Result<bool>;

    /// Gives the lock back; no error if it is not held.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn unlock_target(&self, ctx: CallContext, target: String, holder: String) -> Result<()>;

    /// Commits the promise to act. A key that exists is returned as it is, so that the caller sees what became of it.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn open_intent(&self, ctx: CallContext, intent: Intent) -> Result<Intent>;

    /// Records what became of an intent.
    ///
    /// # Errors
    /// `NotFound`.
    async fn close_intent(&self, ctx: CallContext, key: String, state: IntentState, execution: Option<Execution>) -> Result<Intent>;

    /// One intent.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn intent(&self, ctx: CallContext, key: String) -> Result<Option<Intent>>;

    /// Adds events, with audit rows, to an incident outside of a transition.
    ///
    /// # Errors
    /// `NotFound`.
    async fn append_events(&self, ctx: CallContext, id: IncidentId, events: Vec<NewEvent>) -> Result<()>;

    /// Events after `seq`, in order; of one incident if asked so. At most `limit` (default 100, at most 1000).
    ///
    /// # Errors
    /// `Unavailable`.
    async fn events(&self, ctx: CallContext, after: u64, incident: Option<IncidentId>, limit: Option<u32>) -> Result<Vec<Event>>;

    /// The audit chain of an incident, in order.
    ///
    /// # Errors
    /// `NotFound`.
    async fn audit(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<AuditRow>>;

    /// Adds a notification outside of a transition.
    ///
    /// # Errors
    /// `NotFound` for an unknown incident.
    async fn enqueue(&self, ctx: CallContext, notification: Notification) -> Result<()>;

    /// Takes notifications that are due, at most `limit`; they come again after `ttl` unless settled.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn claim_outbox(&self, ctx: CallContext, limit: u32, ttl: Duration) -> Result<Vec<OutboxItem>>;

    /// Settles a notification: delivered (`retry_at` is `None` and no error), to be tried again, or given up (error without `retry_at`).
    ///
    /// # Errors
    /// `NotFound`.
    async fn settle_outbox(&self, ctx: CallContext, id: NotificationId, error: Option<String>, retry_at: Option<Timestamp>) -> Result<()>;

    /// Who stopped all acting, and why; `None` while acting is allowed.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn stopped(&self, ctx: CallContext) -> Result<Option<String>>;

    /// Stops all acting (`Some(reason)`) or allows it again (`None`).
    ///
    /// # Errors
    /// `Unavailable`.
    async fn set_stopped(&self, ctx: CallContext, reason: Option<String>) -> Result<()>;

    /// Counts.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn stats(&self, ctx: CallContext) -> Result<LedgerStats>;

    /// Changes with every commit of this process (and, on a shared database, of others), so that waiters need not poll fast. A call that
    /// finds nothing to do changes nothing.
    fn changes(&self) -> watch::Receiver<u64>;
}
