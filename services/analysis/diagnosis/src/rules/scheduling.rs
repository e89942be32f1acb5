//! Pods that no node takes: cordon, taint, selector, affinity, resources.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::{Value, json};

use super::{Case, rollout, tally};
use crate::{
    facts::{
        Facts, capacity, pod, quantity,
        revision::{Change, ChangeKind},
        schedule::{self, Refusal, Verdict},
        text,
    },
    graph::{Finding, Lead, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let Some(object) = case.failing.iter().copied().filter(|p| pod::is_unscheduled(p)).max_by_key(|p| p.created_at()) else { return };
    let message = pod::unschedulable(object)
        .filter(|m| !m.is_empty())
        .map(str::to_owned)
        .or_else(|| case.facts.event(&object.reference(), &["FailedScheduling"], "").map(|e| e.message.clone()));
    let Some(spec) = object.at("/spec") else { return };
    let message = message.unwrap_or_default();
    if schedule::blames_place_of_volume(&message) {
        bound_to_a_volume(case, object, spec, &message, report);
        return;
    }
    if schedule::blames_volume(&message) || waits_for_claim(case, object) {
        return;
    }
    if case.facts.store.all("Node").next().is_none() {
        report.findings.extend(tally::by_word(case, object, &message));
        return;
    }
    let verdicts = schedule::verdicts(case.facts, spec, case.facts.store.is_complete("Pod", None));
    let Some(finding) = decide(case, object, spec, &verdicts, &message, report) else { return };
    report.find(finding);
}

/// Only the nodes that reach the pod's volumes count.
fn bound_to_a_volume(case: &Case<'_>, object: &Object, spec: &Value, message: &str, report: &mut Report) {
    let claims = object.list_at("/spec/volumes").iter().filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
    let volumes: Vec<(&Object, &Object)> = claims
        .filter_map(|c| case.facts.store.get("PersistentVolumeClaim", object.namespace(), c))
        .filter_map(|c| Some((c, case.facts.store.get("PersistentVolume", None, c.str_at("/spec/volumeName")?)?)))
        .collect();
    let terms = |v: &Object| v.at("/spec/nodeAffinity/required/nodeSelectorTerms").cloned().unwrap_or(Value::Null);
    let mut verdicts = schedule::verdicts(case.facts, spec, case.facts.store.is_complete("Pod", None));
    verdicts.retain(|v| volumes.iter().all(|(_, volume)| schedule::terms_match(&terms(volume), v.node)));
    let Some((claim, volume)) = volumes.iter().find(|(_, v)| !terms(v).is_null()) else { return };
    let holds = format!("volume {} can be used on these nodes only: {}", volume.name(), text::short(&terms(volume).to_string(), 200));
    if verdicts.is_empty() {
        let reference = claim.reference();
        report.find(
            start(Category::VolumeUnavailable, &reference, 0.88, "no node that can reach the claim's volume is left".into(), object, message)
                .because(&reference, EvidenceSource::Spec, holds)
                .propose(propose::escalate(
                    &reference,
                    "the volume is bound to a place that no longer exists",
                    vec!["bring the node or zone of the volume back, or restore the data into a new claim".to_owned()],
                )),
        );
        return;
    }
    if let Some(finding) = decide(case, object, spec, &verdicts, message, report) {
        report.find(finding.because(&claim.reference(), EvidenceSource::Spec, holds));
    }
}

/// A claim that is not bound keeps the pod waiting; storage rules look at it.
fn waits_for_claim(case: &Case<'_>, object: &Object) -> bool {
    let claims = object.list_at("/spec/volumes").iter().filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
    claims
        .filter_map(|c| case.facts.store.get("PersistentVolumeClaim", object.namespace(), c))
        .any(|c| c.str_at("/status/phase") != Some("Bound") && !super::storage::waits_for_consumer(case.facts, c))
}

fn decide(case: &Case<'_>, object: &Object, spec: &Value, verdicts: &[Verdict<'_>], message: &str, report: &mut Report) -> Option<Finding> {
    let matching: Vec<&Verdict<'_>> = verdicts.iter().filter(|v| v.matches() && !is_control_plane(v)).collect();
    if matching.is_empty() {
        return verdicts.iter().any(|v| !is_control_plane(v)).then(|| no_match(case, object, spec, message));
    }
    if matching.iter().any(|v| v.refusals.is_empty()) {
        return pod_rules(case, object, spec, message);
    }
    let short = |v: &&&Verdict<'_>| v.refusals.iter().any(|r| matches!(r, Refusal::Short { .. }));
    // Nodes that would take the pod but for one obstacle that a person put there.
    let fitting: Vec<&&Verdict<'_>> = matching.iter().filter(|v| !short(v)).collect();
    for v in &fitting {
        let condition = v.taints().find(|(k, _, _)| schedule::is_condition_taint(k));
        if condition.is_some() || !capacity::node_ready(v.node) {
            report.lead(Lead::new(&v.node.reference(), 0.95, "the node that the pod could use is not well").because(
                &object.reference(),
                EvidenceSource::Status,
                message,
            ));
        }
    }
    let open_otherwise = |v: &&&&Verdict<'_>| capacity::node_ready(v.node) && !v.taints().any(|(k, _, _)| schedule::is_condition_taint(k));
    if let Some(v) = fitting.iter().filter(open_otherwise).find(|v| v.refusals == [Refusal::Cordoned]) {
        return Some(cordoned(case, object, v.node, &matching, message));
    }
    if let Some(v) = fitting.iter().filter(open_otherwise).find(|v| v.taints().next().is_some()) {
        return Some(tainted(case, object, v, message));
    }
    if !fitting.is_empty() {
        return None;
    }
    Some(resources(case, object, spec, &matching, message))
}

