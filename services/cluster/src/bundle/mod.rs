//! A recorded cluster: a folder of objects, events, logs and metrics, read through the same ports as a live one.
//!
//! Writes go to an in-memory copy; what follows them is only what `reactions.yaml` declares (see the module `reactions` for its format).
//! Any part may be missing, unknown files are ignored, and a malformed one is an error that names file and line.

mod admission;
mod create;
mod documents;
mod eviction;
mod history;
mod load;
mod manifest;
mod metrics;
mod reactions;
mod read;
mod simulation;
mod store;
mod write;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kubernaut_core::{
    Result,
    model::{HistoryEntry, Timestamp},
    port::MetricSeries,
};

use manifest::Manifest;
use simulation::Simulation;

/// A cluster recorded in a folder. Cheap to clone; clones share the in-memory copy.
#[derive(Clone)]
pub struct BundleCluster(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    manifest: Manifest,
    alert: Option<Vec<u8>>,
    history: Vec<HistoryEntry>,
    metrics: Option<Vec<MetricSeries>>,
    state: RwLock<Simulation>,
}

impl BundleCluster {
    /// Reads the bundle in `dir`.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder, `InvalidInput` naming file and line for a part that cannot be read.
    pub fn open(dir: &Path) -> Result<Self> {
        load::open(dir).map(|inner| Self(Arc::new(inner)))
    }

    /// The bundle's id: `id` of `bundle.yaml`, else the folder's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.manifest.id
    }

    /// When the state was recorded: `taken_at` of `bundle.yaml`, else the latest time in the recording.
    #[must_use]
    pub fn taken_at(&self) -> Timestamp {
        self.0.manifest.taken_at
    }

    /// The folder it was read from.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// The recorded webhook body, as it was received.
    #[must_use]
    pub fn alert_json(&self) -> Option<&[u8]> {
        self.0.alert.as_deref()
    }

    /// Past incidents, as recorded.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryEntry> {
        self.0.history.clone()
    }

    /// The state now; reactions whose time has come have happened.
    fn state(&self) -> RwLockReadGuard<'_, Simulation> {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        if !state.is_due() {
            return state;
        }
        drop(state);
        drop(self.state_mut());
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, Simulation> {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        state.settle();
        state
    }
}

impl fmt::Debug for BundleCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleCluster").field("id", &self.0.manifest.id).field("dir", &self.0.dir).finish_non_exhaustive()
    }
}
