//! NetworkPolicies: may one pod talk to another on a port?

use std::collections::BTreeMap;

use kubernaut_core::model::{Object, selector_matches};
use serde_json::Value;

use super::{Facts, pod};

/// One end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct End<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) labels: BTreeMap<&'a str, &'a str>,
    pub(crate) ip: Option<&'a str>,
    /// Declared ports of the pod, for rules with port names.
    pub(crate) ports: Vec<(u16, &'a str)>,
}

impl<'a> End<'a> {
    /// The end that is a pod.
    pub(crate) fn pod(object: &'a Object) -> Self {
        let ports = pod::containers(object).iter().flat_map(|c| c.ports()).collect();
        Self { namespace: object.namespace().unwrap_or_default(), labels: object.labels(), ip: object.str_at("/status/podIP"), ports }
    }
}

/// Which way a policy stops a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// The policies that stop a connection: all that select the blocked end, none of which lets it pass.
#[derive(Debug, Clone)]
pub(crate) struct Block<'a> {
    pub(crate) direction: Direction,
    pub(crate) policies: Vec<&'a Object>,
}

/// Evaluates egress of the client and ingress of the server.
pub(crate) fn blocked<'a>(facts: &'a Facts, client: &End<'_>, server: &End<'_>, port: Option<u16>) -> Option<Block<'a>> {
    let inbound = stopping(facts, server, client, server, port, Direction::Ingress);
    if !inbound.is_empty() {
        return Some(Block { direction: Direction::Ingress, policies: inbound });
    }
    let outbound = stopping(facts, client, server, server, port, Direction::Egress);
    (!outbound.is_empty()).then_some(Block { direction: Direction::Egress, policies: outbound })
}

/// Whether a policy selects a pod for a direction.
pub(crate) fn selects(policy: &Object, end: &End<'_>, direction: Direction) -> bool {
    let kind = if direction == Direction::Ingress { "Ingress" } else { "Egress" };
    let types = policy.list_at("/spec/policyTypes");
    let typed =
        if types.is_empty() { direction == Direction::Ingress || policy.at("/spec/egress").is_some() } else { types.iter().any(|t| t == kind) };
    typed && policy.namespace() == Some(end.namespace) && selector_matches(policy.at("/spec/podSelector").unwrap_or(&Value::Null), &end.labels)
}

fn stopping<'a>(facts: &'a Facts, held: &End<'_>, peer: &End<'_>, server: &End<'_>, port: Option<u16>, direction: Direction) -> Vec<&'a Object> {
    let selecting: Vec<&Object> = facts.store.list("NetworkPolicy", Some(held.namespace)).filter(|p| selects(p, held, direction)).collect();
    let rules = if direction == Direction::Ingress { "/spec/ingress" } else { "/spec/egress" };
    let peers = if direction == Direction::Ingress { "from" } else { "to" };
    let passes = |policy: &&Object| {
        policy.list_at(rules).iter().any(|rule| peer_allowed(facts, held.namespace, &rule[peers], peer) && port_allowed(&rule["ports"], server, port))
    };
    if selecting.iter().any(passes) { Vec::new() } else { selecting }
}

fn peer_allowed(facts: &Facts, own_namespace: &str, peers: &Value, peer: &End<'_>) -> bool {
    let Some(list) = peers.as_array().filter(|l| !l.is_empty()) else { return true };
    list.iter().any(|entry| {
        if let Some(block) = entry.get("ipBlock") {
            return peer.ip.is_some_and(|ip| in_block(block, ip));
        }
        let namespace_ok = match entry.get("namespaceSelector") {
            None => peer.namespace == own_namespace,
            Some(selector) => selector_matches(selector, &namespace_labels(facts, peer.namespace)),
        };
        namespace_ok && entry.get("podSelector").is_none_or(|s| selector_matches(s, &peer.labels))
    })
}

fn namespace_labels<'a>(facts: &'a Facts, namespace: &'a str) -> BTreeMap<&'a str, &'a str> {
    let mut labels = facts.store.get("Namespace", None, namespace).map(Object::labels).unwrap_or_default();
    labels.insert("kubernetes.io/metadata.name", namespace);
    labels
}

fn port_allowed(ports: &Value, server: &End<'_>, port: Option<u16>) -> bool {
    let Some(list) = ports.as_array().filter(|l| !l.is_empty()) else { return true };
    let Some(port) = port else { return true };
    list.iter().any(|p| match &p["port"] {
        Value::Null => true,
        Value::Number(n) => {
            let from = n.as_u64().unwrap_or_default();
            (from..=p["endPort"].as_u64().unwrap_or(from)).contains(&u64::from(port))
        }
        Value::String(name) => server.ports.iter().any(|(n, declared)| *n == port && declared == name),
        _ => false,
    })
}

fn in_block(block: &Value, ip: &str) -> bool {
    let within = |cidr: &str| cidr_contains(cidr, ip).unwrap_or(false);
    let excepted = block["except"].as_array().into_iter().flatten().filter_map(Value::as_str).any(within);
    block["cidr"].as_str().is_some_and(within) && !excepted
}

fn cidr_contains(cidr: &str, ip: &str) -> Option<bool> {
    let (base, bits) = cidr.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    match (base.parse().ok()?, ip.parse().ok()?) {
        (std::net::IpAddr::V4(b), std::net::IpAddr::V4(i)) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            Some(u32::from(b) & mask == u32::from(i) & mask)
        }
        (std::net::IpAddr::V6(b), std::net::IpAddr::V6(i)) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            Some(u128::from(b) & mask == u128::from(i) & mask)
        }
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::ObjectRef;
    use serde_json::json;

    use super::*;

    fn facts(policies: Vec<Value>) -> Facts {
        let mut facts = Facts::empty("2026-01-01T00:00:00Z".parse().unwrap(), ObjectRef::new("Pod", Some("a"), "x"));
        facts.store.add(policies.into_iter().map(Object::new));
        facts
    }

    fn policy(name: &str, spec: Value) -> Value {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "a"}, "spec": spec})
    }

    fn end<'a>(app: &'a str, namespace: &'a str) -> End<'a> {
        End { namespace, labels: BTreeMap::from([("app", app)]), ip: Some("10.1.2.3"), ports: vec![(8080, "http")] }
    }

    #[test]
    fn a_pod_that_is_selected_accepts_only_what_some_policy_allows() {
        let deny = policy("deny", json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
        let allow = policy(
            "allow",
            json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "gen"}}}], "ports": [{"port": "http"}]}]}),
        );
        let open = facts(vec![deny.clone(), allow]);
        assert!(blocked(&open, &end("gen", "a"), &end("web", "a"), Some(8080)).is_none());
        assert!(blocked(&open, &end("gen", "a"), &end("web", "a"), Some(9090)).is_some());
        assert!(blocked(&open, &end("gen", "b"), &end("web", "a"), Some(8080)).is_some(), "a pod selector alone means the own namespace");
        let closed = facts(vec![deny]);
        assert_eq!(blocked(&closed, &end("gen", "a"), &end("web", "a"), None).unwrap().policies.len(), 1);
    }

    #[test]
    fn egress_and_ip_blocks_are_evaluated() {
        let out = facts(vec![policy(
            "out",
            json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]}),
        )]);
        assert_eq!(blocked(&out, &end("gen", "a"), &end("web", "b"), Some(80)).unwrap().direction, Direction::Egress);
        let other = End { ip: Some("10.2.0.1"), ..end("web", "b") };
        assert!(blocked(&out, &end("gen", "a"), &other, Some(80)).is_none());
    }
}