fn is_control_plane(v: &Verdict<'_>) -> bool {
    v.taints().any(|(k, _, _)| schedule::is_control_plane_taint(k))
}

pub(super) fn start(category: Category, at: &ObjectRef, confidence: f64, summary: String, object: &Object, message: &str) -> Finding {
    Finding::new(category, at, confidence, summary).because(&object.reference(), EvidenceSource::Status, format!("unschedulable: {message}"))
}

/// The change of placement rules that the last rollout made, if the pods wait since then.
pub(super) fn placement_change<'c>(case: &'c Case<'_>, field: &[&str]) -> Option<(&'c crate::facts::revision::Rollout<'c>, &'c Change)> {
    let rollout = case.blamed_rollout().filter(|r| r.proven.is_some())?;
    let change = rollout.changes.iter().find(|c| field.iter().any(|f| c.path == *f || c.path.ends_with(&format!(".{f}"))))?;
    Some((rollout, change))
}

fn no_match(case: &Case<'_>, object: &Object, spec: &Value, message: &str) -> Finding {
    let reference = case.reference();
    let finding =
        start(Category::UnschedulableNodeSelector, &reference, 0.95, "no node matches the pod's node selector or affinity".into(), object, message);
    let finding = match &spec["nodeSelector"] {
        Value::Null => finding,
        selector => finding.because(&reference, EvidenceSource::Spec, format!("nodeSelector {selector}")),
    };
    if let Some((rollout, change)) = placement_change(case, &["nodeSelector", "affinity"]) {
        let finding = finding.because(&reference, EvidenceSource::Revision, rollout::describe(rollout, change));
        return rollout::with_undo(case, rollout, &[change], finding);
    }
    match close_selector(case.facts, &spec["nodeSelector"]) {
        Some((selector, why)) => finding.because(&reference, EvidenceSource::Spec, why.clone()).propose(
            propose::action("patch_node_selector", &reference, json!({ "node_selector": selector }))
                .when(true, why)
                .effect("the scheduler finds a node")
                .done(),
        ),
        None => finding.propose(
            propose::action("patch_node_selector", &reference, json!({}))
                .when(false, "a label that nodes carry is close to the one that is asked for")
                .effect("the scheduler finds a node")
                .steps(vec!["correct the selector, or label a node that is meant to run the workload".to_owned()])
                .done(),
        ),
    }
}

