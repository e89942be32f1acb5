//! The global stop, as close to the write as it can be.

use std::{sync::Arc, time::Duration};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    port::{
        AccessReview, ClusterWrite, CopySecretRequest, CreateRequest, DeleteRequest, EvictRequest, ExecOutput, ExecRequest, Ledger, PatchRequest,
        ScaleRequest, WriteOutcome,
    },
    service::CallContext,
};
use tokio::sync::RwLock;

/// Tells when no write of this process is under way.
///
/// Every write through a [`StoppableWrite`] looks at the stop and is sent while it holds this fence. Whoever has set the stop and then passed the
/// fence knows: of this process nothing is on its way, and nothing follows. Another process on the same ledger may have looked just before; what
/// is left there is the one call that each of its actions has under way.
#[derive(Debug, Clone, Default)]
pub struct StopFence(Arc<RwLock<()>>);

impl StopFence {
    /// Waits until the writes that are under way have ended.
    ///
    /// # Errors
    /// `Timeout` if one is still under way after `limit`.
    pub async fn pass(&self, limit: Duration) -> Result<()> {
        match tokio::time::timeout(limit, self.0.write()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::Timeout, "stop.fence", "acting is stopped, but a write that began before is still under way")),
        }
    }
}

/// Refuses every real write while all acting is stopped. It looks directly before each one, so a long action stops between two of them.
#[derive(Debug, Clone)]
pub struct StoppableWrite {
    inner: Arc<dyn ClusterWrite>,
    ledger: Arc<dyn Ledger>,
    fence: StopFence,
}

impl StoppableWrite {
    /// Puts the check before every write of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn ClusterWrite>, ledger: Arc<dyn Ledger>, fence: StopFence) -> Self {
        Self { inner, ledger, fence }
    }

    async fn unless_stopped<T>(&self, ctx: &CallContext, dry_run: bool, write: impl Future<Output = Result<T>> + Send) -> Result<T> {
        if dry_run {
            return write.await;
        }
        let _under_way = self.fence.0.read().await;
        match self.ledger.stopped(ctx.clone()).await? {
            Some(reason) => Err(stopped(&reason)),
            None => write.await,
        }
    }
}

/// The refusal while all acting is stopped.
pub(super) fn stopped(reason: &str) -> Error {
    Error::new(ErrorKind::Refused, "gate.stop", format!("all acting is stopped: {reason}"))
}

#[async_trait]
impl ClusterWrite for StoppableWrite {
    async fn patch(&self, ctx: CallContext, request: PatchRequest) -> Result<WriteOutcome> {
        let dry_run = request.dry_run;
        self.unless_stopped(&ctx, dry_run, self.inner.patch(ctx.clone(), request)).await
    }

    async fn evict(&self, ctx: CallContext, request: EvictRequest) -> Result<WriteOutcome> {
        let dry_run = request.dry_run;
        self.unless_stopped(&ctx, dry_run, self.inner.evict(ctx.clone(), request)).await
    }

    async fn scale(&self, ctx: CallContext, request: ScaleRequest) -> Result<WriteOutcome> {
        let dry_run = request.dry_run;
        self.unless_stopped(&ctx, dry_run, self.inner.scale(ctx.clone(), request)).await
    }

    async fn create(&self, ctx: CallContext, request: CreateRequest) -> Result<WriteOutcome> {
        let dry_run = request.dry_run;
        self.unless_stopped(&ctx, dry_run, self.inner.create(ctx.clone(), request)).await
    }

    async fn delete(&self, ctx: CallContext, request: DeleteRequest) -> Result<WriteOutcome> {
        let dry_run = request.dry_run;
        self.unless_stopped(&ctx, dry_run, self.inner.delete(ctx.clone(), request)).await
    }

    async fn copy_secret(&self, ctx: CallContext, request: CopySecretRequest) -> Result<WriteOutcome> {
        let dry_run = request.dry_run;
        self.unless_stopped(&ctx, dry_run, self.inner.copy_secret(ctx.clone(), request)).await
    }

    async fn exec(&self, ctx: CallContext, request: ExecRequest) -> Result<ExecOutput> {
        self.unless_stopped(&ctx, false, self.inner.exec(ctx.clone(), request)).await
    }

    async fn can_i(&self, ctx: CallContext, review: AccessReview) -> Result<bool> {
        self.inner.can_i(ctx, review).await
    }
}
