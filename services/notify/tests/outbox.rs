//! The outbox worker over a real ledger in memory.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests report by panicking")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{
        Alert, AlertId, AlertStatus, FingerprintStrategy, IncidentId, Notification, NotificationId, NotificationKind, ObjectRef, Severity, Timestamp,
    },
    port::{Clock, Intake, IntakePolicy, Ledger, LedgerStats, ManualClock},
    service::{CallContext, Delivery, Notifier},
};
use kubernaut_notify::{OutboxConfig, OutboxWorker};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Answers as it is told, and says what it was given.
#[derive(Debug)]
struct Told {
    answers: Mutex<Vec<Option<ErrorKind>>>,
    seen: mpsc::UnboundedSender<NotificationId>,
    /// Each call takes one permit first.
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Notifier for Told {
    async fn notify(&self, _ctx: CallContext, notification: Notification) -> Result<Delivery> {
        self.seen.send(notification.id).unwrap();
        self.gate.acquire().await.unwrap().forget();
        match self.answers.lock().unwrap().pop().flatten() {
            Some(kind) => Err(Error::new(kind, "test.send", "no").with("note", "password=hunter2")),
            None => Ok(Delivery { channels: vec!["told".into()] }),
        }
    }
}

struct Scene {
    ledger: Arc<SqliteLedger>,
    clock: ManualClock,
    incident: IncidentId,
    told: Arc<Told>,
    seen: mpsc::UnboundedReceiver<NotificationId>,
    shutdown: CancellationToken,
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

impl Scene {
    /// `answers` come first to last; then everything is taken.
    async fn new(mut answers: Vec<Option<ErrorKind>>, permits: usize) -> Self {
        answers.reverse();
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let ledger = Arc::new(SqliteLedger::open(SqliteConfig::memory(), Arc::new(clock.clone())).await.unwrap());
        let incident = open_incident(&*ledger, clock.now()).await;
        let (sender, seen) = mpsc::unbounded_channel();
        let told = Arc::new(Told { answers: Mutex::new(answers), seen: sender, gate: Arc::new(Semaphore::new(permits)) });
        Self { ledger, clock, incident, told, seen, shutdown: CancellationToken::new() }
    }

    fn start(&self, config: OutboxConfig) -> JoinHandle<()> {
        let worker = OutboxWorker::new(self.ledger.clone(), self.told.clone(), Arc::new(self.clock.clone()), config);
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move { worker.run(shutdown).await })
    }

    async fn enqueue(&self) -> NotificationId {
        let at = self.clock.now();
        let id = NotificationId::new(at);
        let (kind, severity) = (NotificationKind::Closed, Severity::Info);
        let notification =
            Notification { id, incident_id: self.incident, kind, severity, title: "t".into(), body: "b".into(), data: serde_json::Value::Null, at };
        self.ledger.enqueue(ctx(), notification).await.unwrap();
        id
    }

