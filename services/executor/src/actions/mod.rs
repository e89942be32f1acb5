//! The actions, one file per family.

mod autoscaling;
mod claim;
mod command;
mod configmap;
mod container;
mod cronjob;
mod disruption;
pub(crate) mod drain;
mod env;
mod image;
mod inspect;
mod isolate;
mod job;
mod network;
mod node;
mod node_label;
mod placement;
mod pod;
mod probe;
mod quota;
mod record;
mod remove;
mod resources;
mod restore;
mod revision;
mod rollback;
mod rollout;
mod rotate;
mod scale;
mod secret;
mod service;
mod webhook;
mod workload;

use kubernaut_core::model::Precondition;

use crate::{
    action::{Action, Current, Extra, condition},
    marks::TEMPORARY,
};

pub(crate) use rollout::RESTART_STAMP;

/// Its effect is another controller's work, and carries no mark.
pub(crate) const RESTORE_SECRET: &str = "restore_secret";
/// Its undo copies values that nobody sees.
pub(crate) const ROTATE_SECRETS: &str = "rotate_secrets";

/// Of changes that end by themselves an object carries one.
fn no_other_end(current: &Current) -> Precondition {
    let other = current.target.label(TEMPORARY).is_some();
    condition(!other, if other { "another temporary change of it is under way" } else { "no other temporary change of it is under way" })
}

const MAKES: Extra = Extra { creates: true, verbs: &["get", "create", "delete"], ..Extra::NONE };
const RUNS_JOB: Extra = Extra {
    verbs: &["get"],
    rights: &[("batch", "jobs", &["get", "list", "create"]), ("", "pods", &["list"]), ("", "pods/log", &["get"])],
    runs_job: true,
    ..Extra::NONE
};

/// What sets actions apart from those that patch their target.
static EXTRAS: &[(&str, Extra)] = &[
    ("restore_service", MAKES),
    ("create_limit_range", MAKES),
    ("restore_configmap", Extra { verbs: &["get", "create", "patch", "delete"], ..MAKES }),
    ("restore_role_binding", Extra { verbs: &["get", "create", "patch", "delete"], ..MAKES }),
    ("recreate_pull_secret", MAKES),
    (
        RESTORE_SECRET,
        Extra {
            creates: true,
            verbs: &["get"],
            rights: &[
                ("external-secrets.io", "externalsecrets", &["get", "list", "patch"]),
                ("bitnami.com", "sealedsecrets", &["get", "list", "patch"]),
                ("cert-manager.io", "certificates", &["get", "list", "patch"]),
            ],
            ..Extra::NONE
        },
    ),
    (ROTATE_SECRETS, Extra { verbs: &["get", "create", "patch", "delete"], ..Extra::NONE }),
    ("recreate_pvc", Extra { rights: &[("", "configmaps", &["get", "create"])], ..MAKES }),
    ("fix_statefulset_pvc", Extra { verbs: &["get", "delete"], rights: &[("", "pods", &["delete"])], removes: true, ..Extra::NONE }),
    ("cleanup_pvc", Extra { verbs: &["get", "delete"], removes: true, ..Extra::NONE }),
    ("force_delete_pod", Extra { verbs: &["get", "delete"], ..Extra::NONE }),
    ("quarantine_pod", Extra { rights: &[("networking.k8s.io", "networkpolicies", &["get", "create", "delete"])], ..Extra::NONE }),
    ("drain_node", Extra { rights: &[("", "pods/eviction", &["create"]), ("", "pods", &["list", "delete"])], ..Extra::NONE }),
    ("create_heap_dump", Extra { verbs: &["get"], rights: &[("", "pods/exec", &["create", "get"])], ..Extra::NONE }),
    (
        "collect_diagnostics",
        Extra { verbs: &["get"], rights: &[("", "pods", &["list"]), ("", "pods/log", &["get"]), ("", "events", &["list"])], ..Extra::NONE },
    ),
    ("enable_debug_mode", Extra { lasts: inspect::debug_lasts, ..Extra::NONE }),
    ("relax_pdb", Extra { lasts: disruption::lasts, ..Extra::NONE }),
    ("rerun_job", RUNS_JOB),
    ("run_job", RUNS_JOB),
    ("failover_database", RUNS_JOB),
    ("repair_database", RUNS_JOB),
    ("compact_storage", RUNS_JOB),
    ("cleanup_storage", RUNS_JOB),
    (
        "backup_data",
        Extra {
            rights: &[
                ("batch", "jobs", &["get", "list", "create"]),
                ("", "pods", &["list"]),
                ("", "pods/log", &["get"]),
                ("snapshot.storage.k8s.io", "volumesnapshots", &["get", "create"]),
            ],
            ..RUNS_JOB
        },
    ),
];

