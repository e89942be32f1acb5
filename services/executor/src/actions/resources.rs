//! Requests and limits of one container of a workload.

use std::borrow::Cow;

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk, quantity},
    port::PatchKind,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value, json};

use super::container::choose;
use crate::action::{Action, Current, Effect, Read, Write, bad_params, condition, typed};

/// A higher value is more likely a slip of the pen than a need.
const MAX_FACTOR: u64 = 64;

/// A Kubernetes quantity as text; numbers are accepted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantity(pub(super) String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(D::Error::custom("expected a quantity such as 512Mi or 250m")),
        }
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Kubernetes quantity: bytes such as 512Mi, or cores such as 250m or 0.5",
            "type": ["string", "number"],
            "pattern": r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$",
            "exclusiveMinimum": 0
        })
    }
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Amounts {
    /// Memory in bytes.
    memory: Option<Quantity>,
    /// Cores.
    cpu: Option<Quantity>,
    /// Local disk in bytes.
    #[serde(rename = "ephemeral-storage")]
    ephemeral_storage: Option<Quantity>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResourceParams {
    /// Name of the container; may be left out where the workload has only one.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// Wanted memory limit.
    memory_limit: Option<Quantity>,
    /// Wanted CPU limit.
    cpu_limit: Option<Quantity>,
    /// Wanted memory request.
    memory_request: Option<Quantity>,
    /// Wanted CPU request.
    cpu_request: Option<Quantity>,
    /// Wanted limit of local disk.
    ephemeral_storage_limit: Option<Quantity>,
    /// Wanted request of local disk.
    ephemeral_storage_request: Option<Quantity>,
    /// Wanted limits, nested; the same as `memory_limit`, `cpu_limit` and `ephemeral_storage_limit`.
    limits: Option<Amounts>,
    /// Wanted requests, nested; the same as `memory_request`, `cpu_request` and `ephemeral_storage_request`.
    requests: Option<Amounts>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

/// One of the values a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    group: &'static str,
    resource: &'static str,
}

const MEMORY_LIMIT: Field = Field { group: "limits", resource: "memory" };
const CPU_LIMIT: Field = Field { group: "limits", resource: "cpu" };
const MEMORY_REQUEST: Field = Field { group: "requests", resource: "memory" };
const CPU_REQUEST: Field = Field { group: "requests", resource: "cpu" };
const DISK_LIMIT: Field = Field { group: "limits", resource: "ephemeral-storage" };
const DISK_REQUEST: Field = Field { group: "requests", resource: "ephemeral-storage" };
/// Requests with the limit that bounds each.
const BOUNDED: [(Field, Field); 3] = [(MEMORY_REQUEST, MEMORY_LIMIT), (CPU_REQUEST, CPU_LIMIT), (DISK_REQUEST, DISK_LIMIT)];

impl Field {
    fn of(self, container: &Value) -> Option<String> {
        match &container["resources"][self.group][self.resource] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn amount(self, text: &str) -> Result<u64> {
        quantity::amount(self.resource, text)
    }

    fn name(self) -> String {
        format!("{} {}", self.resource, self.group.trim_end_matches('s'))
    }
}

/// What an action of this family may do.
struct Scope {
    /// Values it may set.
    allowed: &'static [Field],
    /// The value that must be given.
    required: Option<Field>,
    /// Whether given values must grow (`Some(true)`) or shrink (`Some(false)`); only the required one, or all where none is required.
    grows: Option<bool>,
}

const RAISE_MEMORY: Scope = Scope { allowed: &[MEMORY_LIMIT, MEMORY_REQUEST], required: Some(MEMORY_LIMIT), grows: Some(true) };
const RAISE_CPU: Scope = Scope { allowed: &[CPU_LIMIT, CPU_REQUEST], required: Some(CPU_LIMIT), grows: Some(true) };
const SET_ALL: Scope =
    Scope { allowed: &[MEMORY_LIMIT, CPU_LIMIT, MEMORY_REQUEST, CPU_REQUEST, DISK_LIMIT, DISK_REQUEST], required: None, grows: None };
const SET_REQUESTS: Scope = Scope { allowed: &[MEMORY_REQUEST, CPU_REQUEST, DISK_REQUEST], required: None, grows: None };
const LOWER_REQUESTS: Scope = Scope { allowed: &[MEMORY_REQUEST, CPU_REQUEST, DISK_REQUEST], required: None, grows: Some(false) };

macro_rules! resource_action {
    ($id:ident, $name:literal, $aliases:expr, $summary:literal, $scope:ident, $direction:literal) => {
        pub(super) static $id: Action = Action {
            name: $name,
            aliases: $aliases,
            family: "resources",
            summary: $summary,
            target_kinds: &["Deployment", "StatefulSet", "DaemonSet"],
            effect: Effect::Template,
            risk: Risk::Medium,
            reversibility: Reversibility::Undo,
            preconditions: &[$direction, "limits of the namespace allow it", "a node can hold the request"],
            parameters: || schema_for!(ResourceParams),
            reads: &[Read::LimitRanges, Read::Nodes],
            check: |current, params| check(&$scope, current, params),
            plan: |current, params, _| plan(&$scope, current, params),
        };
    };
}

resource_action!(
    INCREASE_MEMORY_LIMIT,
    "increase_memory_limit",
    &["increase_memory_limits"],
    "raises the memory limit of one container",
    RAISE_MEMORY,
    "the limit grows, at most 64 times"
);
resource_action!(
    INCREASE_CPU_LIMIT,
    "increase_cpu_limit",
    &["increase_cpu_limits"],
    "raises the CPU limit of one container",
    RAISE_CPU,
    "the limit grows, at most 64 times"
);
resource_action!(
    SET_RESOURCE_LIMITS,
    "set_resource_limits",
    &["set_resources", "increase_resources"],
    "sets limits and requests of one container",
    SET_ALL,
    "no value grows more than 64 times"
);
resource_action!(
    SET_RESOURCE_REQUESTS,
    "set_resource_requests",
    &[],
    "sets the requests of one container",
    SET_REQUESTS,
    "no value grows more than 64 times"
);
resource_action!(REDUCE_REQUESTS, "reduce_requests", &[], "lowers the requests of one container", LOWER_REQUESTS, "the requests shrink");

/// Wanted values, flat and nested spelling alike.
fn wanted(scope: &Scope, params: &ResourceParams) -> Result<Vec<(Field, String)>> {
    let nested = |amounts: &Option<Amounts>| amounts.clone().unwrap_or_default();
    let (limits, requests) = (nested(&params.limits), nested(&params.requests));
    let mut all = Vec::new();
    for (field, flat, nested) in [
        (MEMORY_LIMIT, &params.memory_limit, &limits.memory),
        (CPU_LIMIT, &params.cpu_limit, &limits.cpu),
        (MEMORY_REQUEST, &params.memory_request, &requests.memory),
        (CPU_REQUEST, &params.cpu_request, &requests.cpu),
        (DISK_LIMIT, &params.ephemeral_storage_limit, &limits.ephemeral_storage),
        (DISK_REQUEST, &params.ephemeral_storage_request, &requests.ephemeral_storage),
    ] {
        let value = match (flat, nested) {
            (Some(a), Some(b)) if a != b => return Err(bad_params(format!("{} is given twice, as {} and {}", field.name(), a.0, b.0))),
            (a, b) => a.as_ref().or(b.as_ref()),
        };
        let Some(value) = value else { continue };
        if !scope.allowed.contains(&field) {
            return Err(bad_params(format!("this action does not set the {}; use set_resources", field.name())));
        }
        if field.amount(&value.0)? == 0 {
            return Err(bad_params(format!("the {} must be above zero", field.name())));
        }
        all.push((field, value.0.clone()));
    }
    match scope.required {
        Some(field) if !all.iter().any(|(f, _)| *f == field) => Err(bad_params(format!("give the wanted {}", field.name()))),
        None if all.is_empty() => Err(bad_params("give at least one value to set")),
        _ => Ok(all),
    }
}

/// What the container has now and would have, for one value.
fn after(container: &Value, wanted: &[(Field, String)], field: Field) -> Option<String> {
    wanted.iter().find(|(f, _)| *f == field).map(|(_, v)| v.clone()).or_else(|| field.of(container))
}

fn check(scope: &Scope, current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: ResourceParams = typed(params)?;
    let wanted = wanted(scope, &params)?;
    let chosen = choose(&current.target, params.container.as_deref())?;
    let mut all = Vec::new();
    for (field, value) in &wanted {
        all.push(direction(scope, chosen.value, *field, value)?);
    }
    for (field, value) in &wanted {
        all.extend(limit_range(current, *field, value)?);
    }
    for (request, limit) in BOUNDED {
        if wanted.iter().any(|(f, _)| f.resource == request.resource) {
            all.extend(fits_a_node(current, request, after(chosen.value, &wanted, request).or_else(|| after(chosen.value, &wanted, limit)))?);
        }
    }
    Ok(all)
}

fn direction(scope: &Scope, container: &Value, field: Field, value: &str) -> Result<Precondition> {
    let name = field.name();
    let bound = scope.required.is_none_or(|r| r == field);
    let Some(now) = field.of(container) else {
        let holds = scope.grows.is_none() || !bound;
        return Ok(condition(
            holds,
            if holds { format!("{name} becomes {value}, there is none now") } else { format!("there is no {name} now that could change to {value}") },
        ));
    };
    let (was, will) = (field.amount(&now)?, field.amount(value)?);
    let grows = scope.grows.filter(|_| bound);
    Ok(match grows {
        Some(true) if will <= was => condition(false, format!("{name} {value} is not above {now}")),
        Some(false) if will >= was => condition(false, format!("{name} {value} is not below {now}")),
        _ => condition(will <= was.saturating_mul(MAX_FACTOR), format!("{name} goes from {now} to {value}, at most {MAX_FACTOR} times as much")),
    })
}

fn limit_range(current: &Current, field: Field, value: &str) -> Result<Option<Precondition>> {
    let ranges = current.related(Read::LimitRanges).iter();
    let maxima =
        ranges.flat_map(|r| r.list_at("/spec/limits")).filter(|l| l["type"] == "Container").filter_map(|l| l["max"][field.resource].as_str());
    let mut lowest: Option<(u64, &str)> = None;
    for text in maxima {
        let amount = field.amount(text)?;
        lowest = Some(lowest.filter(|(l, _)| *l <= amount).unwrap_or((amount, text)));
    }
    let Some((maximum, text)) = lowest else { return Ok(None) };
    Ok(Some(condition(field.amount(value)? <= maximum, format!("{} {value} is within the namespace's maximum {text}", field.name()))))
}

/// A pod whose request no node can hold would never start.
fn fits_a_node(current: &Current, field: Field, value: Option<String>) -> Result<Option<Precondition>> {
    let Some(value) = value else { return Ok(None) };
    let pointer = format!("/status/allocatable/{}", field.resource);
    let mut largest: Option<(u64, &str)> = None;
    for text in current.related(Read::Nodes).iter().filter_map(|n| n.str_at(&pointer)) {
        let amount = field.amount(text)?;
        largest = Some(largest.filter(|(l, _)| *l >= amount).unwrap_or((amount, text)));
    }
    let Some((most, text)) = largest else { return Ok(None) };
    Ok(Some(condition(field.amount(&value)? <= most, format!("the largest node offers {text} {} for a request of {value}", field.resource))))
}

fn plan(scope: &Scope, current: &Current, params: &Value) -> Result<Write> {
    let params: ResourceParams = typed(params)?;
    let wanted = wanted(scope, &params)?;
    let chosen = choose(&current.target, params.container.as_deref())?;
    for (request, limit) in BOUNDED {
        if let (Some(r), Some(l)) = (after(chosen.value, &wanted, request), after(chosen.value, &wanted, limit))
            && request.amount(&r)? > limit.amount(&l)?
        {
            return Err(bad_params(format!("{} {r} would be above {} {l}", request.name(), limit.name())));
        }
    }
    let mut resources: Map<String, Value> = Map::new();
    for (field, value) in &wanted {
        let same = field.of(chosen.value).map(|now| field.amount(&now)).transpose()? == Some(field.amount(value)?);
        if !same && let Value::Object(group) = resources.entry(field.group).or_insert_with(|| json!({})) {
            group.insert(field.resource.into(), json!(value));
        }
    }
    if resources.is_empty() {
        return Ok(Write::None(format!("container {} has these values already", chosen.name)));
    }
    let body = json!({"spec": {"template": {"spec": {chosen.list: [{"name": chosen.name, "resources": resources}]}}}});
    Ok(Write::Patch { kind: PatchKind::Strategic, body, reads: vec![format!("{}/name", chosen.at), format!("{}/resources", chosen.at)] })
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    fn world() -> Current {
        let target = Object::new(json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [
            {"name": "app", "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}}}, {"name": "side"}]}}}}));
        let range = Object::new(json!({"kind": "LimitRange", "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}}));
        let node = Object::new(json!({"kind": "Node", "status": {"allocatable": {"memory": "2Gi", "cpu": "2"}}}));
        Current { target, related: [("LimitRange", vec![range]), ("Node", vec![node])].into() }
    }

    fn all_hold(scope: &Scope, params: Value) -> bool {
        check(scope, &world(), &params).unwrap().iter().all(|c| c.holds)
    }

    #[test]
    fn only_the_named_container_is_patched_in_either_spelling() {
        for params in [json!({"container": "app", "memory_limit": "128Mi"}), json!({"container": "app", "limits": {"memory": "128Mi"}})] {
            let Write::Patch { body, kind, .. } = plan(&RAISE_MEMORY, &world(), &params).unwrap() else { panic!("no patch") };
            assert_eq!(kind, PatchKind::Strategic);
            assert_eq!(body["spec"]["template"]["spec"]["containers"], json!([{"name": "app", "resources": {"limits": {"memory": "128Mi"}}}]));
        }
    }

    #[test]
    fn a_container_must_be_named_where_there_are_several_and_must_exist() {
        let message = |params| plan(&RAISE_MEMORY, &world(), &params).unwrap_err().to_string();
        assert!(message(json!({"memory_limit": "128Mi"})).contains("app, side"));
        assert!(message(json!({"memory_limit": "128Mi", "container": "x"})).contains("no container x"));
    }

    #[test]
    fn an_increase_grows_within_reason_limits_and_nodes() {
        let raise = |to: &str| all_hold(&RAISE_MEMORY, json!({"container": "app", "memory_limit": to}));
        assert!(raise("128Mi"));
        assert!(!raise("32Mi"), "shrinks");
        assert!(!raise("8Gi"), "more than 64 times, the namespace's maximum and the node");
        assert!(!all_hold(&RAISE_MEMORY, json!({"container": "side", "memory_limit": "128Mi"})), "no limit that could grow");
        assert!(all_hold(&SET_ALL, json!({"container": "side", "memory_limit": "128Mi"})));
        assert!(all_hold(&SET_ALL, json!({"container": "side", "limits": {"ephemeral-storage": "1Gi"}})));
        assert!(!all_hold(&SET_ALL, json!({"container": "side", "cpu_request": "3"})), "no node holds it");
        assert!(!all_hold(&LOWER_REQUESTS, json!({"container": "app", "memory_request": "48Mi"})));
    }

    #[test]
    fn a_request_above_its_limit_zero_and_values_of_another_action_are_refused() {
        let fails = |scope: &Scope, params| plan(scope, &world(), &params).is_err();
        assert!(fails(&SET_ALL, json!({"container": "app", "memory_limit": "16Mi"})));
        assert!(fails(&SET_ALL, json!({"container": "app", "memory_limit": "0"})));
        assert!(fails(&RAISE_MEMORY, json!({"container": "app", "memory_limit": "1Gi", "cpu_limit": "1"})));
        assert!(fails(&RAISE_MEMORY, json!({"container": "app", "memory_request": "40Mi"})));
        assert!(fails(&SET_ALL, json!({"container": "app", "memory_limit": "1Gi", "limits": {"memory": "2Gi"}})));
    }

    #[test]
    fn equal_amounts_in_another_spelling_are_no_change() {
        assert!(matches!(plan(&SET_ALL, &world(), &json!({"container": "app", "memory_limit": "65536Ki"})).unwrap(), Write::None(_)));
    }
}
