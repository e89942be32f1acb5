//! What goes: pods that hang, claims that never held data or that nobody uses.

use kubernaut_core::{
    Result,
    model::{Object, ObjectRef, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::{Action, Current, Effect, Read, Step, Write, condition, name_for, typed};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveParams {
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static FORCE_DELETE_POD: Action = Action {
    name: "force_delete_pod",
    aliases: &[],
    family: "pod",
    summary: "takes a pod that does not end off the server at once; its containers may still run on their node",
    target_kinds: &["Pod"],
    effect: Effect::Force,
    risk: Risk::High,
    reversibility: Reversibility::Irreversible,
    preconditions: &["the pod is ending, or its node is not ready", "a controller replaces the pod"],
    parameters: || schema_for!(RemoveParams),
    reads: &[Read::Nodes],
    check: check_force,
    plan: |current, params, _| {
        let _: RemoveParams = typed(params)?;
        Ok(Step::only(vec![Step::Delete { object: current.target.clone(), grace_period_s: Some(0) }]))
    },
};

fn check_force(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    let pod = &current.target;
    let since = pod.str_at("/metadata/deletionTimestamp");
    let node = pod.str_at("/spec/nodeName").and_then(|name| current.related(Read::Nodes).iter().find(|n| n.name() == name));
    let lost = node.is_some_and(|n| !super::node::is_ready(n)) || (pod.str_at("/spec/nodeName").is_some() && node.is_none());
    let stuck = match (since, lost) {
        (Some(since), _) => condition(true, format!("the pod is ending since {since}")),
        (None, true) => condition(true, "the pod's node is not ready or gone"),
        (None, false) => condition(false, "the pod is not ending and its node is ready; delete_pod stops it in order"),
    };
    let owner = pod.controller();
    let text = owner.as_ref().map_or_else(|| "no controller replaces the pod".to_owned(), |o| format!("{o} replaces the pod"));
    Ok(vec![stuck, condition(owner.is_some(), text)])
}

/// Whether a pod uses the claim.
fn uses(pod: &Object, claim: &str) -> bool {
    pod.list_at("/spec/volumes").iter().any(|v| v["persistentVolumeClaim"]["claimName"] == claim)
}

fn users(current: &Current) -> Vec<&Object> {
    let name = current.target.name();
    current.related(Read::Pods).iter().filter(|p| uses(p, name)).collect()
}

fn never_bound(claim: &Object) -> Precondition {
    let bound = claim.str_at("/spec/volumeName").is_some() || claim.annotation("pv.kubernetes.io/bind-completed").is_some();
    condition(!bound, if bound { "the claim is or was bound, so it may hold data" } else { "the claim was never bound, so it holds no data" })
}

/// No running pod may lose it.
fn not_in_use(current: &Current) -> Precondition {
    let running: Vec<_> = users(current).into_iter().filter(|p| p.str_at("/status/phase") == Some("Running")).map(|p| p.name().to_owned()).collect();
    condition(running.is_empty(), if running.is_empty() { "no running pod uses it".to_owned() } else { format!("used by {}", running.join(", ")) })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RecreateParams {
    /// StorageClass of the new claim; as before where absent.
    #[schemars(length(min = 1, max = 253))]
    storage_class_name: Option<String>,
    /// Size of the new claim in bytes; as before where absent.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    size: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static RECREATE_PVC: Action = Action {
    name: "recreate_pvc",
    aliases: &[],
    family: "storage",
    summary: "replaces a claim that was never bound by one with another class or size",
    target_kinds: &["PersistentVolumeClaim"],
    effect: Effect::Consult,
    risk: Risk::High,
    reversibility: Reversibility::Irreversible,
    preconditions: &["the claim was never bound, so it holds no data", "the class exists"],
    parameters: || schema_for!(RecreateParams),
    reads: &[Read::StorageClasses, Read::Kept],
    check: check_recreate,
    plan: plan_recreate,
};

fn note_name(claim: &str, key: &str) -> String {
    name_for(&format!("kept-{claim}"), key)
}

/// The new claim: as it was put by if this request was cut short, else from the old one.
fn new_claim(current: &Current, params: &Value, key: &str) -> Result<Option<Value>> {
    let params: RecreateParams = typed(params)?;
    if !current.exists() {
        let note = current.related(Read::Kept).iter().find(|n| n.name() == note_name(current.target.name(), key));
        return Ok(note.and_then(|n| serde_json::from_str(n.str_at("/data/object")?).ok()));
    }
    let old = &current.target;
    let mut spec = json!({"accessModes": old.at("/spec/accessModes"), "resources": old.at("/spec/resources")});
    for field in ["volumeMode", "selector", "dataSource"] {
        if let Some(value) = old.at(&format!("/spec/{field}")) {
            spec[field] = value.clone();
        }
    }
    if let Some(class) = params.storage_class_name.as_deref().or(old.str_at("/spec/storageClassName")) {
        spec["storageClassName"] = json!(class);
    }
    if let Some(size) = params.size {
        spec["resources"]["requests"]["storage"] = json!(size);
    }
    let mut metadata = json!({"name": old.name(), "namespace": old.namespace()});
    for part in ["labels", "ownerReferences"] {
        if let Some(value) = old.at(&format!("/metadata/{part}")) {
            metadata[part] = value.clone();
        }
    }
    Ok(Some(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})))
}

fn check_recreate(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let class = typed::<RecreateParams>(params)?.storage_class_name;
    let class = class.as_deref().or(current.target.str_at("/spec/storageClassName"));
    let exists = class.is_none_or(|c| current.related(Read::StorageClasses).iter().any(|s| s.name() == c));
    let named = class.unwrap_or("the default one");
    Ok(vec![
        never_bound(&current.target),
        condition(exists, format!("StorageClass {named} {}", if exists { "exists, or is the default" } else { "does not exist" })),
    ])
}

fn plan_recreate(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let Some(claim) = new_claim(current, params, key)? else {
        let text = "the claim is gone and this request did not put it by; make it anew";
        return Err(kubernaut_core::Error::not_found("executor.recreate", text).with("target", current.target.reference()));
    };
    let note = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"object": claim.to_string()},
        "metadata": {"name": note_name(current.target.name(), key), "namespace": current.target.namespace(), "labels": {"kubernaut.ai/kept": "true"}}});
    // Put by first, so that a request that is cut short between deleting and creating can go on.
    let mut steps = vec![Step::Create(note)];
    if current.exists() {
        steps.push(Step::Delete { object: current.target.clone(), grace_period_s: None });
    }
    steps.push(Step::Create(claim));
    Ok(Step::only(steps))
}

