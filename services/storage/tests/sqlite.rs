//! What holds for SQLite files in particular.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{path::Path, sync::Arc, time::Duration};

use kubernaut_core::{
    Error, ErrorKind,
    model::{Alert, IncidentId, IntakeOutcome, first_broken_row},
    port::{Intake, IntakePolicy, Ledger, NewEvent, SystemClock},
    service::CallContext,
};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use serde_json::json;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

mod common;
use common::alert;

fn ctx() -> CallContext {
    CallContext::system("test")
}

async fn open(path: &Path) -> Result<SqliteLedger, Error> {
    SqliteLedger::open(SqliteConfig::file(path), Arc::new(SystemClock)).await
}

async fn take(ledger: &SqliteLedger, alerts: Vec<Alert>) -> IncidentId {
    let results = ledger.intake(ctx(), Intake { alerts, policy: IntakePolicy::default() }).await.unwrap();
    results[0].incident_id.unwrap()
}

/// A second way into the file, as a person with the sqlite3 tool has it.
async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query(sql).execute(connection).await?.rows_affected())
}

#[tokio::test]
async fn audit_rows_are_append_only_and_tampering_is_found() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("k.db");
    let ledger = open(&path).await.unwrap();
    let id = take(&ledger, vec![alert("a", "p1")]).await;
    let events = (0..3).map(|n| NewEvent::system("x", "test", json!({ "n": n }))).collect();
    ledger.append_events(ctx(), id, events).await.unwrap();
    let mut db = raw(&path).await;
    for forbidden in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "INSERT OR REPLACE INTO audit SELECT * FROM audit"] {
        let refused = run(&mut db, forbidden).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{forbidden}: {refused}");
    }
    assert_eq!(first_broken_row(&ledger.audit(ctx(), id).await.unwrap()), None);

    run(&mut db, "DROP TRIGGER audit_no_update").await.unwrap();
    run(&mut db, "DROP TRIGGER audit_no_delete").await.unwrap();
    run(&mut db, "UPDATE audit SET actor = 'nobody' WHERE seq = 3").await.unwrap();
    assert_eq!(first_broken_row(&ledger.audit(ctx(), id).await.unwrap()), Some(3), "a changed row breaks the chain");
    run(&mut db, "DELETE FROM audit WHERE seq = 4").await.unwrap();
    let cut = ledger.audit(ctx(), id).await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Corrupt, "rows missing at the end are found, though the rest verifies");
}

#[tokio::test]
async fn a_file_belongs_to_one_ledger_at_a_time() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/in/k.db");
    let first = open(&path).await.unwrap();
    let id = take(&first, vec![alert("a", "p1")]).await;
    let second = open(&path).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::LedgerInUse);
    let message = second.to_string();
    assert!(message.contains("k.db") && message.contains(&std::process::id().to_string()), "it names file and process: {message}");
    first.close().await.unwrap();
    assert_eq!(first.incident(ctx(), id).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(first.wake_incident(ctx(), id).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let again = open(&path).await.unwrap();
    assert_eq!(again.incident(ctx(), id).await.unwrap().id, id, "what was written is there again");
    assert!(std::fs::read_dir(path.parent().unwrap()).unwrap().count() >= 2);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let ledger = open(&folder.path().join("k.db")).await.unwrap();
    take(&ledger, vec![alert("a", "p1")]).await;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", file.path().display());
    }
}

