//! The pod template of a workload and the container of it that is meant.

use kubernaut_core::{
    Result,
    model::{Object, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::rollout::not_paused;
use crate::action::{Action, Current, Effect, Write, bad_params};

/// Kinds with a pod template that may be changed; the template of a Job may not.
pub(super) const TEMPLATES: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "CronJob"];

#[derive(Debug, Deserialize, JsonSchema)]
struct NoParams {}

/// What actions on a pod template have in common; each names the rest.
pub(super) const TEMPLATE: Action = Action {
    name: "",
    aliases: &[],
    family: "template",
    summary: "",
    target_kinds: TEMPLATES,
    effect: Effect::Template,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &[],
    parameters: || schema_for!(NoParams),
    reads: &[],
    check: |current, _| Ok(ready_for_change(current)),
    plan: |_, _, _| Ok(Write::None(String::new())),
};

/// What every change of a template needs.
pub(super) fn ready_for_change(current: &Current) -> Vec<Precondition> {
    vec![not_paused(&current.target)]
}

/// Where the pod spec of a workload is.
pub(super) fn pod_spec_at(workload: &Object) -> &'static str {
    if workload.kind() == "CronJob" { "/spec/jobTemplate/spec/template/spec" } else { "/spec/template/spec" }
}

/// The container that is meant, and where it is.
pub(super) struct Chosen<'a> {
    pub(super) list: &'static str,
    pub(super) name: &'a str,
    pub(super) value: &'a Value,
    /// JSON pointer to it.
    pub(super) at: String,
}

/// The container of that name, init containers included; without a name the only one.
pub(super) fn choose<'a>(workload: &'a Object, name: Option<&str>) -> Result<Chosen<'a>> {
    let base = pod_spec_at(workload);
    let listed = |list: &'static str| {
        let items = workload.list_at(&format!("{base}/{list}")).iter().enumerate();
        items.filter_map(move |(index, value)| Some(Chosen { list, name: value["name"].as_str()?, value, at: format!("{base}/{list}/{index}") }))
    };
    let mut all = listed("containers").chain(listed("initContainers"));
    if let Some(name) = name {
        let known: Vec<&str> = listed("containers").chain(listed("initContainers")).map(|c| c.name).collect();
        return all.find(|c| c.name == name).ok_or_else(|| bad_params(format!("no container {name}; there are {}", known.join(", "))));
    }
    let mut containers: Vec<_> = listed("containers").collect();
    match (containers.pop(), containers.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(bad_params(format!("name the container; there are {}", listed("containers").map(|c| c.name).collect::<Vec<_>>().join(", ")))),
    }
}

/// Tells `null` (take the field away) from an absent parameter.
#[expect(clippy::option_option, reason = "three states: absent, null, a value")]
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}
