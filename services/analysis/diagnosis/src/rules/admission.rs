//! Admission webhooks that fail closed without a backend.

use kubernaut_core::model::{Category, EvidenceSource, Object, ObjectRef};

use super::{Case, scale};
use crate::{
    facts::{Facts, collect::creation_failures, log, service, text, workload::Workload},
    graph::{Finding, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let live = case.workload.live_pods().count();
    let complete = i64::try_from(live).unwrap_or(i64::MAX) >= case.workload.desired() && case.failing.is_empty();
    if complete && case.workload.is_healthy(case.facts.now) && !case.workload.is_refused() {
        return;
    }
    let failures = creation_failures(case.facts, &case.workload);
    let Some(message) = failures.iter().find(|m| m.contains("failed calling webhook") || m.contains("failed to call webhook")) else {
        return;
    };
    if let Some(finding) = backend(case, message) {
        report.find(finding.because(&case.reference(), EvidenceSource::Event, message.clone()));
    }
}

/// A configuration that is alerted itself: its backends are what it is as well as.
pub(super) fn examine_configuration(facts: &Facts, subject: &ObjectRef, report: &mut Report) {
    let Some(config) = facts.store.find(subject) else { return };
    for hook in config.list_at("/webhooks") {
        let service = &hook["clientConfig"]["service"];
        let Some(name) = service["name"].as_str() else { continue };
        report.lead(crate::graph::Lead::new(&ObjectRef::new("Service", service["namespace"].as_str(), name), 0.97, "the webhook calls it"));
    }
}

/// The webhook's name, the configuration that holds it, and the Service behind it.
fn webhook<'a>(facts: &'a Facts, message: &str) -> Option<(&'a Object, ObjectRef)> {
    let quoted = text::quoted(message);
    let kinds = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
    kinds.iter().flat_map(|k| facts.store.all(k)).find_map(|config| {
        let hook = config.list_at("/webhooks").iter().find(|w| w["name"].as_str().is_some_and(|n| quoted.contains(&n)))?;
        let service = &hook["clientConfig"]["service"];
        Some((config, ObjectRef::new("Service", service["namespace"].as_str(), service["name"].as_str()?)))
    })
}

fn service_in(facts: &Facts, message: &str) -> Option<ObjectRef> {
    log::hosts_in(message).iter().filter(|h| h.name.contains(".svc")).find_map(|h| {
        let (name, namespace) = service::cluster_name(&h.name, "")?;
        let _ = facts;
        Some(ObjectRef::new("Service", Some(namespace), name))
    })
}

fn backend(case: &Case<'_>, message: &str) -> Option<Finding> {
    let facts = case.facts;
    let known = webhook(facts, message);
    let service = known.as_ref().map(|(_, s)| s.clone()).or_else(|| service_in(facts, message))?;
    let config = known.map(|(c, _)| c);
    let object = facts.store.find(&service);
    let behind = object.map(|s| service::workloads(facts, s)).unwrap_or_default();
    let with_config = |f: Finding| match config {
        Some(c) => f.because(&c.reference(), EvidenceSource::Spec, format!("fails closed and calls {service}")),
        None => f,
    };
    let Some(workload) = behind.first() else {
        let at = config.map_or(service.clone(), Object::reference);
        let summary = format!("admission webhook calls {service}, which has no backend");
        let steps = vec![format!("bring the backend of {service} back"), "do not remove the webhook: it is a control".to_owned()];
        return Some(with_config(Finding::new(Category::AdmissionWebhookDown, &at, 0.9, summary)).propose(propose::escalate(
            &at,
            "the webhook's backend is missing",
            steps,
        )));
    };
    let reference = workload.reference();
    let summary = format!("pods are refused because the admission webhook behind {service} has no running backend");
    let finding = with_config(Finding::new(Category::AdmissionWebhookDown, &reference, 0.97, summary)).because(
        &reference,
        EvidenceSource::Status,
        format!("{} of {} replicas ready", workload.ready(), workload.desired()),
    );
    if workload.desired() == 0 {
        return Some(finding.propose(scale::restore(facts, workload)));
    }
    if workload.is_healthy(facts.now) {
        return Some(answers_badly(facts, &service, config, message));
    }
    Some(deeper(case, workload, finding))
}

/// The backend runs, so certificate, port or the way to it is wrong.
fn answers_badly(facts: &Facts, service: &ObjectRef, config: Option<&Object>, message: &str) -> Finding {
    let lower = message.to_lowercase();
    let tls = ["x509", "certificate", "tls"].iter().any(|w| lower.contains(w));
    let at = config.map_or_else(|| service.clone(), Object::reference);
    let mut report = Report::default();
    super::service::examine(facts, service, false, &mut report);
    if let Some(cause) = report.findings.into_iter().next().filter(|_| !tls) {
        return cause;
    }
    let (summary, step) = if tls {
        ("the webhook's certificate is not trusted", "renew the certificate, or the CA bundle in the configuration")
    } else {
        ("the webhook's backend runs but does not answer", "look at the backend's log and at the network from the API server to it")
    };
    Finding::new(Category::AdmissionWebhookDown, &at, 0.85, summary)
        .because(service, EvidenceSource::Status, "its backend is ready")
        .propose(propose::escalate(&at, summary, vec![step.to_owned(), "do not remove the webhook: it is a control".to_owned()]))
}

/// The backend has a fault of its own: its repair is the repair.
fn deeper(case: &Case<'_>, workload: &Workload<'_>, finding: Finding) -> Finding {
    let backend = Case::new(case.facts, workload.clone(), false);
    let mut report = Report::default();
    for rule in [
        super::image::examine,
        super::config::examine,
        super::oom::examine,
        super::probe::examine,
        super::rollout::examine,
        super::scheduling::examine,
    ] {
        rule(&backend, &mut report);
    }
    let best = report.findings.into_iter().max_by(|a, b| a.confidence.total_cmp(&b.confidence));
    let reference = workload.reference();
    match best {
        Some(cause) => {
            let mut finding = finding.because(&reference, EvidenceSource::Status, cause.summary.clone());
            finding.evidence.extend(cause.evidence);
            finding.actions = cause.actions;
            finding.confidence = finding.confidence.min(cause.confidence);
            finding
        }
        None => finding.propose(propose::escalate(
            &reference,
            "the webhook's backend does not run",
            vec![format!("find out why {reference} is not ready")],
        )),
    }
}
