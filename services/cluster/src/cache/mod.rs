//! A live cluster whose busiest kinds are kept in memory.

mod budget;
mod config;
mod entry;
mod follow;
mod measure;
mod read;
mod shelf;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use futures::future::join_all;
use kubernaut_core::{Result, model::KnownKind};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use config::CacheConfig;

use crate::KubeCluster;
use budget::Amount;
use follow::Follower;
use shelf::{Shelves, State};

/// A [`KubeCluster`] that answers `get`, `list` and `owners` of some kinds from memory, for reading evidence. Cheap to clone.
///
/// # What is weaker than in `ClusterRead`
///
/// - An answer may be late: as a rule by milliseconds, at worst by `stale_after_s` while a watch is interrupted unnoticed. After a write, a
///   read may still show what was before.
/// - Answers of different kinds may be of different times.
/// - An object that was deleted may still be found; one that was just created may be missing in a `list`. `get` and `owners` ask the API
///   server before they say that an object does not exist or has another uid.
///
/// So nothing that decides about acting may read through it: gate, executor, classification and verification take the [`KubeCluster`].
///
/// # What holds as ever
///
/// - Answers have the shape of live ones, `list` without field managers included.
/// - Namespaces, Secrets and Events are never kept; `info`, `events`, `logs` and `metrics` always ask.
/// - While [`CachedCluster::run`] does not run, before a kind's first list is complete, when its watch has not proven itself within
///   `stale_after_s`, when the kind does not fit or may not be listed in all namespaces: the API server is asked.
#[derive(Clone)]
pub struct CachedCluster(Arc<Inner>);

struct Inner {
    live: KubeCluster,
    kinds: Vec<&'static KnownKind>,
    watch_period: Duration,
    shelves: RwLock<Shelves>,
    running: Mutex<()>,
}

impl CachedCluster {
    /// A cache that is empty until [`CachedCluster::run`] fills it.
    ///
    /// # Errors
    /// `InvalidInput` for kinds that are not kept and bounds that cannot hold.
    pub fn new(live: KubeCluster, config: &CacheConfig) -> Result<Self> {
        let kinds = config.checked()?;
        let limit = Amount { objects: config.max_objects, bytes: config.max_bytes };
        let stale_after = Duration::from_secs(config.stale_after_s);
        let shelves = RwLock::new(Shelves::new(&kinds, limit, stale_after));
        Ok(Self(Arc::new(Inner { live, kinds, watch_period: stale_after / 2, shelves, running: Mutex::new(()) })))
    }

    /// Fills the cache and keeps it current until `shutdown`, or until the future is dropped; then it is emptied. Of several runs one works,
    /// the others wait.
    pub async fn run(&self, shutdown: CancellationToken) {
        let cache = &*self.0;
        let work = async {
            let _only = cache.running.lock().await;
            let _emptied = EmptiedAtEnd(cache);
            measure::describe();
            join_all(cache.kinds.iter().map(|kind| Follower::new(cache, kind).run())).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = work => {}
        }
    }

    /// Objects and bytes kept, all kinds together.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        let mut sum = Amount::default();
        let shelves = self.0.shelves();
        self.0.kinds.iter().for_each(|kind| sum.add(shelves.status(kind).1));
        (sum.objects, sum.bytes)
    }

    /// Each kind with its state: `off`, `filling`, `following`, `broken`, `full` or `refused`.
    #[must_use]
    pub fn states(&self) -> Vec<(&'static str, &'static str)> {
        let shelves = self.0.shelves();
        self.0.kinds.iter().map(|kind| (kind.kind, shelves.status(kind).0.name())).collect()
    }
}

impl fmt::Debug for CachedCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedCluster").field("live", &self.0.live).field("states", &self.states()).finish_non_exhaustive()
    }
}

impl Inner {
    fn shelves(&self) -> RwLockReadGuard<'_, Shelves> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelves_mut(&self) -> RwLockWriteGuard<'_, Shelves> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state of a kind and shows it.
    fn change(&self, kind: &'static KnownKind, change: impl FnOnce(&mut Shelves)) {
        let status = {
            let mut shelves = self.shelves_mut();
            change(&mut shelves);
            shelves.status(kind)
        };
        measure::status(kind, status);
    }
}

struct EmptiedAtEnd<'a>(&'a Inner);

impl Drop for EmptiedAtEnd<'_> {
    fn drop(&mut self) {
        for kind in &self.0.kinds {
            self.0.change(kind, |shelves| shelves.clear(kind, State::Off));
        }
    }
}

#[cfg(test)]
mod tests;
