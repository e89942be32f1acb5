//! Whether a CronJob starts new runs.

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    action::{Action, Current, Effect, Write, typed},
    edit::Edit,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SuspendParams {
    /// Whether new runs are held back. Default true.
    suspend: Option<bool>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static SUSPEND_CRONJOB: Action = Action {
    name: "suspend_cronjob",
    aliases: &[],
    family: "batch",
    summary: "holds new runs of a CronJob back, or lets them start again; runs under way go on",
    target_kinds: &["CronJob"],
    effect: Effect::Settings,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &[],
    parameters: || schema_for!(SuspendParams),
    reads: &[],
    check: nothing_to_hold,
    plan,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResumeParams {
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static RESUME_CRONJOB: Action = Action {
    name: "resume_cronjob",
    aliases: &[],
    family: "batch",
    summary: "lets new runs of a CronJob start again",
    target_kinds: &["CronJob"],
    effect: Effect::Settings,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &[],
    parameters: || schema_for!(ResumeParams),
    reads: &[],
    check: nothing_to_hold,
    plan: |current, params, key| {
        let _: ResumeParams = typed(params)?;
        plan(current, &json!({"suspend": false}), key)
    },
};

fn nothing_to_hold(_: &Current, _: &Value) -> Result<Vec<Precondition>> {
    Ok(Vec::new())
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let wanted = typed::<SuspendParams>(params)?.suspend.unwrap_or(true);
    let same = || format!("the CronJob {} already", if wanted { "holds new runs back" } else { "starts new runs" });
    if current.target.bool_at("/spec/suspend").unwrap_or(false) == wanted {
        return Ok(Write::None(same()));
    }
    let mut edit = Edit::of(&current.target);
    edit.set("/spec/suspend", Some(json!(wanted)));
    Ok(edit.finish(same))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    #[test]
    fn a_cronjob_is_suspended_unless_it_is() {
        let world = |spec: Value| Current { target: Object::new(json!({"kind": "CronJob", "spec": spec})), related: Default::default() };
        let Write::Patch { body, .. } = plan(&world(json!({})), &Value::Null, "k").unwrap() else { panic!("no patch") };
        assert_eq!(body, json!([{"op": "add", "path": "/spec/suspend", "value": true}]));
        assert!(matches!(plan(&world(json!({"suspend": true})), &Value::Null, "k").unwrap(), Write::None(_)));
        assert!(matches!(plan(&world(json!({})), &json!({"suspend": false}), "k").unwrap(), Write::None(_)));
    }
}
