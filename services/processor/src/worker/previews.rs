//! What a plan would change, asked before anything is done.

use std::time::Duration;

use kubernaut_core::model::{ActionRequest, FieldChange, Plan};
use serde::Serialize;

use super::session::{Session, Step, tolerate};

const DRY_RUN: Duration = Duration::from_secs(30);

/// The dry-run of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Preview {
    pub(super) step: String,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) changes: Vec<FieldChange>,
    pub(super) digest: String,
    pub(super) server_side: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    /// The check that would refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
    /// Why it could not be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Session<'_> {
    /// Dry-runs of all steps. What cannot be shown is said and stops nothing: the gate asks again before acting.
    pub(super) async fn previews(&self, plan: &Plan) -> Step<Vec<Preview>> {
        let mut previews = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let key = format!("preview/{}/{}", plan.id, step.id);
            let request = ActionRequest { action: step.action.clone(), target: step.target.clone(), params: step.params.clone(), key };
            let executor = &self.inner.parts.executor;
            let mut preview = Preview {
                step: step.id.clone(),
                action: step.action.clone(),
                target: step.target.to_string(),
                changes: Vec::new(),
                digest: String::new(),
                server_side: false,
                warnings: Vec::new(),
                refused: None,
                error: None,
            };
            match tolerate(self.call("executor.dry_run", DRY_RUN, |ctx| executor.dry_run(ctx, request)).await)? {
                Ok(shown) => {
                    preview.refused = shown.report.refusal().map(|c| format!("{}: {}", c.name, c.text));
                    preview.changes = shown.changes;
                    preview.digest = shown.digest;
                    preview.server_side = shown.server_side;
                    preview.warnings = shown.warnings;
                }
                Err(error) => preview.error = Some(error.to_string()),
            }
            previews.push(preview);
        }
        Ok(previews)
    }
}