/// The selector with each pair that no node has replaced by the closest one that nodes have.
fn close_selector(facts: &Facts, selector: &Value) -> Option<(Value, String)> {
    let pairs = selector.as_object()?;
    let mut corrected = pairs.clone();
    let mut notes = Vec::new();
    for (key, value) in pairs {
        let value = value.as_str()?;
        let labels: Vec<(&str, &str)> = facts.store.all("Node").flat_map(|n| n.labels()).collect();
        if labels.contains(&(key.as_str(), value)) {
            continue;
        }
        let same_key = labels.iter().filter(|(k, _)| k == key).map(|(k, v)| (*k, *v, text::distance(v, value, 3)));
        let near_key = labels
            .iter()
            .filter(|(k, v)| k != key && *v == value && text::distance(k, key, 3) <= 3)
            .map(|(k, v)| (*k, *v, text::distance(k, key, 3)));
        let mut close: Vec<_> = same_key.filter(|(_, _, d)| *d <= 3).chain(near_key).collect();
        close.sort_by_key(|(_, _, d)| *d);
        let (k, v, _) = *close.first()?;
        corrected.remove(key);
        corrected.insert(k.to_owned(), json!(v));
        notes.push(format!("nodes carry {k}={v}, not {key}={value}"));
    }
    (!notes.is_empty()).then(|| (Value::Object(corrected), notes.join("; ")))
}

fn cordoned(case: &Case<'_>, object: &Object, node: &Object, matching: &[&Verdict<'_>], message: &str) -> Finding {
    let reference = node.reference();
    let all = matching.iter().all(|v| v.refusals.contains(&Refusal::Cordoned));
    let since = node.list_at("/spec/taints").iter().find(|t| t["key"] == "node.kubernetes.io/unschedulable").and_then(|t| pod::time(&t["timeAdded"]));
    let text = if all { "the node that the pod can use is cordoned" } else { "the only node with room is cordoned" };
    let finding = start(Category::UnschedulableCordoned, &reference, if all { 0.96 } else { 0.85 }, text.into(), object, message).because(
        &reference,
        EvidenceSource::Spec,
        format!("spec.unschedulable is true{}", since.map(|s| format!(" since {s}")).unwrap_or_default()),
    );
    // A pin that came after the cordon is what changed.
    if let Some((rollout, change)) = placement_change(case, &["nodeSelector", "affinity"])
        && rollout.at.zip(since).is_some_and(|(r, s)| r > s)
    {
        let finding = finding.because(&case.reference(), EvidenceSource::Revision, rollout::describe(rollout, change));
        return rollout::with_undo(case, rollout, &[change], finding);
    }
    let finding = match unpin(case, object, node) {
        Some((action, why)) => finding.because(&case.reference(), EvidenceSource::Revision, why).propose(action),
        None => finding,
    };
    let healthy = capacity::node_ready(node)
        && !node.list_at("/status/conditions").iter().any(|c| c["status"] == "True" && c["type"].as_str().is_some_and(|t| t.ends_with("Pressure")));
    finding.propose(
        propose::action("uncordon_node", &reference, json!({}))
            .when(healthy, "the node is ready and under no pressure")
            .when(!is_being_drained(case.facts, node.name()), "nobody is draining the node")
            .effect("the scheduler can use the node again")
            .done(),
    )
}

/// Taking back a change that did nothing but pin the pods to this one node: it leaves the decision of who closed the node alone.
fn unpin(case: &Case<'_>, object: &Object, node: &Object) -> Option<(kubernaut_core::model::ProposedAction, String)> {
    let rollout = case.rollout().filter(|r| r.proven.is_some())?;
    let pinned = object.str_at("/spec/nodeSelector/kubernetes.io~1hostname") == node.label("kubernetes.io/hostname");
    let [change] = rollout.changes.iter().filter(|c| c.kind != ChangeKind::Meta).collect::<Vec<_>>()[..] else { return None };
    let before = &rollout.previous.template["spec"];
    let elsewhere = schedule::verdicts(case.facts, before, case.facts.store.is_complete("Pod", None)).iter().any(|v| v.refusals.is_empty());
    if !pinned || change.path != "nodeSelector" || !elsewhere {
        return None;
    }
    let action = rollout::undo(case, rollout, &[change], &case.reference())?;
    Some((action, rollout::describe(rollout, change)))
}

/// Whether a running job or pod drains the node.
fn is_being_drained(facts: &Facts, node: &str) -> bool {
    let drains = |p: &Object| {
        let words: Vec<&str> = p
            .list_at("/spec/containers")
            .iter()
            .flat_map(|c| ["command", "args"].into_iter().flat_map(|k| c[k].as_array().into_iter().flatten()))
            .filter_map(Value::as_str)
            .collect();
        words.contains(&"drain") && words.iter().any(|w| w.contains(node))
    };
    facts.store.all("Pod").any(|p| pod::phase(p) == "Running" && drains(p))
}

