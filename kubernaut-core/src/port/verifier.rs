//! Checking whether an action helped.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    Result,
    model::{Incident, Plan, Run, Verification},
    service::{CallContext, delegate},
};

/// What is to be checked.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyRequest {
    /// The incident, as it stands now (its `firing` and `alert_resolved_at` included).
    pub incident: Incident,
    /// The run whose effect is judged.
    pub run: Run,
    /// Whether the time for recovery is over: what is still bad now counts as bad.
    pub last_look: bool,
    /// What [`Verifier::baseline`] gave before the run; `Null` if it was not asked.
    pub baseline: Value,
}

/// Judges the effect of a run from the cluster's state and the alert's.
#[async_trait]
pub trait Verifier: Debug + Send + Sync + 'static {
    /// Looks once. `Pending` asks to be called again; never with `last_look`.
    ///
    /// Rules: reads only; what cannot be read is `skip`, and if nothing can be judged the verdict is `Unknown`, never `Effective`.
    ///
    /// # Errors
    /// Errors of the implementation; the caller treats them as `Pending`, or `Unknown` on the last look.
    async fn verify(&self, ctx: CallContext, request: VerifyRequest) -> Result<Verification>;

    /// How things stand before a plan is carried out, so that harm can be told from what was there before. The caller keeps it and gives it back.
    ///
    /// Rules: reads only; what it means is the implementation's own.
    ///
    /// # Errors
    /// Errors of the implementation; the caller goes on without it.
    async fn baseline(&self, _ctx: CallContext, _incident: Incident, _plan: Plan) -> Result<Value> {
        Ok(Value::Null)
    }
}

delegate!(Verifier {
    async fn verify(&self, ctx: CallContext, request: VerifyRequest) -> Result<Verification>;
    async fn baseline(&self, ctx: CallContext, incident: Incident, plan: Plan) -> Result<Value>;
} sync {});
