//! What can be set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Runs driven at once by this process. Default 8.
    pub max_runs: usize,
    /// Independent steps of one run carried out at once. Default 4.
    pub max_parallel_steps: usize,
    /// Seconds a run and its targets stay ours without renewal. After a crash another process takes over then. Default 30.
    pub lease_ttl_s: u64,
    /// Longest time in milliseconds until a changed wake time or a signal is seen. Default 500.
    pub poll_ms: u64,
    /// Milliseconds until a target held by another run, or a global stop, is looked at again. Default 2000.
    pub busy_retry_ms: u64,
    /// Seconds after which a waiting run is looked at even if nothing woke it. Default 60.
    pub recheck_s: u64,
    /// How often the executor is asked what became of a step before a person is. Default 4.
    pub observe_attempts: u32,
    /// Wait before it is asked again, in milliseconds; doubled each time. Default 500.
    pub observe_backoff_ms: u64,
    /// Seconds that calls in flight get to end at shutdown. Default 20.
    pub shutdown_grace_s: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            max_runs: 8,
            max_parallel_steps: 4,
            lease_ttl_s: 30,
            poll_ms: 500,
            busy_retry_ms: 2000,
            recheck_s: 60,
            observe_attempts: 4,
            observe_backoff_ms: 500,
            shutdown_grace_s: 20,
        }
    }
}

impl EngineConfig {
    pub(crate) fn lease_ttl(&self) -> Duration {
        Duration::from_secs(self.lease_ttl_s.max(1))
    }

    /// How long before its end a lease is renewed: early enough that a failed renewal can be made up for.
    pub(crate) fn renew_ahead(&self) -> Duration {
        self.lease_ttl() * 2 / 3
    }

    /// Looks around often enough to renew in time, whatever is set.
    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms.max(1)).min(self.lease_ttl() / 3)
    }

    pub(crate) fn busy_retry(&self) -> Duration {
        Duration::from_millis(self.busy_retry_ms.max(1))
    }

    pub(crate) fn recheck(&self) -> Duration {
        Duration::from_secs(self.recheck_s.max(1))
    }

    pub(crate) fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }
}
