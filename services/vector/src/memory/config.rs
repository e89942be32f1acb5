//! What the memory does beside its callers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Configuration of the [`VectorContextStore`](super::VectorContextStore).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RecallConfig {
    /// File that keeps vectors of texts, so that a restart need not compute them again. It is never believed: each vector has a checksum, and
    /// what exists is read from the store. Default: none.
    pub cache: Option<PathBuf>,
    /// Seconds between two looks for what other processes remembered. Default 30.
    pub refresh_s: u64,
    /// Seconds between two comparisons of everything. Default 3,600.
    pub compare_s: u64,
}

impl Default for RecallConfig {
    fn default() -> Self {
        Self { cache: None, refresh_s: 30, compare_s: 3_600 }
    }
}
