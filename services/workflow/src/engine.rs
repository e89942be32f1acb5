//! The engine: accepts plans, passes signals on, and drives claimed runs.

use std::sync::Arc;

use async_trait::async_trait;
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ApprovalDecision, ApprovalId, Run, RunId, Step, StepRun, StepState},
    port::{Clock, Ledger, RunLease},
    service::{CallContext, Capability, Executor, RunFilter, Signal, StartRequest, WorkflowEngine},
};
use tokio::{sync::watch, task::JoinSet, time::Duration};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    EngineConfig,
    driver::{Driver, Shared},
    plan,
};

/// Commits come in bursts; runs are looked for once a burst.
const BURST: Duration = Duration::from_millis(20);

/// Durable runs over a ledger. Cheap to clone; all clones are the same engine.
#[derive(Debug, Clone)]
pub struct DurableEngine(Arc<Shared>);

impl DurableEngine {
    /// An engine over a ledger and an executor that has the gate around it.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, executor: Arc<dyn Executor>, clock: Arc<dyn Clock>, config: EngineConfig) -> Self {
        let worker = format!("workflow-{}", Uuid::new_v4().simple());
        Self(Arc::new(Shared { ledger, executor, clock, config, worker }))
    }

    /// Drives runs until `shutdown`, then lets calls in flight end and gives all runs back.
    ///
    /// Dropping the future is like a crash: what was begun is resolved by whoever claims the runs next.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut drivers = JoinSet::new();
        let mut changes = self.0.ledger.changes();
        while !shutdown.is_cancelled() {
            changes.mark_unchanged();
            self.claim(&mut drivers, &shutdown).await;
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = burst(&mut changes) => {}
                () = tokio::time::sleep(self.0.config.poll()) => {}
                Some(ended) = drivers.join_next(), if !drivers.is_empty() => report(ended),
            }
            metrics::gauge!("kubernaut_workflow_runs_active").set(f64::from(u32::try_from(drivers.len()).unwrap_or(u32::MAX)));
        }
        while let Some(ended) = drivers.join_next().await {
            report(ended);
        }
    }

    async fn claim(&self, drivers: &mut JoinSet<(RunId, Result<()>)>, shutdown: &CancellationToken) {
        let shared = &self.0;
        while drivers.len() < shared.config.max_runs.max(1) && !shutdown.is_cancelled() {
            match shared.ledger.claim_run(CallContext::system("workflow"), shared.worker.clone(), shared.config.lease_ttl()).await {
                Ok(Some(lease)) => {
                    drivers.spawn(drive(shared.clone(), lease, shutdown.clone()));
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "no run can be claimed now");
                    return;
                }
            }
        }
    }

    /// Checks other parameters for a step that waits for an answer, as the gate would, before they count.
    async fn edit(&self, ctx: CallContext, run: &Run, id: ApprovalId, params: serde_json::Value, by: String) -> Result<()> {
        const OPERATION: &str = "workflow_engine.edit";
        let waits = |s: &&StepRun| s.approval_id == Some(id) && s.state == StepState::AwaitingApproval;
        let Some(step) = run.steps.iter().find(waits).and_then(|s| run.plan.steps.iter().find(|p| p.id == s.id).map(|p| (p, s))) else {
            return Err(Error::conflict(OPERATION, "no step of the run waits for an answer to this request")
                .with("run", run.id)
                .with("approval", id));
        };
        let edited = Step { params: params.clone(), ..step.0.clone() };
        let request = plan::action_request(&edited, plan::edited_key(step.1, &params));
        match self.0.executor.dry_run(ctx.clone().with_mode(run.mode), request).await {
            Ok(shown) => {
                if let Some(check) = shown.report.refusal() {
                    return Err(
                        Error::invalid(OPERATION, format!("these parameters are refused: {}: {}", check.name, check.text)).with("approval", id)
                    );
                }
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return Err(error),
        }
        self.0.ledger.push_signal(ctx, run.id, Signal::Edit { approval_id: id, params, by }).await.map(drop)
    }

    async fn answer(&self, ctx: CallContext, run: &Run, id: ApprovalId, decision: ApprovalDecision) -> Result<()> {
        let ledger = &self.0.ledger;
        if ledger.approval(ctx.clone(), id).await?.run_id != run.id {
            return Err(Error::not_found("workflow_engine.signal", "the run has no such request for approval")
                .with("run", run.id)
                .with("approval", id));
        }
        ledger.decide_approval(ctx, id, decision).await.map(drop)
    }
}

async fn drive(shared: Arc<Shared>, lease: RunLease, shutdown: CancellationToken) -> (RunId, Result<()>) {
    let id = lease.run.id;
    let done = async { Driver::new(shared, lease).await?.drive(shutdown).await };
    (id, done.await)
}

/// Ends a moment after the ledger has changed.
async fn burst(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        // The ledger is closing; the poll timer is left.
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(BURST).await;
}

fn report(ended: Result<(RunId, Result<()>), tokio::task::JoinError>) {
    match ended {
        Ok((_, Ok(()))) => {}
        Ok((run, Err(error))) => tracing::warn!(%run, %error, "a run was let go; it is taken up again when its lease is over"),
        Err(error) => tracing::error!(%error, "the driver of a run broke off; the run is taken up again when its lease is over"),
    }
}

#[async_trait]
impl WorkflowEngine for DurableEngine {
    async fn start(&self, ctx: CallContext, request: StartRequest) -> Result<Run> {
        let run = plan::new_run(request, self.0.clock.now())?;
        self.0.ledger.create_run(ctx, run).await
    }

    async fn get(&self, ctx: CallContext, id: RunId) -> Result<Run> {
        self.0.ledger.run(ctx, id).await
    }

    async fn signal(&self, ctx: CallContext, id: RunId, signal: Signal) -> Result<Run> {
        let run = self.0.ledger.run(ctx.clone(), id).await?;
        if run.state.is_terminal() && signal != Signal::Rollback {
            return Err(Error::conflict("workflow_engine.signal", "the run has ended; only rollback is possible")
                .with("run", id)
                .with("state", run.state.as_str()));
        }
        match signal {
            Signal::Decide { approval_id, decision } => self.answer(ctx.clone(), &run, approval_id, decision).await?,
            Signal::Edit { approval_id, params, by } => self.edit(ctx.clone(), &run, approval_id, params, by).await?,
            other => self.0.ledger.push_signal(ctx.clone(), id, other).await.map(drop)?,
        }
        self.0.ledger.run(ctx, id).await
    }

    async fn cancel(&self, ctx: CallContext, id: RunId) -> Result<Run> {
        let run = self.0.ledger.run(ctx.clone(), id).await?;
        if run.state.is_terminal() {
            return Ok(run);
        }
        self.0.ledger.push_signal(ctx.clone(), id, Signal::Cancel).await?;
        self.0.ledger.run(ctx, id).await
    }

    async fn list(&self, ctx: CallContext, filter: RunFilter) -> Result<Vec<Run>> {
        self.0.ledger.runs(ctx, filter).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        vec![Capability::ListRuns]
    }
}
