//! Requests for approval: what a person is asked, and how an answer reads. Pure.

use kubernaut_core::model::{
    Approval, ApprovalId, ApprovalState, FieldChange, Incident, Mode, Notification, NotificationId, NotificationKind, Run, Step, StepRun, Timestamp,
    diff_digest, veil,
};
use serde_json::{Value, json};

use crate::{plan::action_request, retry::later, state::Preview};

/// Fields shown in a message; the rest is counted.
const SHOWN: usize = 8;

/// The request for one step, bound to the effect that `preview` shows.
pub(crate) fn open(run: &Run, step: &Step, is: &StepRun, preview: &Preview, now: Timestamp) -> Approval {
    let open_for = preview.terms.expires_s.map_or(run.plan.approval_timeout_s, |s| s.clamp(1, run.plan.approval_timeout_s));
    Approval {
        id: ApprovalId::new(now),
        incident_id: run.incident_id,
        run_id: run.id,
        step_id: step.id.clone(),
        request: veil::request(action_request(step, is.key.clone())),
        changes: preview.changes.clone(),
        digest: preview.digest.clone(),
        reasons: reasons(run, step, preview),
        state: ApprovalState::Pending,
        requested_at: now,
        expires_at: later(now, std::time::Duration::from_secs(open_for)),
        decided_by: None,
        decided_at: None,
        comment: None,
        terms: preview.terms.clone(),
        requested_by: is.edited_by.clone(),
        agreed: Vec::new(),
    }
}

fn reasons(run: &Run, step: &Step, preview: &Preview) -> Vec<String> {
    let mut reasons = preview.asks.clone();
    if step.requires_approval && run.mode != Mode::Approve {
        reasons.push(format!("the plan asks for a person: {}", run.plan.reason));
    }
    if reasons.is_empty() {
        reasons.push("mode approve: a person agrees each time".into());
    }
    reasons
}

/// What stands for the effect where it cannot be shown: the request itself.
pub(crate) fn request_digest(step: &Step) -> String {
    let params = FieldChange { path: "/params".into(), before: None, after: Some(step.params.clone()) };
    diff_digest(&step.action, &step.target, &[params])
}

/// The request as it reads at `now`: an unanswered one is over at its time.
pub(crate) fn as_of(approval: &Approval, now: Timestamp) -> Approval {
    let mut approval = approval.clone();
    if approval.state == ApprovalState::Pending && now >= approval.expires_at {
        approval.state = ApprovalState::Expired;
    }
    approval
}

/// Whether a person agreed longer ago than they had time to answer, as before a downtime: who would agree then need not agree now.
pub(crate) fn has_lapsed(approval: &Approval, run: &Run, now: Timestamp) -> bool {
    let agreed = approval.decided_at.unwrap_or(approval.requested_at);
    now >= later(agreed, std::time::Duration::from_secs(run.plan.approval_timeout_s))
}

/// The request, closed because it has become void.
pub(crate) fn withdrawn(approval: &Approval, now: Timestamp, why: &str) -> Approval {
    Approval { state: ApprovalState::Expired, decided_at: Some(now), comment: Some(not_begun(why)), ..approval.clone() }
}

const VOID: &str = "not begun: ";

/// One line on a step, and on its question if there is one, that are void because of something else.
pub(crate) fn not_begun(why: &str) -> String {
    format!("{VOID}{why}")
}

/// Whether a step's error says so.
pub(crate) fn void(error: Option<&str>) -> bool {
    error.is_none_or(|e| e.starts_with(VOID))
}

/// One line on why a step was not agreed to.
pub(crate) fn refusal(approval: &Approval) -> String {
    let by = approval.decided_by.as_deref().unwrap_or("a person");
    match (approval.state, &approval.comment) {
        (ApprovalState::Rejected, Some(comment)) if !comment.is_empty() => format!("rejected by {by}: {comment}"),
        (ApprovalState::Rejected, _) => format!("rejected by {by}"),
        _ => format!("nobody agreed until {}", approval.expires_at),
    }
}

/// What people are told.
pub(crate) fn notification(approval: &Approval, run: &Run, incident: &Incident, now: Timestamp) -> Notification {
    let request = &approval.request;
    Notification {
        id: NotificationId::new(now),
        incident_id: approval.incident_id,
        kind: NotificationKind::ApprovalRequested,
        severity: incident.severity,
        title: format!("Approval needed: {} on {}", request.action, request.target),
        body: body(approval, run),
        data: json!({
            "approval_id": approval.id,
            "run_id": approval.run_id,
            "step": approval.step_id,
            "action": request.action,
            "target": request.target.to_string(),
            "digest": approval.digest,
            "reasons": approval.reasons,
            "changes": approval.changes,
            "expires_at": approval.expires_at,
        }),
        at: now,
    }
}

fn body(approval: &Approval, run: &Run) -> String {
    let mut lines = vec![format!("Why: {}", run.plan.reason)];
    lines.extend(approval.reasons.iter().map(|r| format!("Asked because: {r}")));
    lines.extend(approval.changes.iter().take(SHOWN).map(|c| format!("{}: {} -> {}", c.path, short(c.before.as_ref()), short(c.after.as_ref()))));
    if approval.changes.len() > SHOWN {
        lines.push(format!("and {} more fields", approval.changes.len() - SHOWN));
    }
    lines.extend(who(approval));
    lines.push(format!("Counts as no after {}", approval.expires_at));
    lines.join("\n")
}

/// Who has to agree, where it is not just anybody.
fn who(approval: &Approval) -> Option<String> {
    let terms = &approval.terms;
    let groups = if terms.groups.is_empty() { String::new() } else { format!(" in one of the groups {}", terms.groups.join(", ")) };
    let not = approval.requested_by.as_ref().filter(|_| terms.four_eyes).map(|by| format!(", not {by}")).unwrap_or_default();
    let plain = terms.approvers <= 1 && groups.is_empty() && not.is_empty();
    (!plain).then(|| format!("Needs the agreement of {} people{groups}{not}", terms.approvers.max(1)))
}

fn short(value: Option<&Value>) -> String {
    const LONGEST: usize = 120;
    let text = value.map_or_else(|| "(absent)".to_owned(), Value::to_string);
    if text.chars().count() <= LONGEST { text } else { format!("{}…", text.chars().take(LONGEST).collect::<String>()) }
}
