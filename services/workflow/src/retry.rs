//! When to try again. Pure.

use std::time::Duration;

use jiff::SignedDuration;
use kubernaut_core::model::{RetryPolicy, Timestamp};

/// Tries that a crash cut short were not failures, so they may be made up for; this many, lest a try that kills the process runs for ever.
pub(crate) const INTERRUPTIONS: u32 = 3;

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
    /// A crash or a shutdown cut it short.
    Interrupted,
    /// It will not go better.
    Permanent,
}

/// When to try again after `attempts` tries; `None` to give up.
pub(crate) fn next_try(policy: &RetryPolicy, attempts: u32, cause: Cause, now: Timestamp) -> Option<Timestamp> {
    match cause {
        Cause::Permanent => None,
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
    fn an_interrupted_try_is_made_up_for_at_once_but_not_for_ever() {
        assert_eq!(next_try(&POLICY, 3, Cause::Interrupted, NOW), Some(NOW));
        assert_eq!(next_try(&POLICY, 3 + INTERRUPTIONS, Cause::Interrupted, NOW), None);
    }
}
