//! One line of the predictions file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Report;

/// What was answered on one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// The case's id.
    pub id: String,
    /// The alerted object.
    pub target: String,
    /// The environment's value.
    pub environment: String,
    /// Causes, most likely first.
    pub candidates: Vec<PredictedCause>,
    /// Proposals, best first.
    pub actions: Vec<PredictedAction>,
    /// act, approve, escalate or no_action.
    pub decision: String,
    /// Milliseconds from request to answer.
    pub latency_ms: f64,
}

/// One predicted cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredictedCause {
    /// Kind of cause.
    pub category: String,
    /// The object to change.
    pub object: String,
    /// 0 to 1.
    pub confidence: f64,
}

/// One predicted action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredictedAction {
    /// Name.
    pub action: String,
    /// The object to change.
    pub target: String,
    /// Parameters.
    pub params: Value,
}

impl From<&Report> for Prediction {
    fn from(report: &Report) -> Self {
        let causes =
            report.candidates.iter().map(|c| PredictedCause { category: c.category.clone(), object: c.object.clone(), confidence: c.confidence });
        let actions = report.actions.iter().map(|a| PredictedAction { action: a.action.clone(), target: a.target.clone(), params: a.params.clone() });
        Self {
            id: report.id.clone(),
            target: report.target.clone(),
            environment: report.environment.value.as_str().to_owned(),
            candidates: causes.collect(),
            actions: actions.collect(),
            decision: report.decision.as_str().to_owned(),
            latency_ms: report.latency_ms,
        }
    }
}
