//! Peers that a workload cannot reach: the fault is looked for there.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::json;

use super::Case;
use crate::{
    facts::{
        Facts,
        deps::{self, Dependency, Source},
        log::{Hit, Host, Signature},
        pod::Container,
        service::{self, Resolved},
        text,
        workload::Workload,
    },
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let hits = case.all_hits();
    let peers: Vec<(&Object, &Hit)> = hits.into_iter().filter(|(_, h)| h.sign.names_a_host()).collect();
    let before = report.leads.len();
    if let Some(finding) = super::saturation::refuses_work(case, &peers) {
        report.find(finding);
        return;
    }
    for (object, hit) in &peers {
        for host in &hit.hosts {
            follow(case, object, hit, host, report);
        }
    }
    if report.leads.len() > before {
        return;
    }
    let unspecific = peers.iter().any(|(_, h)| h.sign.kind.is_network());
    if unspecific || !case.failing.is_empty() {
        declared(case, unspecific, peers.first().map(|(o, h)| (*o, *h)), report);
    }
    if !unspecific && case.is_target {
        others(case, report);
    }
    if case.is_target && case.failing.is_empty() && report.leads.len() == before {
        beyond(case, report);
    }
    if report.leads.len() == before && report.findings.is_empty() {
        outside(case, &peers, report);
    }
}

/// One host that a line complains about.
fn follow(case: &Case<'_>, object: &Object, hit: &Hit, host: &Host, report: &mut Report) {
    let strength = match hit.sign.kind {
        Signature::ConnectionRefused | Signature::NoSuchHost | Signature::Timeout | Signature::TooManyConnections => 0.98,
        Signature::Unreachable => 0.97,
        Signature::Tls => 0.8,
        Signature::ServerError => 0.9,
        _ => 0.6,
    };
    let lead = |to: &ObjectRef, text: String| Lead::new(to, strength, text).because(&object.reference(), EvidenceSource::Log, hit.line.clone());
    match service::resolve(case.facts, host, case.namespace()) {
        Resolved::Service(s) => {
            if let Some(finding) = wrong_port(case, host, &s) {
                report.find(finding.because(&object.reference(), EvidenceSource::Log, hit.line.clone()));
            }
            report.lead(lead(&s, format!("{} cannot use it", case.reference())));
        }
        Resolved::Missing(s) if hit.sign.kind.is_network() => {
            if let Some(finding) = misspelt(case, host, &s) {
                report.find(finding.because(&object.reference(), EvidenceSource::Log, hit.line.clone()));
            }
            report.lead(lead(&s, format!("{} cannot find it", case.reference())));
        }
        Resolved::Pod(p) => report.lead(lead(&p, format!("{} cannot use it", case.reference()))),
        _ => {}
    }
}

/// Whether a Service cannot serve: it is gone, or nothing ready is behind it.
pub(super) fn is_down(facts: &Facts, reference: &ObjectRef) -> bool {
    let Some(object) = facts.store.find(reference) else {
        return facts.store.is_absent("Service", reference.namespace.as_deref(), &reference.name);
    };
    if service::is_selectorless(object) {
        return false;
    }
    match service::ready_endpoints(facts, object) {
        Some(ready) => ready == 0,
        None => !service::pods(facts, object).iter().any(|p| crate::facts::pod::is_ready(p)),
    }
}

/// Whether any peer that lines complain about, or that the workload names, is down.
pub(super) fn peer_is_down(case: &Case<'_>, hits: &[Hit]) -> bool {
    let named: Vec<&Host> = hits.iter().filter(|h| h.sign.names_a_host()).flat_map(|h| &h.hosts).collect();
    let down = |r: Resolved| match r {
        Resolved::Service(s) | Resolved::Missing(s) => is_down(case.facts, &s),
        _ => false,
    };
    if !named.is_empty() {
        return named.iter().any(|h| down(service::resolve(case.facts, h, case.namespace())));
    }
    deps::dependencies(case.facts, &case.workload).iter().any(|d| down(d.resolved.clone()))
}

