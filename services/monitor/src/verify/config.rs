use serde::{Deserialize, Serialize};
use url::Url;

/// How effects are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyConfig {
    /// Seconds that every container must have run before its pod counts as healthy: a pod that was just started always looks fine. Live clusters
    /// only. Default 10.
    pub stable_s: u64,
    /// The same for a container that has been restarted since the action. Default 60.
    pub restart_stable_s: u64,
    /// Seconds after which a workload that is worse off than before counts as harmed even though time for recovery is left. Default 60.
    pub harm_after_s: u64,
    /// Whether alert sources tell that an alert has ended. If not, an alert that still fires proves nothing. Default true.
    pub expects_resolved: bool,
    /// Alertmanager, asked whether the alert is still active; such as `http://alertmanager:9093`. Default: none.
    pub alertmanager_url: Option<Url>,
    /// Seconds to wait for Alertmanager. Default 5.
    pub alertmanager_timeout_s: u64,
    /// Metrics that should be better after the action. Default: none.
    pub metrics: Vec<MetricRule>,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        Self {
            stable_s: 10,
            restart_stable_s: 60,
            harm_after_s: 60,
            expects_resolved: true,
            alertmanager_url: None,
            alertmanager_timeout_s: 5,
            metrics: Vec::new(),
        }
    }
}

/// A metric that tells whether an action helped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRule {
    /// Name that the metric's query mentions.
    pub name: String,
    /// Which way is better.
    pub better: Better,
}

/// Which way a metric should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better, such as errors or latency.
    Lower,
    /// More is better, such as successful requests.
    Higher,
}
