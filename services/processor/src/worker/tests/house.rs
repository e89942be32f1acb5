//! A processor over a ledger in memory, with everything else under the test's hand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{
        ActionRequest, ActionSpec, Alert, Analysis, DryRun, Event, Execution, FieldChange, GateReport, Incident, IncidentId, Notification,
        Observation, Phase, Plan, Reversibility, Risk, Run, RunId, RunState, StepState, Timestamp, Verdict, Verification,
    },
    port::{IncidentFilter, Intake, IntakePolicy, Ledger, ManualClock, Verifier, VerifyRequest},
    service::{AnalysisRequest, Analyzer, CallContext, ContextStore, ExecuteRequest, Executor, Signal, StartRequest, WorkflowEngine},
    testkit::ObjectsCluster,
};
use kubernaut_storage::{SqlContextStore, SqliteConfig, SqliteLedger};
use serde_json::{Value, json};

use crate::{ClassifyConfig, LabelClassifier, Processor, ProcessorConfig, ProcessorParts};
use kubernaut_core::port::Clock;

pub(super) fn ctx() -> CallContext {
    CallContext::system("test")
}

/// Gives the answers it was told, the last one again and again; panics on request.
#[derive(Debug, Default)]
pub(super) struct FakeAnalyzer {
    pub(super) answers: Mutex<VecDeque<Result<Analysis, ErrorKind>>>,
    pub(super) panics: AtomicBool,
    pub(super) calls: AtomicUsize,
    pub(super) last: Mutex<Option<AnalysisRequest>>,
}

#[async_trait]
impl Analyzer for FakeAnalyzer {
    async fn analyze(&self, _ctx: CallContext, request: AnalysisRequest) -> Result<Analysis> {
        assert!(!self.panics.load(Ordering::SeqCst), "told to panic");
        self.calls.fetch_add(1, Ordering::SeqCst);
        *self.last.lock().unwrap() = Some(request);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.unwrap_or(Ok(rollback_analysis())).map_err(|kind| Error::new(kind, "analyzer.analyze", "told to fail"))
    }
}

/// Keeps runs and changes them only as the test says.
#[derive(Debug, Default)]
pub(super) struct FakeEngine {
    pub(super) runs: Mutex<BTreeMap<RunId, Run>>,
    pub(super) signals: Mutex<Vec<Signal>>,
    /// The state of a new run.
    pub(super) begins: Mutex<Option<RunState>>,
    pub(super) starts: AtomicUsize,
}

impl FakeEngine {
    pub(super) fn change(&self, change: impl Fn(&mut Run)) {
        self.runs.lock().unwrap().values_mut().for_each(change);
    }

    pub(super) fn only(&self) -> Run {
        let runs = self.runs.lock().unwrap();
        assert_eq!(runs.len(), 1, "exactly one run");
        runs.values().next().unwrap().clone()
    }
}

pub(super) fn done(run: &mut Run) {
    run.state = RunState::Succeeded;
    for step in &mut run.steps {
        step.state = StepState::Completed;
        step.execution = Some(applied());
    }
}

fn applied() -> Execution {
    serde_json::from_value(json!({"outcome": "applied", "changes": [], "digest": "d", "pre_state": {}, "message": "done"})).unwrap()
}

pub(super) fn new_run(request: &StartRequest, state: RunState) -> Run {
    let steps: Vec<Value> = request.plan.steps.iter().map(|s| json!({"id": s.id, "state": "pending", "attempts": 0, "key": s.id})).collect();
    let at = Timestamp::from_second(NOW).unwrap();
    serde_json::from_value(json!({
        "schema": 1, "id": request.run_id, "incident_id": request.incident_id, "attempt": request.attempt, "state": state, "plan": request.plan,
        "mode": request.mode, "steps": steps, "created_at": at, "updated_at": at,
    }))
    .unwrap()
}

#[async_trait]
impl WorkflowEngine for FakeEngine {
    async fn start(&self, _ctx: CallContext, request: StartRequest) -> Result<Run> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        let begins = self.begins.lock().unwrap().unwrap_or(RunState::Running);
        let mut runs = self.runs.lock().unwrap();
        let mut new = new_run(&request, begins);
        if begins == RunState::Succeeded {
            done(&mut new);
        }
        Ok(runs.entry(request.run_id).or_insert(new).clone())
    }

    async fn get(&self, _ctx: CallContext, id: RunId) -> Result<Run> {
        self.runs.lock().unwrap().get(&id).cloned().ok_or_else(|| Error::not_found("workflow_engine.get", "no such run"))
    }

    async fn signal(&self, ctx: CallContext, id: RunId, signal: Signal) -> Result<Run> {
        self.signals.lock().unwrap().push(signal);
        self.change(|run| run.rollback_requested = true);
        self.get(ctx, id).await
    }

    async fn cancel(&self, ctx: CallContext, id: RunId) -> Result<Run> {
        self.change(|run| run.cancel_requested = true);
        self.get(ctx, id).await
    }
}

