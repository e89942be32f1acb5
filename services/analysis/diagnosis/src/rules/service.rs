//! Services: gone, selecting nothing, leading to the wrong port, or with nothing ready behind them.

use std::collections::BTreeMap;

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::{Value, json};

use super::{dependency, network};
use crate::{
    facts::{
        Facts,
        collect::ingress_services,
        deps, pod,
        service::{self, Port},
        workload::{self, Workload},
    },
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(facts: &Facts, subject: &ObjectRef, is_target: bool, report: &mut Report) {
    let Some(object) = facts.store.find(subject) else {
        if facts.store.is_absent("Service", subject.namespace.as_deref(), &subject.name) {
            missing(facts, subject, report);
        }
        return;
    };
    if service::is_selectorless(object) {
        return;
    }
    if is_target && let Some(finding) = no_address(facts, object) {
        report.find(finding);
    }
    let behind = service::workloads(facts, object);
    if behind.is_empty() && service::pods(facts, object).is_empty() {
        if let Some(finding) = selects_nothing(facts, object) {
            report.find(finding);
        }
        return;
    }
    if let Some(finding) = wrong_port(facts, object, &behind) {
        report.find(finding);
    }
    let down = dependency::is_down(facts, subject);
    for workload in &behind {
        let (strength, text) = match (down, workload.is_healthy(facts.now)) {
            (true, _) => (1.0, "none of its pods is ready"),
            (false, false) => (0.95, "some of its pods are not well"),
            (false, true) => (if is_target { 1.0 } else { 0.97 }, "serves it"),
        };
        report.lead(Lead::new(&workload.reference(), strength, text).standing_for());
    }
    if is_target {
        clients(facts, object, report);
    }
}

/// An Ingress is as well as the Services that it sends to.
pub(super) fn examine_ingress(facts: &Facts, subject: &ObjectRef, report: &mut Report) {
    let Some(ingress) = facts.store.find(subject) else { return };
    if let Some(class) = ingress.str_at("/spec/ingressClassName").filter(|c| facts.store.is_absent("IngressClass", None, c)) {
        report.find(
            Finding::new(Category::ResourceNotReady, subject, 0.88, format!("the Ingress names class {class}, which does not exist"))
                .because(subject, EvidenceSource::Spec, format!("ingressClassName {class}"))
                .propose(propose::escalate(
                    subject,
                    "no controller serves the Ingress",
                    vec![format!("set a class that exists, or install {class}")],
                )),
        );
    }
    for (name, port) in ingress_ports(ingress) {
        let backend = ObjectRef::new("Service", subject.namespace.as_deref(), name);
        let Some(service) = facts.store.find(&backend) else { continue };
        let ports = service::ports(service);
        let offered = ports.iter().any(|p| port.as_u64().map_or_else(|| port.as_str() == Some(p.name), |n| u64::from(p.port) == n));
        if !ports.is_empty() && !offered {
            let have = ports.iter().map(|p| p.port.to_string()).collect::<Vec<_>>().join(", ");
            report.find(
                Finding::new(Category::ServicePortMismatch, subject, 0.9, format!("the Ingress sends to port {port} of {backend}, which has {have}"))
                    .because(subject, EvidenceSource::Spec, format!("backend {} port {port}", backend.name))
                    .because(&backend, EvidenceSource::Spec, format!("ports {have}"))
                    .propose(propose::escalate(
                        subject,
                        "the port of the backend has to be corrected",
                        vec![format!("let {subject} send to a port of {backend}")],
                    )),
            );
        }
    }
    for name in ingress_services(ingress) {
        let reference = ObjectRef::new("Service", subject.namespace.as_deref(), name);
        report.lead(Lead::new(&reference, 0.97, "the Ingress sends to it"));
    }
}

/// A load balancer that was not given.
fn no_address(facts: &Facts, object: &Object) -> Option<Finding> {
    let waits = object.str_at("/spec/type") == Some("LoadBalancer") && object.list_at("/status/loadBalancer/ingress").is_empty();
    let reference = object.reference();
    let failed = facts.events_of(&reference).filter(|e| e.kind == "Warning" && e.reason.contains("LoadBalancer")).last();
    let event = failed.filter(|_| waits)?;
    Some(
        Finding::new(Category::ResourceNotReady, &reference, 0.86, "the Service gets no load balancer")
            .because(&reference, EvidenceSource::Event, format!("{}: {}", event.reason, event.message))
            .propose(propose::escalate(
                &reference,
                "the provider of load balancers refuses",
                vec!["look at what the event says: quota, subnet, address or rights".to_owned()],
            )),
    )
}

/// Backends of an Ingress with the port, by number or name, that it sends to.
fn ingress_ports(ingress: &Object) -> Vec<(String, Value)> {
    let paths = ingress.list_at("/spec/rules").iter().flat_map(|r| r["http"]["paths"].as_array().into_iter().flatten());
    let backend = |p: &Value| {
        let service = &p["backend"]["service"];
        let port = [&service["port"]["number"], &service["port"]["name"]].into_iter().find(|v| !v.is_null())?;
        Some((service["name"].as_str()?.to_owned(), port.clone()))
    };
    let mut found: Vec<_> = paths.filter_map(backend).collect();
    found.dedup();
    found
}

/// Those that use the alerted Service and cannot.
fn clients(facts: &Facts, object: &Object, report: &mut Report) {
    let reference = object.reference();
    for (client, dependency) in deps::clients(facts, &reference) {
        if let Some(finding) = network::between(facts, &client, object, dependency.host.port, None) {
            report.find(finding);
            return;
        }
        if let Some((from, hit)) = dependency::complaint_about(facts, &client, &reference) {
            report.lead(Lead::new(&client.reference(), 0.95, "uses it and reports errors").because(
                &from.reference(),
                EvidenceSource::Log,
                hit.line.clone(),
            ));
        }
    }
}

/// Workloads of a namespace that could serve under a name, the likeliest first.
fn likely<'a>(facts: &'a Facts, namespace: Option<&'a str>, name: &str) -> Vec<(u32, Workload<'a>)> {
    let Some(namespace) = namespace else { return Vec::new() };
    let score = |w: &Workload<'_>| {
        let labels = w.pod_labels();
        let named = u32::from(w.name() == name) * 4;
        let labelled = u32::from(labels.values().any(|v| *v == name)) * 2;
        let unserved = u32::from(service::of_workload(facts, w).is_empty());
        named + labelled + unserved * u32::from(named + labelled > 0)
    };
    let mut found: Vec<_> = workload::all_in(facts, namespace).map(|w| (score(&w), w)).filter(|(s, _)| *s > 0).collect();
    found.sort_by_key(|(s, _)| std::cmp::Reverse(*s));
    found
}

