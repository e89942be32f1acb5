//! The executor that writes to Kubernetes through [`ClusterWrite`].

mod apply;
mod load;
mod undo;

use std::sync::Arc;

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{ActionRequest, ActionSpec, DryRun, Execution, ExecutionOutcome, Observation, Precondition},
    port::{Clock, ClusterRead, ClusterWrite},
    service::{CallContext, Capability, ExecuteRequest, Executor, UndoRequest},
};
use serde_json::{Value, json};

use crate::{
    action::{Action, Current, Effect, Write},
    effect::Effects,
    marks,
    patient::PatientRead,
    registry::{self, registry},
};

/// Carries out the actions of [`registry`] on a cluster, live or recorded.
///
/// It reads the target anew, checks identity and preconditions, plans the write in a pure function and makes it with the resource version it
/// read. The mark of the key goes into the same write. It asks nobody: put a [`GatedExecutor`](crate::GatedExecutor) around it.
///
/// Evictions need the pod's uid in the request: the name alone may be the successor's. Evictions and restarts leave nothing to take back, so
/// [`Executor::undo`] answers `NoChange` for them.
#[derive(Debug, Clone)]
pub struct KubeExecutor {
    read: Arc<dyn ClusterRead>,
    write: Arc<dyn ClusterWrite>,
    clock: Arc<dyn Clock>,
}

impl KubeExecutor {
    /// An executor over the two cluster ports.
    #[must_use]
    pub fn new(read: Arc<dyn ClusterRead>, write: Arc<dyn ClusterWrite>, clock: Arc<dyn Clock>) -> Self {
        Self { read: Arc::new(PatientRead(read)), write, clock }
    }
}

/// Finds the action of a request and checks all that needs no cluster.
fn prepare(request: &ActionRequest) -> Result<&'static Action> {
    let action = registry::find(&request.action).ok_or_else(|| registry::unknown(&request.action))?;
    let spec = registry::find_spec(registry(), action.name).ok_or_else(|| registry::unknown(&request.action))?;
    registry::validate(spec, request)?;
    Ok(action)
}

fn demand_uid(action: &Action, request: &ActionRequest) -> Result<()> {
    if action.effect == Effect::Evict && request.target.uid.is_none() {
        return Err(Error::invalid("executor.request", "an eviction needs the pod's uid, else it could hit a successor of the same name")
            .with("target", &request.target));
    }
    Ok(())
}

fn gone(request: &ActionRequest) -> Error {
    let uid = request.target.uid.as_deref().unwrap_or("any");
    Error::not_found("executor.target", "the target does not exist, or is another object now").with("target", &request.target).with("uid", uid)
}

/// Fails if a precondition does not hold.
fn demand(action: &Action, current: &Current, request: &ActionRequest) -> Result<()> {
    let broken: Vec<String> = (action.check)(current, &request.params)?.into_iter().filter(|p| !p.holds).map(|p| p.text).collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, "executor.preconditions", format!("does not hold: {}", broken.join("; "))).with("action", action.name))
}

/// What an action without a cluster effect says.
fn recorded(action: &Action, request: &ActionRequest) -> Result<String> {
    let nothing = Current { target: json!({}).into(), related: Default::default() };
    match (action.plan)(&nothing, &request.params, &request.key)? {
        Write::None(text) => Ok(text),
        _ => Err(Error::internal("executor.record", "an action that records wants to write").with("action", action.name)),
    }
}

fn execution(outcome: ExecutionOutcome, effects: Effects, message: String, simulated: bool) -> Execution {
    Execution {
        outcome,
        report: Default::default(),
        changes: effects.changes,
        digest: effects.digest,
        pre_state: effects.pre_state,
        message,
        simulated,
    }
}

fn unchanged(action: &Action, request: &ActionRequest, outcome: ExecutionOutcome, message: String) -> Execution {
    execution(outcome, Effects::none(action.name, &request.target), message, false)
}

#[async_trait]
impl Executor for KubeExecutor {
    async fn actions(&self, _ctx: CallContext) -> Result<Vec<ActionSpec>> {
        Ok(registry().to_vec())
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        let action = prepare(&request.request)?;
        if action.effect == Effect::Record {
            return Ok(unchanged(action, &request.request, ExecutionOutcome::NoChange, recorded(action, &request.request)?));
        }
        demand_uid(action, &request.request)?;
        let started = self.clock.now();
        let done = ctx.run("executor.execute", self.apply(&ctx, action, &request.request)).await;
        let seconds = self.clock.now().duration_since(started).as_secs_f64();
        metrics::histogram!("kubernaut_executor_write_seconds", "action" => action.name).record(seconds);
        done
    }

    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation> {
        let Some(action) = registry::find(&request.action) else { return Err(registry::unknown(&request.action)) };
        if action.effect == Effect::Record {
            return Ok(Observation::NotApplied);
        }
        let found = ctx.run("executor.observe", self.read.get(ctx.clone(), request.target.clone())).await;
        Ok(match (action.effect, found) {
            (_, Err(error)) => {
                tracing::warn!(target = %request.target, %error, "the effect cannot be observed");
                Observation::Unknown
            }
            // A name without a uid may be the successor's.
            (Effect::Evict, _) if request.target.uid.is_none() => Observation::Unknown,
            (Effect::Evict, Ok(pod)) => match pod {
                Some(pod) if pod.str_at("/metadata/deletionTimestamp").is_none() => Observation::NotApplied,
                _ => Observation::Applied,
            },
            (_, Ok(Some(object))) if marks::holds(&object, &request.key) => Observation::Applied,
            (_, Ok(Some(_))) => Observation::NotApplied,
            // The object that carried the mark is gone with it.
            (_, Ok(None)) => Observation::Unknown,
        })
    }

    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        let action = prepare(&request)?;
        if action.effect == Effect::Record {
            recorded(action, &request)?;
            let none = Effects::none(action.name, &request.target);
            return Ok(DryRun {
                report: Default::default(),
                changes: none.changes,
                digest: none.digest,
                pre_state: none.pre_state,
                server_side: false,
                warnings: Vec::new(),
            });
        }
        ctx.run("executor.dry_run", self.preview(&ctx, action, &request)).await
    }

    async fn preconditions(&self, ctx: CallContext, request: ActionRequest) -> Result<Vec<Precondition>> {
        let action = prepare(&request)?;
        if action.effect == Effect::Record {
            return Ok(Vec::new());
        }
        let current = ctx.run("executor.preconditions", self.load(&ctx, action, &request)).await?.ok_or_else(|| gone(&request))?;
        (action.check)(&current, &request.params)
    }

    async fn undo(&self, ctx: CallContext, request: UndoRequest) -> Result<Execution> {
        ctx.run("executor.undo", self.take_back(&ctx, &request)).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        vec![Capability::DryRun, Capability::Preconditions, Capability::Undo]
    }
}

/// The values of fields now, to tell whether a write still means the same after a conflict.
fn values_of(current: &Current, write: &Write) -> Vec<Option<Value>> {
    match write {
        Write::Patch { reads, .. } => reads.iter().map(|path| current.target.at(path).cloned()).collect(),
        _ => Vec::new(),
    }
}
