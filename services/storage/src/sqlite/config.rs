//! Settings of the SQLite ledger.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where the ledger is and how it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// The file; missing folders are made. One process at a time can have it open. Default `kubernaut.db`.
    pub path: PathBuf,
    /// Keep everything in memory and nothing on disk: for tests and trials. Default false.
    pub memory: bool,
    /// Connections that read. Default 4.
    pub readers: u32,
    /// Alerts that may wait for the writer; beyond it they are refused as `Overloaded`, those of the sender with most waiting first. Default 4096.
    pub queue: usize,
    /// Alerts that share one commit, more only if they came in one request. Default 128.
    pub commit_batch: usize,
    /// Memory in MiB for pages of the file that the writer needs again. Default 32.
    pub cache_mib: u32,
    /// Milliseconds to wait for a database that is busy. Default 5000.
    pub busy_timeout_ms: u64,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("kubernaut.db"), memory: false, readers: 4, queue: 4096, commit_batch: 128, cache_mib: 32, busy_timeout_ms: 5_000 }
    }
}

impl SqliteConfig {
    /// A ledger in a file.
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), ..Self::default() }
    }

    /// A ledger in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self { memory: true, ..Self::default() }
    }
}
