//! Figures of many times.

use std::time::Duration;

/// Times of requests, and what was answered.
#[derive(Debug, Clone, Default)]
pub struct Times {
    sorted: Vec<Duration>,
    /// Answers that were not 2xx.
    pub refused: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
}

impl Times {
    /// Of the times of all senders.
    #[must_use]
    pub fn of(mut times: Vec<Duration>, refused: u64, seconds: f64) -> Self {
        times.sort_unstable();
        Self { sorted: times, refused, seconds }
    }

    /// Requests that were answered 2xx.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        u64::try_from(self.sorted.len()).unwrap_or(u64::MAX)
    }

    /// Accepted requests a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.sorted.len() as f64 / self.seconds.max(f64::EPSILON)
    }

    /// The time in milliseconds below which a share of the requests stayed.
    #[must_use]
    pub fn millis(&self, share: f64) -> f64 {
        let at = ((self.sorted.len() as f64 * share).ceil() as usize).clamp(1, self.sorted.len().max(1)) - 1;
        self.sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_time_that_it_stayed_below() {
        let times = Times::of((1..=1000).rev().map(Duration::from_millis).collect(), 0, 2.0);
        assert_eq!((times.millis(0.5), times.millis(0.99), times.millis(0.999), times.millis(1.0)), (500.0, 990.0, 999.0, 1000.0));
        assert_eq!(times.rate(), 500.0);
    }
}
