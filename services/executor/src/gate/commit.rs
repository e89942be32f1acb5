//! From the lock to the committed result.

use std::time::Duration;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Approval, DryRun, Execution, ExecutionOutcome, Intent, IntentState, ObjectRef, Observation, uuid_at},
    service::{CallContext, ExecuteRequest},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    GatedExecutor, approve,
    lock::Lock,
    pass::{Pass, Purpose, Verdict},
    stop,
};
use kubernaut_core::model::veil;

/// Time to write down what became of an action when the caller's own time is over.
const SETTLE: Duration = Duration::from_secs(10);

impl GatedExecutor {
    pub(super) async fn commit(
        &self,
        ctx: &CallContext,
        request: &ExecuteRequest,
        pass: Pass,
        dry: DryRun,
        approval: Option<Approval>,
    ) -> Result<Execution> {
        let lock = self.lock(ctx, &pass).await?;
        // The lock must outlive all that happens under it.
        let ctx = ctx.clone().with_timeout(Duration::from_secs(self.config.lock_ttl_s.max(10) * 3 / 4));
        let done = self.locked(&ctx, request, pass, dry, approval).await;
        lock.release().await;
        done
    }

    /// Takes the lock on the target. Not a `Conflict` if it is taken: nothing is known to have changed, it is only too early.
    pub(super) async fn lock(&self, ctx: &CallContext, pass: &Pass) -> Result<Lock> {
        let name = format!("action:{}:{}", self.cluster_id(ctx).await?, scope(&pass.request.target));
        let ttl = Duration::from_secs(self.config.lock_ttl_s.max(10));
        let taken = Lock::take(&self.parts.ledger, ctx, name, self.holder(pass), ttl).await?;
        taken.ok_or_else(|| {
            let text = "another action on the target is under way; try again";
            Error::new(ErrorKind::Overloaded, "gate.lock", text).with("target", &pass.request.target).retry_after(Duration::from_secs(1))
        })
    }

    /// Unique per call: two calls with one key must not both hold the lock.
    pub(super) fn holder(&self, pass: &Pass) -> String {
        format!("{}#{}", pass.request.key, uuid_at(self.parts.clock.now()))
    }

    async fn locked(
        &self,
        ctx: &CallContext,
        request: &ExecuteRequest,
        mut pass: Pass,
        dry: DryRun,
        approval: Option<Approval>,
    ) -> Result<Execution> {
        pass.add("lock", Verdict::pass("the target is locked"));
        // Another call with this key may have acted while this one waited.
        if let Some(done) = self.replay(ctx, &pass.request, request.incident_id).await? {
            return Ok(done);
        }
        let (mut again, _) = self.inspect(ctx, &pass.request, Purpose::Act).await?;
        if let Some(check) = again.report.refusal() {
            pass.add("unchanged", Verdict::fail(format!("{} by now: {}", check.name, check.text)));
            return self.refuse(ctx, request.incident_id, pass).await;
        }
        let Some(shown) = self.show_again(ctx, &mut pass).await? else { return self.refuse(ctx, request.incident_id, pass).await };
        if shown.digest != dry.digest {
            let text = format!("the effect changed since the checks: digest {}, not {}", shown.digest, dry.digest);
            pass.add("unchanged", Verdict::ask(text.clone()));
            pass.terms = again.terms;
            pass.tell_terms();
            return self.end(ctx, request.incident_id, pass, shown, ExecutionOutcome::NeedsApproval, text).await;
        }
        if let Some(why) = approve::missing(&mut again, request, &shown, approval.as_ref()) {
            pass.add("unchanged", Verdict::ask(format!("asked for by now: {why}")));
            pass.terms = again.terms;
            pass.tell_terms();
            return self.end(ctx, request.incident_id, pass, shown, ExecutionOutcome::NeedsApproval, why).await;
        }
        pass.add("unchanged", Verdict::pass(format!("every check says the same, and uid and digest {} are unchanged", shown.digest)));
        pass.reserve = again.reserve;
        let places = self.reserve(ctx, &pass).await?;
        let done = self.act(ctx, request, &pass, &shown).await;
        match &done {
            Ok(execution) if execution.outcome == ExecutionOutcome::Applied => places.leave(),
            Err(error) if error.is_transient() => places.leave(),
            _ => places.release().await,
        }
        done
    }

    /// The dry-run once more; `None` if it refused. It is recorded only where it did.
    async fn show_again(&self, ctx: &CallContext, pass: &mut Pass) -> Result<Option<DryRun>> {
        let before = pass.report.checks.len();
        let shown = self.show(ctx, pass).await?;
        if shown.is_some() {
            pass.report.checks.truncate(before);
        } else if let Some(check) = pass.report.checks.last_mut() {
            check.name = "unchanged".into();
        }
        Ok(shown)
    }

