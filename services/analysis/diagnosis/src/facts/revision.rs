//! Revisions of a workload, what changed between them, who did it and whether the one before was healthy.

use kubernaut_core::model::{Object, Timestamp};
use serde_json::Value;

use super::{Facts, managed, pod, workload::Workload};

/// Seconds a revision must have been the current one to count as having worked.
pub(crate) const PROVEN_S: i64 = 300;

/// One revision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Revision<'a> {
    pub(crate) number: i64,
    pub(crate) object: &'a Object,
    pub(crate) template: &'a Value,
}

impl Revision<'_> {
    /// Replicas of it that are ready now.
    pub(crate) fn ready(&self) -> i64 {
        self.object.i64_at("/status/readyReplicas").unwrap_or(0)
    }

    /// Whether a pod is of this revision: by its ReplicaSet, or by the label with the revision's name (StatefulSet) or hash (DaemonSet).
    pub(crate) fn made(&self, pod: &Object) -> bool {
        let name = self.object.name();
        let labelled = |h: &str| name == h || name.strip_suffix(h).is_some_and(|rest| rest.ends_with('-'));
        pod.controller().is_some_and(|o| o.name == name) || pod.label("controller-revision-hash").is_some_and(labelled)
    }
}

/// Revisions in order, the current one last.
pub(crate) fn revisions<'a>(facts: &'a Facts, workload: &Workload<'a>) -> Vec<Revision<'a>> {
    if workload.kind() == "Job" {
        return runs(facts, workload.object);
    }
    let mut all: Vec<Revision<'_>> = facts.store.children(&workload.reference()).filter_map(read).collect();
    all.sort_by_key(|r| r.number);
    all
}

/// The runs of a CronJob up to a Job, which serve as its revisions.
fn runs<'a>(facts: &'a Facts, job: &'a Object) -> Vec<Revision<'a>> {
    let Some(owner) = job.controller().filter(|o| o.kind == "CronJob") else { return Vec::new() };
    let mut jobs: Vec<&Object> = facts.store.children(&owner).filter(|j| j.kind() == "Job" && j.created_at() <= job.created_at()).collect();
    jobs.sort_by_key(|j| (j.created_at(), j.name() == job.name()));
    let revision =
        |(i, object): (usize, &&'a Object)| Some(Revision { number: i64::try_from(i).ok()? + 1, object, template: object.at("/spec/template")? });
    jobs.iter().enumerate().filter_map(revision).collect()
}

fn read(child: &Object) -> Option<Revision<'_>> {
    match child.kind() {
        "ReplicaSet" => {
            let number = child.annotation("deployment.kubernetes.io/revision")?.parse().ok()?;
            Some(Revision { number, object: child, template: child.at("/spec/template")? })
        }
        "ControllerRevision" => Some(Revision { number: child.i64_at("/revision")?, object: child, template: child.at("/data/spec/template")? }),
        _ => None,
    }
}

/// What a template change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChangeKind {
    Command,
    Env,
    Image,
    Config,
    InitContainer,
    Resources,
    Liveness,
    Readiness,
    Placement,
    /// Annotations and labels: a restart stamp, a checksum.
    Meta,
    Other,
}

/// One field that differs between two revisions.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    pub(crate) path: String,
    pub(crate) container: Option<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Change {
    /// The environment variable it is about.
    pub(crate) fn env_name(&self) -> Option<&str> {
        (self.kind == ChangeKind::Env).then(|| self.path.rsplit_once("env[").map(|(_, n)| n.trim_end_matches(']')))?
    }

    /// `path: before -> after`, shortened.
    pub(crate) fn describe(&self) -> String {
        let show = |v: &Option<Value>| v.as_ref().map_or("absent".to_owned(), |v| super::text::short(&plain(v), 120));
        format!("{}: {} -> {}", self.path, show(&self.before), show(&self.after))
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The step from one revision to the current one.
#[derive(Debug, Clone)]
pub(crate) struct Rollout<'a> {
    pub(crate) previous: Revision<'a>,
    pub(crate) current: Revision<'a>,
    pub(crate) changes: Vec<Change>,
    /// When the current revision was rolled out.
    pub(crate) at: Option<Timestamp>,
    /// The field manager that owns a changed field.
    pub(crate) by: Option<String>,
    /// Whether the previous revision is known to have worked, and why.
    pub(crate) proven: Option<String>,
}

impl Rollout<'_> {
    /// Changes of one kind.
    pub(crate) fn of(&self, kind: ChangeKind) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |c| c.kind == kind)
    }

    /// Whether anything but annotations changed.
    pub(crate) fn is_material(&self) -> bool {
        self.changes.iter().any(|c| c.kind != ChangeKind::Meta)
    }
}

