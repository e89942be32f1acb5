//! Proposals: typed actions with what must hold, as far as it can be read now.

mod guard;
mod source;

use kubernaut_core::model::{ObjectRef, Precondition, ProposedAction, Risk};
use serde_json::{Value, json};

pub(crate) use guard::settle;

/// What is known of an action without asking an executor.
struct Known {
    name: &'static str,
    risk: Risk,
    reversible: bool,
    /// Whether it changes what a manager such as Helm or Argo CD keeps in its source.
    edits_source: bool,
}

const fn known(name: &'static str, risk: Risk, reversible: bool, edits_source: bool) -> Known {
    Known { name, risk, reversible, edits_source }
}

/// All actions that rules may propose. What is not listed here cannot be proposed.
static ACTIONS: &[Known] = &[
    known("cordon_node", Risk::High, true, false),
    known("create_limit_range", Risk::Medium, true, false),
    known("create_storage_class", Risk::High, true, false),
    known("delete_pod", Risk::Low, true, false),
    known("escalate", Risk::None, true, false),
    known("expand_pvc", Risk::Medium, false, true),
    known("fix_image_reference", Risk::Medium, true, true),
    known("git_change", Risk::High, true, false),
    known("git_revert", Risk::High, true, false),
    known("helm_rollback", Risk::Medium, true, false),
    known("increase_cpu_limit", Risk::Medium, true, true),
    known("increase_memory_limit", Risk::Medium, true, true),
    known("increase_quota", Risk::Medium, true, true),
    known("label_node", Risk::Medium, true, false),
    known("migrate_pvc", Risk::High, true, true),
    known("no_action", Risk::None, true, false),
    known("patch_affinity", Risk::Medium, true, true),
    known("patch_command", Risk::Medium, true, true),
    known("patch_configmap", Risk::Medium, true, true),
    known("patch_env", Risk::Medium, true, true),
    known("patch_hpa_max", Risk::Medium, true, true),
    known("patch_network_policy", Risk::Medium, true, true),
    known("patch_node_selector", Risk::Medium, true, true),
    known("patch_probe", Risk::Medium, true, true),
    known("patch_secret_reference", Risk::Medium, true, true),
    known("patch_service_port", Risk::Medium, true, true),
    known("patch_service_selector", Risk::Medium, true, true),
    known("provision_node", Risk::High, true, false),
    known("recreate_pull_secret", Risk::Medium, true, false),
    known("recreate_pvc", Risk::Medium, true, false),
    known("reduce_requests", Risk::Medium, true, true),
    known("relax_pdb", Risk::Medium, true, true),
    known("remove_taint", Risk::High, true, false),
    known("rerun_job", Risk::Medium, false, false),
    known("restore_configmap", Risk::Medium, true, false),
    known("restore_role_binding", Risk::High, true, false),
    known("restore_secret", Risk::Medium, true, false),
    known("restore_service", Risk::Medium, true, false),
    known("rollback_deployment", Risk::Medium, true, true),
    known("rollout_restart", Risk::Low, true, false),
    known("scale_replicas", Risk::Medium, true, false),
    known("set_resource_limits", Risk::Medium, true, true),
    known("set_resource_requests", Risk::Medium, true, true),
    known("uncordon_node", Risk::Medium, true, false),
];

fn lookup(name: &str) -> Option<&'static Known> {
    ACTIONS.iter().find(|a| a.name == name)
}

/// Whether an action leaves everything as it is.
pub(crate) fn is_restraint(name: &str) -> bool {
    matches!(name, "no_action" | "escalate" | "notify_only")
}

/// Starts a proposal.
pub(crate) fn action(name: &'static str, target: &ObjectRef, params: Value) -> Proposal {
    let (risk, reversible) = lookup(name).map_or((Risk::Critical, false), |k| (k.risk, k.reversible));
    Proposal(ProposedAction {
        action: name.to_owned(),
        target: ObjectRef { uid: None, ..target.clone() },
        params,
        preconditions: Vec::new(),
        risk,
        reversible,
        expected_effect: String::new(),
        manual_steps: Vec::new(),
    })
}

/// Handing over to a person, with what to do.
pub(crate) fn escalate(target: &ObjectRef, reason: impl Into<String>, steps: Vec<String>) -> ProposedAction {
    let mut proposal = action("escalate", target, json!({ "reason": reason.into() })).effect("a person takes over with the evidence at hand").done();
    proposal.manual_steps = steps;
    proposal
}

/// A proposal in the making.
#[derive(Debug, Clone)]
pub(crate) struct Proposal(ProposedAction);

impl Proposal {
    /// Adds what must hold, and whether it does.
    pub(crate) fn when(mut self, holds: bool, text: impl Into<String>) -> Self {
        self.0.preconditions.push(Precondition { text: text.into(), holds });
        self
    }

    /// Says what should be true afterwards.
    pub(crate) fn effect(mut self, text: impl Into<String>) -> Self {
        self.0.expected_effect = text.into();
        self
    }

    /// Marks that it cannot be taken back here.
    pub(crate) fn irreversible(mut self) -> Self {
        self.0.reversible = false;
        self
    }

    /// Adds manual steps, for when a person has to do it.
    pub(crate) fn steps(mut self, steps: Vec<String>) -> Self {
        self.0.manual_steps = steps;
        self
    }

    pub(crate) fn done(self) -> ProposedAction {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_nothing_that_destroys() {
        assert!(ACTIONS.windows(2).all(|w| w[0].name < w[1].name));
        for forbidden in
            ["delete_pvc", "delete_namespace", "delete_node", "delete_secret", "drain_node", "delete_service", "delete_webhook_configuration"]
        {
            assert!(lookup(forbidden).is_none(), "{forbidden}");
        }
    }
}
