//! Parts of the cluster that pods need before their own process starts: network plug-in, storage driver, scheduler, runtime.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};

use super::Case;
use crate::{
    facts::{Facts, pod, text, workload::Workload},
    graph::{Finding, Lead, Report},
    propose,
};

/// Seconds that a pod may wait for a scheduler's word.
const SCHEDULER_S: i64 = 120;

/// Seconds for which an event about a sandbox or a driver counts.
const RECENT_S: i64 = 3_600;

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    for object in &case.failing {
        if sandbox(case, object, report) || driver(case, object, report) || scheduler(case, object, report) || no_such_node(case, object, report) {
            return;
        }
    }
}

/// The network of a pod cannot be set up.
fn sandbox(case: &Case<'_>, object: &Object, report: &mut Report) -> bool {
    let reasons = ["FailedCreatePodSandBox", "NetworkNotReady"];
    let event =
        case.facts.events_of(&object.reference()).filter(|e| reasons.contains(&e.reason.as_str()) && case.facts.is_recent(e, RECENT_S)).last();
    let Some(event) = event.filter(|_| !started(object)) else { return false };
    let lower = event.message.to_lowercase();
    let about_network = ["network", "cni", "plugin type", "ip address"].iter().any(|w| lower.contains(w));
    let words = if about_network { plugin_words(&lower) } else { Vec::new() };
    let down = about_network.then(|| unwell(case.facts, object, |name| words.iter().any(|w| name.contains(w.as_str())))).flatten();
    if let Some(component) = down {
        report.lead(Lead::new(&component, 0.98, "it sets up the network of pods").because(
            &object.reference(),
            EvidenceSource::Event,
            format!("{}: {}", event.reason, event.message),
        ));
        return true;
    }
    let node = ObjectRef::new("Node", None, object.str_at("/spec/nodeName").unwrap_or_default());
    let no_address = lower.contains("no ip addresses available") || lower.contains("failed to allocate") && lower.contains("ip");
    let summary = match (no_address, about_network) {
        (true, _) => "the node has no address left for another pod",
        (_, true) => "the network plug-in of the node cannot set up a pod",
        _ => "the container runtime of the node cannot make a pod's sandbox",
    };
    report.find(
        Finding::new(Category::ClusterComponentDown, &node, 0.84, summary)
            .because(&object.reference(), EvidenceSource::Event, format!("{} ({} times)", event.message, event.count))
            .propose(propose::escalate(&node, summary, vec![format!("look at the network plug-in and the container runtime on {}", node.name)])),
    );
    true
}

/// Names by which a message calls the plug-in.
fn plugin_words(message: &str) -> Vec<String> {
    let typed = message.split("plugin type=").nth(1).and_then(|rest| text::quoted(rest).first().map(|w| (*w).to_owned()));
    let known = ["calico", "cilium", "flannel", "weave", "antrea", "kindnet", "aws-cni", "aws-node", "azure-cni", "multus", "ovn", "kube-router"];
    let mut words: Vec<String> = known.iter().filter(|k| message.contains(**k)).map(|k| (*k).to_owned()).collect();
    words.extend(typed.map(|w| w.trim_end_matches("-cni").to_owned()).filter(|w| w.len() > 2));
    words.extend(["cni".to_owned(), "network".to_owned()]);
    words
}

