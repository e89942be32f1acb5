//! The workers: claim incidents and drive each through its lifecycle.

mod close;
mod damage;
mod executing;
mod investigating;
mod previews;
mod processing;
mod session;
mod text;
mod verifying;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use kubernaut_core::{
    Result,
    port::{Clock, ClusterRead, Lease, Ledger, Verifier},
    service::{Analyzer, CallContext, Classifier, ContextStore, Executor, WorkflowEngine},
};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::ProcessorConfig;
use session::Session;

/// Name on events, audit rows and leases.
pub(crate) const PART: &str = "processor";

/// What a [`Processor`] works with.
#[derive(Debug, Clone)]
pub struct ProcessorParts {
    /// Durable state.
    pub ledger: Arc<dyn Ledger>,
    /// Gives environment and priority.
    pub classifier: Arc<dyn Classifier>,
    /// Finds causes.
    pub analyzer: Arc<dyn Analyzer>,
    /// Runs plans.
    pub engine: Arc<dyn WorkflowEngine>,
    /// Asked what it offers and what an action would do; never asked to act.
    pub executor: Arc<dyn Executor>,
    /// The memory of incidents.
    pub context: Arc<dyn ContextStore>,
    /// The window on the cluster.
    pub cluster: Arc<dyn ClusterRead>,
    /// Judges effects.
    pub verifier: Arc<dyn Verifier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Drives incidents from `received` to their end. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Processor(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) parts: ProcessorParts,
    pub(crate) config: ProcessorConfig,
    worker: String,
}

impl Processor {
    /// A processor; nothing happens before [`Processor::run`].
    #[must_use]
    pub fn new(parts: ProcessorParts, config: ProcessorConfig) -> Self {
        describe_metrics();
        let worker = format!("{PART}-{}", kubernaut_core::model::uuid_at(parts.clock.now()));
        Self(Arc::new(Inner { parts, config, worker }))
    }

    /// Works until `shutdown` fires, then gives back what it holds.
    pub async fn run(&self, shutdown: CancellationToken) {
        let limit = Arc::new(Semaphore::new(self.0.config.workers.max(1)));
        let mut changes = self.0.parts.ledger.changes();
        let mut tasks = JoinSet::new();
        let tick = Duration::from_millis(self.0.config.run_poll_ms.clamp(10, 1000));
        while !shutdown.is_cancelled() {
            while tasks.try_join_next().is_some() {}
            let permit = tokio::select! {
                () = shutdown.cancelled() => break,
                permit = limit.clone().acquire_owned() => permit,
            };
            let Ok(permit) = permit else { break };
            changes.mark_unchanged();
            match self.claim().await {
                Ok(Some(lease)) => {
                    let (inner, stop) = (self.0.clone(), shutdown.clone());
                    tasks.spawn(async move {
                        drive(&inner, lease, stop).await;
                        drop(permit);
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "incidents cannot be claimed; trying again"),
            }
            drop(permit);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(tick) => {}
                Ok(()) = changes.changed() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Claims one incident and drives it as far as it goes now; `false` if none needs work.
    ///
    /// # Errors
    /// Errors of claiming. What goes wrong with the incident is recorded on it.
    pub async fn run_once(&self) -> Result<bool> {
        let Some(lease) = self.claim().await? else { return Ok(false) };
        drive(&self.0, lease, CancellationToken::new()).await;
        Ok(true)
    }

    async fn claim(&self) -> Result<Option<Lease>> {
        self.0.parts.ledger.claim(CallContext::system(PART), self.0.worker.clone(), self.0.config.lease()).await
    }
}

/// A service that panics must not take the worker, or the incident, with it.
async fn drive(inner: &Inner, lease: Lease, shutdown: CancellationToken) {
    let mut session = Session::new(inner, lease, shutdown);
    if AssertUnwindSafe(session.drive()).catch_unwind().await.is_err() {
        tracing::error!(incident = %session.incident.id, phase = %session.incident.phase, "a service panicked; the incident ends as failed");
        metrics::counter!("kubernaut_processor_panics_total").increment(1);
        session.after_panic().await;
    }
}

fn describe_metrics() {
    use metrics::{describe_counter, describe_histogram};
    describe_counter!("kubernaut_processor_transitions_total", "Phases reached.");
    describe_counter!("kubernaut_processor_decisions_total", "Decisions taken.");
    describe_counter!("kubernaut_processor_holds_total", "Incidents held back, by reason.");
    describe_counter!("kubernaut_processor_classifications_total", "Classifications, by environment.");
    describe_counter!("kubernaut_processor_errors_total", "Errors of services, by kind.");
    describe_counter!("kubernaut_processor_leases_lost_total", "Incidents that another worker took over.");
    describe_counter!("kubernaut_processor_looks_total", "Looks at the effect of a run, by verdict.");
    describe_counter!("kubernaut_processor_panics_total", "Panics in services.");
    describe_histogram!("kubernaut_processor_analysis_seconds", metrics::Unit::Seconds, "Time of one analysis.");
    describe_histogram!("kubernaut_processor_incident_seconds", metrics::Unit::Seconds, "Time from opening to end, by phase reached.");
    describe_histogram!("kubernaut_processor_decision_seconds", metrics::Unit::Seconds, "Time from opening to decision.");
}

#[cfg(test)]
mod tests;
