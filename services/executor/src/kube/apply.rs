//! Making one write, or only asking the server what it would do.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ActionRequest, DryRun, Execution, ExecutionOutcome, FieldChange, ObjectRef},
    port::{EvictRequest, PatchRequest, WriteOutcome},
    service::CallContext,
};

use super::{KubeExecutor, demand, execution, gone, unchanged, values_of};
use crate::{
    action::{Action, Current, Effect, Write},
    effect::Effects,
    marks::{self, FIELD_MANAGER},
};

/// Controllers write status often, and each write moves the resource version.
const TRIES: u32 = 4;

/// What became of one try.
enum Tried {
    /// Nothing to do, and why.
    Idle(ExecutionOutcome, String),
    /// The server answered to a write with this grace period.
    Answered(ObjectRef, WriteOutcome, Option<u32>),
}

impl KubeExecutor {
    pub(super) async fn apply(&self, ctx: &CallContext, action: &Action, request: &ActionRequest) -> Result<Execution> {
        Ok(match self.attempt(ctx, action, request, false).await? {
            Tried::Idle(outcome, why) => unchanged(action, request, outcome, why),
            Tried::Answered(target, outcome, grace) => {
                let effects = effects(action, &target, &outcome, grace);
                let message = summary(action, &target, &effects.changes);
                tracing::info!(action = action.name, target = %target, key = %request.key, changes = effects.changes.len(), "applied");
                execution(ExecutionOutcome::Applied, effects, message, outcome.simulated)
            }
        })
    }

    pub(super) async fn preview(&self, ctx: &CallContext, action: &Action, request: &ActionRequest) -> Result<DryRun> {
        let (effects, server_side, warnings) = match self.attempt(ctx, action, request, true).await? {
            Tried::Idle(_, why) => (Effects::none(action.name, &request.target), false, vec![why]),
            Tried::Answered(target, outcome, grace) => (effects(action, &target, &outcome, grace), !outcome.simulated, outcome.warnings),
        };
        Ok(DryRun {
            report: Default::default(),
            changes: effects.changes,
            digest: effects.digest,
            pre_state: effects.pre_state,
            server_side,
            warnings,
        })
    }

    /// Tries until the object holds still, as long as the fields that the write rests on stay the same.
    async fn attempt(&self, ctx: &CallContext, action: &Action, request: &ActionRequest, dry_run: bool) -> Result<Tried> {
        let mut seen = None;
        let mut tries = 1;
        loop {
            let Some(current) = self.load(ctx, action, request).await? else { return missing(action, request, dry_run) };
            if let Some(idle) = idle(action, &current, request) {
                return Ok(idle);
            }
            let write = (action.plan)(&current, &request.params, &request.key)?;
            if let Write::None(why) = write {
                return Ok(Tried::Idle(ExecutionOutcome::NoChange, why));
            }
            demand(action, &current, request)?;
            let values = values_of(&current, &write);
            if seen.as_ref().is_some_and(|before| *before != values) {
                return Err(Error::conflict("executor.execute", "the target changed underneath; look at it again").with("target", &request.target));
            }
            seen = Some(values);
            let grace = if let Write::Evict { grace_period_s } = &write { *grace_period_s } else { None };
            let mut target = current.target.reference();
            target.cluster.clone_from(&request.target.cluster);
            match self.send(ctx, &current, target.clone(), write, &request.key, dry_run).await {
                Err(error) if error.kind() == ErrorKind::Conflict && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
                Ok(outcome) => return Ok(Tried::Answered(target, outcome, grace)),
            }
        }
    }

    async fn send(&self, ctx: &CallContext, current: &Current, target: ObjectRef, write: Write, key: &str, dry_run: bool) -> Result<WriteOutcome> {
        match write {
            Write::Patch { kind, body, .. } => {
                let body = marks::add_to_patch(kind, body, &current.target, key);
                let resource_version = current.target.resource_version().map(str::to_owned);
                let request = PatchRequest { target, kind, body, resource_version, field_manager: FIELD_MANAGER.into(), dry_run };
                self.write.patch(ctx.clone(), request).await
            }
            Write::Evict { grace_period_s } => self.write.evict(ctx.clone(), EvictRequest { pod: target, grace_period_s, dry_run }).await,
            Write::None(_) => Err(Error::internal("executor.execute", "nothing to write")),
        }
    }
}

/// A pod that is gone needs no eviction; any other target must exist.
fn missing(action: &Action, request: &ActionRequest, dry_run: bool) -> Result<Tried> {
    if action.effect == Effect::Evict && !dry_run {
        return Ok(Tried::Idle(ExecutionOutcome::NoChange, "the pod is gone already".into()));
    }
    Err(gone(request))
}

/// Whether the request was carried out before.
fn idle(action: &Action, current: &Current, request: &ActionRequest) -> Option<Tried> {
    if action.effect == Effect::Evict {
        let since = current.target.str_at("/metadata/deletionTimestamp")?;
        return Some(Tried::Idle(ExecutionOutcome::NoChange, format!("the pod is ending since {since}")));
    }
    marks::holds(&current.target, &request.key).then(|| Tried::Idle(ExecutionOutcome::AlreadyApplied, "it was done under this key before".into()))
}

fn effects(action: &Action, target: &ObjectRef, outcome: &WriteOutcome, grace: Option<u32>) -> Effects {
    if action.effect == Effect::Evict {
        return Effects::of_eviction(action.name, target, grace);
    }
    Effects::of_patch(action.name, target, &outcome.before, &outcome.after)
}

fn summary(action: &Action, target: &ObjectRef, changes: &[FieldChange]) -> String {
    if action.effect == Effect::Evict {
        return format!("evicted {target}");
    }
    let shown: Vec<&str> = changes.iter().take(3).map(|c| c.path.as_str()).collect();
    let more = changes.len().saturating_sub(shown.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} on {target} changed {}{more}", action.name, shown.join(", "))
}
