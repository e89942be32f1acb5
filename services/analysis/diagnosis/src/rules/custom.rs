//! Custom resources: judged by the conditions that they report.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};
use serde_json::Value;

use crate::{
    facts::Facts,
    graph::{Finding, Lead, Report},
    propose,
};

/// Conditions that should be true.
const GOOD: &[&str] = &[
    "Ready",
    "Available",
    "Healthy",
    "Accepted",
    "Programmed",
    "ResolvedRefs",
    "Succeeded",
    "Established",
    "Synced",
    "Reconciled",
    "Initialized",
    "Installed",
    "Valid",
    "ReconcileSuccess",
    "Applied",
    "Connected",
];

/// Conditions that should not be true.
const BAD: &[&str] = &[
    "Degraded",
    "Stalled",
    "Failed",
    "Failure",
    "Error",
    "ErrorOccurred",
    "ReconcileError",
    "Unhealthy",
    "Conflicted",
    "Denied",
    "InvalidRequest",
    "CatalogSourcesUnhealthy",
    "ResolutionFailed",
    "InstallPlanFailed",
    "InstallPlanMissing",
    "BundleUnpackFailed",
];

/// Phases that say that something is wrong.
const PHASES: &[&str] = &["Failed", "Error", "Degraded", "Unhealthy", "Invalid", "UpgradeFailed", "InstallFailed"];

pub(super) fn examine(facts: &Facts, subject: &ObjectRef, report: &mut Report) {
    let Some(object) = facts.store.find(subject) else { return };
    if let Some(fault) = fault(object) {
        report.find(not_ready(object, &fault));
    }
    if let Some(issuer) = issuer_of(facts, object) {
        report.lead(Lead::new(&issuer, 0.97, "it is issued by this one"));
    }
    for service in services(object) {
        report.lead(Lead::new(&service, 0.95, "it sends to this Service"));
    }
    for child in facts.store.children(&object.reference()) {
        report.lead(Lead::new(&child.reference(), 0.95, "belongs to the alerted object"));
    }
}

/// The condition, or phase, that says that a custom resource is not well.
fn fault(object: &Object) -> Option<String> {
    let conditions = conditions(object.at("/status")?, 0);
    let kind = |c: &Value| c["type"].as_str().unwrap_or_default().to_owned();
    let bad = conditions.iter().find(|c| {
        let kind = kind(c);
        (c["status"] == "False" && GOOD.contains(&kind.as_str())) || (c["status"] == "True" && BAD.contains(&kind.as_str()))
    });
    if let Some(c) = bad {
        let part = |k: &str| c[k].as_str().unwrap_or_default();
        return Some(format!("{}={} {}: {}", kind(c), part("status"), part("reason"), part("message")));
    }
    let phase = ["/status/phase", "/status/state", "/status/health/status"].iter().find_map(|p| object.str_at(p));
    let phase = phase.filter(|p| PHASES.contains(p))?;
    let text = ["/status/message", "/status/reason", "/status/health/message"].iter().find_map(|p| object.str_at(p)).unwrap_or_default();
    Some(format!("phase {phase}: {text}"))
}

/// All conditions of a status, also those that it keeps for its parents or listeners.
fn conditions(status: &Value, depth: usize) -> Vec<&Value> {
    let mut found: Vec<&Value> = status["conditions"].as_array().into_iter().flatten().collect();
    if depth < 2 {
        for list in ["parents", "listeners", "ancestors"] {
            found.extend(status[list].as_array().into_iter().flatten().flat_map(|s| conditions(s, depth + 1)));
        }
    }
    found
}

fn not_ready(object: &Object, fault: &str) -> Finding {
    let reference = object.reference();
    let steps = vec![format!("look at what the condition says, and at the log of the controller of {}", reference.kind)];
    Finding::new(Category::ResourceNotReady, &reference, 0.88, format!("{} reports that it is not ready", reference.kind))
        .because(&reference, EvidenceSource::Status, fault)
        .propose(propose::escalate(&reference, "what a custom resource needs is known to its controller only", steps))
}

/// The issuer of a certificate, where it was read and is not well itself.
fn issuer_of(facts: &Facts, object: &Object) -> Option<ObjectRef> {
    let name = object.str_at("/spec/issuerRef/name")?;
    let kind = object.str_at("/spec/issuerRef/kind").unwrap_or("Issuer");
    let namespace = if kind.starts_with("Cluster") { None } else { object.namespace() };
    let issuer = facts.store.get(kind, namespace, name)?;
    fault(issuer).map(|_| issuer.reference())
}

/// Services that a route sends to.
fn services(object: &Object) -> Vec<ObjectRef> {
    let rules = ["/spec/rules", "/spec/http", "/spec/tcp"].iter().flat_map(|p| object.list_at(p));
    let named = rules.flat_map(|r| {
        let backends = r["backendRefs"].as_array().into_iter().flatten();
        let routes = r["route"].as_array().into_iter().flatten().map(|d| &d["destination"]);
        backends
            .filter(|b| b["kind"].as_str().is_none_or(|k| k == "Service"))
            .filter_map(|b| Some((b["namespace"].as_str(), b["name"].as_str()?)))
            .chain(routes.filter_map(|d| Some((None, d["host"].as_str()?))))
            .collect::<Vec<_>>()
    });
    let mut found: Vec<ObjectRef> = named
        .map(|(namespace, name)| {
            let (name, inside) = name.split_once('.').map_or((name, None), |(n, rest)| (n, rest.split('.').next()));
            ObjectRef::new("Service", namespace.or(inside).or(object.namespace()), name)
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The Certificate that fills a Secret.
pub(super) fn certificate_of<'a>(facts: &'a Facts, secret: &ObjectRef) -> Option<&'a Object> {
    facts.store.list("Certificate", secret.namespace.as_deref()).find(|c| c.str_at("/spec/secretName") == Some(&secret.name))
}
