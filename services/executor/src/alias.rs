//! Other names under which actions are known, in one table: an action answers to all of them, and is recorded under its own.

/// Other name, own name. Names that an action's row has itself are not repeated here; a line whose action is not offered says nothing.
static ALIASES: &[(&str, &str)] = &[
    ("audit_logs", "collect_diagnostics"),
    ("cleanup_node", "cleanup_storage"),
    ("cordon_and_drain", "drain_node"),
    ("cordon_drain", "drain_node"),
    ("cordon_drain_node", "drain_node"),
    ("evict_pod", "delete_pod"),
    ("failover", "failover_database"),
    ("fix_network_policy", "patch_network_policy"),
    ("git_revert_commit", "git_revert"),
    ("increase_resources", "set_resource_limits"),
    ("restart_daemonset", "rollout_restart"),
    ("restart_deployment", "rollout_restart"),
    ("restart_pod", "delete_pod"),
    ("restart_statefulset", "rollout_restart"),
    ("scale_deployment", "scale_replicas"),
    ("scale_statefulset", "scale_replicas"),
    ("set_quota", "increase_quota"),
    ("set_resources", "set_resource_limits"),
    ("silence_alert", "create_silence"),
    ("untaint_node", "remove_taint"),
    ("update_configmap", "patch_configmap"),
    ("update_hpa", "patch_hpa_max"),
    ("patch_hpa", "patch_hpa_max"),
    ("patch_image", "fix_image_reference"),
    ("update_network_policy", "patch_network_policy"),
];

/// Further names of an action.
pub(crate) fn of(name: &str) -> impl Iterator<Item = &'static str> {
    ALIASES.iter().filter(move |(_, own)| *own == name).map(|(alias, _)| *alias)
}

/// All names of an action beside its own: those of its row, then those of the table, each once and none that is another action's own name.
pub(crate) fn all(name: &str, row: &[&'static str], taken: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for alias in row.iter().copied().chain(of(name)) {
        if !taken(alias) && !names.iter().any(|n| n == alias) {
            names.push(alias.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        outside,
        registry::{find_spec, registry},
    };

    /// The actions of the roadmap, under the names that its tools use.
    const CANONICAL: &[&str] = &[
        "scale_deployment",
        "restart_pod",
        "increase_resources",
        "rollback_deployment",
        "expand_pvc",
        "cordon_node",
        "uncordon_node",
        "untaint_node",
        "update_hpa",
        "restart_daemonset",
        "scale_statefulset",
        "update_network_policy",
        "notify_only",
    ];

    #[test]
    fn every_canonical_name_is_answered() {
        let offered: Vec<_> = registry().iter().cloned().chain(outside::specs()).collect();
        let missing: Vec<_> = CANONICAL.iter().filter(|name| find_spec(&offered, name).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn no_name_stands_for_two_actions() {
        let names: Vec<&str> = ALIASES.iter().map(|(alias, _)| *alias).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(ALIASES.iter().all(|(alias, own)| alias != own));
    }
}
