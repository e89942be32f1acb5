//! Whether what a run changed still stands.

use kubernaut_core::{
    model::{CheckOutcome, ExecutionOutcome, FieldChange, Object, ObjectRef, Run, StepState, VerificationCheck, veil},
    port::ClusterRead,
    service::CallContext,
};
use serde_json::Value;

/// Name of the check.
pub(super) const NAME: &str = "spec_unchanged";

/// Annotations are notes, of Kubernaut and others; they are no fix.
const NOTES: &[&str] = &["/metadata/annotations", "/metadata/labels", "/spec/template/metadata/annotations"];

pub(super) async fn check(cluster: &dyn ClusterRead, ctx: &CallContext, run: &Run) -> VerificationCheck {
    let mut compared = 0;
    for (target, change) in applied(run) {
        let object = match cluster.get(ctx.clone(), ObjectRef { uid: None, ..target.clone() }).await {
            Ok(object) => object,
            Err(error) => return made(CheckOutcome::Skip, format!("{target} cannot be read: {error}")),
        };
        if let Some(drift) = drift(target, object.as_ref(), change) {
            return made(CheckOutcome::Fail, drift);
        }
        compared += 1;
    }
    match compared {
        0 => made(CheckOutcome::Skip, "the run changed no field that lasts".into()),
        n => made(CheckOutcome::Pass, format!("{n} changed field(s) stand")),
    }
}

fn made(outcome: CheckOutcome, text: String) -> VerificationCheck {
    VerificationCheck { name: NAME.into(), outcome, text }
}

/// The last change of every field by steps that stand.
fn applied(run: &Run) -> Vec<(&ObjectRef, &FieldChange)> {
    let mut last: Vec<(&ObjectRef, &FieldChange)> = Vec::new();
    for (step, planned) in run.steps.iter().zip(&run.plan.steps) {
        let done = step.execution.as_ref().filter(|e| matches!(e.outcome, ExecutionOutcome::Applied | ExecutionOutcome::AlreadyApplied));
        let Some(execution) = done.filter(|_| step.state == StepState::Completed) else { continue };
        for change in execution.changes.iter().filter(|c| !NOTES.iter().any(|n| c.path.starts_with(n))) {
            last.retain(|(target, c)| c.path != change.path || !target.same_object(&planned.target));
            last.push((&planned.target, change));
        }
    }
    last
}

fn drift(target: &ObjectRef, object: Option<&Object>, change: &FieldChange) -> Option<String> {
    // An object that was replaced on purpose: its successor, or none, is what was wanted.
    if change.path == "/metadata/uid" {
        let same = object.and_then(Object::uid).is_some_and(|uid| change.before.as_ref().and_then(Value::as_str) == Some(uid));
        return same.then(|| format!("{target} is still the one from before"));
    }
    let Some(object) = object else { return Some(format!("{target} no longer exists")) };
    // The run knows values of variables only as hidden, and nobody is told them here either.
    let veiled = |value: Option<&Value>| value.filter(|v| !v.is_null()).map(|v| veil::field(&change.path, v));
    let (now, set) = (veiled(object.at(&change.path)), veiled(change.after.as_ref()));
    let shown = |v: Option<Value>| v.map_or_else(|| "absent".to_owned(), |v| v.to_string());
    (now != set).then(|| format!("{target} {} is {}, was set to {}: somebody changed it since", change.path, shown(now), shown(set)))
}
