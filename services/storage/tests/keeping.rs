//! What is kept how long, what stays of the rest, and that nobody can lie about it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use kubernaut_core::{
    ErrorKind,
    model::{IncidentId, Phase, Timestamp},
    port::{Advance, Intake, IntakePolicy, Ledger, ManualClock, NewEvent},
    service::{Actor, CallContext},
};
use kubernaut_storage::{
    AuditConfig, AuditKey, AuditReport, AuditVerifier, LedgerPlace, ProofLine, RetentionClass, SqliteConfig, SqliteLedger, Storage, StorageConfig,
    Upkeep, export_audit,
};
use serde_json::json;
use tempfile::TempDir;

mod common;
use common::alert;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn ctx() -> CallContext {
    CallContext::new(Actor::user("ana"))
}

fn begin() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

struct Bench {
    ledger: Arc<dyn Ledger>,
    upkeep: Upkeep,
    clock: ManualClock,
    key: PathBuf,
    place: LedgerPlace,
    _folder: TempDir,
}

impl Bench {
    async fn make(open: impl AsyncFnOnce(&TempDir, ManualClock) -> (Storage, LedgerPlace)) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = ManualClock::at(begin());
        let (storage, place) = open(&folder, clock.clone()).await;
        let key = folder.path().join("audit.key");
        AuditKey::generate(&key).unwrap();
        let config = StorageConfig { audit: AuditConfig { key_file: Some(key.clone()), ..Default::default() }, ..Default::default() };
        let upkeep = Upkeep::new(storage.clone(), &config, Arc::new(clock.clone())).unwrap();
        Self { ledger: storage.ledger(), upkeep, clock, key, place, _folder: folder }
    }

    async fn sqlite() -> Self {
        Self::make(async |folder, clock| {
            let path = folder.path().join("k.db");
            let ledger = SqliteLedger::open(SqliteConfig::file(&path), Arc::new(clock)).await.unwrap();
            (Storage::Sqlite(ledger), LedgerPlace::Sqlite(path))
        })
        .await
    }

    #[cfg(feature = "postgres")]
    async fn postgres(url: &str) -> Self {
        let config = common::database::config(url);
        Self::make(async |_, clock| {
            let ledger = kubernaut_storage::PostgresLedger::open(config.clone(), Arc::new(clock)).await.unwrap();
            (Storage::Postgres(ledger), LedgerPlace::Postgres(Box::new(config)))
        })
        .await
    }

    /// An incident that has ended.
    async fn ended(&self, fingerprint: &str) -> IncidentId {
        let mut firing = alert(fingerprint, "p");
        firing.received_at = kubernaut_core::port::Clock::now(&self.clock);
        let results = self.ledger.intake(ctx(), Intake { alerts: vec![firing], policy: IntakePolicy::default() }).await.unwrap();
        let lease = self.ledger.claim(ctx(), "w".into(), DAY).await.unwrap().unwrap();
        assert_eq!(Some(lease.incident.id), results[0].incident_id);
        let mut incident = lease.incident;
        incident.phase = Phase::Resolved;
        let events = vec![NewEvent::system("incident.phase_changed", "test", json!({ "to": "resolved" }))];
        let advance = Advance { incident, epoch: lease.epoch, events, notifications: Vec::new(), wake_at: None, release: true };
        self.ledger.advance(ctx(), advance).await.unwrap().id
    }

    async fn purge(&self, apply: bool) -> Vec<(RetentionClass, u64)> {
        self.upkeep.purge(&ctx(), apply).await.unwrap().into_iter().filter(|p| p.count > 0).map(|p| (p.class, p.count)).collect()
    }

    async fn proof(&self) -> Vec<ProofLine> {
        let mut lines = Vec::new();
        export_audit(&self.place, &self.clock, |line| {
            lines.push(line);
            Ok(())
        })
        .await
        .unwrap();
        lines
    }

    fn public(&self) -> String {
        AuditKey::read(&self.key).unwrap().public()
    }
}

fn verify(lines: Vec<ProofLine>, pinned: Option<String>) -> AuditReport {
    let mut verifier = AuditVerifier::new(pinned);
    // As it comes out of a file.
    lines.iter().map(|line| serde_json::from_str(&serde_json::to_string(line).unwrap()).unwrap()).for_each(|line| verifier.add(line));
    verifier.finish()
}

