//! Services: names to objects, objects to pods and workloads.

use kubernaut_core::model::{Object, ObjectRef};
use serde_json::Value;

use super::{Facts, log::Host, pod, workload};

/// What a host name means inside the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// A Service that exists.
    Service(ObjectRef),
    /// A pod, by address.
    Pod(ObjectRef),
    /// A Service name in a namespace that was read, without a Service.
    Missing(ObjectRef),
    /// Somewhere else, or not to be told.
    Unknown,
}

/// The Service name and namespace that a cluster DNS name means from inside `namespace`.
pub(crate) fn cluster_name<'a>(host: &'a str, namespace: &'a str) -> Option<(&'a str, &'a str)> {
    let parts: Vec<&str> = host.split('.').collect();
    let svc = parts.iter().position(|p| *p == "svc");
    match (svc, parts.as_slice()) {
        (None, [name]) => Some((name, namespace)),
        (None, [name, ns]) => Some((name, ns)),
        // A pod of a headless Service: pod.service.namespace
        (None, [_, name, ns]) => Some((name, ns)),
        (Some(2), [name, ns, ..]) => Some((name, ns)),
        (Some(3), [_, name, ns, ..]) => Some((name, ns)),
        _ => None,
    }
}

/// What a host named by a pod in `namespace` is.
pub(crate) fn resolve(facts: &Facts, host: &Host, namespace: &str) -> Resolved {
    if host.name.parse::<std::net::IpAddr>().is_ok() {
        return by_address(facts, &host.name);
    }
    let Some((name, ns)) = cluster_name(&host.name, namespace) else { return Resolved::Unknown };
    if facts.store.get("Service", Some(ns), name).is_some() {
        return Resolved::Service(ObjectRef::new("Service", Some(ns), name));
    }
    // `pod.service` of a headless Service in the same namespace reads like `service.namespace`.
    if ns != namespace && facts.store.get("Service", Some(namespace), ns).is_some() {
        return Resolved::Service(ObjectRef::new("Service", Some(namespace), ns));
    }
    let known_namespace = facts.store.is_complete("Service", Some(ns));
    if known_namespace && (ns == namespace || host.name.contains(".svc") || facts.store.get("Namespace", None, ns).is_some()) {
        return Resolved::Missing(ObjectRef::new("Service", Some(ns), name));
    }
    Resolved::Unknown
}

fn by_address(facts: &Facts, ip: &str) -> Resolved {
    let service = facts.store.all("Service").find(|s| s.str_at("/spec/clusterIP") == Some(ip));
    if let Some(service) = service {
        return Resolved::Service(service.reference());
    }
    let pod = facts.store.all("Pod").find(|p| p.str_at("/status/podIP") == Some(ip) && p.bool_at("/spec/hostNetwork") != Some(true));
    pod.map_or(Resolved::Unknown, |p| Resolved::Pod(p.reference()))
}

/// Whether a Service leaves its endpoints to others.
pub(crate) fn is_selectorless(service: &Object) -> bool {
    service.map_at("/spec/selector").is_empty()
}

/// Pods that a Service selects.
pub(crate) fn pods<'a>(facts: &'a Facts, service: &'a Object) -> Vec<&'a Object> {
    let selector = service.map_at("/spec/selector");
    if selector.is_empty() {
        return Vec::new();
    }
    let matches = |p: &&Object| !pod::is_finished(p) && selector.iter().all(|(k, v)| p.label(k) == Some(v));
    facts.store.list("Pod", service.namespace()).filter(matches).collect()
}

/// Workloads whose template carries the labels that a Service selects, with or without pods.
pub(crate) fn workloads<'a>(facts: &'a Facts, service: &'a Object) -> Vec<workload::Workload<'a>> {
    let selector = service.map_at("/spec/selector");
    let Some(namespace) = service.namespace() else { return Vec::new() };
    if selector.is_empty() {
        return Vec::new();
    }
    let mut found = workload::labelled(facts, namespace, |labels| selector.iter().all(|(k, v)| labels.get(k) == Some(v)));
    if found.is_empty() {
        let bare = pods(facts, service).into_iter().filter(|p| p.controller().is_none());
        found.extend(bare.filter_map(|p| workload::Workload::find(facts, &p.reference())));
    }
    found
}

/// Services that select a workload's pods.
pub(crate) fn of_workload<'a>(facts: &'a Facts, workload: &workload::Workload<'a>) -> Vec<&'a Object> {
    let labels = workload.pod_labels();
    facts
        .store
        .list("Service", workload.namespace())
        .filter(|s| {
            let selector = s.map_at("/spec/selector");
            !selector.is_empty() && selector.iter().all(|(k, v)| labels.get(k) == Some(v))
        })
        .collect()
}

/// Ready addresses behind a Service, from its EndpointSlices; `None` if there is no slice to read.
pub(crate) fn ready_endpoints(facts: &Facts, service: &Object) -> Option<usize> {
    let mut slices =
        facts.store.list("EndpointSlice", service.namespace()).filter(|s| s.label("kubernetes.io/service-name") == Some(service.name())).peekable();
    slices.peek()?;
    let ready = |e: &&Value| e["conditions"]["ready"] != false;
    Some(slices.map(|s| s.list_at("/endpoints").iter().filter(ready).map(|e| e["addresses"].as_array().map_or(1, Vec::len)).sum::<usize>()).sum())
}

/// One port of a Service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port<'a> {
    pub(crate) port: u16,
    pub(crate) name: &'a str,
    pub(crate) target: &'a Value,
}

/// The ports of a Service.
pub(crate) fn ports(service: &Object) -> Vec<Port<'_>> {
    let port = |p: &Value| u16::try_from(p["port"].as_i64()?).ok();
    service
        .list_at("/spec/ports")
        .iter()
        .filter_map(|p| Some(Port { port: port(p)?, name: p["name"].as_str().unwrap_or_default(), target: &p["targetPort"] }))
        .collect()
}

/// The container port number that a Service port leads to; `None` if a named port is declared nowhere.
pub(crate) fn target_port(port: &Port<'_>, declared: &[(u16, &str)]) -> Option<u16> {
    match port.target {
        Value::Number(n) => n.as_u64().and_then(|n| u16::try_from(n).ok()),
        Value::String(s) => s.parse().ok().or_else(|| declared.iter().find(|(_, name)| name == s).map(|(n, _)| *n)),
        _ => Some(port.port),
    }
}

/// Ports declared by the containers of a pod spec.
pub(crate) fn declared(pod_spec: &Value) -> Vec<(u16, &str)> {
    let containers = pod_spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let sidecars = pod_spec["initContainers"].as_array().map_or(&[][..], Vec::as_slice).iter().filter(|c| c["restartPolicy"] == "Always");
    containers.iter().chain(sidecars).flat_map(pod::declared_ports).collect()
}