/// Offers one action, shows what it would change, and never acts.
#[derive(Debug, Default)]
pub(super) struct FakeExecutor;

#[async_trait]
impl Executor for FakeExecutor {
    async fn actions(&self, _ctx: CallContext) -> Result<Vec<ActionSpec>> {
        let offered = |name: &str| ActionSpec {
            name: name.into(),
            aliases: vec![],
            family: "workload".into(),
            summary: String::new(),
            version: 1,
            parameters: json!({}),
            target_kinds: vec!["Deployment".into()],
            risk: Risk::Medium,
            reversibility: Reversibility::Undo,
            preconditions: vec![],
            rbac: vec![],
        };
        Ok(vec![offered("rollback_deployment"), offered("patch_env")])
    }

    async fn execute(&self, _ctx: CallContext, _request: ExecuteRequest) -> Result<Execution> {
        panic!("the processor must never act");
    }

    async fn observe(&self, _ctx: CallContext, _request: ActionRequest) -> Result<Observation> {
        Ok(Observation::Unknown)
    }

    async fn dry_run(&self, _ctx: CallContext, _request: ActionRequest) -> Result<DryRun> {
        let change = FieldChange { path: "/spec/template".into(), before: Some(json!("bad")), after: Some(json!("good")) };
        Ok(DryRun {
            report: GateReport::default(),
            changes: vec![change],
            digest: "d".into(),
            pre_state: json!({}),
            server_side: true,
            warnings: vec![],
        })
    }
}

/// Gives the verdicts it was told, the last one again and again.
#[derive(Debug, Default)]
pub(super) struct FakeVerifier {
    pub(super) verdicts: Mutex<VecDeque<Verdict>>,
    pub(super) seen: Mutex<Vec<VerifyRequest>>,
}

impl FakeVerifier {
    pub(super) fn say(&self, verdicts: &[Verdict]) {
        *self.verdicts.lock().unwrap() = verdicts.iter().copied().collect();
    }
}

#[async_trait]
impl Verifier for FakeVerifier {
    async fn verify(&self, _ctx: CallContext, request: VerifyRequest) -> Result<Verification> {
        let mut verdicts = self.verdicts.lock().unwrap();
        let verdict = if verdicts.len() > 1 { verdicts.pop_front() } else { verdicts.front().copied() };
        let at = request.run.updated_at;
        self.seen.lock().unwrap().push(request);
        Ok(Verification { verdict: verdict.unwrap_or(Verdict::Effective), score: 1.0, checks: vec![], at, simulated: false })
    }

    async fn baseline(&self, _ctx: CallContext, _incident: Incident, _plan: Plan) -> Result<Value> {
        Ok(json!("before"))
    }
}

pub(super) const NOW: i64 = 1_700_000_000;

pub(super) struct House {
    pub(super) clock: ManualClock,
    pub(super) ledger: Arc<SqliteLedger>,
    pub(super) context: Arc<SqlContextStore>,
    pub(super) cluster: ObjectsCluster,
    pub(super) analyzer: Arc<FakeAnalyzer>,
    pub(super) engine: Arc<FakeEngine>,
    pub(super) verifier: Arc<FakeVerifier>,
    pub(super) config: ProcessorConfig,
}

