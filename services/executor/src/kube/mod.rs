//! The executor that writes to Kubernetes through [`ClusterWrite`].

mod apply;
mod archive;
mod drain;
mod inside;
mod job;
mod load;
mod steps;
mod temporary;
mod undo;

use std::{path::PathBuf, sync::Arc};

pub(crate) use drain::CLOSED_BY;
pub(crate) use job::JOB_KEY;

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{ActionRequest, ActionSpec, DryRun, Execution, ExecutionOutcome, Object, ObjectRef, Observation, Precondition},
    port::{Clock, ClusterRead, ClusterWrite},
    service::{CallContext, Capability, ExecuteRequest, Executor, UndoRequest},
};
use serde_json::{Value, json};

use archive::Archive;

use crate::{
    action::{Action, Current, Effect, Read, Write},
    actions::{
        RESTORE_SECRET,
        drain::{Fate, fate},
    },
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
    archive: Archive,
}

impl KubeExecutor {
    /// An executor over the two cluster ports.
    #[must_use]
    pub fn new(read: Arc<dyn ClusterRead>, write: Arc<dyn ClusterWrite>, clock: Arc<dyn Clock>) -> Self {
        Self { read: Arc::new(PatientRead(read)), write, clock, archive: Archive::new(std::env::temp_dir().join("kubernaut-archive")) }
    }

    /// The same with another folder for files that actions bring back: dumps, diagnostics, logs of Jobs. By default they go into
    /// `kubernaut-archive` in the system's folder for temporary files.
    #[must_use]
    pub fn with_archive(mut self, dir: PathBuf) -> Self {
        self.archive = Archive::new(dir);
        self
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
    if (apply::ends_pod(action) || action.extra().removes) && request.target.uid.is_none() {
        return Err(Error::invalid("executor.request", "what is to go needs its uid, else a successor of the same name could be hit")
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

impl KubeExecutor {
    /// Whether the effect of a request is there.
    async fn look(&self, ctx: &CallContext, action: &Action, request: &ActionRequest) -> Result<Observation> {
        let extra = action.extra();
        if extra.runs_job {
            return self.observe_job(ctx, request).await;
        }
        if action.effect == Effect::Inside {
            let there = self.archive.has(&request.key, inside::DUMP);
            return Ok(if there { Observation::Applied } else { Observation::NotApplied });
        }
        let by_name = ObjectRef { uid: None, ..request.target.clone() };
        let wanted = if extra.creates { by_name } else { request.target.clone() };
        let found = self.read.get(ctx.clone(), wanted).await?;
        let ends = apply::ends_pod(action) || extra.removes;
        Ok(match found {
            // A name without a uid may be the successor's.
            _ if ends && request.target.uid.is_none() => Observation::Unknown,
            // What is removed may be held by finalizers until more is done.
            Some(pod) if ends && action.effect == Effect::Evict && pod.at("/metadata/deletionTimestamp").is_some() => Observation::Applied,
            Some(_) if ends => Observation::NotApplied,
            None if ends => Observation::Applied,
            // What another controller makes again carries no mark of ours.
            Some(_) if action.name == RESTORE_SECRET => Observation::Applied,
            Some(object) if !marks::holds(&object, &request.key) => Observation::NotApplied,
            Some(node) if action.effect == Effect::NodeDrain => self.look_at_drain(ctx, action, request, &node).await?,
            Some(_) => Observation::Applied,
            None if extra.creates => Observation::NotApplied,
            // The object that carried the mark is gone with it.
            None => Observation::Unknown,
        })
    }

    async fn look_at_drain(&self, ctx: &CallContext, action: &Action, request: &ActionRequest, node: &Object) -> Result<Observation> {
        let current = self.load(ctx, action, request).await?.unwrap_or(Current { target: node.clone(), related: Default::default() });
        let Write::Drain(drain) = (action.plan)(&current, &request.params, &request.key)? else { return Ok(Observation::Applied) };
        let left = current.related(Read::PodsOnNode).iter().any(|pod| fate(pod, &drain) != Fate::Stays);
        Ok(if left { Observation::NotApplied } else { Observation::Applied })
    }
}

#[async_trait]
impl Executor for KubeExecutor {
    async fn actions(&self, _ctx: CallContext) -> Result<Vec<ActionSpec>> {
        Ok(registry().to_vec())
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        let action = prepare(&request.request)?;
        if action.effect == Effect::Record && action.reads_target() {
            return ctx.run("executor.execute", self.apply(&ctx, action, &request.request)).await;
        }
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
        match ctx.run("executor.observe", self.look(&ctx, action, &request)).await {
            Ok(seen) => Ok(seen),
            Err(error) => {
                tracing::warn!(target = %request.target, %error, "the effect cannot be observed");
                Ok(Observation::Unknown)
            }
        }
    }

    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        let action = prepare(&request)?;
        if action.effect == Effect::Record {
            if !action.reads_target() {
                recorded(action, &request)?;
            }
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