/// Whether the last error is about a host that is not part of the cluster.
pub(super) fn fails_outside(case: &Case<'_>, hits: &[Hit]) -> bool {
    let last = hits.first().filter(|h| h.sign.kind.is_network() && !h.hosts.is_empty());
    last.is_some_and(|h| {
        h.hosts.iter().all(|host| host.name.contains('.') && service::resolve(case.facts, host, case.namespace()) == Resolved::Unknown)
    })
}

/// Whether a container waits, by its command or its log, for a peer that is down.
pub(super) fn waits_for_a_peer_that_is_down(case: &Case<'_>, container: &Container<'_>, hits: &[Hit]) -> bool {
    if hits.iter().any(|h| h.sign.names_a_host() && !h.hosts.is_empty()) {
        return peer_is_down(case, hits);
    }
    let own = |d: &&Dependency| matches!(&d.source, Source::Args { container: c } | Source::Env { container: c, .. } if c == container.name);
    deps::dependencies(case.facts, &case.workload).iter().filter(own).any(|d| d.service().is_some_and(|s| is_down(case.facts, s)))
}

/// Peers that the workload names in its settings and that are not well.
fn declared(case: &Case<'_>, complains: bool, line: Option<(&Object, &Hit)>, report: &mut Report) {
    for dependency in deps::dependencies(case.facts, &case.workload).iter() {
        let Some(service) = dependency.service() else { continue };
        let down = is_down(case.facts, service);
        let troubled =
            || case.facts.store.find(service).is_some_and(|s| service::workloads(case.facts, s).iter().any(|w| is_troubled(case.facts, w)));
        let strength = match (complains, down) {
            (true, true) => 0.95,
            (true, false) if troubled() => 0.94,
            (false, true) if went_down_before(case, service) => 0.85,
            (false, true) => 0.6,
            _ => continue,
        };
        let mut lead = Lead::new(service, strength, format!("{} names it in {}", case.reference(), dependency.source.describe()));
        if let Some((object, hit)) = line {
            lead = lead.because(&object.reference(), EvidenceSource::Log, hit.line.clone());
        }
        report.lead(lead);
    }
}

/// Whether nothing was behind a Service before the workload began to fail.
fn went_down_before(case: &Case<'_>, service: &ObjectRef) -> bool {
    let Some(object) = case.facts.store.find(service) else { return false };
    let behind = service::workloads(case.facts, object);
    let lost = behind.iter().filter_map(|w| Case::new(case.facts, w.clone(), false).onset()).min();
    lost.zip(case.onset()).is_some_and(|(peer, own)| peer.as_second() <= own.as_second() + 120)
}

/// Nothing complains, but a peer of the alerted workload, or a peer's peer, is down.
fn beyond(case: &Case<'_>, report: &mut Report) {
    let mut seen = std::collections::BTreeSet::from([case.reference().to_string()]);
    let mut frontier = vec![case.workload.clone()];
    for _ in 0..3 {
        let mut next = Vec::new();
        for workload in &frontier {
            for dependency in deps::dependencies(case.facts, workload).iter() {
                let Some(peer) = dependency.service().filter(|s| seen.insert(s.to_string())) else { continue };
                if is_down(case.facts, peer) {
                    let text = format!("{} names it in {}, and nothing ready is behind it", workload.reference(), dependency.source.describe());
                    report.lead(Lead::new(peer, 0.72, text));
                }
                let behind = case.facts.store.find(peer).map(|s| service::workloads(case.facts, s)).unwrap_or_default();
                next.extend(behind.into_iter().filter(|w| seen.insert(w.reference().to_string())));
            }
        }
        frontier = next;
    }
}

