//! What happens to every proposal before it leaves: managed objects are changed at their source, and what failed before is not repeated.

use kubernaut_core::model::{Category, HistoryEntry, ObjectRef, Outcome, ProposedAction};

use super::{action, escalate, is_restraint, lookup, source};
use crate::facts::Facts;

/// Days for which a failed action is remembered.
const MEMORY_DAYS: i64 = 7;

/// The proposals for a cause as they may be shown: redirected to the source, without what failed before, never empty.
pub(crate) fn settle(
    facts: &Facts,
    category: Category,
    object: &ObjectRef,
    confidence: f64,
    act_above: f64,
    proposed: Vec<ProposedAction>,
) -> Vec<ProposedAction> {
    if category == Category::NoFault {
        return vec![action("no_action", object, serde_json::json!({})).effect("nothing is changed").done()];
    }
    let unsure = confidence < act_above;
    let mut settled = Vec::new();
    for proposal in proposed {
        if is_restraint(&proposal.action) {
            settled.push(proposal);
            continue;
        }
        if unsure || lookup(&proposal.action).is_none() {
            continue;
        }
        if let Some(past) = failed_before(facts, &proposal) {
            settled.push(escalate(
                object,
                format!("{} on {} was tried before and did not last: {past}", proposal.action, proposal.target),
                vec![
                    format!("find out why {} did not help before it is tried again", proposal.action),
                    format!("look at {} and at who changes it", proposal.target),
                ],
            ));
            continue;
        }
        settled.push(source::redirect(facts, category, proposal));
    }
    if settled.is_empty() {
        let reason = if unsure { "the facts do not single out one cause" } else { "no safe action is known for this cause" };
        settled.push(escalate(
            object,
            reason,
            vec![format!("look into {object}"), "decide between the candidates with the questions listed".to_owned()],
        ));
    }
    settled.dedup_by(|a, b| a.action == b.action && a.target.same_object(&b.target));
    settled
}

/// The memory of the same action on the same object that did not help.
fn failed_before(facts: &Facts, proposal: &ProposedAction) -> Option<String> {
    let same = |h: &&HistoryEntry| {
        let names = [h.action.as_deref().unwrap_or_default()];
        names.iter().any(|n| canonical(n) == proposal.action)
            && (h.resource.same_object(&proposal.target) || h.cause.as_ref().is_some_and(|c| c.same_object(&proposal.target)))
            && facts.age_s(h.closed_at.unwrap_or(h.opened_at)) <= MEMORY_DAYS * 86_400
    };
    let failed = |h: &&HistoryEntry| {
        matches!(h.outcome, Some(Outcome::Ineffective | Outcome::RolledBack | Outcome::Failed)) || h.effectiveness.is_some_and(|e| e < 0.3)
    };
    let past: Vec<_> = facts.history.iter().filter(same).filter(failed).collect();
    let last = past.iter().max_by_key(|h| h.opened_at)?;
    let outcome = last.outcome.map_or("ineffective", outcome_name);
    Some(format!("{} time(s), last {} ({outcome})", past.len(), last.opened_at))
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::RolledBack => "rolled back",
        Outcome::Failed => "failed",
        _ => "ineffective",
    }
}

/// The name of an action behind its common aliases.
fn canonical(name: &str) -> &str {
    match name {
        "scale_deployment" | "scale_statefulset" | "restore_replicas" => "scale_replicas",
        "update_hpa" | "patch_hpa" => "patch_hpa_max",
        "restart_pod" => "delete_pod",
        "increase_resources" | "increase_memory_limits" => "increase_memory_limit",
        "patch_image" => "fix_image_reference",
        "untaint_node" => "remove_taint",
        "update_network_policy" => "patch_network_policy",
        "restart_deployment" | "restart_statefulset" | "graceful_restart" => "rollout_restart",
        other => other,
    }
}
