//! A ledger moves, is saved and comes back as it was.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{path::Path, sync::Arc, time::Duration};

use kubernaut_core::{
    ErrorKind,
    model::{
        Alert, HistoryEntry, Incident, IncidentId, Intent, IntentState, Notification, NotificationId, NotificationKind, ObjectRef, Phase, Severity,
        first_broken_row,
    },
    port::{Advance, Clock, IncidentFilter, Intake, IntakePolicy, Ledger, NewEvent, SystemClock},
    service::{CallContext, ContextStore, RecallQuery, Signal},
};
use kubernaut_storage::{LedgerPlace, SqliteConfig, SqliteLedger, backup, migrate, restore};
use serde_json::json;
use tempfile::TempDir;

mod common;
use common::alert;

fn ctx() -> CallContext {
    CallContext::system("test")
}

async fn take(ledger: &dyn Ledger, alerts: Vec<Alert>) -> IncidentId {
    let results = ledger.intake(ctx(), Intake { alerts, policy: IntakePolicy::default() }).await.unwrap();
    results[0].incident_id.unwrap()
}

/// A bit of everything; more rows than are copied at once.
async fn fill(ledger: &SqliteLedger) {
    for part in 0..7 {
        take(ledger, (0..100).map(|n| alert(&format!("f{}", n % 40), &format!("p{part}-{n}"))).collect()).await;
    }
    let lease = ledger.claim(ctx(), "w".into(), Duration::from_secs(3600)).await.unwrap().unwrap();
    let id = lease.incident.id;
    let run: kubernaut_core::model::Run = serde_json::from_value(json!({
        "schema": 1, "id": kubernaut_core::model::RunId::new(SystemClock.now()), "incident_id": id, "attempt": 1, "state": "running",
        "plan": { "id": kubernaut_core::model::PlanId::new(SystemClock.now()), "version": 1, "reason": "test", "steps": [], "approval_timeout_s": 900 },
        "mode": "auto", "steps": [], "created_at": SystemClock.now(), "updated_at": SystemClock.now(),
    }))
    .unwrap();
    let run = ledger.create_run(ctx(), run).await.unwrap();
    ledger.push_signal(ctx(), run.id, Signal::Pause).await.unwrap();
    let notification = Notification {
        id: NotificationId::new(SystemClock.now()),
        incident_id: id,
        kind: NotificationKind::Information,
        severity: Severity::Info,
        title: "größe \" \\ \n ✓".into(),
        body: String::new(),
        data: json!({ "share": 0.1, "big": u64::MAX }),
        at: SystemClock.now(),
    };
    let mut incident = lease.incident;
    incident.phase = Phase::Resolved;
    let events = vec![NewEvent::system("incident.phase_changed", "test", json!({ "share": [0.1, 1e-7, 5e-324] }))];
    ledger
        .advance(ctx(), Advance { incident, epoch: lease.epoch, events, notifications: vec![notification], wake_at: None, release: true })
        .await
        .unwrap();
    let request = serde_json::from_value(json!({ "action": "x", "target": ObjectRef::new("Node", None, "n1"), "params": {}, "key": "k1" })).unwrap();
    let intent = Intent {
        key: "k1".into(),
        incident_id: Some(id),
        request,
        digest: "d".into(),
        pre_state: json!({}),
        state: IntentState::Open,
        at: SystemClock.now(),
        execution: None,
    };
    ledger.open_intent(ctx(), intent).await.unwrap();
    ledger.lock_target(ctx(), "Node/n1".into(), "r1".into(), Duration::from_secs(60)).await.unwrap();
    ledger.set_stopped(ctx(), Some("maintenance".into())).await.unwrap();
    let entry: HistoryEntry = serde_json::from_value(json!({
        "incident_id": id, "fingerprint": "f1", "opened_at": SystemClock.now(), "alert_name": "A", "resource": ObjectRef::new("Deployment", Some("shop"), "web"),
        "text": "container checkout was OOMKilled with exit code 137",
    }))
    .unwrap();
    ledger.context_store().remember(ctx(), entry).await.unwrap();
}

/// What callers see of a ledger.
async fn seen(ledger: &dyn Ledger, memory: &dyn ContextStore) -> (Vec<Incident>, serde_json::Value) {
    let incidents = ledger.incidents(ctx(), IncidentFilter { limit: Some(1000), ..Default::default() }).await.unwrap();
    let mut all = Vec::new();
    for incident in &incidents {
        let rows = ledger.audit(ctx(), incident.id).await.unwrap();
        assert_eq!(first_broken_row(&rows), None);
        let events = ledger.events(ctx(), 0, Some(incident.id), None).await.unwrap();
        all.push(json!([ledger.alerts(ctx(), incident.id).await.unwrap(), rows, events]));
    }
    let runs = ledger.runs(ctx(), Default::default()).await.unwrap();
    let signals: Vec<String> = ledger.signals(ctx(), runs[0].id).await.unwrap().iter().map(|s| format!("{s:?}")).collect();
    let recalled = memory.recall(ctx(), RecallQuery { text: Some("oomkilled".into()), ..Default::default() }).await.unwrap();
    assert_eq!(recalled.len(), 1, "what is remembered is found by its words");
    let rest = json!([
        runs,
        signals,
        ledger.intent(ctx(), "k1".into()).await.unwrap(),
        ledger.stopped(ctx()).await.unwrap(),
        ledger.stats(ctx()).await.unwrap(),
        recalled[0].entry
    ]);
    (incidents, json!([all, rest]))
}

async fn sqlite(path: &Path) -> SqliteLedger {
    SqliteLedger::open(SqliteConfig::file(path), Arc::new(SystemClock)).await.unwrap()
}