fn tainted(case: &Case<'_>, object: &Object, verdict: &Verdict<'_>, message: &str) -> Finding {
    let node = verdict.node.reference();
    let (key, value, effect) = verdict.taints().next().unwrap_or_default();
    let shown = if value.is_empty() { format!("{key}:{effect}") } else { format!("{key}={value}:{effect}") };
    let finding = start(
        Category::UnschedulableTaint,
        &node,
        0.95,
        format!("the node that the pod can use has the taint {shown}, which the pod does not tolerate"),
        object,
        message,
    )
    .because(&node, EvidenceSource::Spec, format!("taint {shown}"));
    if let Some((rollout, change)) = placement_change(case, &["tolerations", "nodeSelector", "affinity"]) {
        let finding = finding.because(&case.reference(), EvidenceSource::Revision, rollout::describe(rollout, change));
        return rollout::with_undo(case, rollout, &[change], finding);
    }
    let ended = maintenance_ended(case.facts, verdict.node);
    let finding = match &ended {
        Some(text) => finding.because(&node, EvidenceSource::Spec, text.clone()),
        None => finding,
    };
    let proposal = propose::action("remove_taint", &node, json!({ "key": key, "value": value, "effect": effect }))
        .when(capacity::node_ready(verdict.node), "the node is ready")
        .when(!dedicates(key, value), format!("the taint {key} does not reserve the node for other workloads"))
        .effect("the scheduler can use the node");
    finding.propose(proposal.done())
}

/// Whether a taint reserves a node (for hardware or a team) rather than closing it for a while.
fn dedicates(key: &str, value: &str) -> bool {
    let words = [key.to_lowercase(), value.to_lowercase()];
    ["gpu", "dedicated", "reserved", "spot", "tenant", "team", "pool", "infra", "arm64", "windows"]
        .iter()
        .any(|w| words.iter().any(|t| t.contains(w)))
}

fn maintenance_ended(facts: &Facts, node: &Object) -> Option<String> {
    let ended = |(k, v): (&str, &str)| {
        let key = k.to_lowercase();
        let at: kubernaut_core::model::Timestamp =
            if v.len() == 17 { format!("{}:00Z", v.trim_end_matches('Z')).parse().ok()? } else { v.parse().ok()? };
        ((key.contains("end") || key.contains("until")) && at < facts.now).then(|| format!("annotation {k} says {v}, which is past"))
    };
    node.annotations().into_iter().find_map(ended)
}

/// A port of the node is wanted that another pod has, such as the next replica.
fn port_taken(case: &Case<'_>, object: &Object, message: &str) -> Finding {
    let reference = case.reference();
    let summary = "the pod asks for a port of the node that is taken on every node";
    if let Some((rollout, change)) = placement_change(case, &["ports", "hostNetwork"]) {
        let finding = start(Category::BadReleaseConfig, &reference, 0.93, summary.into(), object, message).because(
            &reference,
            EvidenceSource::Revision,
            rollout::describe(rollout, change),
        );
        return rollout::with_undo(case, rollout, &[change], finding);
    }
    start(Category::UnschedulableResources, &reference, 0.85, summary.into(), object, message).propose(propose::escalate(
        &reference,
        summary,
        vec!["use no more replicas than nodes, or a Service in place of the node's port".to_owned()],
    ))
}

/// Nodes would take it, so the rules between pods keep it off.
fn pod_rules(case: &Case<'_>, object: &Object, spec: &Value, message: &str) -> Option<Finding> {
    if message.contains("free ports for the requested pod ports") {
        return Some(port_taken(case, object, message));
    }
    let reference = case.reference();
    let required = &spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let anti = schedule::blames_pod_affinity(message) || (message.is_empty() && required.as_array().is_some_and(|r| !r.is_empty()));
    if !anti && !schedule::blames_spread(message) {
        return None;
    }
    let key = required[0]["topologyKey"].as_str().unwrap_or("kubernetes.io/hostname");
    let mut domains: Vec<&str> = capacity::open_nodes(case.facts).filter_map(|n| n.label(key)).collect();
    domains.sort_unstable();
    domains.dedup();
    let finding = start(
        Category::UnschedulableAntiAffinity,
        &reference,
        0.94,
        format!("{} replicas must be apart by {key}, and there are {} such places", case.workload.desired(), domains.len()),
        object,
        message,
    )
    .because(&reference, EvidenceSource::Spec, format!("required podAntiAffinity by {key}"));
    if let Some((rollout, change)) = placement_change(case, &["affinity", "topologySpreadConstraints"]) {
        let finding = finding.because(&reference, EvidenceSource::Revision, rollout::describe(rollout, change));
        return Some(rollout::with_undo(case, rollout, &[change], finding));
    }
    let wider = propose::action("provision_node", &reference, json!({ "topology_key": key }))
        .when(true, format!("a node in a further place by {key} takes the next replica"))
        .effect("every replica has a place of its own")
        .done();
    // Members of a StatefulSet are apart to survive the loss of a place together.
    let finding = if reference.kind == "StatefulSet" { finding.propose(wider) } else { finding };
    Some(
        finding.propose(
            propose::action("patch_affinity", &reference, json!({ "pod_anti_affinity": "preferred", "topology_key": key }))
                .when(required.as_array().is_some_and(|r| !r.is_empty()), "the rule is one of the workload itself")
                .effect("pods stay apart where possible and all of them run")
                .done(),
        ),
    )
}