/// The last rollout of a workload; `None` with fewer than two revisions.
pub(crate) fn last_rollout<'a>(facts: &'a Facts, workload: &Workload<'a>) -> Option<Rollout<'a>> {
    let all = revisions(facts, workload);
    let (current, earlier) = all.split_last()?;
    let previous = way_back(facts, earlier)?;
    let changes = diff(previous.template, current.template);
    let at = rolled_out_at(facts, workload, current);
    let by = changes.iter().find_map(|c| managed::owner_of_change(workload.object, c));
    let proven = proven(facts, workload, previous, at);
    Some(Rollout { previous: *previous, current: *current, changes, at, by, proven })
}

/// The revision to compare with: the one before, unless that failed itself while an older one still has ready pods.
fn way_back<'r, 'a>(facts: &Facts, earlier: &'r [Revision<'a>]) -> Option<&'r Revision<'a>> {
    let (before, older) = earlier.split_last()?;
    if before.object.kind() == "Job" {
        return earlier.iter().rev().find(|r| is_complete(r.object)).or(Some(before));
    }
    if before.ready() > 0 || !failed_before(facts, before) {
        return Some(before);
    }
    Some(older.iter().rev().find(|r| r.ready() > 0).unwrap_or(before))
}

fn rolled_out_at(facts: &Facts, workload: &Workload<'_>, current: &Revision<'_>) -> Option<Timestamp> {
    let created = current.object.created_at();
    if current.object.kind() != "ReplicaSet" {
        return created.max(None).or(created);
    }
    // A ReplicaSet of an earlier revision is used again when its template comes back; then its own age says nothing.
    let name = current.object.name();
    let scaled = facts.events.iter().filter(|e| {
        e.reason == "ScalingReplicaSet"
            && e.object.same_object(&workload.reference().clone())
            && e.message.contains(name)
            && e.message.contains("from 0")
    });
    scaled.filter_map(|e| e.last_at).max().max(created)
}

/// Why the previous revision counts as healthy.
fn proven(facts: &Facts, workload: &Workload<'_>, previous: &Revision<'_>, replaced_at: Option<Timestamp>) -> Option<String> {
    if previous.object.kind() == "Job" {
        return is_complete(previous.object).then(|| format!("{} succeeded", previous.object.reference()));
    }
    if previous.ready() > 0 {
        return Some(format!("{} pods of revision {} are ready now", previous.ready(), previous.number));
    }
    let ready_pods = workload.pods.iter().filter(|p| previous.made(p) && pod::is_ready(p)).count();
    if ready_pods > 0 {
        return Some(format!("{ready_pods} pods of revision {} are ready now", previous.number));
    }
    if failed_before(facts, previous) {
        return None;
    }
    let (from, to) = (previous.object.created_at()?, replaced_at?);
    let served = to.as_second() - from.as_second();
    (served >= PROVEN_S).then(|| format!("revision {} served from {from} until {to} without a recorded failure", previous.number))
}

fn is_complete(job: &Object) -> bool {
    job.condition("Complete").is_some_and(|c| c["status"] == "True")
}

/// Whether pods of a revision were seen to fail.
fn failed_before(facts: &Facts, revision: &Revision<'_>) -> bool {
    let prefix = format!("{}-", revision.object.name());
    facts
        .events
        .iter()
        .any(|e| e.object.name.starts_with(&prefix) && e.kind == "Warning" && matches!(e.reason.as_str(), "BackOff" | "Failed" | "FailedCreate"))
}

/// The fields in which two pod templates differ, with list items matched by name rather than by position.
pub(crate) fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut out = Vec::new();
    for (part, kind) in [("annotations", ChangeKind::Meta), ("labels", ChangeKind::Meta)] {
        for_keys(&before["metadata"][part], &after["metadata"][part], |key, b, a| {
            if !matches!(key, "pod-template-hash" | "controller-revision-hash")
                && !key.starts_with("batch.kubernetes.io/")
                && !matches!(key, "controller-uid" | "job-name")
            {
                out.push(change(kind, format!("metadata.{part}[{key}]"), None, b, a));
            }
        });
    }
    diff_containers(&before["spec"], &after["spec"], "initContainers", &mut out);
    diff_containers(&before["spec"], &after["spec"], "containers", &mut out);
    for_items(&before["spec"]["volumes"], &after["spec"]["volumes"], &["name"], |name, b, a| {
        out.push(change(ChangeKind::Config, format!("volumes[{name}]"), None, b, a));
    });
    for_keys(&before["spec"], &after["spec"], |key, b, a| {
        if !matches!(key, "containers" | "initContainers" | "volumes") {
            out.push(change(spec_kind(key), key.to_owned(), None, b, a));
        }
    });
    out
}

fn spec_kind(field: &str) -> ChangeKind {
    match field {
        "nodeSelector" | "affinity" | "tolerations" | "topologySpreadConstraints" | "nodeName" | "schedulerName" | "priorityClassName" => {
            ChangeKind::Placement
        }
        "securityContext" | "serviceAccountName" | "hostNetwork" | "dnsPolicy" | "dnsConfig" | "imagePullSecrets" | "runtimeClassName" => {
            ChangeKind::Config
        }
        _ => ChangeKind::Other,
    }
}

