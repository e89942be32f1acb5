//! What a pass leaves behind: audit events and counts.

use kubernaut_core::{
    Result,
    model::{DryRun, Execution, ExecutionOutcome, IncidentId},
    port::NewEvent,
    service::CallContext,
};
use serde_json::{Value, json};

use super::{GatedExecutor, pass::Pass};

impl GatedExecutor {
    /// One audit event for a pass, with all checks.
    pub(super) async fn record_gate(&self, ctx: &CallContext, incident: Option<IncidentId>, pass: &Pass, outcome: &str, digest: &str) -> Result<()> {
        let data = json!({
            "action": pass.request.action, "target": pass.request.target.to_string(), "key": pass.request.key,
            "outcome": outcome, "digest": digest, "report": pass.report,
        });
        self.record(ctx, incident, "action.gate", data).await
    }

    /// One audit event; ad-hoc calls without an incident go to the log.
    pub(super) async fn record(&self, ctx: &CallContext, incident: Option<IncidentId>, kind: &'static str, data: Value) -> Result<()> {
        tracing::debug!(kind, trace = %ctx.trace, %data, "gate");
        let Some(incident) = incident else {
            // No chain belongs to it, so the log is what tells who did it.
            tracing::info!(kind, actor = %ctx.actor, %data, "gate, outside of an incident");
            return Ok(());
        };
        let event = NewEvent { kind, actor: ctx.actor.to_string(), data };
        self.parts.ledger.append_events(ctx.clone(), incident, vec![event]).await
    }

    /// The same after acting: what was done stands, whether it can be written down or not.
    pub(super) async fn record_done(&self, ctx: &CallContext, incident: Option<IncidentId>, kind: &'static str, data: Value) {
        if let Err(error) = self.record(ctx, incident, kind, data).await {
            tracing::error!(kind, trace = %ctx.trace, %error, "an action was carried out but its audit event could not be written");
        }
    }

    /// Ends a pass that refused.
    pub(super) async fn refuse(&self, ctx: &CallContext, incident: Option<IncidentId>, pass: Pass) -> Result<Execution> {
        let message = pass.report.refusal().map_or_else(|| "refused".to_owned(), |c| format!("refused by {}: {}", c.name, c.text));
        let nothing = DryRun {
            report: Default::default(),
            changes: Vec::new(),
            digest: String::new(),
            pre_state: Value::Null,
            server_side: false,
            warnings: Vec::new(),
        };
        self.end(ctx, incident, pass, nothing, ExecutionOutcome::Refused, message).await
    }

    /// Ends a pass without having acted.
    pub(super) async fn end(
        &self,
        ctx: &CallContext,
        incident: Option<IncidentId>,
        pass: Pass,
        dry: DryRun,
        outcome: ExecutionOutcome,
        message: String,
    ) -> Result<Execution> {
        self.record_gate(ctx, incident, &pass, name(outcome), &dry.digest).await?;
        let (changes, digest, pre_state) = (dry.changes, dry.digest, dry.pre_state);
        Ok(Execution { outcome, report: pass.report, changes, digest, pre_state, message, simulated: false })
    }
}

/// The stable name of an outcome.
pub(super) fn name(outcome: ExecutionOutcome) -> &'static str {
    match outcome {
        ExecutionOutcome::Applied => "applied",
        ExecutionOutcome::AlreadyApplied => "already_applied",
        ExecutionOutcome::NoChange => "no_change",
        ExecutionOutcome::Refused => "refused",
        ExecutionOutcome::NeedsApproval => "needs_approval",
    }
}

/// Counts an execution. Names that are not offered are counted together: they come from outside.
pub(super) fn count(action: &str, done: &Result<Execution>) {
    let action = crate::registry::find(action).map_or(if action == "undo" { "undo" } else { "other" }, |a| a.name);
    let outcome = match done {
        Ok(execution) => name(execution.outcome),
        Err(error) => error.kind().as_str(),
    };
    metrics::counter!("kubernaut_executor_actions_total", "action" => action, "outcome" => outcome).increment(1);
}