#[tokio::test]
async fn a_backup_of_a_ledger_in_use_restores_it_as_it_was() {
    let folder = TempDir::new().unwrap();
    let (path, other) = (folder.path().join("k.db"), folder.path().join("other.db"));
    let ledger = sqlite(&path).await;
    fill(&ledger).await;
    let before = seen(&ledger, &ledger.context_store()).await;
    let mut archive = Vec::new();
    let saved = backup(&LedgerPlace::Sqlite(path.clone()), &mut archive, &SystemClock).await.unwrap();
    take(&ledger, vec![alert("later", "p")]).await;
    let place = LedgerPlace::Sqlite(other.clone());
    let restored = restore(&place, archive.as_slice(), &SystemClock).await.unwrap();
    assert_eq!(restored.tables, saved, "the same rows with the same hashes");
    let back = sqlite(&other).await;
    assert_eq!(seen(&back, &back.context_store()).await, before, "what was written after the backup is not in it, all else is");
    take(&back, vec![alert("new", "p")]).await;
    back.close().await.unwrap();
    assert_eq!(restore(&place, archive.as_slice(), &SystemClock).await.unwrap_err().kind(), ErrorKind::Conflict, "a ledger is never written over");
}

#[tokio::test]
async fn an_archive_that_is_not_what_was_written_restores_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("k.db");
    let ledger = sqlite(&path).await;
    fill(&ledger).await;
    let mut archive = Vec::new();
    backup(&LedgerPlace::Sqlite(path), &mut archive, &SystemClock).await.unwrap();
    let text = String::from_utf8(archive).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let changed = text.replacen("PodCrashLooping", "PodCrashLoopinG", 1);
    let shorter = lines[..lines.len() / 2].join("\n");
    let without_one = lines.iter().enumerate().filter(|(n, _)| *n != 5).map(|(_, l)| *l).collect::<Vec<_>>().join("\n");
    for (what, damaged) in [("changed", changed), ("cut off", shorter), ("a row less", without_one), ("no archive", "[]".to_owned())] {
        let target = folder.path().join("target.db");
        let error = restore(&LedgerPlace::Sqlite(target.clone()), damaged.as_bytes(), &SystemClock).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        if target.exists() {
            let empty = sqlite(&target).await;
            assert_eq!(empty.stats(ctx()).await.unwrap().alerts, 0, "{what}: nothing was kept");
            empty.close().await.unwrap();
        }
    }
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_moves_to_postgresql_and_back() {
    use kubernaut_storage::PostgresLedger;
    let Some(url) = common::database::url() else { return };
    let config = common::database::config(&url);
    let folder = TempDir::new().unwrap();
    let (path, back) = (folder.path().join("k.db"), folder.path().join("back.db"));
    let ledger = sqlite(&path).await;
    fill(&ledger).await;
    let before = seen(&ledger, &ledger.context_store()).await;
    let (file, database) = (LedgerPlace::Sqlite(path.clone()), LedgerPlace::Postgres(Box::new(config.clone())));
    let refused = migrate(&file, &database, &SystemClock).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LedgerInUse, "not while a server writes to it");
    ledger.close().await.unwrap();

    let moved = migrate(&file, &database, &SystemClock).await.unwrap();
    assert!(moved.audit.broken.is_empty() && moved.audit.chains == 40, "{:?}", moved.audit);
    assert_eq!(moved.tables.iter().find(|t| t.table == "alerts").unwrap().rows, 700);
    assert_eq!(migrate(&file, &database, &SystemClock).await.unwrap_err().kind(), ErrorKind::Conflict, "a target that holds anything is refused");

    let there = PostgresLedger::open(config, Arc::new(SystemClock)).await.unwrap();
    assert_eq!(seen(&there, &there.context_store()).await, before);
    let last = there.stats(ctx()).await.unwrap().last_event;
    let id = take(&there, vec![alert("new", "p"), alert("f1", "p")]).await;
    let event = there.events(ctx(), last, None, None).await.unwrap().remove(0);
    assert_eq!((event.seq, event.incident_id), (last + 1, id), "numbers go on where they ended");
    let run = there.runs(ctx(), Default::default()).await.unwrap().remove(0);
    there.push_signal(ctx(), run.id, Signal::Resume).await.unwrap();
    let after = seen(&there, &there.context_store()).await;
    there.close().await.unwrap();

    let moved_back = migrate(&database, &LedgerPlace::Sqlite(back.clone()), &SystemClock).await.unwrap();
    assert_eq!(moved_back.tables.iter().find(|t| t.table == "alerts").unwrap().rows, 702);
    let home = sqlite(&back).await;
    assert_eq!(seen(&home, &home.context_store()).await, after);
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn an_audit_that_does_not_verify_is_not_moved() {
    use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
    let Some(url) = common::database::url() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("k.db");
    let ledger = sqlite(&path).await;
    let id = take(&ledger, vec![alert("a", "p")]).await;
    ledger.append_events(ctx(), id, vec![NewEvent::system("x", "test", json!({}))]).await.unwrap();
    ledger.close().await.unwrap();
    let mut db = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
    sqlx::query("DROP TRIGGER audit_no_update").execute(&mut db).await.unwrap();
    sqlx::query("UPDATE audit SET actor = 'nobody' WHERE seq = 1").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let config = common::database::config(&url);
    let database = LedgerPlace::Postgres(Box::new(config.clone()));
    let error = migrate(&LedgerPlace::Sqlite(path), &database, &SystemClock).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains(&id.to_string()), "{error}");
    let there = kubernaut_storage::PostgresLedger::open(config, Arc::new(SystemClock)).await.unwrap();
    assert_eq!(there.stats(ctx()).await.unwrap().alerts, 0, "the target stays empty");
}
