//! Bad releases: the last template change broke command, environment or configuration.

use kubernaut_core::model::{Category, EvidenceSource, ObjectRef, ProposedAction, Timestamp};
use serde_json::{Value, json};

use super::Case;
use crate::{
    facts::{
        deps,
        log::{Hit, Host, Signature, hosts_in},
        pod::Container,
        revision::{Change, ChangeKind, Rollout},
        service::{self, Resolved},
    },
    graph::{Finding, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    if let Some(rollout) = case.blamed_rollout() {
        if let Some(finding) = crash_after(case, rollout).or_else(|| refused_after(case, rollout)) {
            report.find(finding);
        }
    } else if let Some(rollout) = case.rollout()
        && let Some(finding) = errors_after(case, rollout).or_else(|| names_nothing(case)).or_else(|| served_worse_since(case, rollout))
    {
        report.find(finding);
    }
}

/// Pods of the new revision crash: which of the changes is to blame?
fn crash_after(case: &Case<'_>, rollout: &Rollout<'_>) -> Option<Finding> {
    let (object, container) = case.crashing().find(|(_, c)| !c.last_end().is_some_and(|t| t.is_oom()))?;
    if killed_by_liveness(case, object, container.name) {
        return None;
    }
    let hits = case.hits(object, container.name);
    let end = container.last_end();
    let code = end.map_or(0, |t| t.exit_code);
    let (category, confidence, blamed) = blame(case, rollout, hits, container.name, code)?;
    let confidence = if rollout.proven.is_some() { confidence } else { confidence - 0.15 };
    let reference = template_of(case, &case.reference());
    let mut finding = Finding::new(
        category,
        &reference,
        confidence,
        format!("revision {} changed {} and its pods end with exit code {code}", rollout.current.number, blamed.path),
    )
    .because(&reference, EvidenceSource::Revision, describe(rollout, &blamed))
    .because(
        &object.reference(),
        EvidenceSource::Status,
        format!("container {} ended with exit code {code} ({}), {} restarts", container.name, end.map_or("", |t| t.reason), container.restarts()),
    );
    if let Some(proven) = &rollout.proven {
        finding = finding.because(&reference, EvidenceSource::Revision, proven.clone());
    }
    if let Some(hit) = hits.first() {
        finding = finding.because(&object.reference(), EvidenceSource::Log, hit.line.clone());
    } else if let Some(line) = case.facts.logs.get(case.namespace(), object.name(), container.name).and_then(|l| l.last_line.clone()) {
        finding = finding.because(&object.reference(), EvidenceSource::Log, line);
    }
    Some(with_undo(case, rollout, &[&blamed], finding))
}

/// Containers of the new revision cannot be created: the node refuses what the change asks for.
fn refused_after(case: &Case<'_>, rollout: &Rollout<'_>) -> Option<Finding> {
    let refused = |c: &Container<'_>| {
        let message = c.waiting_message();
        // What is missing is looked at as such.
        let missing = message.contains("not found") || message.contains("couldn't find key");
        matches!(c.waiting_reason(), "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") && !missing
    };
    let (object, container) = case.failing_containers().find(|(_, c)| refused(c))?;
    let own = |c: &&Change| c.container.as_deref().is_none_or(|n| n == container.name);
    let kinds = [ChangeKind::Config, ChangeKind::Command, ChangeKind::Other, ChangeKind::Env, ChangeKind::Resources, ChangeKind::Image];
    let change = kinds.iter().find_map(|k| rollout.of(*k).find(own))?;
    let category = if change.kind == ChangeKind::Command { Category::BadReleaseCommand } else { Category::BadReleaseConfig };
    let confidence = if rollout.proven.is_some() { 0.92 } else { 0.77 };
    let reference = case.reference();
    let summary = format!("revision {} changed {}, and its containers cannot be created", rollout.current.number, change.path);
    let finding = Finding::new(category, &reference, confidence, summary)
        .because(&reference, EvidenceSource::Revision, describe(rollout, change))
        .because(&object.reference(), EvidenceSource::Status, format!("{}: {}", container.waiting_reason(), container.waiting_message()))
        .because_some(&reference, EvidenceSource::Revision, rollout.proven.clone());
    Some(with_undo(case, rollout, &[change], finding))
}

