//! Asking again what can be asked again: an API server that is busy for a moment is no reason to begin all checks anew.

use std::{sync::Arc, time::Duration};

use kubernaut_core::{
    Result, async_trait,
    model::{Object, ObjectRef},
    port::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText, MetricSeries},
    service::{CallContext, Capability},
};

/// Tries in all.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// A server that wants to be left alone for longer is told about rather than waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Asks until it is answered, the error will not pass, or the caller's time is over. Only for what changes nothing.
pub(crate) async fn again<T, F: Future<Output = Result<T>> + Send>(ctx: &CallContext, ask: impl Fn() -> F + Send) -> Result<T> {
    let mut wait = FIRST_WAIT;
    let mut left = TRIES - 1;
    loop {
        match ask().await {
            Err(error) if left > 0 && error.is_transient() && !ctx.cancellation.is_cancelled() => {
                let pause = error.retry_delay().unwrap_or(wait).max(wait);
                if pause > LONGEST_WAIT || ctx.remaining().is_some_and(|time| time <= pause) {
                    return Err(error);
                }
                tracing::debug!(%error, ?pause, "asked again");
                metrics::counter!("kubernaut_executor_asked_again_total", "operation" => error.operation()).increment(1);
                tokio::time::sleep(pause).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                left -= 1;
            }
            done => return done,
        }
    }
}

/// Reads that are asked again.
#[derive(Debug, Clone)]
pub(crate) struct PatientRead(pub(crate) Arc<dyn ClusterRead>);

#[async_trait]
impl ClusterRead for PatientRead {
    async fn info(&self, ctx: CallContext) -> Result<ClusterInfo> {
        again(&ctx, || self.0.info(ctx.clone())).await
    }

    async fn get(&self, ctx: CallContext, reference: ObjectRef) -> Result<Option<Object>> {
        again(&ctx, || self.0.get(ctx.clone(), reference.clone())).await
    }

    async fn list(&self, ctx: CallContext, query: ListQuery) -> Result<Vec<Object>> {
        again(&ctx, || self.0.list(ctx.clone(), query.clone())).await
    }

    async fn owners(&self, ctx: CallContext, reference: ObjectRef) -> Result<Vec<ObjectRef>> {
        again(&ctx, || self.0.owners(ctx.clone(), reference.clone())).await
    }

    async fn events(&self, ctx: CallContext, query: EventQuery) -> Result<Vec<KubeEvent>> {
        again(&ctx, || self.0.events(ctx.clone(), query.clone())).await
    }

    async fn logs(&self, ctx: CallContext, query: LogQuery) -> Result<Option<LogText>> {
        again(&ctx, || self.0.logs(ctx.clone(), query.clone())).await
    }

    async fn metrics(&self, ctx: CallContext, name: String) -> Result<Vec<MetricSeries>> {
        again(&ctx, || self.0.metrics(ctx.clone(), name.clone())).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.0.capabilities()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use kubernaut_core::{Error, ErrorKind};

    use super::*;

    async fn asked(kind: ErrorKind, after: Option<Duration>, fails: u32) -> (u32, bool) {
        let count = AtomicU32::new(0);
        let ctx = CallContext::system("test").with_timeout(Duration::from_secs(30));
        let done = again(&ctx, || {
            let turn = count.fetch_add(1, Ordering::SeqCst);
            async move {
                let error = Error::new(kind, "test", "told to fail");
                if turn < fails { Err(after.into_iter().fold(error, Error::retry_after)) } else { Ok(()) }
            }
        })
        .await;
        (count.load(Ordering::SeqCst), done.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_passes_is_asked_again_and_not_for_ever() {
        assert_eq!(asked(ErrorKind::Unavailable, None, 3).await, (4, true));
        assert_eq!(asked(ErrorKind::Unavailable, None, 99).await, (TRIES, false));
        assert_eq!(asked(ErrorKind::Forbidden, None, 1).await, (1, false));
        assert_eq!(asked(ErrorKind::Overloaded, Some(Duration::from_secs(60)), 1).await, (1, false), "so long nobody waits");
    }
}
