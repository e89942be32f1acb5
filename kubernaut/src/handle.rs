//! The handle that a host holds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kubernaut_cluster::CachedCluster;
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{
        ActionRequest, ActionSpec, Alert, Approval, ApprovalDecision, ApprovalId, AuditRow, DryRun, Event, Execution, Incident, IncidentId,
        JournalEntry, Run, RunId,
    },
    port::{Clock, ClusterRead, IncidentFilter, Ledger, LedgerStats},
    service::{
        Analyzer, CallContext, Classifier, ContextStore, ExecuteRequest, Executor, MemoryStatus, RecallQuery, Recalled, RunFilter, Signal,
        WorkflowEngine,
    },
};
use kubernaut_executor::{KubeExecutor, StopFence};
use kubernaut_gateway::Gateway;
use kubernaut_notify::OutboxWorker;
use kubernaut_processor::Processor;
use kubernaut_storage::Upkeep;
use kubernaut_vector::VectorContextStore;
use kubernaut_workflow::DurableEngine;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Builder, Config};

mod work;

/// Longest time that a stop waits for a write that began before it.
const STOP_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cluster: Arc<dyn ClusterRead>,
    pub(crate) cache: Option<CachedCluster>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) upkeep: Option<Upkeep>,
    pub(crate) context: Arc<dyn ContextStore>,
    pub(crate) memory: Option<VectorContextStore>,
    pub(crate) classifier: Arc<dyn Classifier>,
    pub(crate) analyzer: Arc<dyn Analyzer>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) engine: Arc<dyn WorkflowEngine>,
    pub(crate) driver: Option<Arc<DurableEngine>>,
    /// Takes back what was changed for a time only.
    pub(crate) returns: Option<Arc<KubeExecutor>>,
    pub(crate) fence: StopFence,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) processor: Arc<Processor>,
    pub(crate) outbox: Arc<OutboxWorker>,
}

struct Inner {
    parts: Parts,
    shutdown: CancellationToken,
    tasks: Mutex<Option<JoinSet<()>>>,
    work: Mutex<Option<work::Work>>,
}

/// Kubernaut, put together. Cheap to clone; all clones are the same engine.
#[derive(Clone)]
pub struct Kubernaut(Arc<Inner>);

impl std::fmt::Debug for Kubernaut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernaut").field("mode", &self.0.parts.config.mode).finish_non_exhaustive()
    }
}