/// A variable that the last rollout changed names a Service, or a port of one, that does not exist.
pub(super) fn names_nothing(case: &Case<'_>) -> Option<Finding> {
    let rollout = case.rollout().filter(|r| r.at.is_some_and(|at| case.facts.age_s(at) < 86_400))?;
    let (change, why) = rollout.of(ChangeKind::Env).find_map(|c| {
        let after = c.after.as_ref()?["value"].as_str()?;
        let before = c.before.as_ref()?["value"].as_str()?;
        let ok = |text: &str| hosts_in(text).iter().all(|h| leads_somewhere(case, h));
        let host = hosts_in(after).into_iter().find(|h| !leads_somewhere(case, h))?;
        let port = host.port.map(|p| format!(":{p}")).unwrap_or_default();
        (ok(before) && !hosts_in(before).is_empty()).then(|| (c, format!("{}{port} leads nowhere in the cluster", host.name)))
    })?;
    let reference = case.reference();
    let finding =
        Finding::new(Category::BadReleaseEnv, &reference, 0.86, format!("revision {} changed {}: {why}", rollout.current.number, change.path))
            .because(&reference, EvidenceSource::Revision, describe(rollout, change))
            .because_some(&reference, EvidenceSource::Revision, rollout.proven.clone());
    Some(with_undo(case, rollout, &[change], finding))
}

/// All pods are well, yet those that use them complain, or requests fail, since the last rollout.
fn served_worse_since(case: &Case<'_>, rollout: &Rollout<'_>) -> Option<Finding> {
    let at = rollout.at.filter(|at| case.facts.age_s(*at) < 86_400)?;
    rollout.proven.as_ref()?;
    // Trouble with peers of its own is looked for there.
    if !case.failing.is_empty() || case.all_hits().iter().any(|(_, h)| h.sign.kind.is_network()) {
        return None;
    }
    let (source, line, confidence, dated) = complaint_since(case, at)
        .map(|(o, l, dated)| (o, l, 0.83, dated))
        .or_else(|| failed_requests_since(case, at).map(|(o, l)| (o, l, 0.82, true)))?;
    let kinds = [ChangeKind::Command, ChangeKind::Config, ChangeKind::Env, ChangeKind::Image, ChangeKind::Other, ChangeKind::Resources];
    let change = kinds.iter().find_map(|k| rollout.of(*k).next())?;
    let category = match change.kind {
        ChangeKind::Command => Category::BadReleaseCommand,
        ChangeKind::Env => Category::BadReleaseEnv,
        _ => Category::BadReleaseConfig,
    };
    let reference = case.reference();
    let finding = Finding::new(
        category,
        &reference,
        confidence,
        format!("revision {} changed {}, and requests fail since", rollout.current.number, change.path),
    )
    .because(&reference, EvidenceSource::Revision, describe(rollout, change))
    .because(&source, EvidenceSource::Log, line)
    .because_some(&reference, EvidenceSource::Revision, rollout.proven.clone());
    if !dated {
        let steps = vec![format!("find out whether the errors began with revision {}; if so, take it back", rollout.current.number)];
        return Some(finding.propose(propose::escalate(&reference, "it is not known whether the errors began with the release", steps)));
    }
    Some(with_undo(case, rollout, &[change], finding))
}

/// A line of a client that complains about this workload, not older than `at`; and whether that is known. An answer with an error may be due
/// to the client, so a line without a time is not put down to the release for certain.
fn complaint_since(case: &Case<'_>, at: Timestamp) -> Option<(ObjectRef, String, bool)> {
    service::of_workload(case.facts, &case.workload).into_iter().find_map(|own| {
        deps::clients(case.facts, &own.reference()).into_iter().find_map(|(client, _)| {
            let (object, hit) = super::dependency::complaint_about(case.facts, &client, &own.reference())?;
            let dated = hit.at.is_some() || hit.sign.kind != Signature::ServerError;
            hit.at.is_none_or(|t| t >= at).then(|| (object.reference(), hit.line.clone(), dated))
        })
    })
}

/// Requests that the alerted workload answers with a server error since `at`, and did not before.
fn failed_requests_since(case: &Case<'_>, at: Timestamp) -> Option<(ObjectRef, String)> {
    if !(case.is_target && case.facts.about_requests) {
        return None;
    }
    let logs = case.workload.pods.iter().flat_map(|p| case.facts.logs.of_pod(case.namespace(), p.name()).map(move |(_, l)| (p.reference(), l)));
    let errors: Vec<_> = logs.flat_map(|(o, l)| l.server_errors.iter().map(move |(t, line)| (o.clone(), *t, line))).collect();
    let before = errors.iter().any(|(_, t, _)| t.is_some_and(|t| t < at));
    let since: Vec<_> = errors.iter().filter(|(_, t, _)| t.is_none_or(|t| t >= at)).collect();
    let (object, _, line) = since.last().filter(|_| !before && since.len() >= 3)?;
    Some((object.clone(), (*line).clone()))
}

