//! How to reach a live cluster.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

/// Which cluster, and as whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubeConfig {
    /// Kubeconfig file. Default: `KUBECONFIG`, then `~/.kube/config`, then the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: its current one.
    pub context: Option<String>,
    /// The cluster's id in references and fingerprints. Default: the name of the context, or `in-cluster`.
    pub cluster_id: Option<String>,
    /// Base address of a Prometheus HTTP API. Without it there are no metrics.
    pub prometheus_url: Option<Url>,
    /// Longest time for one request, in seconds. Default 30.
    pub request_timeout_s: u64,
    /// How long an owner's owner is remembered, in seconds; 0 for not at all. Default 30.
    pub owner_cache_s: u64,
}

impl Default for KubeConfig {
    fn default() -> Self {
        Self { kubeconfig: None, context: None, cluster_id: None, prometheus_url: None, request_timeout_s: 30, owner_cache_s: 30 }
    }
}
