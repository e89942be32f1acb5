//! Claims: without a class that exists, full or filling, or not mountable.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef, ProposedAction};
use serde_json::json;

use super::{Case, config, rollout, unbound};
use crate::{
    facts::{
        Facts,
        collect::focus,
        log::Signature,
        pod, quantity,
        refs::{self, Reference},
    },
    graph::{Finding, Lead, Report},
    propose,
};

/// Share of a claim above which it counts as full, and as filling.
const FULL: f64 = 0.98;
const FILLING: f64 = 0.85;

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    waits_for_claims(case, report);
    disk_full(case, report);
    mount_failures(case, report);
}

/// Whether a claim waits, as it should, for a pod to be scheduled.
pub(super) fn waits_for_consumer(facts: &Facts, claim: &Object) -> bool {
    let class = claim.str_at("/spec/storageClassName").and_then(|c| facts.store.get("StorageClass", None, c)).or_else(|| default_class(facts));
    class.is_some_and(|c| c.str_at("/volumeBindingMode") == Some("WaitForFirstConsumer"))
}

fn default_class(facts: &Facts) -> Option<&Object> {
    facts.store.all("StorageClass").find(|c| c.annotation("storageclass.kubernetes.io/is-default-class") == Some("true"))
}

fn waits_for_claims(case: &Case<'_>, report: &mut Report) {
    for object in case.failing.iter().filter(|p| pod::is_unscheduled(p)) {
        for claim in object.list_at("/spec/volumes").iter().filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str()) {
            let reference = ObjectRef::new("PersistentVolumeClaim", object.namespace(), claim);
            let message = pod::unschedulable(object).unwrap_or_default();
            match case.facts.store.find(&reference) {
                Some(found) if found.str_at("/status/phase") == Some("Bound") => {}
                Some(_) => report.lead(Lead::new(&reference, 0.98, "the pod waits for this claim").because(
                    &object.reference(),
                    EvidenceSource::Status,
                    message,
                )),
                None if case.facts.store.is_complete("PersistentVolumeClaim", object.namespace()) => {
                    report.find(absent_claim(case, &reference).because(&object.reference(), EvidenceSource::Status, message));
                }
                None => {}
            }
        }
    }
}

/// A claim that is mounted and does not exist: the release that named it is at fault if it was the first to do so.
fn absent_claim(case: &Case<'_>, claim: &ObjectRef) -> Finding {
    let brought = case.rollout().filter(|r| r.proven.is_some()).zip(config::introduced(case, &claim.name));
    if let Some((release, change)) = brought {
        let own = case.reference();
        let summary = format!("revision {} mounts claim {}, which does not exist", release.current.number, claim.name);
        let finding = Finding::new(Category::BadReleaseConfig, &own, 0.93, summary).because(
            &own,
            EvidenceSource::Revision,
            rollout::describe(release, &change),
        );
        return rollout::with_undo(case, release, &[&change], finding);
    }
    Finding::new(Category::VolumeUnavailable, claim, 0.88, format!("claim {} does not exist", claim.name)).propose(propose::escalate(
        claim,
        "the claim that the pod mounts does not exist; data may be lost",
        vec![format!("find out who removed {claim} and whether its volume still exists")],
    ))
}

/// Rules for a claim, alerted or in the way of a pod.
pub(super) fn examine_claim(facts: &Facts, subject: &ObjectRef, is_target: bool, report: &mut Report) {
    let Some(claim) = facts.store.find(subject) else { return };
    if claim.str_at("/status/phase") == Some("Bound") {
        if let Some((used, text)) = fill(facts, claim)
            && (used >= FILLING || (is_target && fills_soon(facts, claim)))
        {
            report.find(filled(facts, claim, used >= FULL, 0.95).because(subject, EvidenceSource::Metric, text));
        }
        if is_target {
            for user in focus(facts, subject) {
                report.lead(Lead::new(&user, 0.9, "mounts the claim"));
            }
        }
        return;
    }
    if let Some(finding) = no_class(facts, claim) {
        report.find(finding);
    } else if !waits_by_design(facts, claim) {
        report.find(unbound::not_bound(facts, claim));
    } else if is_target {
        for user in focus(facts, subject) {
            report.lead(Lead::new(&user, 0.9, "the claim is bound when this is scheduled"));
        }
    }
}

