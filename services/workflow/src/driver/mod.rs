//! One run in the hands of this process.
//!
//! The driver asks the state machine what is next and does it: it stores transitions, and calls the executor only after the transition that says
//! so is durable. All transitions of a run are stored by this one task, in the order in which they are decided; only calls run beside it.

mod calls;
mod locks;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kubernaut_core::{
    ErrorKind, Result,
    model::{Approval, ApprovalId, DryRun, Incident, Run, Timestamp},
    port::{Clock, Ledger, RunLease},
    service::{CallContext, Executor, Signal},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    calls::{Caller, Reply, cause},
    locks::Locks,
};
use crate::{
    EngineConfig, approval,
    retry::{earlier, later},
    state::{Call, Facts, Next, Preview, Transition, TryOutcome, decide, pair},
};

/// What all runs of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: EngineConfig,
    pub(crate) worker: String,
}

/// Drives one claimed run until it ends, has to wait, or is lost to another process.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    ctx: CallContext,
    run: Run,
    incident: Incident,
    epoch: u64,
    until: Timestamp,
    /// Whether the journal is empty.
    fresh: bool,
    stopped: Option<String>,
    signals: Vec<(u64, Signal)>,
    approvals: BTreeMap<ApprovalId, Approval>,
    previews: BTreeMap<String, Preview>,
    in_flight: BTreeSet<String>,
    calls: FuturesUnordered<BoxFuture<'static, Reply>>,
    locks: Locks,
    /// Ends all calls in flight.
    give_up: CancellationToken,
    /// From the beginning of a shutdown: until when calls in flight may take.
    grace: Option<Instant>,
    lost_races: u32,
}

impl Driver {
    /// Takes a claimed run up.
    pub(crate) async fn new(shared: Arc<Shared>, lease: RunLease) -> Result<Self> {
        let ctx = CallContext::system("workflow").with_trace(lease.run.incident_id);
        let incident = shared.ledger.incident(ctx.clone(), lease.run.incident_id).await?;
        let fresh = shared.ledger.journal(ctx.clone(), lease.run.id).await?.is_empty();
        let locks = Locks::of(&lease.run, shared.ledger.clone(), ctx.clone(), shared.config.lease_ttl());
        Ok(Self {
            shared,
            ctx,
            run: lease.run,
            incident,
            epoch: lease.epoch,
            until: lease.until,
            fresh,
            stopped: None,
            signals: Vec::new(),
            approvals: BTreeMap::new(),
            previews: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            calls: FuturesUnordered::new(),
            locks,
            give_up: CancellationToken::new(),
            grace: None,
            lost_races: 0,
        })
    }

    /// Drives the run. Targets are given back on every path, unless another process has taken the run over: then they are its.
    ///
    /// # Errors
    /// Errors of the ledger; the run is claimed again when its lease is over.
    pub(crate) async fn drive(mut self, shutdown: CancellationToken) -> Result<()> {
        let done = self.work(&shutdown).await;
        if let Err(error) = &done {
            self.abandon_calls();
            if error.kind() != ErrorKind::StaleEpoch && self.now() < self.until {
                self.locks.release().await;
            }
        }
        done
    }

