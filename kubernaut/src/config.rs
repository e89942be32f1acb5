//! One configuration value for everything that the defaults need.

use std::path::PathBuf;

use kubernaut_core::model::Mode;
use serde::{Deserialize, Serialize};
use url::Url;

/// The version this release reads and writes.
pub const CONFIG_VERSION: u32 = 1;

/// Configuration of all default services. Every part has defaults, so that `Config::default()` is a working, harmless setup: the ledger in
/// `kubernaut.db` of the working directory, mode `dry_run`, no namespace opted in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Version of this shape. Default and only version: 1.
    pub config_version: u32,
    /// How far Kubernaut may go: `observe`, `dry_run` (default), `approve`, `auto`.
    pub mode: Mode,
    /// Threads for the work on incidents, which give way to those that take alerts in; 0 lets it share the host's. Default 2.
    pub work_threads: usize,
    /// Which cluster.
    pub cluster: ClusterConfig,
    /// Where state is kept.
    pub ledger: kubernaut_storage::SqliteConfig,
    /// PostgreSQL instead of the file, how long things are kept, checkpoints of the audit.
    pub storage: kubernaut_storage::StorageConfig,
    /// How similar incidents are found.
    pub memory: crate::MemoryConfig,
    /// Intake of alerts.
    pub gateway: kubernaut_gateway::GatewayConfig,
    /// Classification of environments.
    pub classification: kubernaut_processor::ClassifyConfig,
    /// Root-cause analysis without a model.
    pub diagnosis: kubernaut_diagnosis::DiagnosisConfig,
    /// A language model that is asked where diagnosis cannot tell. Default: none.
    pub model: Option<crate::ModelConfig>,
    /// Lifecycle of incidents.
    pub processor: kubernaut_processor::ProcessorConfig,
    /// Runs of plans.
    pub workflow: kubernaut_workflow::EngineConfig,
    /// The gate around every action.
    pub gate: kubernaut_executor::GateConfig,
    /// What actions outside of the cluster may use: Helm, Git, Alertmanager. Default: nothing.
    pub outside: kubernaut_executor::OutsideConfig,
    /// While this file exists all acting is stopped; looked at every second. Default: none.
    pub stop_file: Option<PathBuf>,
    /// Verification after acting.
    pub verification: kubernaut_monitor::VerifyConfig,
    /// Channels and routes.
    pub notifications: kubernaut_notify::NotifyConfig,
    /// Delivery of notifications.
    pub outbox: kubernaut_notify::OutboxConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            config_version: CONFIG_VERSION,
            mode: Mode::default(),
            work_threads: 2,
            cluster: ClusterConfig::default(),
            ledger: kubernaut_storage::SqliteConfig::default(),
            storage: kubernaut_storage::StorageConfig::default(),
            memory: crate::MemoryConfig::default(),
            gateway: kubernaut_gateway::GatewayConfig::default(),
            classification: kubernaut_processor::ClassifyConfig::default(),
            diagnosis: kubernaut_diagnosis::DiagnosisConfig::default(),
            model: None,
            processor: kubernaut_processor::ProcessorConfig::default(),
            workflow: kubernaut_workflow::EngineConfig::default(),
            gate: kubernaut_executor::GateConfig::default(),
            outside: kubernaut_executor::OutsideConfig::default(),
            stop_file: None,
            verification: kubernaut_monitor::VerifyConfig::default(),
            notifications: kubernaut_notify::NotifyConfig::default(),
            outbox: kubernaut_notify::OutboxConfig::default(),
        }
    }
}

/// Which cluster Kubernaut looks at.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// A recorded incident instead of a live cluster. Default: none.
    pub bundle: Option<PathBuf>,
    /// Kubeconfig file. Default: `KUBECONFIG`, `~/.kube/config`, else the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Context within the kubeconfig. Default: its current one.
    pub context: Option<String>,
    /// Cluster id on every record. Default: the context's cluster name or the bundle's id.
    pub id: Option<String>,
    /// Prometheus, for metrics as evidence. Default: none.
    pub prometheus_url: Option<Url>,
    /// Which objects of a live cluster are kept in memory for intake and diagnosis; what decides about acting reads anew. Default: none. It
    /// fills when the engine starts, so that a command which only builds one never pays for it.
    pub cache: kubernaut_cluster::CacheConfig,
}
