//! Going back to an earlier revision of a Deployment.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, Precondition, Reversibility, Risk},
    port::PatchKind,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rollout::not_paused;
use crate::action::{Action, Current, Effect, Read, Write, bad_params, condition, typed};

const REVISION: &str = "deployment.kubernetes.io/revision";
const EARLIER_REVISIONS: &str = "deployment.kubernetes.io/revision-history";
const TEMPLATE_HASH: &str = "pod-template-hash";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RollbackParams {
    /// Revision to go back to; the latest earlier one that is not known to be bad where absent.
    #[schemars(range(min = 1))]
    to_revision: Option<u64>,
    /// The same as `to_revision`.
    #[schemars(range(min = 1))]
    revision: Option<u64>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

impl RollbackParams {
    fn wanted(&self) -> Result<Option<u64>> {
        match (self.to_revision, self.revision) {
            (Some(a), Some(b)) if a != b => Err(bad_params(format!("to_revision is {a} but revision is {b}; give one"))),
            (a, b) => Ok(a.or(b)),
        }
    }
}

pub(super) static ROLLBACK_DEPLOYMENT: Action = Action {
    name: "rollback_deployment",
    aliases: &["proactive_rollback"],
    family: "workload",
    summary: "puts the pod template of an earlier revision back",
    target_kinds: &["Deployment"],
    effect: Effect::Template,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &[
        "the revision exists and is not the current one",
        "the revision is not known to be bad",
        "rollouts of the workload are not paused",
    ],
    parameters: || schema_for!(RollbackParams),
    reads: &[Read::ReplicaSets],
    check,
    plan,
};

/// What is known of a revision's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// That many are ready now.
    Ready(i64),
    /// None runs, so nothing can be told.
    NoPods,
    /// That many run and none is ready.
    Bad(i64),
}

fn health(set: &Object) -> Health {
    let ready = set.i64_at("/status/readyReplicas").unwrap_or(0);
    let replicas = set.i64_at("/status/replicas").unwrap_or(0);
    match (ready, replicas) {
        (1.., _) => Health::Ready(ready),
        (_, 1..) => Health::Bad(replicas),
        _ => Health::NoPods,
    }
}

/// The pod template of a Deployment or ReplicaSet, comparable: without the label that the controller adds to each ReplicaSet.
fn template(workload: &Object) -> Value {
    let mut template = workload.at("/spec/template").cloned().unwrap_or(Value::Null);
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    // Some servers store an empty creationTimestamp in every template.
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, v| !v.is_null());
    }
    template
}

fn revision(object: &Object) -> Option<u64> {
    object.annotation(REVISION)?.parse().ok()
}

/// Whether the ReplicaSet has, or had before it was taken up again, that number.
fn has_revision(set: &Object, wanted: u64) -> bool {
    let earlier = set.annotation(EARLIER_REVISIONS).unwrap_or_default();
    revision(set) == Some(wanted) || earlier.split(',').any(|r| r.trim().parse() == Ok(wanted))
}

fn is_current(set: &Object, deployment: &Object) -> bool {
    match (revision(set), revision(deployment)) {
        (Some(a), Some(b)) => a == b,
        _ => template(deployment) == template(set),
    }
}

/// The ReplicaSet to go back to.
fn choose(current: &Current, wanted: Option<u64>) -> Option<&Object> {
    let sets = current.related(Read::ReplicaSets);
    let Some(wanted) = wanted else {
        let latest = revision(&current.target)?;
        let earlier = sets.iter().filter(|s| revision(s).is_some_and(|r| r < latest) && !matches!(health(s), Health::Bad(_)));
        return earlier.max_by_key(|s| (matches!(health(s), Health::Ready(_)), revision(s)));
    };
    sets.iter().find(|s| has_revision(s, wanted))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let wanted = typed::<RollbackParams>(params)?.wanted()?;
    let Some(set) = choose(current, wanted) else {
        return Ok(vec![condition(false, missing(current, wanted)), not_paused(&current.target)]);
    };
    let number = wanted.or(revision(set)).unwrap_or_default();
    let exists = condition(!is_current(set, &current.target), format!("revision {number} ({}) exists and is not the current one", set.name()));
    let good = match health(set) {
        Health::Ready(n) => condition(true, format!("revision {number} has {n} ready pods now")),
        Health::NoPods => condition(true, format!("revision {number} has no pods now; nothing speaks against it")),
        Health::Bad(n) => condition(false, format!("revision {number} has {n} pods and none is ready")),
    };
    Ok(vec![exists, good, not_paused(&current.target)])
}

