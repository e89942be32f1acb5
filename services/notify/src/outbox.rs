//! Delivery from the ledger's outbox.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use jiff::SignedDuration;
use kubernaut_core::{
    Error, ErrorKind,
    model::{NotificationId, Timestamp},
    port::{Clock, Ledger, OutboxItem},
    service::{CallContext, Notifier},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use kubernaut_core::redact::redact;

use crate::{OutboxConfig, measure};

/// A change that leaves nothing to do must not make the worker spin.
const BREATH: Duration = Duration::from_millis(50);
/// Added to the time for a try, so that a claim does not end while its try still runs.
const MARGIN: Duration = Duration::from_secs(15);
const BOOKKEEPING: Duration = Duration::from_secs(1);

/// Takes notifications that are due, delivers them, and settles each: delivered, to be tried again, or given up.
///
/// A transient error is tried again after a wait that doubles, up to `max_attempts`; any other ends the attempts. After a crash what was
/// claimed comes again.
#[derive(Debug)]
pub struct OutboxWorker {
    ledger: Arc<dyn Ledger>,
    notifier: Arc<dyn Notifier>,
    clock: Arc<dyn Clock>,
    config: OutboxConfig,
}

impl OutboxWorker {
    /// A worker that delivers through `notifier`. Check the configuration with [`OutboxConfig::validate`] before.
    pub fn new(ledger: Arc<dyn Ledger>, notifier: Arc<dyn Notifier>, clock: Arc<dyn Clock>, config: OutboxConfig) -> Self {
        Self { ledger, notifier, clock, config }
    }

    /// Works until `shutdown`, then delivers what is due and what has begun, for at most `drain_s`. What is cut off then comes first after the
    /// next start.
    pub async fn run(&self, shutdown: CancellationToken) {
        let cut_off = CancellationToken::new();
        let mut work = pin!(self.work(&shutdown, &cut_off));
        let end = async {
            shutdown.cancelled().await;
            tokio::time::sleep(Duration::from_secs(self.config.drain_s)).await;
        };
        tokio::select! {
            () = &mut work => return,
            () = end => cut_off.cancel(),
        }
        tracing::warn!(drain_s = self.config.drain_s, "not all notifications could be delivered before the end; they come with the next start");
        // Time to write down what was cut off.
        _ = tokio::time::timeout(BOOKKEEPING, work).await;
    }

    async fn work(&self, shutdown: &CancellationToken, cut_off: &CancellationToken) {
        let mut changes = self.ledger.changes();
        let mut running = FuturesUnordered::new();
        loop {
            // Marked before the look, so that what comes during it wakes the next one.
            changes.mark_unchanged();
            let claimed = if cut_off.is_cancelled() { Vec::new() } else { self.claim(running.len()).await };
            running.extend(claimed.into_iter().map(|item| self.deliver(item, cut_off)));
            tokio::select! {
                Some(()) = running.next() => {}
                () = rest(&mut changes, self.config.poll_ms), if !shutdown.is_cancelled() => {}
                () = shutdown.cancelled(), if !shutdown.is_cancelled() => {}
                // Ending, and nothing is left.
                else => return,
            }
        }
    }

    /// As many as there is room for.
    async fn claim(&self, running: usize) -> Vec<OutboxItem> {
        let room = self.config.concurrency.max(1).saturating_sub(u32::try_from(running).unwrap_or(u32::MAX));
        if room == 0 {
            return Vec::new();
        }
        let ttl = Duration::from_secs(self.config.send_timeout_s).saturating_add(MARGIN);
        self.ledger.claim_outbox(ctx(), room, ttl).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the outbox cannot be read; trying again");
            Vec::new()
        })
    }

    async fn deliver(&self, item: OutboxItem, cut_off: &CancellationToken) {
        let id = item.notification.id;
        let send = ctx().with_trace(item.notification.incident_id).with_timeout(Duration::from_secs(self.config.send_timeout_s));
        let send = send.with_cancellation(cut_off.clone());
        // The timeout holds for notifiers too that do not look at their context.
        let result = send.clone().run("outbox.send", self.notifier.notify(send, item.notification)).await;
        let attempt = item.attempts.saturating_add(1);
        let (error, retry_at) = match result {
            Ok(_) => (None, None),
            Err(error) => {
                let wait = if error.kind() == ErrorKind::Cancelled { Some(Duration::ZERO) } else { next_wait(&self.config, id, attempt, &error) };
                (Some(redact(&error.to_string()).into_owned()), wait.map(|wait| later(self.clock.now(), wait)))
            }
        };
        report(id, attempt, error.as_deref(), retry_at);
        if let Err(error) = self.ledger.settle_outbox(ctx(), id, error, retry_at).await {
            tracing::warn!(notification = %id, %error, "the outcome of a notification cannot be kept; it comes again");
        }
    }
}