/// Whether a host is a Service with that port, or nothing that can be checked.
fn leads_somewhere(case: &Case<'_>, host: &Host) -> bool {
    match service::resolve(case.facts, host, case.namespace()) {
        Resolved::Missing(_) => false,
        Resolved::Service(s) => {
            let object = case.facts.store.find(&s);
            let ports = object.map(service::ports).unwrap_or_default();
            let headless = object.is_some_and(|o| o.str_at("/spec/clusterIP") == Some("None"));
            headless || ports.is_empty() || host.port.is_none_or(|p| ports.iter().any(|q| q.port == p))
        }
        _ => true,
    }
}

/// Pods run, but their log complains about a value that the last rollout changed.
fn errors_after(case: &Case<'_>, rollout: &Rollout<'_>) -> Option<Finding> {
    let all = case.all_hits();
    let (object, hit, change) = all.iter().find_map(|(o, h)| Some((*o, *h, env_change_named(rollout, h)?)))?;
    let age = rollout.at.map_or(i64::MAX, |at| case.facts.age_s(at));
    let confidence = if age <= 7 * 86_400 { 0.94 } else { 0.8 };
    let reference = case.reference();
    let summary = format!("revision {} changed {}, and what it names cannot be reached", rollout.current.number, change.path);
    let finding = Finding::new(Category::BadReleaseEnv, &reference, confidence, summary)
        .because(&reference, EvidenceSource::Revision, describe(rollout, change))
        .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
        .because_some(&reference, EvidenceSource::Revision, rollout.proven.clone());
    Some(with_undo(case, rollout, &[change], finding))
}

/// The changed variable whose new value names the host (and port) that a line complains about, or that the line says is missing.
fn env_change_named<'r>(rollout: &'r Rollout<'_>, hit: &Hit) -> Option<&'r Change> {
    rollout.of(ChangeKind::Env).find(|c| {
        if hit.sign.kind == Signature::MissingEnv {
            return c.after.is_none() && c.env_name().is_some_and(|n| hit.sign.subject.as_deref() == Some(n));
        }
        let Some(after) = c.after.as_ref().and_then(|v| v["value"].as_str()) else { return false };
        let after = after.to_ascii_lowercase();
        let names = |host: &crate::facts::log::Host| {
            after.contains(&host.name) && host.port.is_none_or(|p| after.contains(&p.to_string()) || !after.contains(':'))
        };
        hit.sign.names_a_host() && hit.hosts.iter().any(names)
    })
}

fn blame(case: &Case<'_>, rollout: &Rollout<'_>, hits: &[Hit], container: &str, code: i64) -> Option<(Category, f64, Change)> {
    let own = |c: &&Change| c.container.as_deref().is_none_or(|n| n == container);
    if let Some(change) = hits.iter().find_map(|h| env_change_named(rollout, h)) {
        return Some((Category::BadReleaseEnv, 0.97, change.clone()));
    }
    let missing = hits.iter().find(|h| h.sign.kind == Signature::MissingEnv);
    if missing.is_some()
        && let Some(change) = rollout.changes.iter().filter(own).find(|c| c.kind == ChangeKind::Env || c.path.ends_with("envFrom"))
    {
        return Some((Category::BadReleaseEnv, 0.95, change.clone()));
    }
    // A peer that is down would be down for the old revision too.
    if hits.iter().any(|h| h.sign.kind.is_network()) && super::dependency::peer_is_down(case, hits) {
        return None;
    }
    if super::dependency::fails_outside(case, hits) {
        return None;
    }
    let first = |kind: ChangeKind| rollout.of(kind).find(own).cloned();
    let telling = |kinds: &[Signature]| hits.iter().take(4).any(|h| kinds.contains(&h.sign.kind));
    if telling(&[Signature::BadConfig, Signature::MissingFile, Signature::PermissionDenied, Signature::ReadOnly])
        && let Some(change) = first(ChangeKind::Config)
    {
        return Some((Category::BadReleaseConfig, 0.95, change));
    }
    let commandish = matches!(code, 126..=128) || telling(&[Signature::CommandNotFound, Signature::BadFlag]);
    if let Some(change) = first(ChangeKind::Command) {
        return Some((Category::BadReleaseCommand, if commandish || code != 0 { 0.97 } else { 0.93 }, change));
    }
    if let Some(change) = first(ChangeKind::Config) {
        return Some((Category::BadReleaseConfig, 0.9, change));
    }
    if let Some(change) = first(ChangeKind::Env) {
        return Some((Category::BadReleaseEnv, 0.9, change));
    }
    if let Some(change) = first(ChangeKind::Image) {
        let category = if commandish { Category::BadReleaseCommand } else { Category::BadReleaseConfig };
        return Some((category, 0.82, change));
    }
    if let Some(change) = first(ChangeKind::Resources).or_else(|| first(ChangeKind::Other)) {
        return Some((Category::BadReleaseConfig, 0.75, change));
    }
    // Another container of the pod: it may take a port, a volume or the memory.
    let clash = telling(&[Signature::AddressInUse]);
    let other = rollout.changes.iter().find(|c| c.kind != ChangeKind::Meta)?.clone();
    Some((Category::BadReleaseConfig, if clash { 0.93 } else { 0.72 }, other))
}