pub(super) static FIX_STATEFULSET_PVC: Action = Action {
    name: "fix_statefulset_pvc",
    aliases: &[],
    family: "storage",
    summary: "removes a claim of a StatefulSet that was never bound or lost its volume, and the pod that waits for it; the StatefulSet makes both anew",
    target_kinds: &["PersistentVolumeClaim"],
    effect: Effect::Consult,
    risk: Risk::High,
    reversibility: Reversibility::Irreversible,
    preconditions: &["the claim is not bound, or its volume is lost", "a StatefulSet's pod waits for it", "no running pod uses it"],
    parameters: || schema_for!(RemoveParams),
    reads: &[Read::Pods],
    check: check_fix,
    plan: plan_fix,
};

fn waits(pod: &Object) -> bool {
    pod.controller().is_some_and(|c| c.kind == "StatefulSet") && pod.str_at("/status/phase") == Some("Pending")
}

fn check_fix(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    let claim = &current.target;
    let lost = claim.str_at("/status/phase") == Some("Lost");
    let waiting = users(current).into_iter().find(|p| waits(p));
    Ok(vec![
        if lost { condition(true, "the volume of the claim is lost") } else { never_bound(claim) },
        condition(
            waiting.is_some(),
            waiting.map_or("no pod of a StatefulSet waits for it".to_owned(), |p| format!("{} waits for it", p.reference())),
        ),
        not_in_use(current),
    ])
}

fn plan_fix(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let _: RemoveParams = typed(params)?;
    // The pod first: while it is there, the claim is protected from going.
    let pods = users(current).into_iter().filter(|p| waits(p)).map(|p| Step::Delete { object: p.clone(), grace_period_s: None });
    Ok(Step::only(std::iter::once(Step::Delete { object: current.target.clone(), grace_period_s: None }).chain(pods).collect()))
}

pub(super) static CLEANUP_PVC: Action = Action {
    name: "cleanup_pvc",
    aliases: &[],
    family: "storage",
    summary: "removes a volume that was released, or a claim that no pod uses and no StatefulSet keeps; its data is lost if its class says so",
    target_kinds: &["PersistentVolumeClaim", "PersistentVolume"],
    effect: Effect::Consult,
    risk: Risk::Critical,
    reversibility: Reversibility::Irreversible,
    preconditions: &["the volume is released, or no pod uses the claim", "no StatefulSet keeps the claim"],
    parameters: || schema_for!(RemoveParams),
    reads: &[Read::Pods],
    check: check_cleanup,
    plan: |current, params, _| {
        let _: RemoveParams = typed(params)?;
        Ok(Step::only(vec![Step::Delete { object: current.target.clone(), grace_period_s: None }]))
    },
};

fn check_cleanup(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    let target = &current.target;
    if target.kind() == "PersistentVolume" {
        let phase = target.str_at("/status/phase").unwrap_or("unknown");
        return Ok(vec![condition(phase == "Released", format!("the volume is {phase}"))]);
    }
    let used: Vec<ObjectRef> = users(current).into_iter().map(Object::reference).collect();
    // A StatefulSet names its claims <template>-<set>-<number>, and gives them the labels of its pods.
    let kept = target.controller().is_some_and(|c| c.kind == "StatefulSet")
        || current
            .related(Read::Pods)
            .iter()
            .filter_map(Object::controller)
            .any(|c| c.kind == "StatefulSet" && target.name().contains(&format!("-{}-", c.name)));
    Ok(vec![
        condition(used.is_empty(), used.first().map_or("no pod uses it".to_owned(), |p| format!("{p} uses it"))),
        condition(!kept, if kept { "a StatefulSet keeps the claim" } else { "no StatefulSet keeps it" }),
    ])
}