fn ctx() -> CallContext {
    CallContext::system("outbox")
}

/// Until the ledger changes or it is time to look again.
async fn rest(changes: &mut watch::Receiver<u64>, poll_ms: u64) {
    let wake = async {
        tokio::time::sleep(BREATH).await;
        // A closed channel means that the ledger is gone; the timer below still paces the loop.
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = wake => {}
        () = tokio::time::sleep(Duration::from_millis(poll_ms.max(1))) => {}
    }
}

/// How long to wait before another try; `None` to give up.
fn next_wait(config: &OutboxConfig, id: NotificationId, attempt: u32, error: &Error) -> Option<Duration> {
    if !error.is_transient() || attempt >= config.max_attempts {
        return None;
    }
    let longest = config.max_backoff_ms;
    let doubled = config.backoff_ms.saturating_mul(1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX)).min(longest);
    // A tenth more or less, by the id, so that notifications that failed together do not come again together.
    let tenth = doubled / 10;
    let spread = (u64::from(id.0.as_bytes()[15]) + u64::from(attempt)) % 256 * 2 * tenth / 255;
    let asked = error.retry_delay().map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)).min(longest);
    Some(Duration::from_millis((doubled - tenth + spread).max(asked)))
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

fn report(id: NotificationId, attempt: u32, error: Option<&str>, retry_at: Option<Timestamp>) {
    match (error, retry_at) {
        (None, _) => measure::outbox("delivered"),
        (Some(error), Some(retry_at)) => {
            measure::outbox("retried");
            tracing::warn!(notification = %id, attempt, %retry_at, error, "a notification was not delivered; trying again");
        }
        (Some(error), None) => {
            measure::outbox("dead");
            tracing::error!(notification = %id, attempt, error, "a notification is given up; check the channel");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(attempt: u32, error: &Error) -> Option<u128> {
        let config = OutboxConfig { max_attempts: 5, backoff_ms: 1_000, max_backoff_ms: 60_000, ..OutboxConfig::default() };
        next_wait(&config, NotificationId::new(Timestamp::UNIX_EPOCH), attempt, error).map(|wait| wait.as_millis())
    }

    #[test]
    fn waits_double_up_to_the_longest_and_end() {
        let error = Error::new(ErrorKind::Unavailable, "t", "x");
        for (attempt, around) in [(1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000)] {
            let wait = wait(attempt, &error).unwrap();
            assert!((around * 9 / 10..=around * 11 / 10).contains(&wait), "attempt {attempt}: {wait}");
        }
        assert_eq!(wait(5, &error), None);
        assert_eq!(wait(1, &Error::invalid("t", "x")), None);
    }

    #[test]
    fn the_receivers_wish_counts_up_to_the_longest_wait() {
        let asked = |seconds| Error::new(ErrorKind::Overloaded, "t", "x").retry_after(Duration::from_secs(seconds));
        assert_eq!(wait(1, &asked(30)), Some(30_000));
        assert_eq!(wait(1, &asked(86_400)), Some(60_000));
    }
}
