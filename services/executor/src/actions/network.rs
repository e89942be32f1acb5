//! Letting one more connection through a network policy.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef, Precondition, Reversibility, Risk, selector_matches},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    action::{Action, Current, Effect, Read, Write, bad_params, condition, typed},
    edit::Edit,
};

const OPERATION: &str = "executor.network";
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// The field of rules, the field of peers in a rule, and the name among the policy's types.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Ingress => ("ingress", "from", "Ingress"),
            Self::Egress => ("egress", "to", "Egress"),
        }
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Peer {
    /// Namespace of the pods; that of the policy where absent.
    #[schemars(length(min = 1, max = 63))]
    namespace: Option<String>,
    /// Labels of the pods. Never empty: a rule for all pods would open more than one connection.
    #[schemars(extend("minProperties" = 1))]
    pod_labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AllowParams {
    /// Whether the policy keeps connections from coming in or from going out.
    direction: Direction,
    /// The pods that connect; for outgoing connections without `to`, the pods that are connected to.
    peer: Peer,
    /// The Service that is connected to, as `Service/namespace/name`.
    #[schemars(regex(pattern = "^Service/[a-z0-9.-]+/[a-z0-9.-]+$"))]
    to: Option<String>,
    /// Port of the pods that are connected to.
    #[schemars(range(min = 1, max = 65535))]
    port: u16,
    /// Protocol; TCP where absent, both TCP and UDP for port 53.
    #[schemars(regex(pattern = "^(TCP|UDP|SCTP)$"))]
    protocol: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_NETWORK_POLICY: Action = Action {
    name: "patch_network_policy",
    aliases: &["update_network_policy"],
    family: "network",
    summary: "lets one connection between named pods through a network policy; takes no rule away",
    target_kinds: &["NetworkPolicy"],
    effect: Effect::Consult,
    risk: Risk::High,
    reversibility: Reversibility::Undo,
    preconditions: &[
        "the policy restricts that direction",
        "the policy holds for the pods at its end of the connection",
        "the Service that is connected to chooses its pods by labels",
    ],
    parameters: || schema_for!(AllowParams),
    reads: &[Read::PeerServices],
    check,
    plan,
};

/// Whether the policy restricts a direction; a rule in another one would begin to restrict it.
fn restricts(policy: &Object, direction: Direction) -> bool {
    let (rules, _, name) = direction.names();
    match policy.at("/spec/policyTypes").and_then(Value::as_array) {
        Some(types) => types.iter().any(|t| t == name),
        None => direction == Direction::Ingress || policy.at(&format!("/spec/{rules}")).is_some(),
    }
}

/// The Service that is connected to, if one is named, with its selector.
fn service(current: &Current, params: &AllowParams) -> Result<Option<(ObjectRef, Peer)>> {
    let Some(to) = &params.to else { return Ok(None) };
    let reference: ObjectRef = to.parse()?;
    let found = current.related(Read::PeerServices).iter().find(|s| s.name() == reference.name && s.namespace() == reference.namespace.as_deref());
    let labels = found.map(|s| s.map_at("/spec/selector")).unwrap_or_default();
    let pod_labels = labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Ok(Some((reference.clone(), Peer { namespace: reference.namespace, pod_labels })))
}

/// The two ends: the one that the policy holds for, as far as it is known, and the one that is let through.
fn ends(current: &Current, params: &AllowParams) -> Result<(Option<Peer>, Peer)> {
    let to = service(current, params)?.map(|(_, peer)| peer);
    Ok(match (params.direction, to) {
        (Direction::Ingress, to) => (to, params.peer.clone()),
        (Direction::Egress, Some(to)) => (Some(params.peer.clone()), to),
        (Direction::Egress, None) => (None, params.peer.clone()),
    })
}

fn holds_for(policy: &Object, end: &Peer) -> bool {
    let labels = end.pod_labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let here = end.namespace.as_deref().is_none_or(|n| policy.namespace() == Some(n));
    here && selector_matches(policy.at("/spec/podSelector").unwrap_or(&Value::Null), &labels)
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: AllowParams = typed(params)?;
    let policy = &current.target;
    let (rules, ..) = params.direction.names();
    let restricts = restricts(policy, params.direction);
    let mut all = vec![condition(restricts, format!("the policy {} {rules}", if restricts { "restricts" } else { "does not restrict" }))];
    if let Some((reference, peer)) = service(current, &params)? {
        let known = !peer.pod_labels.is_empty();
        all.push(condition(known, format!("{reference} {}", if known { "chooses its pods by labels" } else { "does not exist or has no selector" })));
    }
    if let (Some(end), _) = ends(current, &params)? {
        let holds = holds_for(policy, &end);
        all.push(condition(holds, format!("the policy {} for the pods at its end of the connection", if holds { "holds" } else { "does not hold" })));
    }
    Ok(all)
}

/// The rule that lets exactly this connection through.
fn rule(policy: &Object, params: &AllowParams, other: &Peer) -> Value {
    let mut peer = json!({"podSelector": {"matchLabels": other.pod_labels}});
    if let Some(namespace) = other.namespace.as_deref().filter(|n| policy.namespace() != Some(n)) {
        peer["namespaceSelector"] = json!({"matchLabels": {NAMESPACE_NAME: namespace}});
    }
    let protocols: Vec<&str> = match (&params.protocol, params.port) {
        (Some(protocol), _) => vec![protocol],
        (None, 53) => vec!["UDP", "TCP"],
        (None, _) => vec!["TCP"],
    };
    let ports: Vec<Value> = protocols.into_iter().map(|p| json!({"port": params.port, "protocol": p})).collect();
    let (_, peers, _) = params.direction.names();
    json!({peers: [peer], "ports": ports})
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: AllowParams = typed(params)?;
    let (_, other) = ends(current, &params)?;
    if other.pod_labels.is_empty() {
        let what = params.to.as_deref().unwrap_or_default();
        return Err(if what.is_empty() {
            bad_params("name the pods by their labels")
        } else {
            Error::new(ErrorKind::Refused, OPERATION, "the Service does not exist or has no selector").with("to", what)
        });
    }
    let rule = rule(&current.target, &params, &other);
    let (rules, ..) = params.direction.names();
    let at = format!("/spec/{rules}");
    let mut wanted = current.target.list_at(&at).to_vec();
    let mut edit = Edit::of(&current.target);
    edit.rests_on("/spec/podSelector");
    edit.rests_on("/spec/policyTypes");
    if !wanted.contains(&rule) {
        wanted.push(rule);
        edit.set(&at, Some(Value::Array(wanted)));
    }
    Ok(edit.finish(|| "the policy has this rule already".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(spec: Value) -> Current {
        let target = Object::new(json!({"kind": "NetworkPolicy", "metadata": {"namespace": "shop", "name": "p"}, "spec": spec}));
        let api = Object::new(json!({"kind": "Service", "metadata": {"namespace": "back", "name": "api"}, "spec": {"selector": {"app": "api"}}}));
        Current { target, related: [("Service", vec![api])].into() }
    }

    fn policy(kind: &str) -> Value {
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": [kind]})
    }

    fn egress(labels: Value) -> Value {
        json!({"direction": "egress", "peer": {"namespace": "shop", "pod_labels": labels}, "to": "Service/back/api", "port": 8080})
    }

    #[test]
    fn an_outgoing_connection_is_opened_to_the_pods_of_the_service_only() {
        let Write::Patch { body, .. } = plan(&world(policy("Egress")), &egress(json!({"app": "web"})), "k").unwrap() else { panic!("no patch") };
        let rule = json!({"to": [{"podSelector": {"matchLabels": {"app": "api"}}, "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "back"}}}], "ports": [{"port": 8080, "protocol": "TCP"}]});
        assert_eq!(body, json!([{"op": "add", "path": "/spec/egress", "value": [rule]}]));
        let mut spec = policy("Egress");
        spec["egress"] = json!([{"ports": [{"port": 1}]}, rule]);
        assert!(matches!(plan(&world(spec), &egress(json!({"app": "web"})), "k").unwrap(), Write::None(_)));
    }

    #[test]
    fn an_incoming_connection_is_opened_from_the_peer_and_other_rules_stay() {
        let mut spec = policy("Ingress");
        spec["ingress"] = json!([{"from": [{"podSelector": {}}]}]);
        let params = json!({"direction": "ingress", "peer": {"namespace": "shop", "pod_labels": {"app": "job"}}, "port": 53});
        let Write::Patch { body, .. } = plan(&world(spec), &params, "k").unwrap() else { panic!("no patch") };
        assert_eq!(body[0]["value"][0], json!({"from": [{"podSelector": {}}]}));
        assert_eq!(
            body[0]["value"][1],
            json!({"from": [{"podSelector": {"matchLabels": {"app": "job"}}}], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]})
        );
    }

    #[test]
    fn a_rule_that_would_restrict_or_is_for_other_pods_is_refused() {
        let holds = |spec, params: &Value| check(&world(spec), params).unwrap().iter().all(|c| c.holds);
        assert!(holds(policy("Egress"), &egress(json!({"app": "web", "v": "1"}))));
        assert!(!holds(policy("Ingress"), &egress(json!({"app": "web"}))), "a first egress rule would stop all other egress");
        assert!(!holds(policy("Egress"), &egress(json!({"app": "other"}))));
        let mut unknown = egress(json!({"app": "web"}));
        unknown["to"] = json!("Service/back/none");
        assert!(!holds(policy("Egress"), &unknown));
        assert!(plan(&world(policy("Egress")), &unknown, "k").is_err(), "never to all pods");
    }
}