/// What sets an action apart from those that patch their target.
pub(crate) fn extra(name: &str) -> &'static Extra {
    const NONE: &Extra = &Extra::NONE;
    EXTRAS.iter().find(|(action, _)| *action == name).map_or(NONE, |(_, extra)| extra)
}

/// All actions, in the order they are listed.
pub(crate) static ALL: &[&Action] = &[
    &pod::DELETE_POD,
    &rollout::ROLLOUT_RESTART,
    &remove::FORCE_DELETE_POD,
    &isolate::QUARANTINE_POD,
    &workload::MIGRATE_WORKLOAD,
    &workload::PAUSE_ROLLOUT,
    &workload::RESUME_ROLLOUT,
    &rollback::ROLLBACK_DEPLOYMENT,
    &revision::ROLLBACK_STATEFULSET,
    &revision::ROLLBACK_DAEMONSET,
    &scale::SCALE_REPLICAS,
    &resources::INCREASE_MEMORY_LIMIT,
    &resources::INCREASE_CPU_LIMIT,
    &resources::SET_RESOURCE_LIMITS,
    &resources::SET_RESOURCE_REQUESTS,
    &resources::REDUCE_REQUESTS,
    &workload::OPTIMIZE_RESOURCES,
    &image::FIX_IMAGE_REFERENCE,
    &command::PATCH_COMMAND,
    &env::PATCH_ENV,
    &probe::PATCH_PROBE,
    &placement::PATCH_NODE_SELECTOR,
    &placement::PATCH_AFFINITY,
    &secret::PATCH_SECRET_REFERENCE,
    &workload::PATCH_SECURITY_CONTEXT,
    &inspect::ENABLE_DEBUG_MODE,
    &inspect::CREATE_HEAP_DUMP,
    &inspect::COLLECT_DIAGNOSTICS,
    &restore::RESTORE_SERVICE,
    &service::PATCH_SERVICE_SELECTOR,
    &service::PATCH_SERVICE_PORT,
    &workload::PATCH_INGRESS,
    &rollout::RESTART_NETWORK,
    &rollout::RESET_SERVICE_MESH,
    &configmap::PATCH_CONFIGMAP,
    &restore::RESTORE_CONFIGMAP,
    &restore::RESTORE_SECRET,
    &restore::RECREATE_PULL_SECRET,
    &rotate::ROTATE,
    &restore::RESTORE_ROLE_BINDING,
    &restore::CREATE_LIMIT_RANGE,
    &network::PATCH_NETWORK_POLICY,
    &quota::INCREASE_QUOTA,
    &claim::EXPAND_PVC,
    &remove::RECREATE_PVC,
    &remove::FIX_STATEFULSET_PVC,
    &remove::CLEANUP_PVC,
    &workload::MIGRATE_EMPTY_DIR,
    &job::BACKUP_DATA,
    &job::CLEANUP_STORAGE,
    &job::COMPACT_STORAGE,
    &job::RERUN_JOB,
    &job::RUN_JOB,
    &job::FAILOVER_DATABASE,
    &job::REPAIR_DATABASE,
    &disruption::RELAX_PDB,
    &cronjob::SUSPEND_CRONJOB,
    &cronjob::RESUME_CRONJOB,
    &webhook::PATCH_WEBHOOK_FAILURE_POLICY,
    &autoscaling::PATCH_HPA_MAX,
    &node::CORDON_NODE,
    &node::UNCORDON_NODE,
    &drain::DRAIN_NODE,
    &drain::TAINT_NODE,
    &node::REMOVE_TAINT,
    &node_label::LABEL_NODE,
    &record::NO_ACTION,
    &record::ESCALATE,
    &record::NOTIFY_ONLY,
];
