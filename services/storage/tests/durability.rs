//! A process that is killed at any point loses nothing it has answered.
//!
//! The test starts itself again as a child that takes alerts in and prints the id of each one it got an answer for, kills it without warning,
//! opens the file and looks for every printed id.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use kubernaut_core::{
    model::first_broken_row,
    port::{IncidentFilter, Intake, IntakePolicy, Ledger, SystemClock},
    service::CallContext,
};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use tempfile::TempDir;

mod common;
use common::alert;

const CHILD: &str = "KUBERNAUT_DURABILITY_CHILD";
/// How often the process is killed.
const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_kill() {
    if let Some(path) = std::env::var_os(CHILD) {
        return take_in_for_ever(Path::new(&path)).await;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("k.db");
    let mut answered = Vec::new();
    for kill in 0..KILLS {
        // Different points of time in the life of the file; the first kills meet a young one.
        answered.extend(child_until_killed(&path, 20 + 150 * kill));
        let ledger = SqliteLedger::open(SqliteConfig::file(&path), Arc::new(SystemClock)).await.expect("the lock of a killed process is free");
        check(&ledger, &answered).await;
        ledger.close().await.unwrap();
    }
}

/// Ids that the child answered before it was killed.
fn child_until_killed(path: &Path, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["what_was_answered_survives_a_kill", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ids: Vec<String> = Vec::new();
    while ids.len() < lines {
        let line = out.next().expect("the child ended by itself").unwrap();
        ids.extend(line.strip_prefix("answered ").map(str::to_owned));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had printed already counts too; a line cut short does not.
    ids.extend(out.map_while(Result::ok).filter_map(|l| l.strip_prefix("answered ").filter(|id| id.len() == 36).map(str::to_owned)));
    ids
}

async fn take_in_for_ever(path: &Path) {
    let ledger = SqliteLedger::open(SqliteConfig::file(path), Arc::new(SystemClock)).await.unwrap();
    let tasks = (0..8).map(|task| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for n in 0_u64.. {
                let alerts =
                    vec![alert(&format!("f{task}-{}", n % 7), &format!("p{}", n % 3)), alert(&format!("new-{task}-{n}-{}", std::process::id()), "p")];
                let results = ledger.intake(CallContext::system("child"), Intake { alerts, policy: IntakePolicy::default() }).await.unwrap();
                let mut out = std::io::stdout().lock();
                for result in results {
                    writeln!(out, "answered {}", result.alert_id.unwrap()).unwrap();
                }
                out.flush().unwrap();
            }
        })
    });
    futures::future::join_all(tasks).await;
}

async fn check(ledger: &SqliteLedger, answered: &[String]) {
    let ctx = || CallContext::system("test");
    let (mut kept, mut occurrences, mut before) = (std::collections::HashSet::new(), 0, None);
    loop {
        let page = ledger.incidents(ctx(), IncidentFilter { before, limit: Some(1000), ..Default::default() }).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for incident in page {
            let alerts = ledger.alerts(ctx(), incident.id).await.unwrap();
            assert_eq!(alerts.len() as u64, incident.occurrences, "alerts and counts agree");
            occurrences += incident.occurrences;
            kept.extend(alerts.into_iter().map(|alert| alert.id.to_string()));
            assert_eq!(first_broken_row(&ledger.audit(ctx(), incident.id).await.unwrap()), None);
        }
    }
    let lost: Vec<_> = answered.iter().filter(|id| !kept.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} answered alerts are lost: {lost:?}", lost.len(), answered.len());
    assert_eq!(occurrences, kept.len() as u64, "no alert is kept twice");
}
