//! Which pods a Service leads to, and on which port.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::probe::Port;
use crate::{
    action::{Action, Current, Effect, Read, Write, bad_params, condition, typed},
    edit::Edit,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SelectorParams {
    /// The whole selector as it should be.
    #[schemars(extend("minProperties" = 1))]
    selector: BTreeMap<String, String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PortParams {
    /// Port of the Service.
    #[schemars(range(min = 1, max = 65535))]
    port: u16,
    /// Its protocol, where the Service has the port for several.
    #[schemars(regex(pattern = "^(TCP|UDP|SCTP)$"))]
    protocol: Option<String>,
    /// Wanted port of the pods.
    target_port: Port,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

const SERVICE: Action = Action {
    name: "",
    aliases: &[],
    family: "service",
    summary: "",
    target_kinds: &["Service"],
    effect: Effect::Settings,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &[],
    parameters: || schema_for!(SelectorParams),
    reads: &[Read::Pods],
    check: check_selector,
    plan: plan_selector,
};

pub(super) static PATCH_SERVICE_SELECTOR: Action = Action {
    name: "patch_service_selector",
    summary: "sets the labels by which a Service chooses its pods",
    effect: Effect::Reroute,
    preconditions: &["the Service chooses its pods by labels", "pods carry the wanted labels"],
    ..SERVICE
};

pub(super) static PATCH_SERVICE_PORT: Action = Action {
    name: "patch_service_port",
    summary: "sets the port of the pods that one port of a Service leads to",
    preconditions: &["the Service has the port", "pods behind it declare the target port, or no ports at all"],
    parameters: || schema_for!(PortParams),
    check: check_port,
    plan: plan_port,
    ..SERVICE
};

/// Pods of the namespace that carry these labels and have not ended.
fn chosen<'a>(current: &'a Current, selector: &BTreeMap<&str, &str>) -> Vec<&'a Object> {
    let lives = |pod: &&Object| !matches!(pod.str_at("/status/phase"), Some("Succeeded" | "Failed"));
    let carries = |pod: &&Object| !selector.is_empty() && selector.iter().all(|(k, v)| pod.label(k) == Some(v));
    current.related(Read::Pods).iter().filter(lives).filter(carries).collect()
}

fn check_selector(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let wanted = typed::<SelectorParams>(params)?.selector;
    let wanted = wanted.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let by_labels = !current.target.map_at("/spec/selector").is_empty() && current.target.str_at("/spec/type") != Some("ExternalName");
    let count = chosen(current, &wanted).len();
    let text = if by_labels { "the Service chooses its pods by labels" } else { "the Service has no selector: what it leads to is set elsewhere" };
    Ok(vec![condition(by_labels, text), condition(count > 0, format!("{count} pods carry the wanted labels"))])
}

fn plan_selector(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let wanted = typed::<SelectorParams>(params)?.selector;
    let mut edit = Edit::of(&current.target);
    edit.set("/spec/selector", Some(json!(wanted)));
    Ok(edit.finish(|| "the selector is as wanted already".into()))
}

/// The position of the port that is meant.
fn position(current: &Current, params: &PortParams) -> Result<Option<usize>> {
    let protocol = |p: &Value| p["protocol"].as_str().unwrap_or("TCP").to_owned();
    let meant = |p: &Value| p["port"] == params.port && params.protocol.as_ref().is_none_or(|w| *w == protocol(p));
    let ports = current.target.list_at("/spec/ports");
    let mut found = (0..ports.len()).filter(|at| meant(&ports[*at]));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(bad_params(format!("the Service has port {} for several protocols; name one", params.port))),
        (first, _) => Ok(first),
    }
}

fn declared(pod: &Object) -> impl Iterator<Item = &Value> {
    let ports = pod.list_at("/spec/containers").iter().flat_map(|c| c["ports"].as_array().into_iter().flatten());
    // A sidecar is an init container that keeps running.
    let sidecars = pod.list_at("/spec/initContainers").iter().filter(|c| c["restartPolicy"] == "Always");
    ports.chain(sidecars.flat_map(|c| c["ports"].as_array().into_iter().flatten()))
}

