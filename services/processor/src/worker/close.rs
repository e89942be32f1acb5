//! The end of an incident: what is remembered and who is told. Pure.

use kubernaut_core::model::{Environment, HistoryEntry, Incident, Notification, NotificationId, NotificationKind, Phase, Run, Timestamp, veil};
use serde_json::{Value, json};

use super::{executing::untouched, previews::Preview, text};

/// What the last step adds to the message.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) previews: Vec<Preview>,
}

/// Most facts in one message.
const EVIDENCE: usize = 8;

pub(super) fn entry(incident: &Incident, run: Option<&Run>, now: Timestamp) -> HistoryEntry {
    let cause = incident.analysis.as_ref().and_then(|a| a.candidates.first());
    let done = run.filter(|r| !untouched(r)).and_then(|r| r.plan.steps.first());
    HistoryEntry {
        incident_id: Some(incident.id),
        tenant: incident.tenant.clone(),
        fingerprint: incident.fingerprint.clone(),
        opened_at: incident.opened_at,
        closed_at: Some(incident.closed_at.unwrap_or(now)),
        alert_name: incident.alert_name.clone(),
        resource: incident.owner.clone(),
        environment: incident.classification.as_ref().map(|c| c.environment.value).filter(|e| *e != Environment::Unknown),
        category: cause.map(|c| c.category),
        cause: cause.map(|c| c.object.clone()),
        action: done.map(|s| s.action.clone()),
        parameters: done.map(|s| veil::params(&s.action, &s.params)).unwrap_or(Value::Null),
        outcome: incident.outcome,
        effectiveness: incident.verification.as_ref().map(|v| v.score),
        text: searchable(incident),
    }
}

fn searchable(incident: &Incident) -> String {
    let mut lines = vec![format!("{} {}", incident.alert_name, incident.target)];
    lines.extend(text::cause(incident));
    lines.extend(facts(incident));
    lines.join("\n")
}

fn facts(incident: &Incident) -> Vec<String> {
    let cause = incident.analysis.as_ref().and_then(|a| a.candidates.first());
    cause.into_iter().flat_map(|c| &c.evidence).take(EVIDENCE).map(|e| format!("{}: {}", e.object, e.text)).collect()
}

pub(super) fn notification(incident: &Incident, run: Option<&Run>, extra: &Extra, now: Timestamp) -> Notification {
    let kind = match incident.phase {
        Phase::ManualReview | Phase::Failed | Phase::TimedOut | Phase::Ineffective => NotificationKind::Escalated,
        _ => NotificationKind::Closed,
    };
    Notification {
        id: NotificationId::new(now),
        incident_id: incident.id,
        kind,
        severity: incident.severity,
        title: format!("{}: {} on {}", incident.phase.as_str().replace('_', " "), incident.alert_name, incident.owner),
        body: body(incident, run, extra),
        data: data(incident, extra),
        at: now,
    }
}

fn body(incident: &Incident, run: Option<&Run>, extra: &Extra) -> String {
    let mut lines = vec![incident.message.clone()];
    lines.extend(text::cause(incident).map(|c| format!("cause: {c}")));
    lines.extend(facts(incident).into_iter().map(|f| format!("evidence: {f}")));
    let done = run.filter(|r| !untouched(r)).map(|r| format!("done: {}", text::steps(&r.plan)));
    lines.extend(done);
    lines.extend(extra.previews.iter().flat_map(preview_lines));
    if incident.phase == Phase::ManualReview {
        lines.extend(by_hand(incident));
    }
    lines.join("\n")
}

fn preview_lines(preview: &Preview) -> Vec<String> {
    let shown = |v: &Option<Value>| v.as_ref().map_or_else(|| "absent".to_owned(), Value::to_string);
    let mut lines: Vec<_> =
        preview.changes.iter().map(|c| format!("would change {} {}: {} -> {}", preview.target, c.path, shown(&c.before), shown(&c.after))).collect();
    lines.extend(preview.refused.iter().map(|r| format!("the gate would refuse it: {r}")));
    lines.extend(preview.error.iter().map(|e| format!("the dry-run cannot be shown: {e}")));
    lines
}

/// Proposals with what does not hold, manual steps and open questions.
fn by_hand(incident: &Incident) -> Vec<String> {
    let Some(analysis) = &incident.analysis else { return Vec::new() };
    let mut lines = Vec::new();
    for action in &analysis.actions {
        let unmet: Vec<_> = action.preconditions.iter().filter(|p| !p.holds).map(|p| p.text.as_str()).collect();
        let unmet = if unmet.is_empty() { String::new() } else { format!(" (does not hold: {})", unmet.join("; ")) };
        lines.push(format!("proposal: {} {}{unmet}", action.action, action.target));
        lines.extend(action.manual_steps.iter().map(|s| format!("by hand: {s}")));
    }
    lines.extend(analysis.questions.iter().map(|q| format!("question: {}", q.text)));
    lines.extend(analysis.gaps.iter().map(|g| format!("not known: {g}")));
    lines
}

fn data(incident: &Incident, extra: &Extra) -> Value {
    json!({
        "phase": incident.phase,
        "alert_name": incident.alert_name,
        "target": incident.target.to_string(),
        "owner": incident.owner.to_string(),
        "environment": incident.classification.as_ref().map(|c| c.environment.value),
        "priority": incident.classification.as_ref().map(|c| c.priority),
        "business": incident.classification.as_ref().map(|c| &c.business),
        "decision": incident.decision,
        "decision_reason": incident.decision_reason,
        "cause": incident.analysis.as_ref().and_then(|a| a.candidates.first()),
        "proposals": incident.analysis.as_ref().map(|a| &a.actions),
        "dry_runs": extra.previews,
        "run_id": incident.run_id,
        "verification": incident.verification,
        "message": incident.message,
    })
}