    async fn act(&self, ctx: &CallContext, request: &ExecuteRequest, pass: &Pass, dry: &DryRun) -> Result<Execution> {
        self.record_gate(ctx, request.incident_id, pass, "acting", &dry.digest).await?;
        let planned = planned(pass, dry);
        self.open(ctx, request, pass, &planned).await?;
        // The last look before the executor is called; what it writes through a `StoppableWrite` is looked at once more, write by write.
        if let Some(reason) = self.parts.ledger.stopped(ctx.clone()).await? {
            self.parts.ledger.close_intent(ctx.clone(), pass.request.key.clone(), IntentState::Abandoned, None).await?;
            return Err(stop::stopped(&reason));
        }
        let inner = ExecuteRequest { request: pass.request.clone(), approved_digest: Some(dry.digest.clone()), ..request.clone() };
        let done = self.inner.execute(ctx.clone(), inner).await;
        // What was done is written down even if the caller's time is over.
        let late = CallContext { deadline: None, cancellation: CancellationToken::new(), ..ctx.clone() }.with_timeout(SETTLE);
        match done {
            Ok(execution) => self.close(&late, request, pass, planned, execution).await,
            Err(error) => self.failed(&late, request, pass, planned, error).await,
        }
    }

    /// Commits the promise to act, with what was planned, so that a crash leaves enough to take it back.
    async fn open(&self, ctx: &CallContext, request: &ExecuteRequest, pass: &Pass, planned: &Execution) -> Result<()> {
        let intent = Intent {
            key: pass.request.key.clone(),
            incident_id: request.incident_id,
            request: pass.request.clone(),
            digest: planned.digest.clone(),
            pre_state: planned.pre_state.clone(),
            state: IntentState::Open,
            at: self.parts.clock.now(),
            execution: Some(planned.clone()),
        };
        let stored = self.parts.ledger.open_intent(ctx.clone(), intent.clone()).await?;
        if stored != intent {
            // An earlier try under this key did not act; the promise now stands for this one.
            self.parts.ledger.close_intent(ctx.clone(), intent.key, IntentState::Open, intent.execution).await?;
        }
        Ok(())
    }

    async fn close(&self, ctx: &CallContext, request: &ExecuteRequest, pass: &Pass, planned: Execution, execution: Execution) -> Result<Execution> {
        let execution = match execution.outcome {
            ExecutionOutcome::Applied => Execution { report: pass.report.clone(), ..execution },
            ExecutionOutcome::AlreadyApplied => Execution { outcome: ExecutionOutcome::AlreadyApplied, ..planned },
            _ => {
                self.parts.ledger.close_intent(ctx.clone(), pass.request.key.clone(), IntentState::Abandoned, None).await?;
                return Ok(Execution { report: pass.report.clone(), ..execution });
            }
        };
        self.parts.ledger.close_intent(ctx.clone(), pass.request.key.clone(), IntentState::Applied, Some(execution.clone())).await?;
        let data = json!({
            "action": pass.request.action, "target": pass.request.target.to_string(), "key": pass.request.key, "digest": execution.digest,
            "changes": veil::changes(&execution.changes), "message": execution.message, "simulated": execution.simulated,
        });
        self.record_done(ctx, request.incident_id, "action.applied", data).await;
        Ok(execution)
    }

    /// After an error only the cluster knows whether the write arrived.
    async fn failed(&self, ctx: &CallContext, request: &ExecuteRequest, pass: &Pass, planned: Execution, error: Error) -> Result<Execution> {
        let observed = self.inner.observe(ctx.clone(), pass.request.clone()).await.unwrap_or(Observation::Unknown);
        if observed == Observation::Applied {
            let arrived = Execution { message: format!("done, although the answer was an error: {error}"), ..planned.clone() };
            return self.close(ctx, request, pass, planned, arrived).await;
        }
        // A late write can still arrive after a lost answer, so the promise stays open until observation settles it.
        let certain = observed == Observation::NotApplied && !error.is_transient() && error.kind() != ErrorKind::Cancelled;
        if certain {
            self.parts.ledger.close_intent(ctx.clone(), pass.request.key.clone(), IntentState::Abandoned, None).await?;
        }
        let data = json!({"action": pass.request.action, "target": pass.request.target.to_string(), "key": pass.request.key, "error": error.to_string(), "observed": observed});
        self.record_done(ctx, request.incident_id, "action.failed", data).await;
        Err(error)
    }
}

fn planned(pass: &Pass, dry: &DryRun) -> Execution {
    Execution {
        outcome: ExecutionOutcome::Applied,
        report: pass.report.clone(),
        changes: dry.changes.clone(),
        digest: dry.digest.clone(),
        pre_state: dry.pre_state.clone(),
        message: format!("{} on {}", pass.request.action, pass.request.target),
        simulated: false,
    }
}

/// What one lock is about. Actions on nodes take turns, so that the count of cordoned nodes holds.
fn scope(target: &ObjectRef) -> String {
    if target.kind == "Node" { "Node".to_owned() } else { target.to_string() }
}