/// A claim that nothing hinders: its class binds it when the first pod that uses it has found a node.
fn waits_by_design(facts: &Facts, claim: &Object) -> bool {
    let used_by_scheduled = || {
        let users = facts.store.list("Pod", claim.namespace()).filter(|p| !pod::is_unscheduled(p) && !pod::is_finished(p));
        users.flat_map(|p| p.list_at("/spec/volumes")).any(|v| v["persistentVolumeClaim"]["claimName"] == claim.name())
    };
    let failed = || facts.events_of(&claim.reference()).any(|e| e.kind == "Warning");
    claim.str_at("/status/phase") == Some("Pending") && waits_for_consumer(facts, claim) && !failed() && !used_by_scheduled()
}

fn no_class(facts: &Facts, claim: &Object) -> Option<Finding> {
    let reference = claim.reference();
    let named =
        claim.str_at("/spec/storageClassName").or_else(|| claim.annotation("volume.beta.kubernetes.io/storage-class")).filter(|c| !c.is_empty());
    let default = default_class(facts);
    let event = facts.event(&reference, &["ProvisioningFailed"], "");
    let absent = named.map_or(default.is_none(), |c| facts.store.is_absent("StorageClass", None, c));
    let said = event.is_some_and(|e| e.message.contains("storageclass") && e.message.contains("not found"));
    if !(absent || said)
        || facts
            .store
            .all("PersistentVolume")
            .any(|v| v.str_at("/spec/claimRef/name") == Some(claim.name()) && v.str_at("/spec/claimRef/namespace") == claim.namespace())
    {
        return None;
    }
    let summary = match named {
        Some(class) => format!("the claim names StorageClass {class}, which does not exist"),
        None => "the claim names no StorageClass, and there is no default one".to_owned(),
    };
    let finding = Finding::new(Category::PvcStorageclassMissing, &reference, 0.97, summary)
        .because(&reference, EvidenceSource::Spec, format!("storageClassName {}", named.unwrap_or("not set")))
        .because_some(&reference, EvidenceSource::Event, event.map(|e| e.message.clone()));
    let close = named.and_then(|n| facts.store.all("StorageClass").find(|c| crate::facts::text::distance(c.name(), n, 1) <= 1));
    let other = close.or(default);
    let never_bound = claim.str_at("/spec/volumeName").is_none() && claim.annotation("pv.kubernetes.io/bind-completed").is_none();
    let text = other.map_or_else(
        || "a class to use instead exists".to_owned(),
        |c| format!("StorageClass {} exists{}", c.name(), if close.is_none() { " and is the default" } else { "" }),
    );
    let params = other.map_or_else(|| json!({}), |c| json!({ "storage_class_name": c.name() }));
    Some(
        finding.propose(
            propose::action("recreate_pvc", &reference, params)
                .when(never_bound, "the claim was never bound, so it holds no data")
                .when(other.is_some(), text)
                .effect("a volume is provisioned and the pod is scheduled")
                .done(),
        ),
    )
}

/// A process that finds no room left: on which claim?
fn disk_full(case: &Case<'_>, report: &mut Report) {
    let hits = case.all_hits();
    let full = hits.iter().find(|(_, h)| h.sign.kind == Signature::DiskFull);
    let claims = claims_of(case);
    let by_log = full.and_then(|(o, h)| Some((*o, *h, claim_for(&claims, h.sign.subject.as_deref())?)));
    if let Some((object, hit, claim)) = by_log {
        let (_, text) = fill(case.facts, claim).unwrap_or((1.0, String::new()));
        let measured = !text.is_empty();
        let mut finding =
            filled(case.facts, claim, true, if measured { 0.97 } else { 0.9 }).because(&object.reference(), EvidenceSource::Log, hit.line.clone());
        if measured {
            finding = finding.because(&claim.reference(), EvidenceSource::Metric, text);
        }
        report.find(finding);
        return;
    }
    if let Some((object, hit)) = full {
        let node = object.str_at("/spec/nodeName").unwrap_or_default();
        report.lead(Lead::new(&ObjectRef::new("Node", None, node), 0.8, "the container finds no room on the node's disk").because(
            &object.reference(),
            EvidenceSource::Log,
            hit.line.clone(),
        ));
    }
    if case.is_target && case.failing.is_empty() {
        return;
    }
    for (_, claim) in &claims {
        if fill(case.facts, claim).is_some_and(|(used, _)| used >= FULL) {
            report.lead(Lead::new(&claim.reference(), 0.8, "a claim that the pods mount is full"));
        }
    }
}