fn resources(case: &Case<'_>, object: &Object, spec: &Value, matching: &[&Verdict<'_>], message: &str) -> Finding {
    let reference = case.reference();
    let shortages = |v: &&Verdict<'_>| {
        v.refusals
            .iter()
            .filter_map(|r| {
                if let Refusal::Short { resource, wanted, allocatable, .. } = r { Some((resource.clone(), *wanted, *allocatable)) } else { None }
            })
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = matching.iter().flat_map(shortages).collect();
    // Impossible on every node, however empty, or merely taken by others?
    let impossible = all.iter().find(|(resource, wanted, _)| matching.iter().all(|v| capacity::allocatable(v.node, resource) < *wanted)).cloned();
    let (resource, wanted, _) = impossible.clone().or_else(|| all.first().cloned()).unwrap_or_default();
    let largest = matching.iter().map(|v| capacity::allocatable(v.node, &resource)).fold(0.0, f64::max);
    let show = |v: f64| quantity::render(&resource, v);
    let summary = match impossible {
        Some(_) => format!("the pod asks for {} {resource}, the largest node offers {}", show(wanted), show(largest)),
        None => format!("the pod asks for {} {resource}, and no node has that much left", show(wanted)),
    };
    let finding = start(Category::UnschedulableResources, &reference, if impossible.is_some() { 0.96 } else { 0.9 }, summary, object, message)
        .because(&reference, EvidenceSource::Spec, format!("requests {} {resource}; nodes offer at most {}", show(wanted), show(largest)));
    if let Some((rollout, change)) = placement_change(case, &["resources"]) {
        let finding = finding.because(&reference, EvidenceSource::Revision, rollout::describe(rollout, change)).because_some(
            &reference,
            EvidenceSource::Revision,
            rollout.proven.clone(),
        );
        return rollout::with_undo(case, rollout, &[change], finding);
    }
    if impossible.is_some() {
        return finding.propose(reduce(case, spec, &resource, largest));
    }
    finding.propose(
        propose::action("provision_node", &reference, json!({ "resource": resource, "at_least": show(wanted) }))
            .when(true, format!("a node of the present size ({}) would hold the pod", show(largest)))
            .effect("the scheduler finds room")
            .steps(vec!["add a node, or free room by lowering requests that are not used".to_owned()])
            .done(),
    )
}

/// A request that fits: the one of an earlier revision, else half of the largest node.
fn reduce(case: &Case<'_>, spec: &Value, resource: &str, largest: f64) -> kubernaut_core::model::ProposedAction {
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let request =
        |c: &Value| quantity::of(&c["resources"]["requests"][resource]).or_else(|| quantity::of(&c["resources"]["limits"][resource])).unwrap_or(0.0);
    let biggest = containers.iter().max_by(|a, b| request(a).total_cmp(&request(b)));
    let name = biggest.and_then(|c| c["name"].as_str()).unwrap_or_default();
    let earlier = case
        .rollout()
        .and_then(|r| r.of(ChangeKind::Resources).find(|c| c.container.as_deref() == Some(name)))
        .and_then(|c| quantity::of(&c.before.as_ref()?["requests"][resource]));
    let value = earlier.unwrap_or(largest * 0.5);
    propose::action("reduce_requests", &case.reference(), json!({ "container": name, "requests": { resource: quantity::render(resource, value) } }))
        .when(value <= largest, format!("{} fits on a node", quantity::render(resource, value)))
        .effect("the scheduler finds a node")
        .done()
}