/// A daemon of the cluster that is not well, on the pod's node if that can be told.
fn unwell(facts: &Facts, object: &Object, named: impl Fn(&str) -> bool) -> Option<ObjectRef> {
    let node = object.str_at("/spec/nodeName");
    let mut found: Vec<(bool, Workload<'_>)> = facts
        .store
        .all("DaemonSet")
        .filter(|d| is_system(d.namespace().unwrap_or_default()) && named(&d.name().to_lowercase()))
        .filter_map(|d| Workload::find(facts, &d.reference()))
        .filter(|w| !w.is_healthy(facts.now))
        .map(|w| (!w.failing_pods(facts.now).iter().any(|p| p.str_at("/spec/nodeName") == node), w))
        .collect();
    found.sort_by_key(|(elsewhere, _)| *elsewhere);
    found.first().map(|(_, w)| w.reference())
}

/// Namespaces in which parts of the cluster itself run.
fn is_system(namespace: &str) -> bool {
    namespace.starts_with("kube-")
        || ["calico", "cilium", "tigera", "csi", "storage", "network", "longhorn", "rook"].iter().any(|w| namespace.contains(w))
}

/// A storage driver that the node does not have.
fn driver(case: &Case<'_>, object: &Object, report: &mut Report) -> bool {
    let event = case
        .facts
        .events_of(&object.reference())
        .filter(|e| matches!(e.reason.as_str(), "FailedMount" | "FailedAttachVolume") && case.facts.is_recent(e, RECENT_S))
        .filter(|e| e.message.contains("not found in the list of registered CSI drivers"))
        .last();
    let Some(event) = event else { return false };
    let name = event.message.split("driver name ").nth(1).and_then(|r| r.split(' ').next()).unwrap_or("csi").to_lowercase();
    let word = name.split('.').find(|p| p.len() > 2 && *p != "csi").unwrap_or("csi").to_owned();
    match unwell(case.facts, object, |d| d.contains("csi") && (d.contains(&word) || d.contains("node")) || d.contains(&word)) {
        Some(component) => report.lead(Lead::new(&component, 0.97, "it mounts volumes on the node").because(
            &object.reference(),
            EvidenceSource::Event,
            event.message.clone(),
        )),
        None => {
            let node = ObjectRef::new("Node", None, object.str_at("/spec/nodeName").unwrap_or_default());
            report.find(
                Finding::new(Category::ClusterComponentDown, &node, 0.8, format!("the storage driver {name} is not registered on the node"))
                    .because(&object.reference(), EvidenceSource::Event, event.message.clone())
                    .propose(propose::escalate(
                        &node,
                        "the storage driver has to be brought back",
                        vec![format!("look at the pods of {name} on the node")],
                    )),
            );
        }
    }
    true
}

/// No scheduler has looked at the pod.
fn scheduler(case: &Case<'_>, object: &Object, report: &mut Report) -> bool {
    let waits = pod::is_unscheduled(object) && object.created_at().is_some_and(|at| case.facts.age_s(at) > SCHEDULER_S);
    let silent = object.condition("PodScheduled").is_none() && !case.facts.events_of(&object.reference()).any(|e| e.reason == "FailedScheduling");
    if !waits || !silent {
        return false;
    }
    let name = object.str_at("/spec/schedulerName").unwrap_or("default-scheduler");
    let reference = case.reference();
    let text = format!("no scheduler has looked at it; schedulerName {name}");
    if name != "default-scheduler" {
        report.find(
            Finding::new(Category::BadReleaseConfig, &reference, 0.82, format!("the pods ask for scheduler {name}, which does not answer"))
                .because(&object.reference(), EvidenceSource::Spec, text)
                .propose(propose::escalate(
                    &reference,
                    "the scheduler that is asked for does not run",
                    vec![format!("start {name}, or take schedulerName out")],
                )),
        );
        return true;
    }
    let server = case.facts.store.all("Pod").find(|p| p.namespace() == Some("kube-system") && p.name().contains("scheduler"));
    let at = server.map_or_else(|| reference.clone(), Object::reference);
    report.find(
        Finding::new(Category::ClusterComponentDown, &at, if server.is_some() { 0.8 } else { 0.6 }, "the scheduler does not place pods")
            .because(&object.reference(), EvidenceSource::Status, text)
            .propose(propose::escalate(&at, "the scheduler has to be brought back", vec!["look at the scheduler of the control plane".to_owned()])),
    );
    true
}

/// Bound by name to a node that does not exist.
fn no_such_node(case: &Case<'_>, object: &Object, report: &mut Report) -> bool {
    let Some(spec) = case.workload.object.pod_spec() else { return false };
    let Some(node) = spec["nodeName"].as_str().filter(|n| case.facts.store.is_absent("Node", None, n)) else { return false };
    let reference = case.reference();
    report.find(
        Finding::new(Category::UnschedulableNodeSelector, &reference, 0.93, format!("the template names node {node}, which does not exist"))
            .because(&object.reference(), EvidenceSource::Spec, format!("nodeName {node}"))
            .propose(propose::escalate(&reference, "the node that is named does not exist", vec!["take nodeName out of the template".to_owned()])),
    );
    true
}

fn started(object: &Object) -> bool {
    pod::containers(object).iter().any(|c| c.is_running() || c.last_end().is_some())
}
