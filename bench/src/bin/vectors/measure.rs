//! Time and memory of this process.

use std::{fmt, fs, time::Duration};

/// Times of many calls.
#[derive(Debug, Default)]
pub(crate) struct Times {
    calls: Vec<Duration>,
    processor: f64,
}

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.calls.push(time);
    }

    /// Seconds of processor that all calls together used.
    pub(crate) fn processor(&mut self, seconds: f64) {
        self.processor = seconds;
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.calls.clone();
        sorted.sort_unstable();
        let at = |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default();
        let calls = f64::from(u32::try_from(sorted.len().max(1)).unwrap_or(u32::MAX));
        write!(f, "p50 {:.2} ms  p99 {:.2} ms", at(50).as_secs_f64() * 1e3, at(99).as_secs_f64() * 1e3)?;
        if self.processor > 0.0 { write!(f, "  processor {:.2} ms a call", self.processor / calls * 1e3) } else { Ok(()) }
    }
}

/// Bytes of memory in use, as Linux counts them; 0 elsewhere.
pub(crate) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Seconds of processor time that all threads used, as Linux counts them; 0 elsewhere.
pub(crate) fn cpu_seconds() -> f64 {
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name.split_whitespace().skip(11).take(2).filter_map(|x| x.parse().ok()).collect();
    fields.iter().sum::<f64>() / TICKS
}