    async fn work(&mut self, shutdown: &CancellationToken) -> Result<()> {
        loop {
            self.gather().await?;
            match decide(&self.run, &self.facts(shutdown)) {
                Next::Record(transition) => self.commit(transition, Vec::new()).await?,
                Next::Call(call) if call.needs_lock() && !self.lock().await? => {
                    if self.calls.is_empty() {
                        let again = later(self.now(), self.shared.config.busy_retry());
                        return self.park(Some(again)).await;
                    }
                    self.listen(shutdown).await?;
                }
                Next::Call(call) => self.begin(call).await?,
                Next::Wait(until) if self.calls.is_empty() => {
                    let until = self.wake_at(until, shutdown);
                    return self.park(until).await;
                }
                Next::Wait(_) => self.listen(shutdown).await?,
                Next::Over => return self.park(None).await,
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn facts(&self, shutdown: &CancellationToken) -> Facts<'_> {
        Facts {
            now: self.now(),
            fresh: self.fresh,
            draining: shutdown.is_cancelled(),
            stopped: self.stopped.as_deref(),
            signals: &self.signals,
            approvals: &self.approvals,
            previews: &self.previews,
            in_flight: &self.in_flight,
            max_parallel: self.shared.config.max_parallel_steps,
        }
    }

    /// When a run that has to wait is looked at again. Signals and answers wake it before; the bound is for what wakes nobody.
    fn wake_at(&self, until: Option<Timestamp>, shutdown: &CancellationToken) -> Option<Timestamp> {
        if shutdown.is_cancelled() {
            return None;
        }
        let config = &self.shared.config;
        let bound = if self.run.held { config.busy_retry() } else { config.recheck() };
        let bound = later(self.now(), bound);
        Some(until.map_or(bound, |until| until.min(bound)))
    }

    async fn lock(&mut self) -> Result<bool> {
        let busy = self.locks.acquire().await?;
        if let Some(key) = &busy {
            tracing::info!(run = %self.run.id, target = %key, "waits for a target that another run holds");
            metrics::counter!("kubernaut_workflow_target_busy_total").increment(1);
        }
        Ok(busy.is_none())
    }

    async fn begin(&mut self, call: Call) -> Result<()> {
        let id = call.step().to_owned();
        match call {
            Call::Ask(_) => return self.ask(&id).await,
            Call::DryRun(_) => self.launch(&id, |caller| Box::pin(caller.dry_run())),
            Call::Observe(_) => self.launch(&id, |caller| Box::pin(caller.resolve())),
            Call::ObserveUndo(_) => self.launch(&id, |caller| Box::pin(caller.resolve_undo())),
            Call::Execute { digest, .. } => {
                let dry_run = self.previews.remove(&id).and_then(|p| p.dry_run);
                self.commit(Transition::Began { step: id.clone(), digest: digest.clone(), dry_run }, Vec::new()).await?;
                self.launch(&id, |caller| Box::pin(caller.execute(digest)));
            }
            Call::Undo(_) => {
                self.commit(Transition::UndoBegan { step: id.clone() }, Vec::new()).await?;
                self.launch(&id, |caller| Box::pin(caller.undo()));
            }
        }
        Ok(())
    }

    fn launch(&mut self, id: &str, call: impl FnOnce(Caller) -> BoxFuture<'static, Reply>) {
        let Some((step, is)) = pair(&self.run, id) else { return };
        let mut ctx = self.ctx.clone().with_mode(self.run.mode).with_cancellation(self.give_up.child_token());
        ctx.tenant = self.incident.tenant.as_str().into();
        ctx.cluster = self.incident.cluster.as_str().into();
        let caller = Caller {
            executor: self.shared.executor.clone(),
            ledger: self.shared.ledger.clone(),
            config: self.shared.config.clone(),
            ctx,
            run_id: self.run.id,
            incident_id: self.run.incident_id,
            step: step.clone(),
            is: is.clone(),
        };
        self.calls.push(call(caller));
        self.in_flight.insert(id.to_owned());
    }

    async fn ask(&mut self, id: &str) -> Result<()> {
        let (Some((step, is)), Some(preview)) = (pair(&self.run, id), self.previews.get(id)) else { return Ok(()) };
        let now = self.now();
        let approval = approval::open(&self.run, step, is, preview, now);
        let notification = approval::notification(&approval, &self.run, &self.incident, now);
        let dry_run = preview.dry_run.clone();
        self.commit(Transition::Asked { approval: Box::new(approval), dry_run }, vec![notification]).await?;
        self.previews.remove(id);
        Ok(())
    }

    /// Waits until something happens: a call ends, it is time to look around, or the process is about to end. Keeps the lease meanwhile.
    async fn listen(&mut self, shutdown: &CancellationToken) -> Result<()> {
        let grace = self.grace;
        let over = async {
            match grace {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(reply) = self.calls.next() => self.heard(reply).await?,
            () = shutdown.cancelled(), if grace.is_none() => self.grace = Some(Instant::now() + self.shared.config.shutdown_grace()),
            () = over => self.abandon_calls(),
            () = tokio::time::sleep(self.shared.config.poll()) => {}
        }
        // By the clock that the lease goes by, and before anything is begun or concluded under a lease that may be gone.
        if self.now() >= earlier(self.until, self.shared.config.renew_ahead()) { self.renew().await } else { Ok(()) }
    }

    /// Drops the calls in flight. Their steps stay begun; whoever takes the run up next looks what became of them.
    fn abandon_calls(&mut self) {
        self.give_up.cancel();
        self.calls.clear();
        self.in_flight.clear();
    }

    async fn heard(&mut self, reply: Reply) -> Result<()> {
        self.in_flight.remove(reply.step());
        match reply {
            Reply::Shown { step, result } => self.shown(step, result).await,
            Reply::Tried { step, observed, outcome } => {
                let again = match &outcome {
                    TryOutcome::NeedsApproval(execution) => pair(&self.run, &step).map(|(step, _)| Preview::of_execution(execution, step)),
                    _ => None,
                };
                self.commit(Transition::Ended { step: step.clone(), observed, outcome }, Vec::new()).await?;
                self.previews.extend(again.map(|preview| (step, preview)));
                Ok(())
            }
            Reply::Undone { step, observed, outcome } => self.commit(Transition::UndoEnded { step, observed, outcome }, Vec::new()).await,
        }
    }

    async fn shown(&mut self, step: String, result: Result<DryRun>) -> Result<()> {
        let preview = match result {
            Ok(dry_run) => Some(Preview::of_dry_run(dry_run)),
            Err(error) if error.kind() == ErrorKind::Unsupported => pair(&self.run, &step).map(|(step, _)| Preview::impossible(step)),
            Err(error) => {
                let transition = Transition::NotShown { step, cause: cause(&error), error: error.to_string() };
                return self.commit(transition, Vec::new()).await;
            }
        };
        self.previews.extend(preview.map(|preview| (step, preview)));
        Ok(())
    }
}