#[tokio::test]
async fn files_of_other_makers_and_versions_are_refused() {
    let folder = TempDir::new().unwrap();
    let newer = folder.path().join("newer.db");
    open(&newer).await.unwrap().close().await.unwrap();
    run(&mut raw(&newer).await, "INSERT INTO schema_versions VALUES (99, 'future', 'x', 0)").await.unwrap();
    let refused = open(&newer).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.to_string().contains("newer version"), "{refused}");

    let changed = folder.path().join("changed.db");
    open(&changed).await.unwrap().close().await.unwrap();
    run(&mut raw(&changed).await, "UPDATE schema_versions SET checksum = 'x' WHERE version = 1").await.unwrap();
    assert_eq!(open(&changed).await.unwrap_err().kind(), ErrorKind::Corrupt);

    let foreign = folder.path().join("foreign.db");
    std::fs::write(&foreign, "").unwrap();
    run(&mut raw(&foreign).await, "CREATE TABLE notes (text TEXT)").await.unwrap();
    assert_eq!(open(&foreign).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(run(&mut raw(&foreign).await, "INSERT INTO notes VALUES ('still there')").await.unwrap(), 1, "it is left alone");

    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, but it is long enough to look at".repeat(100)).unwrap();
    assert_eq!(open(&text).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("k.db");
    let ledger = open(&path).await.unwrap();
    let (broken, newer) = (take(&ledger, vec![alert("a", "p1")]).await, take(&ledger, vec![alert("b", "p1")]).await);
    let mut db = raw(&path).await;
    sqlx::query("UPDATE incident_docs SET doc = '{}' WHERE incident_id = ?").bind(broken.to_string()).execute(&mut db).await.unwrap();
    sqlx::query("UPDATE incident_docs SET doc = json_set(doc, '$.schema', 9) WHERE incident_id = ?")
        .bind(newer.to_string())
        .execute(&mut db)
        .await
        .unwrap();
    let error = ledger.incident(ctx(), broken).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains(&broken.to_string()), "{error}");
    assert_eq!(ledger.incident(ctx(), newer).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_bad_call_does_not_take_others_of_its_commit_with_it() {
    let ledger = SqliteLedger::open(SqliteConfig::memory(), Arc::new(SystemClock)).await.unwrap();
    let id = take(&ledger, vec![alert("a", "p1")]).await;
    let event = |n: u32| vec![NewEvent::system("x", "test", json!({ "n": n }))];
    // On one thread the writer does not run before all of these wait, so that they share a commit.
    let mut calls = Vec::new();
    for n in 0..20 {
        let of = if n % 2 == 0 { id } else { IncidentId::new("2026-01-01T00:00:00Z".parse().unwrap()) };
        calls.push(ledger.append_events(ctx(), of, event(n)));
    }
    let answers = futures::future::join_all(calls).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), n % 2 == 0, "each call gets its own answer");
    }
    let rows = ledger.audit(ctx(), id).await.unwrap();
    assert_eq!((rows.len(), first_broken_row(&rows)), (11, None));
}

#[tokio::test]
async fn alerts_beyond_the_queue_are_refused_and_nothing_is_half_done() {
    let config = SqliteConfig { queue: 4, ..SqliteConfig::memory() };
    let ledger = SqliteLedger::open(config, Arc::new(SystemClock)).await.unwrap();
    let calls = (0..32).map(|n| {
        let intake = Intake { alerts: vec![alert(&format!("f{n}"), "p1")], policy: IntakePolicy::default() };
        ledger.intake(ctx(), intake)
    });
    let answers = futures::future::join_all(calls).await;
    let taken = answers.iter().filter(|a| a.is_ok()).count();
    assert_eq!(taken, 4, "as many as the queue holds");
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        assert!(refused.retry_delay().is_some_and(|after| after > Duration::ZERO), "it says when to try again");
    }
    let stats = ledger.stats(ctx()).await.unwrap();
    assert_eq!((stats.open_incidents, stats.alerts), (4, 4));
}

#[tokio::test]
async fn a_caller_that_gives_up_before_its_turn_has_written_nothing() {
    let ledger = SqliteLedger::open(SqliteConfig::memory(), Arc::new(SystemClock)).await.unwrap();
    let intake = |fingerprint: &str| Intake { alerts: vec![alert(fingerprint, "p1")], policy: IntakePolicy::default() };
    let impatient = ctx();
    let token = impatient.cancellation.clone();
    let mut call = ledger.intake(impatient, intake("a"));
    assert!(futures::poll!(&mut call).is_pending(), "it waits for the writer, which has no chance to run here");
    token.cancel();
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Cancelled);
    let stayed = ledger.intake(ctx(), intake("b")).await.unwrap();
    assert_eq!(stayed[0].outcome, IntakeOutcome::Created);
    assert_eq!(ledger.stats(ctx()).await.unwrap().alerts, 1);
}

#[test]
fn public_types_cross_threads() {
    fn crosses<T: Send + Sync + Clone + std::fmt::Debug>() {}
    crosses::<SqliteLedger>();
    crosses::<kubernaut_storage::SqlContextStore>();
    crosses::<SqliteConfig>();
}

#[test]
fn unknown_settings_are_refused() {
    let error = serde_json::from_value::<SqliteConfig>(json!({"pth": "x"})).unwrap_err();
    assert!(error.to_string().contains("pth"), "{error}");
    let config: SqliteConfig = serde_json::from_value(json!({"path": "x.db"})).unwrap();
    assert_eq!(config, SqliteConfig::file("x.db"));
}
