//! Making the writes of an action, or only asking the server what they would do.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ActionRequest, DryRun, Execution, ExecutionOutcome, FieldChange, ObjectRef},
    port::{EvictRequest, PatchRequest, WriteOutcome},
    service::CallContext,
};

use super::{KubeExecutor, demand, execution, gone, steps::Written, unchanged, values_of};
use crate::{
    action::{Action, Current, Effect, Then, Write},
    effect::Effects,
    marks::{self, FIELD_MANAGER},
};

/// Controllers write status often, and each write moves the resource version.
const TRIES: u32 = 4;

/// What became of one try.
pub(super) enum Tried {
    /// Nothing to do, and why.
    Idle(ExecutionOutcome, String),
    /// The server answered; with a line on what was done, where the changes do not say it.
    Answered(Written, Option<String>),
}

impl KubeExecutor {
    pub(super) async fn apply(&self, ctx: &CallContext, action: &Action, request: &ActionRequest) -> Result<Execution> {
        Ok(match self.attempt(ctx, action, request, false).await? {
            Tried::Idle(outcome, why) => unchanged(action, request, outcome, why),
            Tried::Answered(written, said) => {
                let message = said.unwrap_or_else(|| summary(action, &request.target, &written.effects.changes));
                tracing::info!(action = action.name, target = %request.target, key = %request.key, changes = written.effects.changes.len(), "applied");
                execution(ExecutionOutcome::Applied, written.effects, message, written.simulated)
            }
        })
    }

    pub(super) async fn preview(&self, ctx: &CallContext, action: &Action, request: &ActionRequest) -> Result<DryRun> {
        let (effects, server_side, warnings) = match self.attempt(ctx, action, request, true).await? {
            Tried::Idle(_, why) => (Effects::none(action.name, &request.target), false, vec![why]),
            Tried::Answered(written, _) => (written.effects, !written.simulated, written.warnings),
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
            match self.send(ctx, action, &current, request, write, dry_run).await {
                Err(error) if error.kind() == ErrorKind::Conflict && tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    async fn send(
        &self,
        ctx: &CallContext,
        action: &Action,
        current: &Current,
        request: &ActionRequest,
        write: Write,
        dry_run: bool,
    ) -> Result<Tried> {
        let mut target = current.target.reference();
        target.cluster.clone_from(&request.target.cluster);
        match write {
            Write::Patch { kind, mut body, .. } => {
                let lasts = (action.extra().lasts)(&request.params).filter(|_| !dry_run);
                if let Some(seconds) = lasts {
                    let tried = self.patch(ctx, current, target.clone(), (kind, body.clone()), &request.key, true).await?;
                    let effects = Effects::of_patch(action.name, &target, &tried.before, &tried.after);
                    body = self.with_return(kind, body, current, &effects, &request.key, seconds);
                }
                let outcome = self.patch(ctx, current, target.clone(), (kind, body), &request.key, dry_run).await?;
                Ok(answered(Effects::of_patch(action.name, &target, &outcome.before, &outcome.after), outcome))
            }
            Write::Evict { grace_period_s } => {
                let outcome = self.write.evict(ctx.clone(), EvictRequest { pod: target.clone(), grace_period_s, dry_run }).await?;
                Ok(answered(Effects::of_eviction(action.name, &target, grace_period_s), outcome))
            }
            Write::Steps { steps, then } => {
                let written = self.steps(ctx, action, current, request, &steps, dry_run).await?;
                let said = match then {
                    Then::AwaitJob { name, limit_s } if !dry_run && !written.simulated => Some(self.await_job(ctx, request, &name, limit_s).await?),
                    _ => None,
                };
                if written.made_before && !dry_run {
                    let why = said.unwrap_or_else(|| "it was done under this key before".into());
                    return Ok(Tried::Idle(ExecutionOutcome::AlreadyApplied, why));
                }
                Ok(Tried::Answered(written, said))
            }
            Write::Drain(drain) => self.drain(ctx, action, current, request, &drain, dry_run).await,
            Write::Dump(dump) => self.dump(ctx, action, current, request, &dump, dry_run).await,
            Write::Collect { logs, events, tail_lines } => self.collect(ctx, action, current, request, (logs, events, tail_lines), dry_run).await,
            Write::None(_) => Err(Error::internal("executor.execute", "nothing to write")),
        }
    }

    async fn patch(
        &self,
        ctx: &CallContext,
        current: &Current,
        target: ObjectRef,
        (kind, body): (kubernaut_core::port::PatchKind, serde_json::Value),
        key: &str,
        dry_run: bool,
    ) -> Result<WriteOutcome> {
        let body = marks::add_to_patch(kind, body, &current.target, key);
        let resource_version = current.target.resource_version().map(str::to_owned);
        self.write.patch(ctx.clone(), PatchRequest { target, kind, body, resource_version, field_manager: FIELD_MANAGER.into(), dry_run }).await
    }
}

fn answered(effects: Effects, outcome: WriteOutcome) -> Tried {
    Tried::Answered(Written { effects, warnings: outcome.warnings, simulated: outcome.simulated, made_before: false }, None)
}

/// A pod that is gone needs no eviction; any other target must exist.
fn missing(action: &Action, request: &ActionRequest, dry_run: bool) -> Result<Tried> {
    if (ends_pod(action) || action.extra().removes) && !dry_run {
        return Ok(Tried::Idle(ExecutionOutcome::NoChange, "it is gone already".into()));
    }
    Err(gone(request))
}

pub(super) fn ends_pod(action: &Action) -> bool {
    matches!(action.effect, Effect::Evict | Effect::Force)
}

/// Whether the request was carried out before.
fn idle(action: &Action, current: &Current, request: &ActionRequest) -> Option<Tried> {
    if action.effect == Effect::Evict {
        let since = current.target.str_at("/metadata/deletionTimestamp")?;
        return Some(Tried::Idle(ExecutionOutcome::NoChange, format!("the pod is ending since {since}")));
    }
    // A drain has only begun when the node carries the mark.
    let done = action.effect != Effect::NodeDrain && marks::holds(&current.target, &request.key);
    done.then(|| Tried::Idle(ExecutionOutcome::AlreadyApplied, "it was done under this key before".into()))
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
