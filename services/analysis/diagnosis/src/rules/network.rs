//! NetworkPolicies that stop wanted traffic.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef, Timestamp};
use serde_json::json;

use super::{Case, service as rules_service};
use crate::{
    facts::{
        Facts, deps,
        log::Hit,
        managed,
        netpol::{self, Direction, End},
        service::{self, Resolved},
        workload::Workload,
    },
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let hits = case.all_hits();
    let unresolved = hits.iter().find(|(_, h)| {
        h.sign.is_lookup() && h.hosts.iter().any(|host| matches!(service::resolve(case.facts, host, case.namespace()), Resolved::Service(_)))
    });
    if let Some((object, hit)) = unresolved
        && let Some(server) = name_server_down(case.facts)
    {
        report.lead(Lead::new(&server.reference(), 0.99, "names of Services that exist are not resolved, and no name server is ready").because(
            &object.reference(),
            EvidenceSource::Log,
            hit.line.clone(),
        ));
        return;
    }
    if let Some((object, hit)) = unresolved
        && let Some(finding) = dns_policy(case)
    {
        report.find(finding.because(&object.reference(), EvidenceSource::Log, hit.line.clone()));
        return;
    }
    for (object, hit) in hits.iter().filter(|(_, h)| h.sign.kind.is_network()) {
        if let Some(finding) = for_hit(case, object, hit) {
            report.find(finding.because(&object.reference(), EvidenceSource::Log, hit.line.clone()));
            return;
        }
    }
    // Without a log line: a peer that the workload names and that a recent policy cuts off.
    if case.failing.is_empty() {
        return;
    }
    for dependency in deps::dependencies(case.facts, &case.workload).iter() {
        let Some(service) = dependency.service().and_then(|s| case.facts.store.find(s)) else { continue };
        if let Some(finding) = between(case.facts, &case.workload, service, dependency.host.port, case.onset())
            && finding.confidence >= 0.9
        {
            report.find(Finding { confidence: 0.85, ..finding });
            return;
        }
    }
}

fn for_hit(case: &Case<'_>, object: &Object, hit: &Hit) -> Option<Finding> {
    for host in &hit.hosts {
        let Resolved::Service(s) = service::resolve(case.facts, host, case.namespace()) else { continue };
        let target = case.facts.store.find(&s)?;
        if hit.sign.is_lookup() {
            if let Some(finding) =
                name_lookup(case, object).or_else(|| if name_server_down(case.facts).is_some() { None } else { name_server(case.facts) })
            {
                return Some(finding);
            }
            continue;
        }
        if let Some(finding) = between(case.facts, &case.workload, target, host.port, case.onset().or(hit.at)) {
            return Some(finding);
        }
    }
    None
}

/// The policy that stops a client's pods from reaching a Service that has ready pods.
pub(super) fn between(facts: &Facts, client: &Workload<'_>, target: &Object, port: Option<u16>, onset: Option<Timestamp>) -> Option<Finding> {
    let server = rules_service::ready_pod(facts, target)?;
    let from = client.live_pods().next()?;
    let server_end = End::pod(server);
    let ports = service::ports(target);
    let chosen = ports.iter().find(|p| Some(p.port) == port).or_else(|| ports.first())?;
    let number = service::target_port(chosen, &server_end.ports);
    let block = netpol::blocked(facts, &End::pod(from), &server_end, number)?;
    let policy = block.policies.iter().max_by_key(|p| managed::changed_at(p))?;
    Some(describe(client, policy, block.direction, &target.reference(), number, onset))
}

fn describe(
    client: &Workload<'_>,
    policy: &Object,
    direction: Direction,
    target: &ObjectRef,
    port: Option<u16>,
    onset: Option<Timestamp>,
) -> Finding {
    let reference = policy.reference();
    let changed = managed::changed_at(policy);
    // A policy that came before the trouble by months did not cause it.
    let lag = onset.zip(changed).map(|(o, c)| o.as_second() - c.as_second());
    let confidence = match lag {
        Some(-120..=7_200) => 0.96,
        Some(_) => 0.82,
        None => 0.88,
    };
    let peer: std::collections::BTreeMap<_, _> = client.pod_labels().into_iter().filter(|(k, _)| !k.contains("hash")).collect();
    let params = json!({ "direction": direction.as_str(), "peer": { "namespace": client.namespace(), "pod_labels": peer }, "to": target.to_string(), "port": port });
    Finding::new(
        Category::NetworkPolicyBlock,
        &reference,
        confidence,
        format!("the policy stops {} of {} to {target}", direction.as_str(), client.reference()),
    )
    .because(
        &reference,
        EvidenceSource::Spec,
        format!(
            "no {} rule lets {} pass on port {}",
            direction.as_str(),
            client.reference(),
            port.map_or_else(|| "any".to_owned(), |p| p.to_string())
        ),
    )
    .because_some(&reference, EvidenceSource::Spec, changed.map(|c| format!("last changed at {c}")))
    .because(target, EvidenceSource::Status, "has ready pods")
    .propose(
        propose::action("patch_network_policy", &reference, params)
            .when(true, "only this connection is allowed, nothing else is opened")
            .effect(format!("{} reaches {target}", client.reference()))
            .done(),
    )
}

