//! Taking a pod out of its set to look at it.

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk},
    port::PatchKind,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::{Action, Current, Effect, Step, Write, condition, typed};

const LABEL: &str = "kubernaut.ai/quarantined";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuarantineParams {
    /// Whether all traffic of the pod is cut, in and out. Default true.
    cut_network: Option<bool>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static QUARANTINE_POD: Action = Action {
    name: "quarantine_pod",
    aliases: &[],
    family: "pod",
    summary: "takes a pod out of its set and Services by its labels and cuts its network; its controller starts a new one, the pod stays to be looked at",
    target_kinds: &["Pod"],
    effect: Effect::Isolate,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &["a controller replaces the pod", "the pod has labels to take away"],
    parameters: || schema_for!(QuarantineParams),
    reads: &[],
    check,
    plan,
};

fn check(current: &Current, _: &Value) -> Result<Vec<Precondition>> {
    let labels = current.target.labels();
    Ok(vec![
        match current.target.controller() {
            Some(owner) => condition(true, format!("{owner} replaces the pod")),
            None => condition(false, "no controller replaces the pod"),
        },
        condition(!labels.is_empty(), format!("the pod has {} labels", labels.len())),
    ])
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: QuarantineParams = typed(params)?;
    let pod = &current.target;
    if pod.label(LABEL).is_some() {
        return Ok(Write::None("the pod is quarantined already".into()));
    }
    let mut steps = Vec::new();
    if params.cut_network.unwrap_or(true) {
        steps.push(Step::Create(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("quarantine-{}", pod.name()), "namespace": pod.namespace()},
            "spec": {"podSelector": {"matchLabels": {LABEL: pod.name()}}, "policyTypes": ["Ingress", "Egress"]},
        })));
    }
    // One change of the whole map: the set lets the pod go and the policy takes it in the same moment.
    let body = json!([{"op": "replace", "path": "/metadata/labels", "value": {LABEL: pod.name()}}]);
    steps.push(Step::Patch { kind: PatchKind::Json, body });
    Ok(Step::only(steps))
}
