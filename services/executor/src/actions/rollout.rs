//! Replacing all pods of a workload without changing what they are.

use kubernaut_core::{
    Result,
    model::{Object, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::{Action, Current, Effect, Write, condition, typed};

/// Annotation of the pod template whose change makes the controller replace all pods.
///
/// Its value is the idempotency key, not a time: the same request has the same effect, whenever it is made.
pub(crate) const RESTART_STAMP: &str = "kubernaut.ai/restarted-by";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RestartParams {
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static ROLLOUT_RESTART: Action = Action {
    name: "rollout_restart",
    aliases: &["restart_deployment", "restart_statefulset", "restart_daemonset", "graceful_restart"],
    family: "workload",
    summary: "replaces all pods of a workload in the way its update strategy says",
    target_kinds: &["Deployment", "StatefulSet", "DaemonSet"],
    effect: Effect::Restart,
    risk: Risk::Low,
    // Taking the stamp away would only restart everything once more.
    reversibility: Reversibility::NotNeeded,
    preconditions: &["rollouts of the workload are not paused", "the update strategy replaces pods by itself"],
    parameters: || schema_for!(RestartParams),
    reads: &[],
    check,
    plan,
};

pub(super) static RESTART_NETWORK: Action = Action {
    name: "restart_network",
    aliases: &[],
    family: "network",
    summary: "restarts a part of the cluster's network (name service, proxy or network plugin) in the way its update strategy says",
    target_kinds: &["Deployment", "DaemonSet"],
    effect: Effect::Consult,
    risk: Risk::High,
    preconditions: &["the target is a part of the network", "rollouts of the workload are not paused", "the update strategy replaces pods by itself"],
    check: |current, params| with(current, params, "the network", NETWORK),
    ..restart()
};

pub(super) static RESET_SERVICE_MESH: Action = Action {
    name: "reset_service_mesh",
    aliases: &[],
    family: "network",
    summary: "restarts a part of the service mesh's control plane, or a workload with its sidecars",
    target_kinds: &["Deployment", "StatefulSet", "DaemonSet"],
    effect: Effect::Consult,
    risk: Risk::High,
    preconditions: &["the target is a part of the mesh", "rollouts of the workload are not paused", "the update strategy replaces pods by itself"],
    check: |current, params| with(current, params, "the service mesh", MESH),
    ..restart()
};

const fn restart() -> Action {
    Action {
        name: "",
        aliases: &[],
        family: "workload",
        summary: "",
        target_kinds: &[],
        effect: Effect::Restart,
        risk: Risk::Low,
        reversibility: Reversibility::NotNeeded,
        preconditions: &[],
        parameters: || schema_for!(RestartParams),
        reads: &[],
        check,
        plan,
    }
}

/// Words in names, labels and annotations by which parts of the network are known.
const NETWORK: &[&str] = &["coredns", "kube-dns", "kube-proxy", "cni", "calico", "cilium", "flannel", "weave", "antrea", "kindnet", "network"];
/// The same for service meshes.
const MESH: &[&str] = &["istio", "linkerd", "consul", "kuma", "envoy", "service-mesh"];

fn with(current: &Current, params: &Value, what: &str, words: &[&str]) -> Result<Vec<Precondition>> {
    let target = &current.target;
    let template = target.at("/spec/template/metadata").map(Value::to_string).unwrap_or_default();
    let labels = target.at("/metadata/labels").map(Value::to_string).unwrap_or_default();
    let found = words.iter().find(|w| target.name().contains(**w) || labels.contains(**w) || template.contains(**w));
    let text = found.map_or(format!("the target is no known part of {what}"), |w| format!("the target is a part of {what} ({w})"));
    let mut all = vec![condition(found.is_some(), text)];
    all.extend(check(current, params)?);
    Ok(all)
}

fn check(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    let mut all = vec![not_paused(&current.target)];
    let by_hand = current.target.str_at("/spec/updateStrategy/type") == Some("OnDelete");
    all.push(condition(
        !by_hand,
        if by_hand { "the update strategy is OnDelete: no pod would be replaced" } else { "the update strategy replaces pods by itself" },
    ));
    Ok(all)
}

/// A paused Deployment takes template changes but rolls nothing out.
pub(super) fn not_paused(workload: &Object) -> Precondition {
    let paused = workload.bool_at("/spec/paused") == Some(true);
    condition(!paused, if paused { "rollouts of the workload are paused (spec.paused)" } else { "rollouts of the workload are not paused" })
}

fn plan(current: &Current, params: &Value, key: &str) -> Result<Write> {
    let _: RestartParams = typed(params)?;
    let stamp = "/spec/template/metadata/annotations/kubernaut.ai~1restarted-by";
    if current.target.str_at(stamp) == Some(key) {
        return Ok(Write::None("the workload was restarted under this key before".into()));
    }
    let body = json!({"spec": {"template": {"metadata": {"annotations": {RESTART_STAMP: key}}}}});
    Ok(Write::merge(body, &[stamp]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(spec: Value) -> Current {
        Current { target: Object::new(json!({"kind": "Deployment", "spec": spec})), related: Default::default() }
    }

    #[test]
    fn the_same_key_restarts_once() {
        let Write::Patch { body, .. } = plan(&current(json!({"template": {}})), &Value::Null, "k1").unwrap() else { panic!("no patch") };
        let again = plan(&Current { target: Object::new(body), related: Default::default() }, &Value::Null, "k1").unwrap();
        assert!(matches!(again, Write::None(_)));
    }

    #[test]
    fn a_paused_or_by_hand_workload_is_not_restarted() {
        let holds = |spec| check(&current(spec), &Value::Null).unwrap().iter().all(|c| c.holds);
        assert!(holds(json!({"updateStrategy": {"type": "RollingUpdate"}})));
        assert!(!holds(json!({"paused": true})));
        assert!(!holds(json!({"updateStrategy": {"type": "OnDelete"}})));
    }
}