fn claims_of<'a>(case: &Case<'a>) -> Vec<(Reference, &'a Object)> {
    let mut found: Vec<(Reference, &Object)> = Vec::new();
    for object in case.workload.pods.iter().take(5) {
        let Some(spec) = object.at("/spec") else { continue };
        for reference in refs::references(spec, object.namespace()) {
            if reference.object.kind == "PersistentVolumeClaim"
                && let Some(claim) = case.facts.store.find(&reference.object)
            {
                found.push((reference, claim));
            }
        }
    }
    found
}

fn claim_for<'a>(claims: &[(Reference, &'a Object)], path: Option<&str>) -> Option<&'a Object> {
    let all: Vec<Reference> = claims.iter().map(|(r, _)| r.clone()).collect();
    match path {
        Some(path) => {
            let reference = refs::mounted_at(&all, path)?;
            claims.iter().find(|(r, _)| r == reference).map(|(_, c)| *c)
        }
        None => match claims {
            [(_, only)] => Some(only),
            _ => None,
        },
    }
}

/// The share of a claim that is used, by metrics.
fn fill(facts: &Facts, claim: &Object) -> Option<(f64, String)> {
    let labels = [("namespace", claim.namespace().unwrap_or_default()), ("persistentvolumeclaim", claim.name())];
    let value = |name: &str| facts.last_value(name, &labels);
    let capacity = value("kubelet_volume_stats_capacity_bytes").or_else(|| quantity::of(claim.at("/status/capacity/storage")?))?;
    let available = value("kubelet_volume_stats_available_bytes").or_else(|| Some(capacity - value("kubelet_volume_stats_used_bytes")?))?;
    if capacity <= 0.0 {
        return None;
    }
    let used = 1.0 - available / capacity;
    Some((used, format!("{:.0} % of {} used", used * 100.0, quantity::memory(capacity))))
}

/// Whether the last readings, carried on, leave no room within four days.
fn fills_soon(facts: &Facts, claim: &Object) -> bool {
    let labels = [("namespace", claim.namespace().unwrap_or_default()), ("persistentvolumeclaim", claim.name())];
    let exact = |s: &&&kubernaut_core::port::MetricSeries| labels.iter().all(|(k, v)| s.labels.get(*k).map(String::as_str) == Some(*v));
    let series = facts.series("kubelet_volume_stats_available_bytes", &labels);
    let Some(values) = series.iter().find(exact).map(|s| &s.values) else { return false };
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return false };
    let span = (last.0.as_second() - first.0.as_second()) as f64;
    let slope = if span > 0.0 { (last.1 - first.1) / span } else { 0.0 };
    slope < 0.0 && last.1 / -slope < 4.0 * 86_400.0
}

/// That a claim is bound and has room, where metrics say so.
pub(super) fn has_room(facts: &Facts, claim: &Object) -> Option<String> {
    let (used, text) = fill(facts, claim)?;
    (claim.str_at("/status/phase") == Some("Bound") && used < FILLING && !fills_soon(facts, claim)).then_some(text)
}

/// That a claim is bound and mounted by nobody: no fault, and its data may be wanted.
pub(super) fn unused(facts: &Facts, claim: &Object) -> Option<String> {
    let nobody = facts.store.is_complete("Pod", claim.namespace()) && focus(facts, &claim.reference()).is_empty();
    if nobody && waits_by_design(facts, claim) {
        return Some("mounted by no pod, and its class binds it when the first one needs it".to_owned());
    }
    (nobody && claim.str_at("/status/phase") == Some("Bound")).then(|| "bound, and mounted by no pod; its data is kept".to_owned())
}