/// The template sends its pods to another name server than the cluster's.
fn dns_policy(case: &Case<'_>) -> Option<Finding> {
    let spec = case.workload.object.pod_spec()?;
    let policy = spec["dnsPolicy"].as_str().unwrap_or("ClusterFirst");
    let on_host = spec["hostNetwork"] == true;
    let elsewhere = matches!(policy, "Default" | "None") || (on_host && policy == "ClusterFirst");
    if !elsewhere {
        return None;
    }
    let reference = case.reference();
    let finding = Finding::new(Category::BadReleaseConfig, &reference, 0.9, format!("dnsPolicy {policy} keeps names of Services from its pods"))
        .because(&reference, EvidenceSource::Spec, format!("dnsPolicy {policy}, hostNetwork {on_host}"));
    let brought =
        case.rollout().and_then(|r| Some((r, r.changes.iter().find(|c| matches!(c.path.as_str(), "dnsPolicy" | "dnsConfig" | "hostNetwork"))?)));
    if let Some((rollout, change)) = brought.filter(|(r, _)| r.proven.is_some()) {
        let finding =
            Finding { confidence: 0.95, ..finding }.because(&reference, EvidenceSource::Revision, super::rollout::describe(rollout, change));
        return Some(super::rollout::with_undo(case, rollout, &[change], finding));
    }
    Some(finding.propose(propose::escalate(
        &reference,
        "the template has to use the cluster's name server",
        vec!["set dnsPolicy to ClusterFirst (ClusterFirstWithHostNet on the node's network)".to_owned()],
    )))
}

/// The cluster's name server.
fn dns(facts: &Facts) -> Option<Workload<'_>> {
    let is_dns = |w: &Workload<'_>| w.pod_labels().get("k8s-app") == Some(&"kube-dns") || w.name().contains("coredns") || w.name() == "kube-dns";
    crate::facts::workload::all_in(facts, "kube-system").find(is_dns)
}

/// The name server, if nothing of it is ready.
fn name_server_down(facts: &Facts) -> Option<Workload<'_>> {
    dns(facts).filter(|w| w.ready() == 0)
}

/// Names of Services that exist are not resolved: the name server was changed.
fn name_server(facts: &Facts) -> Option<Finding> {
    let server = dns(facts)?;
    let spec = server.object.pod_spec()?;
    let maps = crate::facts::refs::references(spec, Some("kube-system")).into_iter().filter(|r| r.object.kind == "ConfigMap");
    let edited = maps.filter_map(|r| facts.store.find(&r.object)).find(|m| {
        let at = managed::last_write(m).and_then(|w| w.at);
        at.is_some_and(|at| facts.age_s(at) < 2 * 86_400 && m.created_at().is_none_or(|c| at > c))
    });
    let map = edited?;
    let reference = map.reference();
    let write = managed::last_write(map)?;
    Some(
        Finding::new(
            Category::ConfigError,
            &reference,
            0.88,
            "names of Services that exist are not resolved since the name server's configuration was changed",
        )
        .because(
            &reference,
            EvidenceSource::Spec,
            format!("last changed by {} at {}", write.manager, write.at.map(|t| t.to_string()).unwrap_or_default()),
        )
        .because(&server.reference(), EvidenceSource::Status, format!("{} of {} replicas ready", server.ready(), server.desired()))
        .propose(
            propose::action("patch_configmap", &reference, json!({}))
                .when(false, "the content before the change is known")
                .effect("names resolve again")
                .steps(vec![format!("take the last change of {reference} back")])
                .done(),
        ),
    )
}

/// Egress rules without name resolution.
fn name_lookup(case: &Case<'_>, object: &Object) -> Option<Finding> {
    let end = End::pod(object);
    if let Some(server) = dns(case.facts).and_then(|w| w.live_pods().next()) {
        let block = netpol::blocked(case.facts, &end, &End::pod(server), Some(53))?;
        let policy = block.policies.iter().max_by_key(|p| managed::changed_at(p))?;
        return Some(stops_lookup(policy, block.direction));
    }
    let selecting: Vec<&Object> =
        case.facts.store.list("NetworkPolicy", object.namespace()).filter(|p| netpol::selects(p, &end, Direction::Egress)).collect();
    let allows = |p: &&Object| {
        p.list_at("/spec/egress").iter().any(|rule| {
            let ports = rule["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
            let dns = ports.is_empty() || ports.iter().any(|p| p["port"] == 53 || p["port"] == "dns" || p["port"].is_null());
            let peers = rule["to"].as_array().map(Vec::as_slice).unwrap_or_default();
            dns && (peers.is_empty() || peers.iter().any(|t| t.get("namespaceSelector").is_some() || t.get("ipBlock").is_some()))
        })
    };
    if selecting.is_empty() || selecting.iter().any(allows) {
        return None;
    }
    Some(stops_lookup(selecting.iter().max_by_key(|p| managed::changed_at(p))?, Direction::Egress))
}

fn stops_lookup(policy: &Object, direction: Direction) -> Finding {
    let reference = policy.reference();
    let params =
        json!({ "direction": direction.as_str(), "peer": { "namespace": "kube-system", "pod_labels": { "k8s-app": "kube-dns" } }, "port": 53 });
    Finding::new(Category::NetworkPolicyBlock, &reference, 0.93, "the policy stops name resolution")
        .because(&reference, EvidenceSource::Spec, format!("no {} rule lets port 53 of the name server pass", direction.as_str()))
        .because_some(&reference, EvidenceSource::Spec, managed::changed_at(policy).map(|c| format!("last changed at {c}")))
        .propose(
            propose::action("patch_network_policy", &reference, params)
                .when(direction == Direction::Egress, "only name resolution is allowed, nothing else is opened")
                .effect("names resolve again")
                .done(),
        )
}