fn diff_containers(before: &Value, after: &Value, list: &str, out: &mut Vec<Change>) {
    let init = list == "initContainers";
    for_items(&before[list], &after[list], &["name"], |name, b, a| match (b, a) {
        (Some(b), Some(a)) => diff_container(&format!("{list}[{name}]"), name, init, b, a, out),
        (b, a) => {
            let kind = if init { ChangeKind::InitContainer } else { ChangeKind::Other };
            out.push(change(kind, format!("{list}[{name}]"), Some(name), b, a));
        }
    });
}

fn diff_container(at: &str, name: &str, init: bool, before: &Value, after: &Value, out: &mut Vec<Change>) {
    for_items(&before["env"], &after["env"], &["name"], |env, b, a| {
        out.push(change(ChangeKind::Env, format!("{at}.env[{env}]"), Some(name), b, a));
    });
    for_items(&before["volumeMounts"], &after["volumeMounts"], &["mountPath"], |path, b, a| {
        out.push(change(ChangeKind::Config, format!("{at}.volumeMounts[{path}]"), Some(name), b, a));
    });
    for_keys(before, after, |key, b, a| {
        let kind = match key {
            "env" | "volumeMounts" | "name" | "terminationMessagePath" | "terminationMessagePolicy" | "imagePullPolicy" => return,
            "command" | "args" | "workingDir" => ChangeKind::Command,
            "envFrom" => ChangeKind::Config,
            "image" => ChangeKind::Image,
            "resources" => ChangeKind::Resources,
            "livenessProbe" | "startupProbe" => ChangeKind::Liveness,
            "readinessProbe" => ChangeKind::Readiness,
            "lifecycle" | "securityContext" => ChangeKind::Config,
            _ => ChangeKind::Other,
        };
        let kind = if init && kind == ChangeKind::Command { ChangeKind::InitContainer } else { kind };
        out.push(change(kind, format!("{at}.{key}"), Some(name), b, a));
    });
}

fn change(kind: ChangeKind, path: String, container: Option<&str>, before: Option<&Value>, after: Option<&Value>) -> Change {
    Change { kind, path, container: container.map(str::to_owned), before: before.cloned(), after: after.cloned() }
}

/// Calls for each key whose values differ. Absent, null and empty count as equal.
fn for_keys(before: &Value, after: &Value, mut call: impl FnMut(&str, Option<&Value>, Option<&Value>)) {
    let keys = |v: &Value| v.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut all = keys(before);
    all.extend(keys(after).into_iter().filter(|k| before.get(k).is_none()));
    for key in all {
        let (b, a) = (filled(before.get(&key)), filled(after.get(&key)));
        if b != a {
            call(&key, b, a);
        }
    }
}

fn filled(value: Option<&Value>) -> Option<&Value> {
    value.filter(|v| match v {
        Value::Null => false,
        Value::Object(o) => !o.is_empty(),
        Value::Array(a) => !a.is_empty(),
        _ => true,
    })
}

/// Calls for each list item, matched by one of the fields, that differs.
fn for_items(before: &Value, after: &Value, by: &[&str], mut call: impl FnMut(&str, Option<&Value>, Option<&Value>)) {
    let items = |v: &'_ Value| v.as_array().cloned().unwrap_or_default();
    let id = |v: &Value| by.iter().find_map(|k| v[*k].as_str().map(str::to_owned)).unwrap_or_default();
    let (before, after) = (items(before), items(after));
    for b in &before {
        let a = after.iter().find(|a| id(a) == id(b));
        if a != Some(b) {
            call(&id(b), Some(b), a);
        }
    }
    for a in after.iter().filter(|a| !before.iter().any(|b| id(b) == id(a))) {
        call(&id(a), None, Some(a));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn list_items_are_matched_by_name_and_each_change_has_its_kind() {
        let before = json!({"metadata": {"labels": {"app": "a", "pod-template-hash": "1"}}, "spec": {"containers": [
            {"name": "side", "image": "s"}, {"name": "app", "image": "i:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]}});
        let after = json!({"metadata": {"labels": {"app": "a", "pod-template-hash": "2"}}, "spec": {"containers": [
            {"name": "app", "image": "i:1", "command": ["x"], "env": [{"name": "B", "value": "2"}]}, {"name": "side", "image": "s"}],
            "nodeSelector": {"disk": "ssd"}}});
        let changes = diff(&before, &after);
        let seen: Vec<_> = changes.iter().map(|c| (c.kind, c.path.as_str())).collect();
        assert_eq!(
            seen,
            [(ChangeKind::Env, "containers[app].env[A]"), (ChangeKind::Command, "containers[app].command"), (ChangeKind::Placement, "nodeSelector")]
        );
        assert_eq!(changes[0].env_name(), Some("A"));
    }
}
