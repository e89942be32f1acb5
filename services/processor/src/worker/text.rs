//! What people read. Pure.

use kubernaut_core::model::{Incident, Mode, Plan, Step, Verdict, Verification, veil};
use serde::Serialize;

pub(super) fn no_action(incident: &Incident) -> String {
    match cause(incident) {
        Some(cause) => format!("nothing to fix: {cause}"),
        None => "nothing to fix".into(),
    }
}

pub(super) fn handed_over(incident: &Incident) -> String {
    let reason = &incident.decision_reason;
    match cause(incident) {
        Some(cause) => format!("{reason}; cause: {cause}"),
        None => format!("{reason}; no cause found"),
    }
}

pub(super) fn would_do(incident: &Incident, plan: &Plan, mode: Mode) -> String {
    let asks = plan.steps.iter().any(|s| s.requires_approval);
    let how = if asks { "would ask for agreement to" } else { "would" };
    let mode = if mode == Mode::Observe { "observe" } else { "dry_run" };
    format!("mode {mode}: nothing was changed; Kubernaut {how} {} ({})", steps(plan), incident.decision_reason)
}

/// The steps in one line, such as `rollback_deployment Deployment/shop/web {"to_revision":1}`.
pub(super) fn steps(plan: &Plan) -> String {
    let one = |s: &Step| {
        let params = if s.params.as_object().is_none_or(serde_json::Map::is_empty) {
            String::new()
        } else {
            format!(" {}", veil::params(&s.action, &s.params))
        };
        format!("{} {}{params}", s.action, s.target)
    };
    plan.steps.iter().map(one).collect::<Vec<_>>().join(", then ")
}

/// The most likely cause in one line.
pub(super) fn cause(incident: &Incident) -> Option<String> {
    let first = incident.analysis.as_ref()?.candidates.first()?;
    let summary = if first.summary.is_empty() { String::new() } else { format!(": {}", first.summary) };
    Some(format!("{} on {} (confidence {:.2}){summary}", first.category.as_str(), first.object, first.confidence))
}

pub(super) fn verdict(look: &Verification) -> String {
    let word = match look.verdict {
        Verdict::Pending => "not certain yet",
        Verdict::Effective => "effective",
        Verdict::Ineffective => "it did not help",
        Verdict::Harmful => "it made things worse",
        Verdict::Unknown => "it cannot be told whether it helped",
    };
    let simulated = if look.simulated { " (simulated)" } else { "" };
    let checks: Vec<_> = look.checks.iter().map(|c| format!("{}: {}", c.name, c.text)).collect();
    format!("{word}{simulated}; {}", checks.join("; "))
}

/// The stable name of a value, as on the wire.
pub(super) fn name_of(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