impl Kubernaut {
    /// A builder with a configuration.
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }

    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, shutdown: CancellationToken::new(), tasks: Mutex::new(None), work: Mutex::new(None) }))
    }

    /// Starts the workers, on threads of their own if [`Config::work_threads`] is above 0, else on the current tokio runtime. Starting twice is no
    /// error and changes nothing.
    pub fn start(&self) {
        let mut slot = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            return;
        }
        let mut tasks = JoinSet::new();
        let parts = &self.0.parts;
        let work = work::Work::start(parts.config.work_threads);
        let threads = work.handle();
        *self.0.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
        let (processor, outbox, token) = (parts.processor.clone(), parts.outbox.clone(), self.0.shutdown.clone());
        let stop = token.clone();
        tasks.spawn_on(async move { processor.run(stop).await }, &threads);
        let stop = token.clone();
        tasks.spawn_on(async move { outbox.run(stop).await }, &threads);
        if let Some(memory) = parts.memory.clone() {
            let stop = token.clone();
            tasks.spawn_on(async move { memory.run(stop).await }, &threads);
        }
        if let Some(cache) = parts.cache.clone() {
            let stop = token.clone();
            tasks.spawn(async move { cache.run(stop).await });
        }
        if let Some(path) = parts.config.stop_file.clone() {
            let (ledger, stop) = (parts.ledger.clone(), token.clone());
            tasks.spawn(async move { crate::stop_file::watch(path, ledger, stop).await });
        }
        if let Some(upkeep) = parts.upkeep.clone() {
            let stop = token.clone();
            tasks.spawn(async move { upkeep.run(stop).await });
        }
        if let Some(kube) = parts.returns.clone() {
            let stop = token.clone();
            tasks.spawn_on(async move { kube.run_returns(stop).await }, &threads);
        }
        if let Some(driver) = parts.driver.clone() {
            tasks.spawn_on(async move { driver.run(token).await }, &threads);
        }
        *slot = Some(tasks);
    }

    /// Stops the workers at their next safe point; what they did not finish is taken up at the next start.
    ///
    /// # Errors
    /// `Timeout` if they have not stopped within `limit`.
    pub async fn shutdown(&self, limit: Duration) -> Result<()> {
        self.0.shutdown.cancel();
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut tasks) = tasks else { return Ok(()) };
        let drained = tokio::time::timeout(limit, async { while tasks.join_next().await.is_some() {} }).await;
        drained.map_err(|_| Error::new(ErrorKind::Timeout, "kubernaut.shutdown", "workers did not stop in time; they are ended now"))
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.parts.config
    }

    /// The clock in use.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.parts.clock
    }

    /// Intake of alerts.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.0.parts.gateway
    }

    /// Retention, legal holds and checkpoints of the ledger; `None` if the ledger was given to the builder.
    #[must_use]
    pub fn upkeep(&self) -> Option<&Upkeep> {
        self.0.parts.upkeep.as_ref()
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.0.parts.ledger
    }

    /// The cluster, read only.
    #[must_use]
    pub fn cluster(&self) -> &Arc<dyn ClusterRead> {
        &self.0.parts.cluster
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// Takes the alerts of a webhook body in the format of a configured source. On success they are durable. The caller vouches for the sender.
    ///
    /// # Errors
    /// As [`Gateway::receive_trusted`].
    pub async fn ingest(&self, ctx: CallContext, source: &str, body: bytes::Bytes) -> Result<kubernaut_gateway::Received> {
        self.gateway().receive_trusted(ctx, source, body).await
    }

    /// One incident.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn incident(&self, ctx: CallContext, id: IncidentId) -> Result<Incident> {
        self.ledger().incident(ctx, id).await
    }

    /// Incidents, newest first.
    ///
    /// # Errors
    /// Errors of the ledger.
    pub async fn incidents(&self, ctx: CallContext, filter: IncidentFilter) -> Result<Vec<Incident>> {
        self.ledger().incidents(ctx, filter).await
    }

    /// Alerts of an incident, oldest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn alerts(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<Alert>> {
        self.ledger().alerts(ctx, id).await
    }

    /// Events of an incident from its beginning, in order.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn timeline(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<Event>> {
        self.ledger().incident(ctx.clone(), id).await?;
        let mut all: Vec<Event> = Vec::new();
        loop {
            let after = all.last().map_or(0, |e| e.seq);
            let page = self.ledger().events(ctx.clone(), after, Some(id), Some(1000)).await?;
            let last = page.len() < 1000;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }

    /// Events after a sequence number, in order.
    ///
    /// # Errors
    /// Errors of the ledger.
    pub async fn events(&self, ctx: CallContext, after: u64, incident: Option<IncidentId>, limit: Option<u32>) -> Result<Vec<Event>> {
        self.ledger().events(ctx, after, incident, limit).await
    }

    /// Asks to end an incident at the next safe point.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if it has ended.
    pub async fn cancel_incident(&self, ctx: CallContext, id: IncidentId) -> Result<()> {
        self.ledger().cancel_incident(ctx, id).await
    }

    /// The audit chain of an incident.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn audit(&self, ctx: CallContext, id: IncidentId) -> Result<Vec<AuditRow>> {
        self.ledger().audit(ctx, id).await
    }

    /// Requests for approval, newest first.
    ///
    /// # Errors
    /// Errors of the ledger.
    pub async fn approvals(&self, ctx: CallContext, pending_only: bool) -> Result<Vec<Approval>> {
        self.ledger().approvals(ctx, pending_only).await
    }

    /// One request for approval.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn approval(&self, ctx: CallContext, id: ApprovalId) -> Result<Approval> {
        self.ledger().approval(ctx, id).await
    }

    /// Changes the parameters of what a request for approval is about; the gate checks them first, and a new request is made for the new effect.
    ///
    /// # Errors
    /// `NotFound`, `InvalidInput` for parameters that the gate refuses, `Conflict` if nothing waits for an answer to it.
    pub async fn edit_approval(&self, ctx: CallContext, id: ApprovalId, params: serde_json::Value, by: String) -> Result<Run> {
        let run = self.ledger().approval(ctx.clone(), id).await?.run_id;
        self.parts().engine.signal(ctx, run, Signal::Edit { approval_id: id, params, by }).await
    }

    /// Answers a request for approval.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if it was answered or has expired, `DigestChanged` if it is about another effect.
    pub async fn decide(&self, ctx: CallContext, id: ApprovalId, decision: ApprovalDecision) -> Result<Approval> {
        let approval = self.ledger().approval(ctx.clone(), id).await?;
        self.parts().engine.signal(ctx.clone(), approval.run_id, Signal::Decide { approval_id: id, decision }).await?;
        self.ledger().approval(ctx, id).await
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// `Unsupported` if a replaced engine cannot list.
    pub async fn runs(&self, ctx: CallContext, filter: RunFilter) -> Result<Vec<Run>> {
        self.parts().engine.list(ctx, filter).await
    }

    /// One run.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn run(&self, ctx: CallContext, id: RunId) -> Result<Run> {
        self.parts().engine.get(ctx, id).await
    }

    /// The journal of a run, oldest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn journal(&self, ctx: CallContext, id: RunId) -> Result<Vec<JournalEntry>> {
        self.ledger().journal(ctx, id).await
    }

    /// Pauses, resumes or takes back a run.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    pub async fn signal(&self, ctx: CallContext, id: RunId, signal: Signal) -> Result<Run> {
        self.parts().engine.signal(ctx, id, signal).await
    }

    /// Asks a run to end at the next safe point.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn cancel_run(&self, ctx: CallContext, id: RunId) -> Result<Run> {
        self.parts().engine.cancel(ctx, id).await
    }

    /// The actions offered.
    ///
    /// # Errors
    /// Errors of a replaced executor.
    pub async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>> {
        self.parts().executor.actions(ctx).await
    }

    /// Shows what an action would do now, and what the gate says to it.
    ///
    /// # Errors
    /// `InvalidInput`, `NotFound` for the target, errors of the cluster.
    pub async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        self.parts().executor.dry_run(ctx, request).await
    }

    /// Carries out one action outside of an incident; the gate stands around it as around any other.
    ///
    /// # Errors
    /// As [`Executor::execute`].
    pub async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        self.parts().executor.execute(ctx, request).await
    }

    /// Similar incidents.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn recall(&self, ctx: CallContext, query: RecallQuery) -> Result<Vec<Recalled>> {
        self.parts().context.recall(ctx, query).await
    }

    /// How the memory of incidents stands: whether vectors are complete, and what they are made by.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn memory_status(&self, ctx: CallContext) -> Result<MemoryStatus> {
        self.parts().context.status(ctx).await
    }

    /// Why all acting is stopped; `None` while it is allowed.
    ///
    /// # Errors
    /// Errors of the ledger.
    pub async fn stopped(&self, ctx: CallContext) -> Result<Option<String>> {
        self.ledger().stopped(ctx).await
    }

    /// Stops all acting (`Some(reason)`) or allows it again. A stop returns when no write of this process is under way any more; of another
    /// process on the same ledger, the one call that each of its actions had under way may still arrive.
    ///
    /// # Errors
    /// Errors of the ledger; `Timeout` if a write that began before has not ended after 10 s. The stop is in force then all the same.
    pub async fn set_stopped(&self, ctx: CallContext, reason: Option<String>) -> Result<()> {
        let stops = reason.is_some();
        self.ledger().set_stopped(ctx, reason).await?;
        if stops { self.parts().fence.pass(STOP_LIMIT).await } else { Ok(()) }
    }

    /// Counts for metrics and health.
    ///
    /// # Errors
    /// Errors of the ledger.
    pub async fn stats(&self, ctx: CallContext) -> Result<LedgerStats> {
        self.ledger().stats(ctx).await
    }
}
