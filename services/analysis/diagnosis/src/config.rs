//! Bounds of a diagnosis.

use serde::{Deserialize, Serialize};

/// How much a diagnosis may read. What is left out is named in the answer's `gaps`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiagnosisConfig {
    /// Milliseconds after which no further reads are begun. Default 5 000.
    pub budget_ms: u64,
    /// Reads in flight at once. Default 16.
    pub concurrency: usize,
    /// Containers whose logs are read. Default 60.
    pub max_logs: usize,
    /// Lines of each log. Default 500.
    pub log_lines: usize,
    /// Bytes of each log. Default 65 536.
    pub log_bytes: usize,
    /// Namespaces beyond the target's own. Default 4.
    pub max_namespaces: usize,
    /// Distinct events that are kept. Default 2 000.
    pub max_events: usize,
    /// Steps from the alerted object to a cause. Default 5.
    pub max_depth: usize,
    /// Confidence below which nothing but handing over to a person is proposed. Default 0.5.
    pub act_above: f64,
}

impl Default for DiagnosisConfig {
    fn default() -> Self {
        Self {
            budget_ms: 5_000,
            concurrency: 16,
            max_logs: 60,
            log_lines: 500,
            log_bytes: 64 * 1024,
            max_namespaces: 4,
            max_events: 2_000,
            max_depth: 5,
            act_above: 0.5,
        }
    }
}