fn filled(facts: &Facts, claim: &Object, full: bool, confidence: f64) -> Finding {
    let reference = claim.reference();
    let (category, summary) = if full { (Category::PvcFull, "the claim is full") } else { (Category::PvcFilling, "the claim will be full soon") };
    let class = claim.str_at("/spec/storageClassName").and_then(|c| facts.store.get("StorageClass", None, c));
    let expands = class.is_some_and(|c| c.bool_at("/allowVolumeExpansion") == Some(true));
    let finding = Finding::new(category, &reference, confidence, summary).because_some(
        &reference,
        EvidenceSource::Spec,
        class.map(|c| format!("StorageClass {} {} expansion", c.name(), if expands { "allows" } else { "does not allow" })),
    );
    finding.propose(if expands { expand(claim) } else { migrate(facts, claim) })
}

fn size(claim: &Object) -> f64 {
    claim.at("/status/capacity/storage").or_else(|| claim.at("/spec/resources/requests/storage")).and_then(quantity::of).unwrap_or(0.0)
}

fn expand(claim: &Object) -> ProposedAction {
    let wanted = quantity::memory(size(claim) * 1.5);
    propose::action("expand_pvc", &claim.reference(), json!({ "size": wanted }))
        .when(true, "the StorageClass allows expansion")
        .effect(format!("the claim grows to {wanted}"))
        .irreversible()
        .done()
}

/// Where the class cannot expand, the data has to move to a claim of another class, or be thinned out by a person.
fn migrate(facts: &Facts, claim: &Object) -> ProposedAction {
    let reference = claim.reference();
    let other = facts
        .store
        .all("StorageClass")
        .filter(|c| c.bool_at("/allowVolumeExpansion") == Some(true))
        .min_by_key(|c| c.annotation("storageclass.kubernetes.io/is-default-class") != Some("true"));
    let steps = vec![
        format!("stop the pods that mount {reference}"),
        "copy the data to a larger claim and mount that one, or remove data that is not needed".to_owned(),
        "keep the old claim until the new one is proven".to_owned(),
    ];
    match other {
        Some(class) => {
            propose::action("migrate_pvc", &reference, json!({ "storage_class_name": class.name(), "size": quantity::memory(size(claim) * 2.0) }))
                .when(true, format!("StorageClass {} allows expansion", class.name()))
                .effect("the data is on a larger claim that can grow")
                .steps(steps)
                .done()
        }
        None => propose::escalate(&reference, "the class does not allow expansion; a person has to make room", steps),
    }
}

/// Volumes that cannot be attached or mounted.
fn mount_failures(case: &Case<'_>, report: &mut Report) {
    for object in &case.failing {
        let failed = case
            .facts
            .events_of(&object.reference())
            .filter(|e| matches!(e.reason.as_str(), "FailedAttachVolume" | "FailedMount") && case.facts.is_recent(e, 3_600))
            .last();
        let Some(event) = failed.filter(|e| !e.message.contains("secret \"") && !e.message.contains("configmap \"")) else { continue };
        let claims = claims_of(case);
        let meant = claims.iter().find(|(_, c)| c.str_at("/spec/volumeName").is_some_and(|v| event.message.contains(v))).or(claims.first());
        let at = meant.map_or_else(|| case.reference(), |(_, c)| c.reference());
        if let Some(node) = holder_lost(case.facts, &event.message) {
            report.lead(Lead::new(&node, 0.97, "it holds the volume and does not answer").because(
                &object.reference(),
                EvidenceSource::Event,
                event.message.clone(),
            ));
            return;
        }
        let held = event.message.contains("Multi-Attach");
        let summary = if held { "the volume is held by a pod on another node" } else { "a volume cannot be attached or mounted" };
        report.find(
            Finding::new(Category::VolumeUnavailable, &at, if held { 0.9 } else { 0.84 }, summary)
                .because(&object.reference(), EvidenceSource::Event, format!("{}: {}", event.reason, event.message))
                .propose(propose::escalate(
                    &at,
                    "the volume has to be looked at by a person",
                    vec!["find out where the volume is attached, and why it was not released".to_owned()],
                )),
        );
        return;
    }
}

/// The node of the pod that holds a volume, if it is lost.
fn holder_lost(facts: &Facts, message: &str) -> Option<ObjectRef> {
    let names = message.split("used by pod(s) ").nth(1)?;
    let mut holders = names.split([',', ' ']).filter_map(|n| facts.store.all("Pod").find(|p| p.name() == n.trim()));
    holders.find_map(|p| {
        let node = facts.store.get("Node", None, p.str_at("/spec/nodeName")?)?;
        (!crate::facts::capacity::node_ready(node)).then(|| node.reference())
    })
}