    /// The counts, once they are as wanted.
    async fn settled(&self, wanted: impl Fn(&LedgerStats) -> bool) {
        let mut changes = self.ledger.changes();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if wanted(&self.ledger.stats(ctx()).await.unwrap()) {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the outbox settles");
    }

    async fn next_seen(&mut self) -> NotificationId {
        tokio::time::timeout(Duration::from_secs(20), self.seen.recv()).await.expect("the worker delivers").unwrap()
    }
}

async fn open_incident(ledger: &dyn Ledger, now: Timestamp) -> IncidentId {
    let target = ObjectRef::new("Deployment", Some("shop"), "web");
    let alert = Alert {
        id: AlertId::new(now),
        source: "test".into(),
        status: AlertStatus::Firing,
        name: "A".into(),
        severity: Severity::Info,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts_at: now,
        ends_at: None,
        received_at: now,
        generator_url: None,
        source_fingerprint: None,
        fingerprint: FingerprintStrategy::Owner.fingerprint("", &target, "A"),
        owner: target.clone(),
        owner_resolved: true,
        target,
    };
    let results = ledger.intake(ctx(), Intake { alerts: vec![alert], policy: IntakePolicy::default() }).await.unwrap();
    results[0].incident_id.unwrap()
}

fn config() -> OutboxConfig {
    OutboxConfig { backoff_ms: 60_000, max_attempts: 3, poll_ms: 50, ..OutboxConfig::default() }
}

#[tokio::test]
async fn a_change_of_the_ledger_wakes_the_worker() {
    let mut scene = Scene::new(Vec::new(), 100).await;
    // The timer alone would come too late for the test.
    scene.start(OutboxConfig { poll_ms: 3_600_000, ..config() });
    for _ in 0..3 {
        let id = scene.enqueue().await;
        assert_eq!(scene.next_seen().await, id);
        scene.settled(|stats| stats.outbox == 0).await;
    }
    assert_eq!(scene.ledger.stats(ctx()).await.unwrap().outbox_dead, 0);
}

#[tokio::test]
async fn a_transient_error_is_tried_again_only_after_the_wait_and_then_given_up() {
    let answers = vec![Some(ErrorKind::Unavailable), None, Some(ErrorKind::Timeout), Some(ErrorKind::Overloaded)];
    let mut scene = Scene::new(answers, 100).await;
    scene.start(config());
    let id = scene.enqueue().await;
    assert_eq!(scene.next_seen().await, id);
    scene.clock.advance(Duration::from_secs(30));
    // A later one is delivered first: the one that failed waits.
    let other = scene.enqueue().await;
    assert_eq!(scene.next_seen().await, other);
    scene.settled(|stats| stats.outbox == 1).await;
    for wait in [60, 180] {
        scene.clock.advance(Duration::from_secs(wait));
        assert_eq!(scene.next_seen().await, id);
    }
    scene.settled(|stats| stats.outbox == 0 && stats.outbox_dead == 1).await;
}

#[tokio::test]
async fn any_other_error_ends_the_attempts() {
    let mut scene = Scene::new(vec![Some(ErrorKind::NotFound)], 100).await;
    scene.start(config());
    let id = scene.enqueue().await;
    scene.settled(|stats| stats.outbox == 0 && stats.outbox_dead == 1).await;
    assert_eq!(scene.next_seen().await, id);
}

#[tokio::test]
async fn a_slow_delivery_holds_up_no_other() {
    let mut scene = Scene::new(Vec::new(), 0).await;
    scene.start(OutboxConfig { concurrency: 2, ..config() });
    let slow = scene.enqueue().await;
    assert_eq!(scene.next_seen().await, slow);
    let other = scene.enqueue().await;
    assert_eq!(scene.next_seen().await, other);
    scene.told.gate.add_permits(1);
    // The third finds room although the other one of the first two still hangs.
    let third = scene.enqueue().await;
    assert_eq!(scene.next_seen().await, third);
}

#[tokio::test]
async fn what_is_due_at_the_end_is_still_delivered() {
    let mut scene = Scene::new(Vec::new(), 100).await;
    let mut expected = vec![scene.enqueue().await, scene.enqueue().await, scene.enqueue().await];
    scene.shutdown.cancel();
    scene.start(OutboxConfig { concurrency: 1, ..config() }).await.unwrap();
    let mut seen = vec![scene.next_seen().await, scene.next_seen().await, scene.next_seen().await];
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);
    assert_eq!(scene.ledger.stats(ctx()).await.unwrap().outbox, 0);
}

#[tokio::test]
async fn the_end_is_bounded_and_what_is_cut_off_comes_first_after_the_next_start() {
    let mut scene = Scene::new(Vec::new(), 0).await;
    let worker = scene.start(OutboxConfig { drain_s: 0, ..config() });
    let id = scene.enqueue().await;
    assert_eq!(scene.next_seen().await, id);
    scene.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), worker).await.expect("the end is bounded").unwrap();
    assert_eq!(scene.ledger.stats(ctx()).await.unwrap().outbox, 1);
    scene.told.gate.add_permits(1);
    scene.shutdown = CancellationToken::new();
    scene.start(config());
    assert_eq!(scene.next_seen().await, id);
    scene.settled(|stats| stats.outbox == 0).await;
}