fn serves(current: &Current, port: &Port) -> Precondition {
    let pods = chosen(current, &current.target.map_at("/spec/selector"));
    let is_meant = |p: &Value| match port {
        Port::Number(number) => p["containerPort"] == *number,
        Port::Name(name) => p["name"] == name.as_str(),
    };
    let shown = json!(port);
    let hits = pods.iter().filter(|p| declared(p).any(is_meant)).count();
    let silent = pods.iter().all(|p| declared(p).next().is_none());
    match (hits, silent, port) {
        (1.., ..) => condition(true, format!("{hits} of {} pods behind the Service declare port {shown}", pods.len())),
        (0, true, Port::Number(_)) if !pods.is_empty() => condition(true, format!("{} pods are behind the Service and declare no ports", pods.len())),
        _ => condition(false, format!("none of {} pods behind the Service declares port {shown}", pods.len())),
    }
}

fn check_port(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: PortParams = typed(params)?;
    let exists = position(current, &params)?.is_some();
    let has = condition(exists, format!("the Service has {} port {}", if exists { "a" } else { "no" }, params.port));
    Ok(vec![has, serves(current, &params.target_port)])
}

fn plan_port(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: PortParams = typed(params)?;
    let absent = || Error::new(ErrorKind::Refused, "executor.service", "the Service has no such port").with("port", params.port);
    let at = format!("/spec/ports/{}", position(current, &params)?.ok_or_else(absent)?);
    let mut edit = Edit::of(&current.target);
    edit.rests_on(format!("{at}/port"));
    edit.set(&format!("{at}/targetPort"), Some(json!(params.target_port)));
    Ok(edit.finish(|| format!("port {} leads to {} already", params.port, json!(params.target_port))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> Current {
        let pod = Object::new(
            json!({"kind": "Pod", "metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {"containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 8080, "name": "http"}]}]}}),
        );
        let target = Object::new(
            json!({"kind": "Service", "spec": {"selector": {"app": "web"}, "ports": [{"port": 53, "protocol": "UDP", "targetPort": 53}, {"port": 53, "targetPort": 53}, {"port": 80, "targetPort": 81}]}}),
        );
        Current { target, related: [("Pod", vec![pod])].into() }
    }

    #[test]
    fn the_selector_is_replaced_by_one_that_pods_carry() {
        let holds = |selector: Value| check_selector(&world(), &json!({"selector": selector})).unwrap()[1].holds;
        assert!(holds(json!({"tier": "front"})));
        assert!(!holds(json!({"tier": "front", "app": "other"})));
        let Write::Patch { body, .. } = plan_selector(&world(), &json!({"selector": {"tier": "front"}}), "k").unwrap() else { panic!("no patch") };
        assert_eq!(body, json!([{"op": "replace", "path": "/spec/selector", "value": {"tier": "front"}}]));
        assert!(matches!(plan_selector(&world(), &json!({"selector": {"app": "web"}}), "k").unwrap(), Write::None(_)));
    }

    #[test]
    fn a_service_without_selector_is_left_alone() {
        let current = Current { target: Object::new(json!({"kind": "Service", "spec": {"type": "ExternalName"}})), ..world() };
        assert!(!check_selector(&current, &json!({"selector": {"app": "web"}})).unwrap()[0].holds);
    }

    #[test]
    fn one_port_is_led_to_a_port_that_pods_declare() {
        let holds = |params| check_port(&world(), &params).unwrap().iter().all(|c| c.holds);
        assert!(holds(json!({"port": 80, "target_port": 8080})));
        assert!(holds(json!({"port": 80, "target_port": "http"})));
        assert!(!holds(json!({"port": 80, "target_port": 9090})));
        assert!(!holds(json!({"port": 81, "target_port": 8080})));
        let Write::Patch { body, .. } = plan_port(&world(), &json!({"port": 80, "target_port": 8080}), "k").unwrap() else { panic!("no patch") };
        assert_eq!(body, json!([{"op": "replace", "path": "/spec/ports/2/targetPort", "value": 8080}]));
        assert!(matches!(plan_port(&world(), &json!({"port": 53, "protocol": "UDP", "target_port": 53}), "k").unwrap(), Write::None(_)));
        assert!(plan_port(&world(), &json!({"port": 53, "target_port": 54}), "k").unwrap_err().to_string().contains("protocols"));
    }
}