/// Whether a workload is unwell, or complains about peers itself.
fn is_troubled(facts: &Facts, workload: &Workload<'_>) -> bool {
    if !workload.is_healthy(facts.now) {
        return true;
    }
    let namespace = workload.namespace().unwrap_or_default();
    workload.pods.iter().flat_map(|p| facts.logs.of_pod(namespace, p.name())).any(|(_, l)| l.recent(facts.now, 900).any(|h| h.sign.kind.is_network()))
}

/// The alerted workload is well and complains of nothing: perhaps those that should feed it do.
fn others(case: &Case<'_>, report: &mut Report) {
    if !case.workload.is_healthy(case.facts.now) {
        return;
    }
    let own = case.reference();
    let mut shared: Vec<ObjectRef> = deps::dependencies(case.facts, &case.workload).iter().filter_map(|d| d.service().cloned()).collect();
    shared.extend(service::of_workload(case.facts, &case.workload).iter().map(|s| s.reference()));
    for peer in shared {
        for (client, _) in deps::clients(case.facts, &peer) {
            if client.reference().same_object(&own) {
                continue;
            }
            let other = Case::new(case.facts, client.clone(), false);
            if super::rollout::names_nothing(&other).is_some() {
                report.lead(Lead::new(&client.reference(), 0.93, format!("uses {peer} too, and its last release changed an address")));
            } else if let Some((object, hit)) = complaint_about(case.facts, &client, &peer) {
                report.lead(Lead::new(&client.reference(), 0.93, format!("uses {peer} too, and reports errors about it")).because(
                    &object.reference(),
                    EvidenceSource::Log,
                    hit.line.clone(),
                ));
            }
        }
    }
}

/// A recent line of a workload that complains about a Service.
pub(super) fn complaint_about<'a>(facts: &'a Facts, client: &Workload<'a>, peer: &ObjectRef) -> Option<(&'a Object, &'a Hit)> {
    let namespace = client.namespace().unwrap_or_default();
    let is_peer = |h: &Host| matches!(service::resolve(facts, h, namespace), Resolved::Service(s) | Resolved::Missing(s) if s.name == peer.name && s.namespace == peer.namespace);
    let complains = |h: &Hit| h.sign.kind.is_network() || h.sign.kind == Signature::ServerError;
    client.pods.iter().find_map(|p| {
        let mut logs = facts.logs.of_pod(namespace, p.name());
        let hit = logs.find_map(|(_, l)| l.recent(facts.now, 900).find(|h| complains(h) && h.hosts.iter().any(is_peer)))?;
        Some((*p, hit))
    })
}

/// The client names a port that the Service does not have, while others use one that it has.
fn wrong_port(case: &Case<'_>, host: &Host, peer: &ObjectRef) -> Option<Finding> {
    let port = host.port?;
    let object = case.facts.store.find(peer)?;
    let ports = service::ports(object);
    if ports.is_empty() || ports.iter().any(|p| p.port == port) || object.str_at("/spec/clusterIP") == Some("None") {
        return None;
    }
    let own = case.reference();
    let others: Vec<u16> =
        deps::clients(case.facts, peer).into_iter().filter(|(w, _)| !w.reference().same_object(&own)).filter_map(|(_, d)| d.host.port).collect();
    if !others.is_empty() && others.iter().all(|p| *p == port) {
        return None;
    }
    let dependency =
        deps::dependencies(case.facts, &case.workload).iter().find(|d| d.host.name == host.name && d.host.port == Some(port)).cloned()?;
    // A rollout that brought the value is looked at as a bad release.
    if case
        .rollout()
        .is_some_and(|r| r.changes.iter().any(|c| c.after.as_ref().is_some_and(|v| v.to_string().contains(&format!("{}:{port}", host.name)))))
    {
        return None;
    }
    let right = match ports.as_slice() {
        [only] => Some(only.port),
        many => others.first().copied().filter(|p| many.iter().any(|q| q.port == *p)),
    };
    Some(wrong_value(
        case,
        &dependency.source,
        &format!("{}:{port}", host.name),
        right.map(|p| format!("{}:{p}", host.name)),
        format!("{peer} has no port {port}"),
        0.9,
    ))
}

