//! The gate: every check, in one order, around every executor.

mod approve;
mod calendar;
mod checks;
mod commit;
mod config;
mod inspect;
mod lock;
mod pass;
mod record;
#[cfg(feature = "policy")]
mod rego;
mod replay;
mod reserve;
mod stop;
mod undo;

use std::sync::Arc;

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{ActionRequest, ActionSpec, Approval, DryRun, Execution, ExecutionOutcome, IntentState, Mode, Observation, Precondition},
    port::{Clock, ClusterRead, ClusterWrite, Ledger},
    service::{CallContext, Capability, ExecuteRequest, Executor, UndoRequest},
};

use tokio::sync::OnceCell;

use self::pass::{Pass, Purpose};
use kubernaut_core::model::veil;

use crate::{action::Effect, patient::PatientRead};

pub use calendar::{Freeze, Holidays, Window};
pub use config::{EnvironmentRule, GateConfig, PolicyConfig, SourceRule};
pub use stop::{StopFence, StoppableWrite};

/// What the gate needs from outside.
#[derive(Debug, Clone)]
pub struct GateParts {
    /// Reads what the checks rest on.
    pub read: Arc<dyn ClusterRead>,
    /// Answers which rights the executor's credentials have; the gate itself writes nothing.
    pub write: Arc<dyn ClusterWrite>,
    /// Locks, intents, the global stop and the audit chain.
    pub ledger: Arc<dyn Ledger>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// An executor behind the gate.
///
/// Checks, in this order, each recorded with its outcome; after the first refusal nothing further is checked: schema, capability, rights, identity,
/// protected, ownership, preconditions, blast_radius, window, environment, policy, rego, dry_run, approval, lock, unchanged. `unchanged` repeats
/// all of them under the lock. Then places are taken for what goes down, the intent is committed, the stop is looked at once more, the action is
/// carried out, and its result committed. A check that asks needs a person's agreement to the digest of the dry-run.
///
/// Nothing in a request relaxes a check: neither an alert's severity nor who calls.
///
/// What leaves the gate never tells the value of an environment variable, which may be a secret: reports, diffs and what is needed to take an
/// action back say that it is hidden. An undo through the gate takes the values from the ledger.
///
/// A key whose intent stands in the ledger is never carried out again: `execute` answers `AlreadyApplied`, and `observe` asks the ledger first.
/// A malformed request is an `InvalidInput` error; any other refusal is an [`ExecutionOutcome::Refused`] with its report. A target that is
/// locked, and a namespace with too many actions under way, are `Overloaded`: the same request may be let through later.
#[derive(Debug, Clone)]
pub struct GatedExecutor {
    inner: Arc<dyn Executor>,
    parts: GateParts,
    config: Arc<GateConfig>,
    /// The widest mode in force.
    mode: Mode,
    cluster: Arc<OnceCell<String>>,
    #[cfg(feature = "policy")]
    policies: Option<Arc<rego::Policies>>,
}

impl GatedExecutor {
    /// Puts the gate around an executor. What [`GateConfig::validate`] finds wrong refuses actions.
    #[must_use]
    pub fn new(inner: Arc<dyn Executor>, parts: GateParts, config: GateConfig) -> Self {
        let parts = GateParts { read: Arc::new(PatientRead(parts.read)), ..parts };
        Self {
            inner,
            parts,
            mode: Mode::Auto,
            cluster: Arc::default(),
            #[cfg(feature = "policy")]
            policies: config.policy.dir.clone().map(|dir| rego::Policies::new(dir, config.policy.timeout_ms)),
            config: Arc::new(config),
        }
    }

