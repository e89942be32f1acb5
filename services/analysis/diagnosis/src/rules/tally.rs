//! Pods that no node takes, where no node could be read.

use kubernaut_core::model::{Category, EvidenceSource, Object};

use super::{
    Case, rollout,
    scheduling::{placement_change, start},
};
use crate::{facts::schedule, graph::Finding, propose};

/// No node could be read: the scheduler's own tally is what is left, and no change can be checked against the nodes.
pub(super) fn by_word(case: &Case<'_>, object: &Object, message: &str) -> Option<Finding> {
    let tallies = schedule::tallies(message);
    let kind = |reason: &str| match reason {
        r if r.starts_with("Insufficient") || r.starts_with("Too many pods") => Some((2, Category::UnschedulableResources)),
        r if r.contains("were unschedulable") => Some((4, Category::UnschedulableCordoned)),
        r if r.contains("taint")
            && !schedule::is_control_plane_taint(
                r.trim_start_matches(|c| c != '{').trim_matches(['{', '}']).split(':').next().unwrap_or_default(),
            ) =>
        {
            Some((3, Category::UnschedulableTaint))
        }
        r if r.contains("anti-affinity") || r.contains("topology spread") || r.contains("pod affinity") => {
            Some((2, Category::UnschedulableAntiAffinity))
        }
        r if r.contains("affinity/selector") || r.contains("node selector") => Some((1, Category::UnschedulableNodeSelector)),
        _ => None,
    };
    // A node that matches and is refused for something else tells more than the nodes that do not match.
    let (_, category) = tallies.iter().filter_map(|(_, reason)| kind(reason)).max_by_key(|(weight, _)| *weight)?;
    let reference = case.reference();
    let finding = start(category, &reference, 0.8, "the scheduler finds no node".into(), object, message);
    let fields = ["nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "resources"];
    if let Some((rollout, change)) = placement_change(case, &fields) {
        let finding = finding.because(&reference, EvidenceSource::Revision, rollout::describe(rollout, change));
        return Some(rollout::with_undo(case, rollout, &[change], finding));
    }
    Some(finding.propose(propose::escalate(
        &reference,
        "the nodes could not be read, so no change can be checked against them",
        vec!["compare what the scheduler says with the nodes".to_owned()],
    )))
}