fn missing(current: &Current, wanted: Option<u64>) -> String {
    let mut known: Vec<u64> = current.related(Read::ReplicaSets).iter().filter_map(revision).collect();
    known.sort_unstable();
    match wanted {
        Some(number) => format!("revision {number} does not exist; kept are {known:?}"),
        None => format!("no earlier revision to go back to; kept are {known:?}"),
    }
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let wanted = typed::<RollbackParams>(params)?.wanted()?;
    let set = choose(current, wanted).ok_or_else(|| Error::new(ErrorKind::Refused, "executor.rollback", missing(current, wanted)))?;
    let template = template(set);
    if template.is_null() {
        return Err(Error::new(ErrorKind::Refused, "executor.rollback", "the revision has no pod template").with("replicaset", set.name()));
    }
    if self::template(&current.target) == template {
        return Ok(Write::None(format!("the template is already that of {}", set.name())));
    }
    // A whole replacement, not a merge: fields that the bad revision added must go.
    let body = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
    Ok(Write::Patch { kind: PatchKind::Json, body, reads: vec!["/spec/template".into()] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(revision: &str, image: &str, replicas: i64, ready: i64) -> Object {
        Object::new(json!({"kind": "ReplicaSet", "metadata": {"name": format!("r{revision}"), "annotations": {REVISION: revision}},
            "spec": {"template": {"metadata": {"labels": {"app": "a", TEMPLATE_HASH: revision}, "creationTimestamp": null}, "spec": {"containers": [{"name": "c", "image": image}]}}},
            "status": {"replicas": replicas, "readyReplicas": ready}}))
    }

    fn world(sets: Vec<Object>) -> Current {
        let target = Object::new(json!({"kind": "Deployment", "metadata": {"annotations": {REVISION: "3"}},
            "spec": {"template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "bad", "command": ["x"]}]}}}}));
        Current { target, related: [("ReplicaSet", sets)].into() }
    }

    fn holds(current: &Current, params: Value) -> Vec<bool> {
        check(current, &params).unwrap().iter().map(|c| c.holds).collect()
    }

    #[test]
    fn the_template_of_the_wanted_revision_comes_back_whole_without_the_controllers_label() {
        let world = world(vec![set("1", "v1", 0, 0), set("2", "v2", 2, 2), set("3", "bad", 1, 0)]);
        let Write::Patch { body, .. } = plan(&world, &json!({"to_revision": 1}), "k").unwrap() else { panic!("no patch") };
        assert_eq!(body[0]["value"], json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}}));
        assert_eq!(holds(&world, json!({"revision": 1})), [true, true, true]);
    }

    #[test]
    fn without_a_number_a_revision_with_ready_pods_is_chosen_before_a_later_one_without() {
        let chosen = |sets| choose(&world(sets), None).map(|s| s.name().to_owned());
        assert_eq!(chosen(vec![set("1", "v1", 1, 1), set("2", "v2", 0, 0), set("3", "bad", 1, 0)]).as_deref(), Some("r1"));
        assert_eq!(chosen(vec![set("1", "v1", 0, 0), set("2", "v2", 0, 0), set("3", "bad", 1, 0)]).as_deref(), Some("r2"));
        assert_eq!(chosen(vec![set("2", "v2", 1, 0), set("3", "bad", 1, 0)]), None);
    }

    #[test]
    fn an_absent_current_or_bad_revision_is_refused() {
        let world = world(vec![set("2", "v2", 1, 0), set("3", "bad", 1, 0)]);
        assert!(!holds(&world, json!({"to_revision": 9}))[0]);
        assert!(!holds(&world, json!({"to_revision": 3}))[0]);
        assert!(!holds(&world, json!({"to_revision": 2}))[1]);
        assert!(plan(&world, &json!({"to_revision": 9}), "k").unwrap_err().to_string().contains("kept are [2, 3]"));
    }

    #[test]
    fn a_number_is_known_by_the_history_of_a_revision_taken_up_again() {
        let mut value = set("2", "v2", 0, 0).value().clone();
        value["metadata"]["annotations"][EARLIER_REVISIONS] = json!("1");
        let world = world(vec![Object::new(value)]);
        assert_eq!(choose(&world, Some(1)).unwrap().name(), "r2");
    }
}
