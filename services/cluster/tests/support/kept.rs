//! A cache that runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use kubernaut_cluster::{CacheConfig, CachedCluster, KubeCluster};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Kept {
    pub(crate) cache: CachedCluster,
    running: JoinHandle<()>,
}

impl Kept {
    pub(crate) fn start(live: &KubeCluster, kinds: &[&str], config: CacheConfig) -> Self {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let cache = CachedCluster::new(live.clone(), &CacheConfig { kinds, ..config }).unwrap();
        let followed = cache.clone();
        Self { cache, running: tokio::spawn(async move { followed.run(CancellationToken::new()).await }) }
    }

    /// Waits until every kind is in that state.
    pub(crate) async fn until_all(&self, state: &str) {
        within(Duration::from_secs(30), state, async || self.cache.states().iter().all(|(_, is)| *is == state)).await;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// How long it took until it held; a panic if it did not.
pub(crate) async fn within(limit: Duration, what: &str, holds: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}
