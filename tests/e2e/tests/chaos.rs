//! A short campaign of kills; the long one is `cargo xtask chaos`.

#![allow(clippy::expect_used, reason = "helpers of tests report by panicking")]

use std::time::Duration;

use kubernaut_bench::{
    chaos::{Options, campaign},
    subject::Store,
};
use kubernaut_tests::binary;

fn short(store: Store, power_loss: bool) -> Options {
    Options {
        binary: binary(),
        store,
        kills: 6,
        longest_life: Duration::from_millis(900),
        power_loss,
        senders: 4,
        seed: 7,
        end_limit: Duration::from_secs(60),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_and_doubles_nothing() {
    let report = campaign(&short(Store::Sqlite, false)).await.expect("the server starts after each kill");
    assert!(report.acknowledged > 0 && report.verdict.holds(), "{report:#?}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_that_takes_and_tears_what_was_not_synced_loses_nothing_answered() {
    let report = campaign(&short(Store::Sqlite, true)).await.expect("the server starts after each cut");
    assert!(report.acknowledged > 0 && report.verdict.holds(), "{report:#?}");
}
