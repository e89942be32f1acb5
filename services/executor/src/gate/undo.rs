//! Taking back passes the gate too.

use std::time::Duration;

use kubernaut_core::{
    Result,
    model::{DryRun, Execution, ExecutionOutcome, FieldChange, Intent, IntentState, Observation, Reversibility},
    service::{CallContext, UndoRequest},
};
use serde_json::{Value, json};

use super::{
    GatedExecutor,
    pass::{Pass, Purpose, Verdict},
};
use kubernaut_core::model::veil;

use crate::registry::find_spec;

impl GatedExecutor {
    pub(super) async fn take_back(&self, ctx: &CallContext, undo: &UndoRequest) -> Result<Execution> {
        if let Some(why) = self.nothing_to_undo(ctx, undo).await? {
            let (changes, digest) = (Vec::new(), String::new());
            let (outcome, report, pre_state) = (ExecutionOutcome::NoChange, Default::default(), Value::Null);
            return Ok(Execution { outcome, report, changes, digest, pre_state, message: why, simulated: undo.execution.simulated });
        }
        let original = self.original(ctx, undo).await?;
        let mut request = undo.request.clone();
        // The intent knows which object it was; the request may only have named it.
        if let Some(uid) = original.as_ref().and_then(|i| i.request.target.uid.clone()) {
            request.target.uid.get_or_insert(uid);
        }
        request.key.clone_from(&undo.key);
        if let Some(done) = self.replay(ctx, &request, undo.incident_id).await? {
            return Ok(done);
        }
        let (mut pass, _) = ctx.run("gate.check", self.inspect(ctx, &request, Purpose::Undo)).await?;
        if let Some(error) = pass.invalid.take() {
            self.record_gate(ctx, undo.incident_id, &pass, "invalid", "").await?;
            return Err(error);
        }
        if pass.refused() {
            return self.refuse(ctx, undo.incident_id, pass).await;
        }
        pass.add("dry_run", Verdict::skip("restores recorded fields only; one that was changed since is a conflict"));
        if let Some(why) = disagreement(&mut pass, original.as_ref(), undo) {
            return self.end(ctx, undo.incident_id, pass, as_dry_run(undo), ExecutionOutcome::NeedsApproval, why).await;
        }
        // The request may have come through places that must not know the values.
        let known = original.as_ref().and_then(|i| i.execution.clone()).unwrap_or_else(|| undo.execution.clone());
        let undo = &UndoRequest { execution: known, ..undo.clone() };
        let lock = self.lock(ctx, &pass).await?;
        let ctx = ctx.clone().with_timeout(Duration::from_secs(self.config.lock_ttl_s.max(10) * 3 / 4));
        let done = self.locked_undo(&ctx, undo, pass, original).await;
        lock.release().await;
        done
    }

    /// The promise under which the action was carried out, if it was about this action on this object.
    async fn original(&self, ctx: &CallContext, undo: &UndoRequest) -> Result<Option<Intent>> {
        let Some(intent) = self.parts.ledger.intent(ctx.clone(), undo.request.key.clone()).await? else { return Ok(None) };
        Ok(self.is_same(ctx, &intent.request, &undo.request).await?.then_some(intent))
    }

    /// Why there is nothing that could be taken back, so that nothing needs to be checked either.
    async fn nothing_to_undo(&self, ctx: &CallContext, undo: &UndoRequest) -> Result<Option<String>> {
        if undo.execution.changes.is_empty() {
            return Ok(Some("nothing was changed, so nothing is taken back".into()));
        }
        let specs = self.inner.actions(ctx.clone()).await?;
        let spec = find_spec(&specs, &undo.request.action).filter(|s| s.reversibility == Reversibility::NotNeeded);
        Ok(spec.map(|s| format!("{} leaves nothing to take back", s.name)))
    }

