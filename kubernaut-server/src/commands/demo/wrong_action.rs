//! An analyzer that finds the cause and proposes the wrong thing, to show what verification is for.

use std::sync::Arc;

use async_trait::async_trait;
use kubernaut::{
    Result,
    model::{Analysis, Precondition, ProposedAction, Risk},
    service::{AnalysisRequest, Analyzer, CallContext},
};
use serde_json::json;

/// Replaces every proposal by a mere restart of the alerted object's workload.
#[derive(Debug)]
pub(super) struct WrongAction {
    inner: Arc<dyn Analyzer>,
}

impl WrongAction {
    pub(super) fn new(inner: Arc<dyn Analyzer>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl Analyzer for WrongAction {
    async fn analyze(&self, ctx: CallContext, request: AnalysisRequest) -> Result<Analysis> {
        let mut analysis = self.inner.analyze(ctx, request).await?;
        let Some(cause) = analysis.candidates.first() else { return Ok(analysis) };
        analysis.actions = vec![ProposedAction {
            action: "rollout_restart".into(),
            target: cause.object.clone(),
            params: json!({}),
            preconditions: vec![Precondition { text: "the workload exists".into(), holds: true }],
            risk: Risk::Low,
            reversible: false,
            expected_effect: "new pods of the same template".into(),
            manual_steps: Vec::new(),
        }];
        Ok(analysis)
    }
}
