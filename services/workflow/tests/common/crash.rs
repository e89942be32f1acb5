//! A process that ends at a chosen point: every write to the ledger and every call of the executor is a point before it and one after it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail like tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kubernaut_core::{
    Result, async_trait,
    model::*,
    port::*,
    service::{CallContext, Capability, ExecuteRequest, Executor, RunFilter, Signal, UndoRequest},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Counts points down; from the last one on nothing gets through any more.
#[derive(Debug, Clone)]
pub(crate) struct Fuse {
    left: Arc<AtomicU32>,
    pub(crate) blown: CancellationToken,
}

impl Fuse {
    pub(crate) fn after(points: u32) -> Self {
        Self { left: Arc::new(AtomicU32::new(points)), blown: CancellationToken::new() }
    }

    pub(crate) fn never() -> Self {
        Self::after(u32::MAX)
    }

    async fn point(&self) {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            self.blown.cancel();
        }
        self.alive().await;
    }

    async fn alive(&self) {
        if self.blown.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Debug)]
pub(crate) struct CrashingLedger {
    pub(crate) inner: Arc<dyn Ledger>,
    pub(crate) fuse: Fuse,
}

macro_rules! crashing {
    (writes { $(fn $write:ident($($warg:ident: $wty:ty),*) -> $wret:ty;)* } reads { $(fn $read:ident($($rarg:ident: $rty:ty),*) -> $rret:ty;)* }) => {
        #[async_trait]
        impl Ledger for CrashingLedger {
            $(async fn $write(&self, ctx: CallContext $(, $warg: $wty)*) -> Result<$wret> {
                self.fuse.point().await;
                let done = self.inner.$write(ctx $(, $warg)*).await;
                self.fuse.point().await;
                done
            })*
            $(async fn $read(&self, ctx: CallContext $(, $rarg: $rty)*) -> Result<$rret> {
                self.fuse.alive().await;
                self.inner.$read(ctx $(, $rarg)*).await
            })*
            fn changes(&self) -> watch::Receiver<u64> {
                self.inner.changes()
            }
        }
    };
}

crashing! {
    writes {
        fn intake(intake: Intake) -> Vec<IntakeResult>;
        fn claim(worker: String, ttl: Duration) -> Option<Lease>;
        fn renew(id: IncidentId, epoch: u64, ttl: Duration) -> Timestamp;
        fn advance(advance: Advance) -> Incident;
        fn rekey(id: IncidentId, epoch: u64, owner: ObjectRef, fingerprint: String) -> Option<IncidentId>;
        fn wake_incident(id: IncidentId) -> ();
        fn cancel_incident(id: IncidentId) -> ();
        fn create_run(run: Run) -> Run;
        fn renew_run(id: RunId, epoch: u64, ttl: Duration) -> Timestamp;
        fn advance_run(change: RunChange) -> Run;
        fn push_signal(id: RunId, signal: Signal) -> u64;
        fn decide_approval(id: ApprovalId, decision: ApprovalDecision) -> Approval;
        fn lock_target(target: String, holder: String, ttl: Duration) -> bool;
        fn unlock_target(target: String, holder: String) -> ();
        fn open_intent(intent: Intent) -> Intent;
        fn close_intent(key: String, state: IntentState, execution: Option<Execution>) -> Intent;
        fn append_events(id: IncidentId, events: Vec<NewEvent>) -> ();
        fn enqueue(notification: Notification) -> ();
        fn claim_outbox(limit: u32, ttl: Duration) -> Vec<OutboxItem>;
        fn settle_outbox(id: NotificationId, error: Option<String>, retry_at: Option<Timestamp>) -> ();
        fn set_stopped(reason: Option<String>) -> ();
    }
    reads {
        // Looking for work is done again and again; only a claim that gives some would be a point, and that is the same as the one after it.
        fn claim_run(worker: String, ttl: Duration) -> Option<RunLease>;
        fn incident(id: IncidentId) -> Incident;
        fn incidents(filter: IncidentFilter) -> Vec<Incident>;
        fn alerts(id: IncidentId) -> Vec<Alert>;
        fn cancel_requested(id: IncidentId) -> bool;
        fn run(id: RunId) -> Run;
        fn runs(filter: RunFilter) -> Vec<Run>;
        fn journal(id: RunId) -> Vec<JournalEntry>;
        fn signals(id: RunId) -> Vec<(u64, Signal)>;
        fn approval(id: ApprovalId) -> Approval;
        fn approvals(pending_only: bool) -> Vec<Approval>;
        fn intent(key: String) -> Option<Intent>;
        fn events(after: u64, incident: Option<IncidentId>, limit: Option<u32>) -> Vec<Event>;
        fn audit(id: IncidentId) -> Vec<AuditRow>;
        fn stopped() -> Option<String>;
        fn stats() -> LedgerStats;
    }
}

/// Checks, before each act, that the ledger knows of it.
#[derive(Debug)]
pub(crate) struct CrashingExecutor<E> {
    pub(crate) inner: E,
    pub(crate) fuse: Fuse,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) run: RunId,
}

impl<E: Executor> CrashingExecutor<E> {
    async fn journalled(&self, key: &str, state: StepState) {
        let run = self.ledger.run(CallContext::system("test"), self.run).await.unwrap();
        let step = run.steps.iter().find(|s| s.key == key).expect("a step of the run");
        assert_eq!(step.state, state, "what is about to be done is in the ledger before it is done");
    }
}

#[async_trait]
impl<E: Executor> Executor for CrashingExecutor<E> {
    async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>> {
        self.inner.actions(ctx).await
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        self.journalled(&request.request.key, StepState::Executing).await;
        self.fuse.point().await;
        let done = self.inner.execute(ctx, request).await;
        self.fuse.point().await;
        done
    }

    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation> {
        self.fuse.point().await;
        let seen = self.inner.observe(ctx, request).await;
        self.fuse.point().await;
        seen
    }

    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        self.fuse.point().await;
        self.inner.dry_run(ctx, request).await
    }

    async fn undo(&self, ctx: CallContext, request: UndoRequest) -> Result<Execution> {
        self.journalled(&request.request.key, StepState::Compensating).await;
        self.fuse.point().await;
        let done = self.inner.undo(ctx, request).await;
        self.fuse.point().await;
        done
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.inner.capabilities()
    }
}