async fn time_and_holds(b: &Bench) {
    let (gone, held) = (b.ended("a").await, b.ended("b").await);
    b.upkeep.hold(&ctx(), held, "lawsuit 7").await.unwrap();
    assert_eq!(b.upkeep.hold(&ctx(), held, " ").await.unwrap_err().kind(), ErrorKind::InvalidInput, "a hold has a reason");
    assert!(b.purge(true).await.is_empty(), "nothing is old enough");

    b.clock.advance(DAY * 91);
    let open = b.ledger.intake(ctx(), Intake { alerts: vec![alert("c", "p")], policy: IntakePolicy::default() }).await.unwrap();
    let open = open[0].incident_id.unwrap();
    let expected = [(RetentionClass::Alerts, 1), (RetentionClass::Events, 2)];
    assert_eq!(b.purge(false).await, expected, "of the one that is not held");
    assert_eq!(b.ledger.alerts(ctx(), gone).await.unwrap().len(), 1, "looking changes nothing");
    assert_eq!(b.purge(true).await, expected);
    assert!(b.ledger.alerts(ctx(), gone).await.unwrap().is_empty());
    assert_eq!(b.ledger.audit(ctx(), gone).await.unwrap().len(), 2, "the incident and its audit are kept longer");

    b.clock.advance(DAY * 275);
    assert_eq!(b.purge(true).await, [(RetentionClass::Incidents, 1)]);
    assert_eq!(b.ledger.incident(ctx(), gone).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.audit(ctx(), gone).await.unwrap().len(), 2, "its audit outlives it");

    b.clock.advance(DAY * 740);
    assert_eq!(b.purge(true).await, [(RetentionClass::Audit, 1)]);
    assert_eq!(b.ledger.audit(ctx(), gone).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.incident(ctx(), open).await.unwrap().phase, Phase::Received, "what has not ended is never too old");
    assert_eq!(
        (b.ledger.alerts(ctx(), held).await.unwrap().len(), b.ledger.audit(ctx(), held).await.unwrap().len()),
        (1, 3),
        "a hold holds everything"
    );

    let report = verify(b.proof().await, Some(b.public()));
    assert_eq!(report.broken, [], "what was purged is still accounted for");
    assert_eq!((report.chains, report.purged), (2, 1));
    assert!(report.checkpoints > 0 && report.signed == report.checkpoints);

    b.upkeep.release(&ctx(), held).await.unwrap();
    assert_eq!(b.upkeep.release(&ctx(), held).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(b.upkeep.holds(&ctx()).await.unwrap().is_empty());
    let told: Vec<String> = b.ledger.audit(ctx(), held).await.unwrap().into_iter().map(|row| row.action).collect();
    assert_eq!(told[2..], ["incident.hold_set", "incident.hold_released"], "who held what is part of the audit");
    let classes = [RetentionClass::Alerts, RetentionClass::Events, RetentionClass::Incidents, RetentionClass::Audit];
    assert_eq!(b.purge(true).await.iter().map(|(class, _)| *class).collect::<Vec<_>>(), classes, "now it goes too");
    assert_eq!(verify(b.proof().await, Some(b.public())).broken, []);
}

async fn lies(b: &Bench) {
    let (first, second) = (b.ended("a").await, b.ended("b").await);
    assert_eq!(b.upkeep.checkpoint(&ctx()).await.unwrap(), 1);
    assert_eq!(b.upkeep.checkpoint(&ctx()).await.unwrap(), 0, "none without anything new");
    b.ledger.append_events(ctx(), first, vec![NewEvent::system("x", "test", json!({}))]).await.unwrap();
    let truth = b.proof().await;
    assert_eq!(verify(truth.clone(), None).broken, []);
    let is_row = |line: &ProofLine, id: IncidentId, seq: u64| matches!(line, ProofLine::Row(row) if row.incident_id == id && row.seq == seq);
    let without = |lie: &dyn Fn(&ProofLine) -> bool| -> Vec<ProofLine> {
        let mut lines: Vec<ProofLine> = truth.iter().filter(|line| !lie(line)).cloned().collect();
        // Whoever lies also corrects the count.
        let count = lines.len() as u64 - 2;
        if let Some(ProofLine::End { lines }) = lines.last_mut() {
            *lines = count;
        }
        lines
    };
    let changed = truth.iter().cloned().map(|line| match line {
        ProofLine::Row(mut row) if row.incident_id == second && row.seq == 1 => {
            row.actor = "nobody".into();
            ProofLine::Row(row)
        }
        other => other,
    });
    let of_second = |line: &ProofLine| match line {
        ProofLine::Row(row) => row.incident_id == second,
        ProofLine::Head(head) => head.incident_id == second,
        _ => false,
    };
    let lies: [(&str, Vec<ProofLine>); 6] = [
        ("a row was changed", changed.collect()),
        ("the last row is gone", without(&|line| is_row(line, first, 3))),
        ("a row in the middle is gone", without(&|line| is_row(line, first, 2))),
        ("an incident is gone with its chain, which a checkpoint names", without(&of_second)),
        ("checkpoints are not signed by the key that is expected", truth.clone()),
        ("the end is gone", truth[..truth.len() - 1].to_vec()),
    ];
    let other = "00".repeat(32);
    for (lie, lines) in lies {
        let pinned = if lie.contains("signed") { other.clone() } else { b.public() };
        let report = verify(lines, Some(pinned));
        assert!(!report.broken.is_empty(), "{lie}");
    }
    let forged = truth.iter().cloned().map(|line| match line {
        ProofLine::Checkpoint(mut checkpoint) => {
            checkpoint.heads.retain(|head| head.incident_id != second);
            checkpoint.hash = checkpoint.expected_hash();
            ProofLine::Checkpoint(checkpoint)
        }
        other => other,
    });
    let report = verify(forged.filter(|line| !of_second(line)).collect(), None);
    assert!(report.broken.iter().any(|b| b.what.contains("signature")), "a checkpoint that was made to fit has no signature: {:?}", report.broken);
}

#[tokio::test]
async fn time_and_holds_decide_what_is_kept_in_sqlite() {
    time_and_holds(&Bench::sqlite().await).await;
}

#[tokio::test]
async fn a_proof_finds_every_lie_in_sqlite() {
    lies(&Bench::sqlite().await).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn time_and_holds_decide_what_is_kept_in_postgresql() {
    let Some(url) = common::database::url() else { return };
    time_and_holds(&Bench::postgres(&url).await).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_proof_finds_every_lie_in_postgresql() {
    let Some(url) = common::database::url() else { return };
    lies(&Bench::postgres(&url).await).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_that_everybody_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.key");
    AuditKey::generate(&path).unwrap();
    assert_eq!(AuditKey::generate(&path).unwrap_err().kind(), ErrorKind::Conflict, "a key is never written over");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(AuditKey::read(&path).unwrap_err().to_string().contains("chmod"));
}
