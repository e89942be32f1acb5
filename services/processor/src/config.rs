use std::time::Duration;

use kubernaut_core::model::Mode;
use serde::{Deserialize, Serialize};

use crate::{block::BlockPolicy, decide::DecisionPolicy, lifecycle::Timeouts, scope::ScopeConfig};

/// Configuration of a [`Processor`](crate::Processor).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessorConfig {
    /// How far actions may go: `observe`, `dry_run` (default), `approve`, `auto`.
    pub mode: Mode,
    /// Incidents worked on at the same time. Default 4.
    pub workers: usize,
    /// Seconds a worker holds an incident without a sign of life. Default 30.
    pub lease_s: u64,
    /// Milliseconds between looks at a run that is carried out, should nobody wake the incident. Default 1000.
    pub run_poll_ms: u64,
    /// Seconds between looks at an incident that waits for a person or a time, should nobody wake it. Default 15.
    pub waiting_poll_s: u64,
    /// Longest wait between tries after a passing error, in seconds. Default 30.
    pub max_retry_s: u64,
    /// Tries per incident where nothing was changed by the one before. Default 2.
    pub max_attempts: u32,
    /// Earlier incidents given to the analyzer. Default 20.
    pub recall_limit: u32,
    /// Days of history of the resource given to the analyzer. Default 30.
    pub history_days: u32,
    /// Longest time in each phase.
    pub timeouts: Timeouts,
    /// When an incident is held back.
    pub blocks: BlockPolicy,
    /// When a person is asked.
    pub decision: DecisionPolicy,
    /// What is opted in; used for messages, the gate is the authority.
    pub scope: ScopeConfig,
    /// How the effect is checked.
    pub verification: VerificationConfig,
}

impl Default for ProcessorConfig {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            workers: 4,
            lease_s: 30,
            run_poll_ms: 1000,
            waiting_poll_s: 15,
            max_retry_s: 30,
            max_attempts: 2,
            recall_limit: 20,
            history_days: 30,
            timeouts: Timeouts::default(),
            blocks: BlockPolicy::default(),
            decision: DecisionPolicy::default(),
            scope: ScopeConfig::default(),
            verification: VerificationConfig::default(),
        }
    }
}

impl ProcessorConfig {
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s.max(3))
    }
}

/// When the effect of a run is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerificationConfig {
    /// Milliseconds between looks. Default 2000.
    pub interval_ms: u64,
    /// Seconds for the workload to recover; what is still bad then counts as bad. Default 300.
    pub window_s: u64,
    /// Seconds more for an alert that still fires although the workload has recovered, because alert rules look back. Default 600.
    pub alert_grace_s: u64,
    /// Seconds between two looks that must both find it effective. Default 5.
    pub settle_s: u64,
    /// Seconds for which an alert that began after the change must fire, on a workload that is not well, to count as harm done by it. Default 60.
    pub new_alert_s: u64,
    /// Whether a change that did not help is taken back, as one that did harm always is. Default: false; it stays to be looked at.
    pub undo_ineffective: bool,
    /// Seconds for a recorded cluster instead of the window: only what the recording declares follows there. Default 10.
    pub recorded_window_s: u64,
}

impl Default for VerificationConfig {
    fn default() -> Self {
        Self { interval_ms: 2000, window_s: 300, alert_grace_s: 600, settle_s: 5, new_alert_s: 60, undo_ineffective: false, recorded_window_s: 10 }
    }
}