impl House {
    /// A staging namespace with one deployment, in the given mode.
    pub(super) async fn new(mode: kubernaut_core::model::Mode) -> Self {
        let at = Timestamp::from_second(NOW).unwrap();
        let clock = ManualClock::at(at);
        let ledger = SqliteLedger::open(SqliteConfig::memory(), Arc::new(clock.clone())).await.unwrap();
        let cluster = ObjectsCluster::at(at);
        cluster.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"env": "staging", "kubernaut.ai/managed": "true"}}}));
        cluster.put(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}));
        Self {
            clock,
            context: Arc::new(ledger.context_store()),
            ledger: Arc::new(ledger),
            cluster,
            analyzer: Arc::default(),
            engine: Arc::default(),
            verifier: Arc::default(),
            config: ProcessorConfig { mode, waiting_poll_s: 1, ..ProcessorConfig::default() },
        }
    }

    pub(super) fn processor(&self) -> Processor {
        let cluster: Arc<dyn kubernaut_core::port::ClusterRead> = Arc::new(self.cluster.clone());
        let parts = ProcessorParts {
            ledger: self.ledger.clone(),
            classifier: Arc::new(LabelClassifier::new(cluster.clone(), ClassifyConfig::default())),
            analyzer: self.analyzer.clone(),
            engine: self.engine.clone(),
            executor: Arc::new(FakeExecutor),
            context: self.context.clone(),
            cluster,
            verifier: self.verifier.clone(),
            clock: Arc::new(self.clock.clone()),
        };
        Processor::new(parts, self.config.clone())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn alert(&self, alert: Alert) -> IncidentId {
        let intake = Intake { alerts: vec![alert], policy: IntakePolicy::default() };
        let results = self.ledger.intake(ctx(), intake).await.unwrap();
        results[0].incident_id.unwrap()
    }

    pub(super) async fn fires(&self) -> IncidentId {
        self.alert(alert("Down", "firing", self.now())).await
    }

    pub(super) async fn ends(&self) -> IncidentId {
        self.alert(alert("Down", "resolved", self.now())).await
    }

    /// Works until nothing is left to do at this time.
    pub(super) async fn work(&self) {
        let processor = self.processor();
        while processor.run_once().await.unwrap() {}
    }

    /// Lets time pass and works, second by second.
    pub(super) async fn work_for(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.work().await;
        }
    }

    pub(super) async fn incident(&self, id: IncidentId) -> Incident {
        self.ledger.incident(ctx(), id).await.unwrap()
    }

    pub(super) async fn phase(&self, id: IncidentId) -> Phase {
        self.incident(id).await.phase
    }

    pub(super) async fn events(&self, id: IncidentId) -> Vec<Event> {
        self.ledger.events(ctx(), 0, Some(id), Some(1000)).await.unwrap()
    }

    /// The phases in order, as the events tell.
    pub(super) async fn way(&self, id: IncidentId) -> Vec<String> {
        let changes = self.events(id).await.into_iter().filter(|e| e.kind == "incident.phase_changed");
        changes.map(|e| e.data["to"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn told(&self) -> Vec<Notification> {
        let items = self.ledger.claim_outbox(ctx(), 100, Duration::from_secs(60)).await.unwrap();
        items.into_iter().map(|i| i.notification).collect()
    }

    pub(super) async fn open(&self) -> usize {
        self.ledger.incidents(ctx(), IncidentFilter { open: Some(true), ..IncidentFilter::default() }).await.unwrap().len()
    }

    pub(super) async fn remembered(&self) -> Vec<kubernaut_core::model::HistoryEntry> {
        self.context.history(ctx(), "Deployment/shop/web".parse().unwrap(), Timestamp::UNIX_EPOCH).await.unwrap()
    }
}

pub(super) fn alert(name: &str, status: &str, at: Timestamp) -> Alert {
    let owner: kubernaut_core::model::ObjectRef = "Deployment/shop/web".parse().unwrap();
    serde_json::from_value(json!({
        "id": kubernaut_core::model::AlertId::new(at), "source": "test", "status": status, "name": name, "severity": "warning", "labels": {"alertname": name},
        "starts_at": at, "received_at": at, "target": owner, "owner": owner,
        "fingerprint": kubernaut_core::model::FingerprintStrategy::Owner.fingerprint("", &owner, name),
    }))
    .unwrap()
}

pub(super) fn rollback_analysis() -> Analysis {
    let web = json!({"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web"});
    serde_json::from_value(json!({
        "target": web,
        "candidates": [{"category": "bad_release_command", "object": web, "confidence": 0.95, "summary": "revision 2 broke the command",
            "evidence": [{"object": web, "source": "revision", "text": "command changed"}]}],
        "actions": [{"action": "rollback_deployment", "target": web, "params": {"to_revision": 1},
            "preconditions": [{"text": "revision 1 was healthy", "holds": true}], "risk": "medium", "reversible": true}],
        "no_action": false, "engine": "test", "latency_ms": 1.0, "tokens": {"input": 0, "output": 0},
    }))
    .unwrap()
}