    async fn locked_undo(&self, ctx: &CallContext, undo: &UndoRequest, mut pass: Pass, original: Option<Intent>) -> Result<Execution> {
        pass.add("lock", Verdict::pass("the target is locked"));
        if let Some(done) = self.replay(ctx, &pass.request, undo.incident_id).await? {
            return Ok(done);
        }
        if let Some(reason) = self.parts.ledger.stopped(ctx.clone()).await? {
            pass.add("unchanged", Verdict::fail(format!("all acting is stopped: {reason}")));
            return self.refuse(ctx, undo.incident_id, pass).await;
        }
        self.record_gate(ctx, undo.incident_id, &pass, "undoing", &undo.execution.digest).await?;
        let planned = Execution {
            outcome: ExecutionOutcome::Applied,
            report: pass.report.clone(),
            changes: inverted(&undo.execution),
            ..undo.execution.clone()
        };
        let intent = Intent {
            key: undo.key.clone(),
            incident_id: undo.incident_id,
            request: pass.request.clone(),
            digest: undo.execution.digest.clone(),
            pre_state: after_state(&undo.execution),
            state: IntentState::Open,
            at: self.parts.clock.now(),
            execution: Some(planned),
        };
        let stored = self.parts.ledger.open_intent(ctx.clone(), intent.clone()).await?;
        if stored != intent {
            self.parts.ledger.close_intent(ctx.clone(), intent.key, IntentState::Open, intent.execution).await?;
        }
        let mut inner = undo.clone();
        inner.request.target = pass.request.target.clone();
        inner.request.action.clone_from(&pass.request.action);
        let done = self.inner.undo(ctx.clone(), inner).await;
        self.settle_undo(ctx, undo, pass, original, done).await
    }

    async fn settle_undo(
        &self,
        ctx: &CallContext,
        undo: &UndoRequest,
        pass: Pass,
        original: Option<Intent>,
        done: Result<Execution>,
    ) -> Result<Execution> {
        let data = |more: Value| json!({"action": pass.request.action, "target": pass.request.target.to_string(), "key": undo.key, "of": undo.request.key, "result": more});
        let execution = match done {
            Ok(execution) => Execution { report: pass.report.clone(), ..execution },
            Err(error) => {
                let observed = self.inner.observe(ctx.clone(), pass.request.clone()).await.unwrap_or(Observation::Unknown);
                if observed == Observation::NotApplied && !error.is_transient() {
                    self.parts.ledger.close_intent(ctx.clone(), undo.key.clone(), IntentState::Abandoned, None).await?;
                }
                self.record_done(ctx, undo.incident_id, "action.undo_failed", data(json!({"error": error.to_string(), "observed": observed}))).await;
                return Err(error);
            }
        };
        let acted = matches!(execution.outcome, ExecutionOutcome::Applied | ExecutionOutcome::AlreadyApplied);
        let state = if acted { IntentState::Applied } else { IntentState::Abandoned };
        self.parts.ledger.close_intent(ctx.clone(), undo.key.clone(), state, Some(execution.clone())).await?;
        if let Some(original) = original.filter(|_| acted) {
            self.parts.ledger.close_intent(ctx.clone(), original.key, IntentState::Undone, original.execution).await?;
        }
        self.record_done(
            ctx,
            undo.incident_id,
            "action.undone",
            data(json!({"outcome": execution.outcome, "changes": veil::changes(&execution.changes)})),
        )
        .await;
        Ok(execution)
    }
}

/// An undo needs no agreement of its own where the ledger shows that this very effect was carried out: a person or the policy agreed to it.
fn disagreement(pass: &mut Pass, original: Option<&Intent>, undo: &UndoRequest) -> Option<String> {
    let known = original.is_some_and(|i| {
        i.execution.as_ref().is_some_and(|e| veil::changes(&e.changes) == veil::changes(&undo.execution.changes)) && i.state != IntentState::Abandoned
    });
    let text = if known {
        format!("takes back what {} did", undo.request.key)
    } else {
        format!("the ledger has no such execution under key {}; a person must look", undo.request.key)
    };
    pass.add("approval", if known { Verdict::pass(text.clone()) } else { Verdict::ask(text.clone()) });
    (!known).then_some(text)
}

fn as_dry_run(undo: &UndoRequest) -> DryRun {
    let execution = undo.execution.clone();
    DryRun {
        report: Default::default(),
        changes: execution.changes,
        digest: execution.digest,
        pre_state: execution.pre_state,
        server_side: false,
        warnings: Vec::new(),
    }
}

fn inverted(execution: &Execution) -> Vec<FieldChange> {
    execution.changes.iter().map(|c| FieldChange { path: c.path.clone(), before: c.after.clone(), after: c.before.clone() }).collect()
}

fn after_state(execution: &Execution) -> Value {
    Value::Object(execution.changes.iter().map(|c| (c.path.clone(), c.after.clone().unwrap_or(Value::Null))).collect())
}
