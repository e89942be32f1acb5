//! Actions that change nothing: they put on record what a person should know.

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::action::{Action, Current, Effect, Write, typed};

/// Parameters of actions that only record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordParams {
    /// What to tell.
    #[schemars(length(max = 4000))]
    message: Option<String>,
    /// Why.
    #[schemars(length(max = 4000))]
    reason: Option<String>,
    /// What a person should do, in order.
    #[serde(default)]
    steps: Vec<String>,
}

const fn record(name: &'static str, aliases: &'static [&'static str], summary: &'static str) -> Action {
    Action {
        name,
        aliases,
        family: "record",
        summary,
        target_kinds: &[],
        effect: Effect::Record,
        risk: Risk::None,
        reversibility: Reversibility::NotNeeded,
        preconditions: &[],
        parameters: || schema_for!(RecordParams),
        reads: &[],
        check: nothing_to_hold,
        plan: tell,
    }
}

pub(super) static NO_ACTION: Action = record("no_action", &[], "leaves the cluster as it is, because restraint is right");
pub(super) static ESCALATE: Action = record("escalate", &["manual_review"], "hands over to a person");
pub(super) static NOTIFY_ONLY: Action = record("notify_only", &[], "tells people and does nothing else");

fn nothing_to_hold(_: &Current, _: &Value) -> Result<Vec<Precondition>> {
    Ok(Vec::new())
}

fn tell(_: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: RecordParams = typed(params)?;
    let mut text = params.message.or(params.reason).unwrap_or_else(|| "recorded; the cluster is left as it is".to_owned());
    if !params.steps.is_empty() {
        text = format!("{text} ({} manual steps)", params.steps.len());
    }
    Ok(Write::None(text))
}