/// Whether the kubelet ends the container because its liveness probe fails; then the probe is looked at first.
fn killed_by_liveness(case: &Case<'_>, object: &kubernaut_core::model::Object, container: &str) -> bool {
    case.facts
        .event(&object.reference(), &["Killing"], container)
        .is_some_and(|e| e.message.contains("liveness") || e.message.contains("startup probe"))
}

/// The change with revision, manager and time.
pub(super) fn describe(rollout: &Rollout<'_>, change: &Change) -> String {
    let by = rollout.by.as_deref().map(|b| format!(" by {b}")).unwrap_or_default();
    let at = rollout.at.map(|t| format!(" at {t}")).unwrap_or_default();
    format!("revision {} -> {}{by}{at}: {}", rollout.previous.number, rollout.current.number, change.describe())
}

/// Adds the proposal that takes the rollout back.
pub(super) fn with_undo(case: &Case<'_>, rollout: &Rollout<'_>, blamed: &[&Change], finding: Finding) -> Finding {
    let reference = case.reference();
    match undo(case, rollout, blamed, &reference) {
        Some(action) => finding.propose(action),
        None => finding.propose(propose::escalate(
            &reference,
            "the change has to be taken back by hand",
            vec![format!("set {} of {reference} back as it was", blamed.first().map_or("the template", |c| c.path.as_str()))],
        )),
    }
}

/// The proposal that takes a rollout back: a rollback for a Deployment, else the field as it was.
pub(super) fn undo(case: &Case<'_>, rollout: &Rollout<'_>, blamed: &[&Change], reference: &ObjectRef) -> Option<ProposedAction> {
    let proven = rollout.proven.clone().unwrap_or_else(|| format!("revision {} is known to have worked", rollout.previous.number));
    if reference.kind == "Deployment" {
        let paused = case.workload.object.bool_at("/spec/paused") == Some(true);
        return Some(
            propose::action("rollback_deployment", reference, json!({ "to_revision": rollout.previous.number }))
                .when(rollout.proven.is_some(), proven)
                .when(!paused, "rollouts of the workload are not paused")
                .effect(format!("pods run revision {} again and become Ready", rollout.previous.number))
                .done(),
        );
    }
    let change = blamed.first()?;
    let (name, params) = restore_field(change)?;
    let target = template_of(case, reference);
    let proposal = propose::action(name, &target, params)
        .when(rollout.proven.is_some(), proven)
        .effect(format!("{} is as in revision {}", change.path, rollout.previous.number));
    Some(proposal.done())
}

/// Where the template stands: of a run, in its CronJob.
pub(super) fn template_of(case: &Case<'_>, reference: &ObjectRef) -> ObjectRef {
    let cron = case.workload.object.controller().filter(|o| reference.kind == "Job" && o.kind == "CronJob");
    cron.map_or_else(|| reference.clone(), |o| ObjectRef { uid: None, ..o })
}

fn restore_field(change: &Change) -> Option<(&'static str, Value)> {
    let container = change.container.clone().unwrap_or_default();
    let before = change.before.clone().unwrap_or(Value::Null);
    let field = change.path.rsplit('.').next()?;
    Some(match change.kind {
        ChangeKind::Env => ("patch_env", json!({ "container": container, "name": change.env_name()?, "restore": before })),
        ChangeKind::Command => ("patch_command", json!({ "container": container, "field": field, "restore": before })),
        ChangeKind::Image => ("fix_image_reference", json!({ "container": container, "image": before })),
        ChangeKind::Liveness | ChangeKind::Readiness => ("patch_probe", json!({ "container": container, "probe": field, "restore": before })),
        ChangeKind::Placement if field == "nodeSelector" => ("patch_node_selector", json!({ "restore": before })),
        ChangeKind::Placement if field == "affinity" => ("patch_affinity", json!({ "restore": before })),
        ChangeKind::Resources => {
            let mut params = serde_json::Map::from_iter([("container".to_owned(), json!(container))]);
            params.extend(["limits", "requests"].iter().filter(|k| before[**k].is_object()).map(|k| ((*k).to_owned(), before[*k].clone())));
            ("set_resource_limits", Value::Object(params))
        }
        _ => return None,
    })
}
