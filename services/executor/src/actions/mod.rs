//! The actions, one file per family.

mod autoscaling;
mod claim;
mod command;
mod configmap;
mod container;
mod cronjob;
mod disruption;
mod env;
mod image;
mod network;
mod node;
mod node_label;
mod placement;
mod pod;
mod probe;
mod quota;
mod record;
mod resources;
mod rollback;
mod rollout;
mod scale;
mod secret;
mod service;
mod webhook;

use crate::action::Action;

pub(crate) use rollout::RESTART_STAMP;

/// All actions, in the order they are listed.
pub(crate) static ALL: &[&Action] = &[
    &pod::DELETE_POD,
    &rollout::ROLLOUT_RESTART,
    &rollback::ROLLBACK_DEPLOYMENT,
    &scale::SCALE_REPLICAS,
    &resources::INCREASE_MEMORY_LIMIT,
    &resources::INCREASE_CPU_LIMIT,
    &resources::SET_RESOURCE_LIMITS,
    &resources::SET_RESOURCE_REQUESTS,
    &resources::REDUCE_REQUESTS,
    &image::FIX_IMAGE_REFERENCE,
    &command::PATCH_COMMAND,
    &env::PATCH_ENV,
    &probe::PATCH_PROBE,
    &placement::PATCH_NODE_SELECTOR,
    &placement::PATCH_AFFINITY,
    &secret::PATCH_SECRET_REFERENCE,
    &service::PATCH_SERVICE_SELECTOR,
    &service::PATCH_SERVICE_PORT,
    &configmap::PATCH_CONFIGMAP,
    &network::PATCH_NETWORK_POLICY,
    &quota::INCREASE_QUOTA,
    &claim::EXPAND_PVC,
    &disruption::RELAX_PDB,
    &cronjob::SUSPEND_CRONJOB,
    &webhook::PATCH_WEBHOOK_FAILURE_POLICY,
    &autoscaling::PATCH_HPA_MAX,
    &node::CORDON_NODE,
    &node::UNCORDON_NODE,
    &node::REMOVE_TAINT,
    &node_label::LABEL_NODE,
    &record::NO_ACTION,
    &record::ESCALATE,
    &record::NOTIFY_ONLY,
];
