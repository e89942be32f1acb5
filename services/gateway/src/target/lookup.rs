//! Reading objects within bounds: not too many at once, not too long, and not again and again while the cluster does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef},
    port::{ClusterRead, ListQuery},
    service::CallContext,
};
use tokio::{sync::Semaphore, time::Instant};

use crate::measure;

/// So many failures in a row stop lookups for [`PAUSE`].
const FAILURES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What became of a lookup.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Looked {
    /// It is there.
    Found(Object),
    /// It is not there.
    Absent,
    /// It cannot be told.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Lookup {
    cluster: Arc<dyn ClusterRead>,
    permits: Semaphore,
    started: Instant,
    failures: AtomicU32,
    /// Milliseconds after `started`.
    paused_until: AtomicU64,
}

impl Lookup {
    pub(super) fn new(cluster: Arc<dyn ClusterRead>, concurrency: usize) -> Self {
        let permits = Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self { cluster, permits, started: Instant::now(), failures: AtomicU32::new(0), paused_until: AtomicU64::new(0) }
    }

    pub(super) async fn get(&self, ctx: &CallContext, reference: &ObjectRef) -> Looked {
        match self.bounded(ctx, self.cluster.get(ctx.clone(), reference.clone())).await {
            Ok(Some(object)) => Looked::Found(object),
            Ok(None) => Looked::Absent,
            Err(_) => Looked::Unknown,
        }
    }

    /// Owners of an object; `None` if it is not there.
    pub(super) async fn owners(&self, ctx: &CallContext, reference: &ObjectRef) -> Result<Option<Vec<ObjectRef>>> {
        match self.bounded(ctx, self.cluster.owners(ctx.clone(), reference.clone())).await {
            Ok(owners) => Ok(Some(owners)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The node that has an address.
    pub(super) async fn node_at(&self, ctx: &CallContext, address: &str) -> Option<Object> {
        let nodes = self.bounded(ctx, self.cluster.list(ctx.clone(), ListQuery::of("Node", None))).await.ok()?;
        nodes.into_iter().find(|node| node.list_at("/status/addresses").iter().any(|entry| entry["address"] == address))
    }

    async fn bounded<T>(&self, ctx: &CallContext, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        if self.millis() < self.paused_until.load(Ordering::Relaxed) {
            measure::lookup("skipped");
            return Err(Error::new(ErrorKind::Unavailable, "gateway.lookup", "the cluster did not answer a moment ago; lookups pause"));
        }
        let result = ctx
            .run("gateway.lookup", async {
                let _permit = self.permits.acquire().await.map_err(|e| Error::internal("gateway.lookup", "the semaphore is closed").source(e))?;
                work.await
            })
            .await;
        self.learn(result.as_ref().err().map(Error::kind));
        result
    }

    fn learn(&self, error: Option<ErrorKind>) {
        match error {
            Some(kind @ (ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::Overloaded)) => {
                measure::lookup(if kind == ErrorKind::Timeout { "slow" } else { "failed" });
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
                    self.paused_until.store(self.millis() + u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
                    self.failures.store(0, Ordering::Relaxed);
                }
            }
            Some(ErrorKind::Cancelled) => {}
            Some(kind) => {
                // The cluster answered, if only to refuse.
                measure::lookup(if kind == ErrorKind::NotFound { "absent" } else { "failed" });
                self.failures.store(0, Ordering::Relaxed);
            }
            None => {
                measure::lookup("answered");
                self.failures.store(0, Ordering::Relaxed);
            }
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
