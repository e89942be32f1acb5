//! When to try again. Pure.

use std::time::Duration;

use jiff::SignedDuration;
use kubernaut_core::model::{RetryPolicy, Timestamp};

/// Tries that a crash cut short were not failures, so they may be made up for; this many, lest a try that kills the process runs for ever.
pub(crate) const INTERRUPTIONS: u32 = 3;

/// Wait before a busy target is tried again, unless the callee names a longer one.
const BUSY_WAIT: Duration = Duration::from_secs(3);

/// A step whose target stays busy for longer than this from its first try on counts as failing: what was agreed to may be out of date.
const BUSY_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The wait after `attempts` tries: doubled from the second try on, never longer than the policy's longest.
///
/// There is no jitter: one run holds a target at a time, so tries do not collide, and a replay gives the same times.
pub(crate) fn backoff(policy: &RetryPolicy, attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(32);
    let millis = policy.backoff_ms.saturating_mul(1 << doublings);
    Duration::from_millis(millis.min(policy.max_backoff_ms))
}

/// Why a try had no effect, as far as trying again depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It may go better next time; not before the given wait, where the callee named one.
    Transient(Option<Duration>),
    /// There was no room for it yet, as while a crashed process' lock on the target has not run out: no failure, so it is no try either.
    Busy(Option<Duration>),
    /// A crash or a shutdown cut it short.
    Interrupted,
    /// It will not go better.
    Permanent,
}

/// What counts once the first try was at `first`: a target that was busy for too long is a failure.
pub(crate) fn judged(cause: Cause, first: Option<Timestamp>, now: Timestamp) -> Cause {
    match cause {
        Cause::Busy(asked) if first.is_some_and(|first| later(first, BUSY_PATIENCE) <= now) => Cause::Transient(asked),
        other => other,
    }
}

/// Tries that count, out of those made.
pub(crate) fn counted(attempts: u32, cause: Cause) -> u32 {
    if matches!(cause, Cause::Busy(_)) { attempts.saturating_sub(1) } else { attempts }
}

/// When to try again after `attempts` tries; `None` to give up.
pub(crate) fn next_try(policy: &RetryPolicy, attempts: u32, cause: Cause, now: Timestamp) -> Option<Timestamp> {
    match cause {
        Cause::Permanent => None,
        Cause::Busy(asked) => Some(later(now, asked.unwrap_or_default().max(BUSY_WAIT))),
        Cause::Interrupted => (attempts < policy.max_attempts.saturating_add(INTERRUPTIONS)).then_some(now),
        Cause::Transient(asked) => {
            let wait = backoff(policy, attempts).max(asked.unwrap_or_default());
            (attempts < policy.max_attempts).then(|| later(now, wait))
        }
    }
}

/// `now` moved by a wait.
pub(crate) fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// `at` moved back.
pub(crate) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { max_attempts: 3, backoff_ms: 500, max_backoff_ms: 1500 };
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn waits_double_up_to_the_longest_and_never_overflow() {
        let waits: Vec<u128> = [1, 2, 3, 40, u32::MAX].into_iter().map(|n| backoff(&POLICY, n).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 1500, 1500, 1500]);
    }

    #[test]
    fn tries_are_bounded_and_a_named_wait_is_kept() {
        assert_eq!(next_try(&POLICY, 1, Cause::Transient(None), NOW), Some(later(NOW, Duration::from_millis(500))));
        assert_eq!(next_try(&POLICY, 1, Cause::Transient(Some(Duration::from_secs(9))), NOW), Some(later(NOW, Duration::from_secs(9))));
        assert_eq!(next_try(&POLICY, 3, Cause::Transient(None), NOW), None);
        assert_eq!(next_try(&POLICY, 1, Cause::Permanent, NOW), None);
    }

    #[test]
    fn a_busy_target_uses_up_no_try_until_patience_ends() {
        let busy = Cause::Busy(None);
        assert_eq!(counted(3, busy), 2);
        assert_eq!(counted(3, Cause::Transient(None)), 3);
        assert_eq!(next_try(&POLICY, 99, busy, NOW), Some(later(NOW, BUSY_WAIT)));
        assert_eq!(judged(busy, Some(NOW), later(NOW, BUSY_PATIENCE - Duration::from_secs(1))), busy);
        assert_eq!(judged(busy, Some(NOW), later(NOW, BUSY_PATIENCE)), Cause::Transient(None));
    }

    #[test]
    fn an_interrupted_try_is_made_up_for_at_once_but_not_for_ever() {
        assert_eq!(next_try(&POLICY, 3, Cause::Interrupted, NOW), Some(NOW));
        assert_eq!(next_try(&POLICY, 3 + INTERRUPTIONS, Cause::Interrupted, NOW), None);
    }
}