/// The client names a Service that does not exist, and one with nearly that name does.
fn misspelt(case: &Case<'_>, host: &Host, missing: &ObjectRef) -> Option<Finding> {
    let exists_as_workload =
        ["Deployment", "StatefulSet", "DaemonSet"].iter().any(|k| case.facts.store.get(k, missing.namespace.as_deref(), &missing.name).is_some());
    if exists_as_workload {
        return None;
    }
    let named = deps::dependencies(case.facts, &case.workload).iter().find(|d| d.host.name == host.name).map(|d| d.source.clone());
    let source = named.or_else(|| deps::place_of(case.facts, &case.workload, &host.name))?;
    // Names that differ by a number are of siblings: the one is no misspelling of the other.
    let bare = |name: &str| name.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let looks_like = |name: &str| text::distance(name, &missing.name, 2) <= 2 && bare(name) != bare(&missing.name);
    let close: Vec<&Object> = case.facts.store.list("Service", missing.namespace.as_deref()).filter(|s| looks_like(s.name())).collect();
    let [only] = close.as_slice() else { return None };
    let right = host.name.replacen(&missing.name, only.name(), 1);
    Some(wrong_value(case, &source, &host.name, Some(right), format!("{missing} does not exist, {} does", only.reference()), 0.9))
}

fn wrong_value(case: &Case<'_>, source: &Source, wrong: &str, right: Option<String>, why: String, confidence: f64) -> Finding {
    let reference = case.reference();
    let known = right.is_some();
    let to = right.unwrap_or_default();
    match source {
        Source::ConfigMap { name, key } => {
            let map = ObjectRef::new("ConfigMap", case.workload.namespace(), name.clone());
            Finding::new(Category::ConfigError, &map, confidence, format!("key {key} names {wrong}: {why}"))
                .because(&map, EvidenceSource::Spec, format!("key {key} holds {wrong}"))
                .propose(
                    propose::action("patch_configmap", &map, json!({ "key": key, "replace": wrong, "with": to }))
                        .when(known, why)
                        .effect("the peer is reached")
                        .done(),
                )
        }
        Source::Env { container, name } => {
            Finding::new(Category::BadReleaseEnv, &reference, confidence, format!("variable {name} names {wrong}: {why}"))
                .because(&reference, EvidenceSource::Spec, format!("variable {name} of container {container} holds {wrong}"))
                .propose(
                    propose::action("patch_env", &reference, json!({ "container": container, "name": name, "replace": wrong, "with": to }))
                        .when(known, why)
                        .effect("the peer is reached")
                        .done(),
                )
        }
        Source::Args { container } => {
            Finding::new(Category::BadReleaseCommand, &reference, confidence, format!("the command of container {container} names {wrong}: {why}"))
                .because(&reference, EvidenceSource::Spec, format!("the command of container {container} holds {wrong}"))
                .propose(
                    propose::action("patch_command", &reference, json!({ "container": container, "replace": wrong, "with": to }))
                        .when(known, why)
                        .effect("the peer is reached")
                        .done(),
                )
        }
    }
}

/// A peer outside of the cluster.
fn outside(case: &Case<'_>, peers: &[(&Object, &Hit)], report: &mut Report) {
    let Some((object, hit, host)) = peers.iter().find_map(|(o, h)| Some((*o, *h, h.hosts.first()?))) else { return };
    if !hit.sign.kind.is_network() || case.failing.is_empty() && !case.is_target {
        return;
    }
    if service::resolve(case.facts, host, case.namespace()) != Resolved::Unknown {
        return;
    }
    let reference = case.reference();
    report.find(
        Finding::new(
            Category::DependencyFailure,
            &reference,
            0.6,
            format!("{} cannot be reached; it is not part of what was read of the cluster", host.name),
        )
        .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
        .propose(propose::escalate(
            &reference,
            "a peer outside of the cluster does not answer",
            vec![format!("check {} and the way to it", host.name)],
        )),
    );
}
