//! An engine at work over an in-memory ledger and a fake executor.

#![allow(dead_code, reason = "each test binary uses another part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kubernaut_core::{
    async_trait,
    model::{Alert, AlertId, AlertStatus, Approval, ApprovalDecision, Event, IncidentId, Mode, ObjectRef, Run, RunState, Severity, Step, Timestamp},
    port::{Clock, Intake, IntakePolicy, Ledger, ManualClock},
    service::{CallContext, Signal, WorkflowEngine},
    testkit::{
        FakeExecutor,
        workflow_engine::{EngineFixture, start_request, until},
    },
};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use kubernaut_workflow::{DurableEngine, EngineConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) fn ctx() -> CallContext {
    CallContext::system("test")
}

/// Looks around every few milliseconds and waits next to nothing.
pub(crate) fn quick() -> EngineConfig {
    EngineConfig { poll_ms: 20, busy_retry_ms: 5, observe_backoff_ms: 1, observe_attempts: 3, shutdown_grace_s: 5, ..EngineConfig::default() }
}

pub(crate) struct World {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) executor: FakeExecutor,
    pub(crate) clock: ManualClock,
    pub(crate) engine: DurableEngine,
    pub(crate) shutdown: CancellationToken,
    pub(crate) driver: Option<JoinHandle<()>>,
}

impl World {
    /// An engine at work.
    pub(crate) async fn new() -> Self {
        let mut world = Self::idle().await;
        world.go();
        world
    }

    /// An engine that drives nothing yet.
    pub(crate) async fn idle() -> Self {
        Self::with(quick()).await
    }

    /// One with other settings.
    pub(crate) async fn with(config: EngineConfig) -> Self {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(SqliteConfig::memory(), Arc::new(clock.clone())).await.unwrap());
        let executor = FakeExecutor::default();
        let engine = DurableEngine::new(ledger.clone(), Arc::new(executor.clone()), Arc::new(clock.clone()), config);
        Self { ledger, executor, clock, engine, shutdown: CancellationToken::new(), driver: None }
    }

    pub(crate) fn go(&mut self) {
        let (engine, shutdown) = (self.engine.clone(), self.shutdown.clone());
        self.driver = Some(tokio::spawn(async move { engine.run(shutdown).await }));
    }

    pub(crate) async fn incident(&self) -> IncidentId {
        let now = self.clock.now();
        let id = AlertId::new(now);
        let alert = Alert {
            id,
            source: "test".into(),
            status: AlertStatus::Firing,
            name: "PodCrashLooping".into(),
            severity: Severity::Critical,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            starts_at: now,
            ends_at: None,
            received_at: now,
            generator_url: None,
            source_fingerprint: None,
            target: ObjectRef::new("Pod", Some("shop"), "web-1"),
            owner: ObjectRef::new("Deployment", Some("shop"), "web"),
            owner_resolved: true,
            fingerprint: id.to_string(),
        };
        let results = self.ledger.intake(ctx(), Intake { alerts: vec![alert], policy: IntakePolicy::default() }).await.unwrap();
        results[0].incident_id.unwrap()
    }

    pub(crate) async fn start(&self, steps: Vec<Step>, mode: Mode) -> Run {
        let request = start_request(&self.clock, self.incident().await, steps, mode);
        self.engine.start(ctx(), request).await.unwrap()
    }

    pub(crate) async fn until(&self, run: &Run, what: &str, enough: impl Fn(&Run) -> bool) -> Run {
        until(&self.engine, run.id, what, enough).await
    }

    pub(crate) async fn reaches(&self, run: &Run, state: RunState) -> Run {
        self.until(run, state.as_str(), |r| r.state == state || r.state.is_terminal()).await;
        let now = self.engine.get(ctx(), run.id).await.unwrap();
        assert_eq!(now.state, state, "{now:#?}");
        now
    }

    /// The open request of the run.
    pub(crate) async fn asked(&self, run: &Run) -> Approval {
        self.reaches(run, RunState::AwaitingApproval).await;
        let open = self.ledger.approvals(ctx(), true).await.unwrap();
        open.into_iter().find(|a| a.run_id == run.id).expect("an open request")
    }

    pub(crate) async fn answer(&self, approval: &Approval, approve: bool) {
        let decision = ApprovalDecision { approve, by: "ann".into(), digest: Some(approval.digest.clone()), comment: None, groups: Vec::new() };
        self.engine.signal(ctx(), approval.run_id, Signal::Decide { approval_id: approval.id, decision }).await.unwrap();
    }

    pub(crate) async fn signal(&self, run: &Run, signal: Signal) {
        self.engine.signal(ctx(), run.id, signal).await.unwrap();
    }

    pub(crate) async fn events(&self, run: &Run) -> Vec<Event> {
        self.ledger.events(ctx(), 0, Some(run.incident_id), Some(1000)).await.unwrap()
    }

    pub(crate) async fn event_kinds(&self, run: &Run) -> Vec<String> {
        self.events(run).await.into_iter().map(|e| e.kind).filter(|k| !k.starts_with("incident.")).collect()
    }

    /// Lets time pass while the engine looks around, until `enough` holds.
    pub(crate) async fn passing(&self, run: &Run, by: Duration, what: &str, enough: impl Fn(&Run) -> bool) -> Run {
        let look = async {
            loop {
                let now = self.engine.get(ctx(), run.id).await.unwrap();
                if enough(&now) {
                    return now;
                }
                self.clock.advance(by);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), look).await {
            Ok(run) => run,
            Err(_) => panic!("{what}: {:#?}", self.engine.get(ctx(), run.id).await),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

#[async_trait]
impl EngineFixture for World {
    fn engine(&self) -> Arc<dyn WorkflowEngine> {
        Arc::new(self.engine.clone())
    }

    fn executor(&self) -> FakeExecutor {
        self.executor.clone()
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    async fn incident(&self) -> IncidentId {
        World::incident(self).await
    }
}