/// Labels of a template that tell its pods apart: the workload's own selector.
fn selector_of(workload: &Workload<'_>) -> BTreeMap<String, String> {
    workload.object.map_at("/spec/selector/matchLabels").into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn missing(facts: &Facts, subject: &ObjectRef, report: &mut Report) {
    let users = deps::clients(facts, subject);
    let mut ports: Vec<u16> = users.iter().filter_map(|(_, d)| d.host.port).collect();
    ports.sort_unstable();
    ports.dedup();
    let candidates = likely(facts, subject.namespace.as_deref(), &subject.name);
    let unserved = candidates.iter().find(|(_, w)| service::of_workload(facts, w).is_empty()).map(|(_, w)| w);
    let mut finding = Finding::new(
        Category::ServiceMissing,
        subject,
        if unserved.is_some() { 0.96 } else { 0.65 },
        format!("Service {} does not exist", subject.name),
    );
    for (user, dependency) in users.iter().take(3) {
        finding =
            finding.because(&user.reference(), EvidenceSource::Spec, format!("{} names {}", dependency.source.describe(), dependency.host.name));
    }
    let Some(workload) = unserved else {
        report.find(finding.propose(propose::escalate(
            subject,
            "nothing shows what the Service led to",
            vec![format!("find out whether {subject} was removed, renamed, or never existed")],
        )));
        return;
    };
    let spec = workload.object.pod_spec().cloned().unwrap_or_default();
    let declared = service::declared(&spec);
    let target = match declared.as_slice() {
        [(only, _)] => Some(*only),
        many => ports.first().copied().filter(|p| many.iter().any(|(d, _)| d == p)).or_else(|| many.first().map(|(p, _)| *p)),
    };
    let port = ports.first().copied().or(target);
    let finding = finding.because(
        &workload.reference(),
        EvidenceSource::Status,
        format!("{} of {} replicas ready, no Service selects them", workload.ready(), workload.desired()),
    );
    report.find(
        finding.propose(
            propose::action("restore_service", subject, json!({ "port": port, "target_port": target.or(port), "selector": selector_of(workload) }))
                .when(true, format!("{} is there and no Service selects its pods", workload.reference()))
                .when(port.is_some(), "the port is known from those that use it")
                .effect("the name resolves again and leads to the running pods")
                .done(),
        ),
    );
}

fn selects_nothing(facts: &Facts, object: &Object) -> Option<Finding> {
    let reference = object.reference();
    let selector = object.map_at("/spec/selector");
    let ports: Vec<Port<'_>> = service::ports(object);
    let namespace = object.namespace()?;
    let close = |w: &Workload<'_>| {
        let labels = w.pod_labels();
        let equal = selector.iter().filter(|(k, v)| labels.get(*k) == Some(v)).count();
        let keys = selector.keys().filter(|k| labels.contains_key(*k)).count();
        let named = usize::from(w.name() == object.name() || labels.values().any(|v| *v == object.name()));
        let spec = w.object.pod_spec().cloned().unwrap_or_default();
        let declared = service::declared(&spec);
        let port = usize::from(ports.iter().any(|p| service::target_port(p, &declared).is_some_and(|t| declared.iter().any(|(d, _)| *d == t))));
        let unserved = usize::from(service::of_workload(facts, w).is_empty());
        named * 6 + equal * 3 + unserved * 2 + keys + port
    };
    let mut ranked: Vec<(usize, Workload<'_>)> = workload::all_in(facts, namespace).map(|w| (close(&w), w)).filter(|(s, _)| *s >= 4).collect();
    ranked.sort_by_key(|(s, _)| std::cmp::Reverse(*s));
    let shown = || selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    let finding = |confidence| {
        Finding::new(Category::ServiceSelectorMismatch, &reference, confidence, "the selector matches no pod")
            .because(&reference, EvidenceSource::Spec, format!("selector {}", shown()))
            .because_some(&reference, EvidenceSource::Status, service::ready_endpoints(facts, object).map(|n| format!("{n} ready endpoints")))
    };
    let tie = ranked.len() > 1 && ranked[0].0 == ranked[1].0;
    let Some((score, best)) = ranked.first().filter(|_| !tie) else {
        return Some(finding(0.7).propose(propose::escalate(
            &reference,
            "it is not clear which pods are meant",
            vec!["set the selector to the labels of the pods that are meant".to_owned()],
        )));
    };
    let labels = best.pod_labels();
    let mut corrected: BTreeMap<String, String> = selector.keys().filter_map(|k| Some(((*k).to_owned(), (*labels.get(k)?).to_owned()))).collect();
    if corrected.is_empty() {
        corrected = selector_of(best);
    }
    let finding = finding(if *score >= 6 { 0.96 } else { 0.85 }).because(
        &best.reference(),
        EvidenceSource::Spec,
        format!("pod labels {}", labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")),
    );
    Some(
        finding.propose(
            propose::action("patch_service_selector", &reference, json!({ "selector": corrected }))
                .when(true, format!("pods of {} carry these labels", best.reference()))
                .effect("the Service has endpoints again")
                .done(),
        ),
    )
}

/// The target port is one on which no container serves.
fn wrong_port(facts: &Facts, object: &Object, behind: &[Workload<'_>]) -> Option<Finding> {
    let workload = behind.iter().find(|w| w.desired() > 0)?;
    let spec = workload.object.pod_spec()?;
    let declared = service::declared(spec);
    let listens: Vec<u16> = workload
        .pods
        .iter()
        .flat_map(|p| facts.logs.of_pod(p.namespace().unwrap_or_default(), p.name()))
        .flat_map(|(_, l)| l.listens.iter().copied())
        .collect();
    for port in service::ports(object) {
        let target = service::target_port(&port, &declared);
        let named = port.target.as_str().filter(|s| s.parse::<u16>().is_err());
        if declared.is_empty() {
            if let Some(finding) = port_by_setting(facts, object, workload, &port, target) {
                return Some(finding);
            }
            continue;
        }
        let undeclared = !declared.is_empty() && target.is_none_or(|t| !declared.iter().any(|(d, _)| *d == t));
        let unheard = target.is_some_and(|t| !listens.is_empty() && !listens.contains(&t));
        if !(undeclared && (unheard || listens.is_empty() || named.is_some())) || target.is_some_and(|t| listens.contains(&t)) {
            continue;
        }
        let reference = object.reference();
        let right = right_port(&port, &declared, &listens, spec);
        let shown = port.target.as_str().map_or_else(|| target.map(|t| t.to_string()).unwrap_or_default(), str::to_owned);
        let complained = deps::clients(facts, &reference)
            .iter()
            .find_map(|(c, _)| dependency::complaint_about(facts, c, &reference).map(|(o, h)| (o.reference(), h.line.clone())));
        let confidence = if complained.is_some() || named.is_some() { 0.97 } else { 0.92 };
        let mut finding = Finding::new(
            Category::ServicePortMismatch,
            &reference,
            confidence,
            format!("port {} leads to {shown}, on which no container serves", port.port),
        )
        .because(&reference, EvidenceSource::Spec, format!("port {} targetPort {shown}", port.port))
        .because(
            &workload.reference(),
            EvidenceSource::Spec,
            format!(
                "containers declare {}",
                declared.iter().map(|(p, n)| if n.is_empty() { p.to_string() } else { format!("{p} ({n})") }).collect::<Vec<_>>().join(", ")
            ),
        );
        if let Some((from, line)) = complained {
            finding = finding.because(&from, EvidenceSource::Log, line);
        }
        let known = right.is_some();
        return Some(
            finding.propose(
                propose::action("patch_service_port", &reference, json!({ "port": port.port, "target_port": right }))
                    .when(known, "the port on which the containers serve is known")
                    .effect("connections reach the containers")
                    .done(),
            ),
        );
    }
    None
}

/// Containers that declare no port: what they say they listen on, what their probe asks, or their own port setting.
fn port_by_setting(facts: &Facts, object: &Object, workload: &Workload<'_>, port: &Port<'_>, target: Option<u16>) -> Option<Finding> {
    let target = target?;
    let listens: Vec<u16> = workload
        .pods
        .iter()
        .flat_map(|p| facts.logs.of_pod(p.namespace().unwrap_or_default(), p.name()))
        .flat_map(|(_, l)| l.listens.iter().copied())
        .collect();
    let spec = workload.object.pod_spec()?;
    let containers = || spec["containers"].as_array().into_iter().flatten();
    let asked = containers()
        .flat_map(|c| ["readinessProbe", "livenessProbe"].into_iter().flat_map(move |p| ["httpGet", "tcpSocket", "grpc"].map(|h| &c[p][h]["port"])));
    let asked = asked.filter_map(|p| u16::try_from(p.as_u64()?).ok());
    let own = containers()
        .flat_map(|c| c["env"].as_array().into_iter().flatten())
        .filter(|e| e["name"].as_str().is_some_and(|n| n == "PORT" || n.ends_with("_PORT")));
    let set = own.filter_map(|e| e["value"].as_str()?.parse::<u16>().ok()).filter(|p| *p == port.port);
    let known: Vec<u16> = listens.iter().copied().chain(asked).chain(set).collect();
    let right = *known.first()?;
    if known.contains(&target) {
        return None;
    }
    let reference = object.reference();
    let confidence = if listens.is_empty() { 0.82 } else { 0.93 };
    Some(
        Finding::new(
            Category::ServicePortMismatch,
            &reference,
            confidence,
            format!("port {} leads to {target}, on which no container serves", port.port),
        )
        .because(&reference, EvidenceSource::Spec, format!("port {} targetPort {target}", port.port))
        .because(&workload.reference(), EvidenceSource::Spec, format!("its containers serve port {right}"))
        .propose(
            propose::action("patch_service_port", &reference, json!({ "port": port.port, "target_port": right }))
                .when(true, format!("the containers serve port {right}"))
                .effect("connections reach the containers")
                .done(),
        ),
    )
}

/// The port that is meant: the only one declared, one that is listened on, the one that readiness asks, or one of the same name or number.
fn right_port(port: &Port<'_>, declared: &[(u16, &str)], listens: &[u16], spec: &Value) -> Option<u16> {
    if let [(only, _)] = declared {
        return Some(*only);
    }
    let probes = spec["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|c| ["httpGet", "tcpSocket", "grpc"].map(|h| c["readinessProbe"][h]["port"].clone()));
    let asked: Vec<u16> = probes
        .filter_map(|p| {
            p.as_u64().and_then(|n| u16::try_from(n).ok()).or_else(|| declared.iter().find(|(_, n)| p.as_str() == Some(n)).map(|(d, _)| *d))
        })
        .collect();
    let by = |test: &dyn Fn(&(u16, &str)) -> bool| declared.iter().find(|d| test(d)).map(|(p, _)| *p);
    by(&|(_, n)| !n.is_empty() && *n == port.name)
        .or_else(|| by(&|(p, _)| *p == port.port))
        .or_else(|| by(&|(p, _)| listens.contains(p)))
        .or_else(|| by(&|(p, _)| asked.contains(p)))
}

/// Whether any pod behind a Service is ready.
pub(super) fn ready_pod<'a>(facts: &'a Facts, object: &'a Object) -> Option<&'a Object> {
    service::pods(facts, object).into_iter().find(|p| pod::is_ready(p))
}
