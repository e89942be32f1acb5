//! PostgreSQL itself is killed in the middle of intake: what was answered is there, and senders only wait.
//!
//! Needs `KUBERNAUT_TEST_POSTGRES_RESTART`, the command that starts the server anew, beside what the other tests need. A file of its own,
//! because no other test may use the server meanwhile.

#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::HashSet,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kubernaut_core::{
    Error,
    model::{AlertId, first_broken_row},
    port::{IncidentFilter, Intake, IntakePolicy, Ledger, NewEvent, SystemClock},
    service::CallContext,
};
use kubernaut_storage::PostgresLedger;
use serde_json::json;

mod common;
use common::{alert, database};

fn ctx() -> CallContext {
    CallContext::system("test")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_answered_survives_the_death_of_the_server() {
    let Some(url) = database::url() else { return };
    let Ok(restart) = std::env::var("KUBERNAUT_TEST_POSTGRES_RESTART") else {
        assert!(std::env::var("KUBERNAUT_REQUIRE_POSTGRES").as_deref() != Ok("1"), "KUBERNAUT_TEST_POSTGRES_RESTART is not set");
        return eprintln!("skipped: KUBERNAUT_TEST_POSTGRES_RESTART is not set");
    };
    let ledger = PostgresLedger::open(database::config(&url), Arc::new(SystemClock)).await.unwrap();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..16).map(|sender| tokio::spawn(send_until(ledger.clone(), sender, stop.clone(), answered.clone()))).collect();
    for _ in 0..2 {
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let command = format!("{restart} --mode immediate");
        let done = tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &command]).status()).await.unwrap().unwrap();
        assert!(done.success());
    }
    let before = answered.load(Ordering::Relaxed);
    while answered.load(Ordering::Relaxed) < before + 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut sent, mut refused) = (HashSet::new(), Vec::new());
    for sender in senders {
        let (ids, errors) = sender.await.unwrap();
        sent.extend(ids);
        refused.extend(errors);
    }
    let for_good = refused.iter().find(|e| !e.is_transient() || e.retry_delay().is_none());
    assert!(for_good.is_none(), "whoever was refused may try again: {for_good:?}");
    println!("{} alerts answered over 2 restarts, {} requests refused", sent.len(), refused.len());
    check(&ledger, &sent).await;
}

/// What a sender does: new alerts and repeated ones, and after a refusal the same again.
async fn send_until(ledger: PostgresLedger, sender: usize, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> (Vec<AlertId>, Vec<Error>) {
    let (mut ids, mut refused) = (Vec::new(), Vec::new());
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let alerts = vec![alert(&format!("f{sender}-{}", n % 5), &format!("p{}", n % 3)), alert(&format!("new-{sender}-{n}"), "p")];
        let results = loop {
            match ledger.intake(ctx(), Intake { alerts: alerts.clone(), policy: IntakePolicy::default() }).await {
                Ok(results) => break results,
                Err(error) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    refused.push(error);
                }
            }
        };
        // One that was stored although it was refused says so now, and is not counted twice.
        ids.extend(alerts.iter().map(|a| a.id));
        answered.fetch_add(results.len(), Ordering::Relaxed);
    }
    (ids, refused)
}

async fn check(ledger: &PostgresLedger, answered: &HashSet<AlertId>) {
    let (mut kept, mut occurrences, mut before) = (HashSet::new(), 0, None);
    loop {
        let page = ledger.incidents(ctx(), IncidentFilter { before, limit: Some(1000), ..Default::default() }).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for incident in page {
            let alerts = ledger.alerts(ctx(), incident.id).await.unwrap();
            assert_eq!(alerts.len() as u64, incident.occurrences, "alerts and counts agree");
            occurrences += incident.occurrences;
            kept.extend(alerts.into_iter().map(|alert| alert.id));
            assert_eq!(first_broken_row(&ledger.audit(ctx(), incident.id).await.unwrap()), None);
        }
    }
    let lost: Vec<_> = answered.difference(&kept).collect();
    assert!(lost.is_empty(), "{} of {} answered alerts are lost", lost.len(), answered.len());
    assert_eq!(occurrences, kept.len() as u64, "no alert is counted twice");
    let open = ledger.incidents(ctx(), IncidentFilter { limit: Some(1), ..Default::default() }).await.unwrap().remove(0);
    ledger.append_events(ctx(), open.id, vec![NewEvent::system("x", "test", json!({}))]).await.unwrap();
    assert!(!ledger.events(ctx(), 0, Some(open.id), None).await.unwrap().is_empty(), "it goes on");
}
