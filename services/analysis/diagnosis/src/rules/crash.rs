//! Crashes that no other rule explains: what is known of them, for a person.

use kubernaut_core::model::{Category, EvidenceSource};
use serde_json::json;

use super::Case;
use crate::{
    facts::log::{Hit, Signature},
    graph::{Finding, Report},
    propose,
};

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    if let Some((object, container)) = case.crashing().next() {
        let Some(end) = container.last_end() else { return };
        let hits = case.hits(object, container.name);
        port_taken(case, object, &container, hits, report);
        start_error(case, object, &container, report);
        missing_env(case, object, container.name, hits, report);
        let reference = case.reference();
        let what = meaning(end.exit_code, end.reason);
        let finding = Finding::new(Category::ApplicationError, &reference, 0.45, format!("container {} keeps ending: {what}", container.name))
            .symptomatic()
            .because(
                &object.reference(),
                EvidenceSource::Status,
                format!("container {} exit code {} ({}), {} restarts", container.name, end.exit_code, end.reason, container.restarts()),
            );
        let line =
            hits.first().map(|h| h.line.clone()).or_else(|| case.facts.logs.get(case.namespace(), object.name(), container.name)?.last_line.clone());
        report.find(finding.because_some(&object.reference(), EvidenceSource::Log, line).propose(propose::escalate(
            &reference,
            "the application fails for a reason that the cluster's state does not hold",
            vec![
                format!("read the log of container {} of {}", container.name, object.reference()),
                "look for what changed in the application or in what it needs".to_owned(),
            ],
        )));
        return;
    }
    not_ready(case, report);
}

/// Pods that are simply not ready.
fn not_ready(case: &Case<'_>, report: &mut Report) {
    let Some(object) = case.failing.first() else { return };
    let reference = case.reference();
    let condition = object.condition("Ready").and_then(|c| c["message"].as_str()).unwrap_or_default();
    let mut finding = Finding::new(Category::Unknown, &reference, 0.3, "pods are not ready and the facts do not tell why").symptomatic();
    if !condition.is_empty() {
        finding = finding.because(&object.reference(), EvidenceSource::Status, condition);
    }
    if let Some(event) = case.facts.events_of(&object.reference()).filter(|e| e.kind == "Warning").last() {
        finding = finding.because(&object.reference(), EvidenceSource::Event, format!("{}: {}", event.reason, event.message));
    }
    report.find(finding);
}

/// The runtime could not start the command, and there is no earlier revision to compare with.
fn start_error(case: &Case<'_>, object: &kubernaut_core::model::Object, container: &crate::facts::pod::Container<'_>, report: &mut Report) {
    let Some(end) = container.last_end() else { return };
    let cannot_start =
        matches!(end.exit_code, 126..=128) && (end.exit_code != 128 || end.reason == "StartError" || end.reason == "ContainerCannotRun");
    if !cannot_start || case.blamed_rollout().is_some() {
        return;
    }
    let reference = case.reference();
    let text = if end.message.is_empty() { meaning(end.exit_code, end.reason) } else { end.message.to_owned() };
    report.find(
        Finding::new(Category::BadReleaseCommand, &reference, 0.85, format!("the command of container {} cannot be started", container.name))
            .because(&object.reference(), EvidenceSource::Status, format!("exit code {}: {text}", end.exit_code))
            .because(&reference, EvidenceSource::Spec, format!("command {} {}", container.spec["command"], container.spec["args"]))
            .propose(
                propose::action("patch_command", &reference, json!({ "container": container.name }))
                    .when(false, "the right command is known from an earlier revision")
                    .effect("the container starts")
                    .steps(vec![format!("correct the command of container {}", container.name)])
                    .done(),
            ),
    );
}

/// Two containers of one pod want the same port.
fn port_taken(
    case: &Case<'_>,
    object: &kubernaut_core::model::Object,
    container: &crate::facts::pod::Container<'_>,
    hits: &[Hit],
    report: &mut Report,
) {
    let Some(hit) = hits.iter().take(5).find(|h| h.sign.kind == Signature::AddressInUse) else { return };
    if case.blamed_rollout().is_some() {
        return;
    }
    let named = |port: u16| hit.line.split(|c: char| !c.is_ascii_digit()).any(|w| w.parse() == Ok(port));
    let all = crate::facts::pod::containers(object);
    let others = all.iter().filter(|c| c.name != container.name && !c.init);
    let rival = others.flat_map(|c| c.ports().into_iter().map(move |(p, _)| (c.name, p))).find(|(_, p)| named(*p));
    let reference = case.reference();
    let (confidence, summary) = match rival {
        Some((other, port)) => (0.88, format!("containers {} and {other} of the pod want the same port {port}", container.name)),
        None if object.bool_at("/spec/hostNetwork") == Some(true) => {
            (0.8, format!("container {} wants a port of the node that is taken", container.name))
        }
        None => return,
    };
    report.find(
        Finding::new(Category::BadReleaseConfig, &reference, confidence, summary.clone())
            .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
            .because(&reference, EvidenceSource::Spec, summary)
            .propose(propose::escalate(
                &reference,
                "one of the two has to serve another port",
                vec![format!("give one of the containers another port, and change what points to it")],
            )),
    );
}

/// A variable that is missing from the start: no rollout took it away.
fn missing_env(case: &Case<'_>, object: &kubernaut_core::model::Object, container: &str, hits: &[Hit], report: &mut Report) {
    let Some(hit) = hits.iter().take(5).find(|h| h.sign.kind == Signature::MissingEnv) else { return };
    let Some(name) = hit.sign.subject.as_deref() else { return };
    if case.blamed_rollout().is_some() {
        return;
    }
    let reference = case.reference();
    report.find(
        Finding::new(Category::BadReleaseEnv, &reference, 0.82, format!("container {container} needs the variable {name}, which is not set"))
            .because(&object.reference(), EvidenceSource::Log, hit.line.clone())
            .because(&reference, EvidenceSource::Spec, format!("container {container} has no variable {name}"))
            .propose(
                propose::action("patch_env", &reference, json!({ "container": container, "name": name }))
                    .when(false, format!("the value of {name} is known from an earlier revision"))
                    .effect("the container starts")
                    .steps(vec![format!("set {name} on container {container}")])
                    .done(),
            ),
    );
}

/// What an exit code usually means.
pub(super) fn meaning(code: i64, reason: &str) -> String {
    let text = match code {
        _ if reason == "OOMKilled" => "killed for memory",
        0 => "the process ended by itself",
        1 => "the application reported an error",
        2 => "wrong use of a command",
        126 => "the command is not executable",
        127 => "the command was not found",
        128 => "the container could not be started",
        134 => "the process aborted",
        137 => "killed",
        139 => "segmentation fault",
        143 => "asked to end",
        _ => "the process failed",
    };
    format!("exit code {code}, {text}")
}
