//! Campaigns that kill the server under load and compare what is left with what its senders were promised.
//!
//! The sender keeps its own list of the ids that were answered 2xx. The server is ended as `kill -9` ends it, at random points, and started again
//! on the same ledger. With [`Options::power_loss`] each kill also takes what was not synced: see `power`.

mod check;
mod power;
mod sender;

use std::{
    io::Result,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::subject::{Store, Subject};
pub use check::Verdict;
use sender::Senders;

/// What a campaign does.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's program.
    pub binary: PathBuf,
    /// Where it keeps its state.
    pub store: Store,
    /// How often it is killed.
    pub kills: usize,
    /// Longest time between two kills, from readiness on.
    pub longest_life: Duration,
    /// Whether a kill takes what was not synced, and tears pages of it; only with SQLite, and with a C compiler.
    pub power_loss: bool,
    /// Senders, each with one request under way.
    pub senders: usize,
    /// Seed of the random points.
    pub seed: u64,
    /// How long incidents may take to end after the last start.
    pub end_limit: Duration,
}

/// How the campaign went.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Times the server was killed.
    pub kills: usize,
    /// Alerts answered 2xx.
    pub acknowledged: usize,
    /// Requests that were cut off without an answer.
    pub cut_off: usize,
    /// From starting the server to its readiness, the longest time, in seconds.
    pub longest_start_s: f64,
    /// What was found at the end.
    pub verdict: Verdict,
}

/// Deployments that the alerts are about.
const OWNERS: usize = 400;

/// Runs a campaign to its end.
///
/// # Errors
/// If the server does not start any more, or its ledger cannot be read; what is lost or doubled is no error but in the report.
pub async fn campaign(options: &Options) -> Result<Report> {
    let settings = json!({
        // Analysis ends quickly and nothing is held back, so that incidents end while the campaign runs.
        "processor": { "workers": 4, "lease_s": 2 }, "workflow": { "lease_ttl_s": 2 }, "gateway": { "quiet_after_no_action_s": 0, "quiet_after_handover_s": 0 }
    });
    let power = if options.power_loss { Some(power::Power::new()?) } else { None };
    let mut subject = Subject::kubernaut_with(&options.binary, &options.store, OWNERS, &settings, |home| match &power {
        Some(power) => power.environment(home),
        None => Vec::new(),
    })?;
    let senders = Senders::start(subject.address, options.senders);
    let mut random = Random(options.seed);
    let mut longest_start_s: f64 = 0.0;
    for _ in 0..options.kills {
        tokio::time::sleep(options.longest_life.mul_f64(random.share())).await;
        subject.kill()?;
        if let Some(power) = &power {
            power.cut(subject.home(), &mut random)?;
        }
        let began = Instant::now();
        subject.start_again().await?;
        longest_start_s = longest_start_s.max(began.elapsed().as_secs_f64());
    }
    let sent = senders.stop().await;
    check::until_ended(subject.address, options.end_limit).await?;
    subject.kill()?;
    let verdict = check::verdict(&options.store, subject.home(), &sent.acknowledged).await?;
    Ok(Report { kills: options.kills, acknowledged: sent.acknowledged.len(), cut_off: sent.cut_off, longest_start_s, verdict })
}

/// Numbers without a pattern, the same for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
