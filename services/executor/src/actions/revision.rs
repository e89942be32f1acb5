//! Going back to an earlier revision of a StatefulSet or DaemonSet.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, Precondition, Reversibility, Risk},
    port::PatchKind,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::{Action, Current, Effect, Read, Write, condition, typed};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RollbackParams {
    /// Revision to go back to; the latest earlier one where absent.
    #[schemars(range(min = 1))]
    to_revision: Option<i64>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

const fn rollback(name: &'static str, kinds: &'static [&'static str], summary: &'static str) -> Action {
    Action {
        name,
        aliases: &[],
        family: "workload",
        summary,
        target_kinds: kinds,
        effect: Effect::Template,
        risk: Risk::Medium,
        reversibility: Reversibility::Undo,
        preconditions: &["the revision exists and is not the current one"],
        parameters: || schema_for!(RollbackParams),
        reads: &[Read::Revisions],
        check,
        plan,
    }
}

pub(super) static ROLLBACK_STATEFULSET: Action =
    rollback("rollback_statefulset", &["StatefulSet"], "puts the pod template of an earlier revision of a StatefulSet back");
pub(super) static ROLLBACK_DAEMONSET: Action =
    rollback("rollback_daemonset", &["DaemonSet"], "puts the pod template of an earlier revision of a DaemonSet back");

/// The pod template that a revision keeps, or that a workload has, comparable.
fn template(value: Option<&Value>) -> Option<Value> {
    let mut template = value?.clone();
    template.as_object_mut()?.remove("$patch");
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, v| !v.is_null());
    }
    Some(template)
}

fn kept(revision: &Object) -> Option<Value> {
    template(revision.at("/data/spec/template"))
}

fn number(revision: &Object) -> i64 {
    revision.i64_at("/revision").unwrap_or(0)
}

fn choose(current: &Current, wanted: Option<i64>) -> Option<&Object> {
    let now = template(current.target.at("/spec/template"));
    let all = current.related(Read::Revisions);
    match wanted {
        Some(wanted) => all.iter().find(|r| number(r) == wanted),
        None => all.iter().filter(|r| kept(r) != now).max_by_key(|r| number(r)),
    }
}

fn missing(current: &Current) -> String {
    let mut known: Vec<i64> = current.related(Read::Revisions).iter().map(number).collect();
    known.sort_unstable();
    format!("no such revision to go back to; kept are {known:?}")
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let wanted = typed::<RollbackParams>(params)?.to_revision;
    Ok(vec![match choose(current, wanted) {
        None => condition(false, missing(current)),
        Some(revision) => {
            let other = kept(revision).is_some_and(|t| Some(t) != template(current.target.at("/spec/template")));
            condition(other, format!("revision {} ({}) exists and is not the current one", number(revision), revision.name()))
        }
    }])
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let wanted = typed::<RollbackParams>(params)?.to_revision;
    let found = choose(current, wanted).and_then(kept);
    let template = found.ok_or_else(|| Error::new(ErrorKind::Refused, "executor.rollback", missing(current)))?;
    if self::template(current.target.at("/spec/template")).as_ref() == Some(&template) {
        return Ok(Write::None("the template is that of the revision already".into()));
    }
    let body = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
    Ok(Write::Patch { kind: PatchKind::Json, body, reads: vec!["/spec/template".into()] })
}