    /// The same gate, which no call opens further than `mode`. A run keeps the mode that it began with, and the host may have been made stricter
    /// since.
    #[must_use]
    pub fn at_most(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The cluster's id, as it names itself: requests may leave it out, and a lock must not depend on that.
    async fn cluster_id(&self, ctx: &CallContext) -> Result<&str> {
        let id = self.cluster.get_or_try_init(|| async { Ok::<_, Error>(self.parts.read.info(ctx.clone()).await?.id) }).await?;
        Ok(id)
    }

    async fn run(&self, ctx: &CallContext, request: &ExecuteRequest) -> Result<Execution> {
        if let Some(done) = self.replay(ctx, &request.request, request.incident_id).await? {
            return Ok(done);
        }
        let (mut pass, _) = ctx.run("gate.check", self.inspect(ctx, &request.request, Purpose::Act)).await?;
        if let Some(error) = pass.invalid.take() {
            self.record_gate(ctx, request.incident_id, &pass, "invalid", "").await?;
            return Err(error);
        }
        if pass.refused() {
            return self.refuse(ctx, request.incident_id, pass).await;
        }
        if pass.effect == Effect::Record {
            return self.note(ctx, request, pass).await;
        }
        let Some(dry) = ctx.run("gate.dry_run", self.show(ctx, &mut pass)).await? else {
            return self.refuse(ctx, request.incident_id, pass).await;
        };
        if dry.changes.is_empty() && pass.effect != Effect::Other {
            let message = dry.warnings.first().cloned().unwrap_or_else(|| "the object is as wanted already".into());
            return self.end(ctx, request.incident_id, pass, dry, ExecutionOutcome::NoChange, message).await;
        }
        let approval = self.approval(ctx, request).await?;
        if let Some(why) = approve::missing(&mut pass, request, &dry, approval.as_ref()) {
            return self.end(ctx, request.incident_id, pass, dry, ExecutionOutcome::NeedsApproval, why).await;
        }
        self.commit(ctx, request, pass, dry, approval).await
    }

    /// The request for approval that the caller names, as the ledger has it.
    async fn approval(&self, ctx: &CallContext, request: &ExecuteRequest) -> Result<Option<Approval>> {
        let Some(id) = request.approval_id else { return Ok(None) };
        match self.parts.ledger.approval(ctx.clone(), id).await {
            Ok(approval) => Ok(Some(approval)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An action that changes nothing: the audit chain is its effect.
    async fn note(&self, ctx: &CallContext, request: &ExecuteRequest, pass: Pass) -> Result<Execution> {
        let inner = ExecuteRequest { request: pass.request.clone(), ..request.clone() };
        let done = self.inner.execute(ctx.clone(), inner).await?;
        self.record_gate(ctx, request.incident_id, &pass, "recorded", "").await?;
        Ok(Execution { report: pass.report, ..done })
    }
}

#[async_trait]
impl Executor for GatedExecutor {
    async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>> {
        self.inner.actions(ctx).await
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        let done = self.run(&ctx, &request).await;
        record::count(&request.request.action, &done);
        done.map(veil::execution)
    }

    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation> {
        // Nothing acts before its intent is committed, so the ledger knows what the cluster may not tell any more.
        let Some(intent) = self.parts.ledger.intent(ctx.clone(), request.key.clone()).await? else { return Ok(Observation::NotApplied) };
        match intent.state {
            IntentState::Applied => Ok(Observation::Applied),
            IntentState::Abandoned | IntentState::Undone => Ok(Observation::NotApplied),
            IntentState::Open => self.inner.observe(ctx, intent.request).await,
        }
    }

    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        let (mut pass, _) = ctx.run("gate.check", self.inspect(&ctx, &request, Purpose::Show)).await?;
        let shown = if pass.refused() { None } else { ctx.run("gate.dry_run", self.show(&ctx, &mut pass)).await? };
        Ok(match shown {
            Some(dry) => DryRun { report: pass.report, changes: veil::changes(&dry.changes), pre_state: veil::state(&dry.pre_state), ..dry },
            None => DryRun {
                report: pass.report,
                changes: Vec::new(),
                digest: String::new(),
                pre_state: serde_json::Value::Null,
                server_side: false,
                warnings: Vec::new(),
            },
        })
    }

    async fn preconditions(&self, ctx: CallContext, request: ActionRequest) -> Result<Vec<Precondition>> {
        self.inner.preconditions(ctx, request).await
    }

    async fn undo(&self, ctx: CallContext, request: UndoRequest) -> Result<Execution> {
        let done = self.take_back(&ctx, &request).await;
        record::count("undo", &done);
        done.map(veil::execution)
    }

    fn capabilities(&self) -> Vec<Capability> {
        // The gate shows its report even where the executor cannot show a diff.
        let mut capabilities = self.inner.capabilities();
        if !capabilities.contains(&Capability::DryRun) {
            capabilities.push(Capability::DryRun);
        }
        capabilities
    }
}
