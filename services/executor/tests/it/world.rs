//! Executor, gate, recorded cluster and ledger, put together.

use std::{collections::BTreeMap, sync::Arc};

use kubernaut_core::{
    Result,
    model::{ActionRequest, Alert, AlertId, AlertStatus, Execution, ExecutionOutcome, IncidentId, Mode, ObjectRef, Severity, Timestamp},
    port::{ClusterRead, Intake, IntakePolicy, Ledger, ListQuery, ManualClock},
    service::{Actor, CallContext, ExecuteRequest, Executor},
};
use kubernaut_executor::{GateConfig, GateParts, GatedExecutor, KubeExecutor};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use serde_json::{Value, json};

use crate::{bundle, recorder::Recorder};

pub struct World {
    pub clock: ManualClock,
    pub ledger: Arc<dyn Ledger>,
    pub cluster: Arc<Recorder>,
    pub kube: Arc<KubeExecutor>,
    pub gate: Arc<GatedExecutor>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(GateConfig::default(), &bundle::objects()).await
    }

    pub async fn configured(config: GateConfig) -> Self {
        Self::with(config, &bundle::objects()).await
    }

    pub async fn with(config: GateConfig, objects: &[Value]) -> Self {
        let clock = ManualClock::at(bundle::NOW.parse().unwrap());
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(SqliteConfig::memory(), Arc::new(clock.clone())).await.unwrap());
        let cluster = Recorder::new(bundle::open(objects), ledger.clone());
        let read: Arc<dyn ClusterRead> = Arc::new(cluster.inner.clone());
        let kube = Arc::new(KubeExecutor::new(read.clone(), cluster.clone(), Arc::new(clock.clone())));
        let gate = around(kube.clone(), &clock, &ledger, &cluster, config);
        Self { clock, ledger, cluster, kube, gate }
    }

    /// A second process: another gate over the same ledger and cluster.
    pub fn restarted(&self, config: GateConfig) -> Arc<GatedExecutor> {
        around(self.kube.clone(), &self.clock, &self.ledger, &self.cluster, config)
    }

    /// The same after a restart with a configured mode.
    pub fn restarted_at_most(&self, mode: Mode) -> GatedExecutor {
        let gate = self.restarted(GateConfig::default());
        GatedExecutor::clone(&gate).at_most(mode)
    }

    pub async fn run(&self, request: ActionRequest) -> Result<Execution> {
        self.run_in(Mode::Auto, ask(request)).await
    }

    pub async fn run_in(&self, mode: Mode, request: ExecuteRequest) -> Result<Execution> {
        self.cluster.expect(&request.request.key);
        self.gate.execute(ctx(mode), request).await
    }

    pub async fn outcome(&self, request: ActionRequest) -> ExecutionOutcome {
        self.run(request).await.unwrap().outcome
    }

    /// The check that refused.
    pub async fn refusal(&self, request: ActionRequest) -> String {
        let done = self.run(request).await.unwrap();
        done.report.refusal().map(|c| c.name.clone()).unwrap_or_else(|| format!("{:?}", done.outcome))
    }

    pub async fn state(&self) -> Value {
        state(&self.cluster.inner).await
    }

    pub async fn read(&self, target: &str) -> Value {
        self.cluster.inner.get(ctx(Mode::Auto), target.parse().unwrap()).await.unwrap().unwrap().value().clone()
    }

    pub async fn incident(&self) -> IncidentId {
        let at: Timestamp = bundle::NOW.parse().unwrap();
        let target: ObjectRef = "Deployment/shop/web".parse().unwrap();
        let alert = Alert {
            id: AlertId::new(at),
            source: "native".into(),
            status: AlertStatus::Firing,
            name: "Down".into(),
            severity: Severity::Critical,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            starts_at: at,
            ends_at: None,
            received_at: at,
            generator_url: None,
            source_fingerprint: None,
            owner: target.clone(),
            target,
            owner_resolved: true,
            fingerprint: "f".into(),
        };
        let intake = Intake { alerts: vec![alert], policy: IntakePolicy::default() };
        self.ledger.intake(ctx(Mode::Auto), intake).await.unwrap()[0].incident_id.unwrap()
    }
}

fn around(
    inner: Arc<KubeExecutor>,
    clock: &ManualClock,
    ledger: &Arc<dyn Ledger>,
    cluster: &Arc<Recorder>,
    config: GateConfig,
) -> Arc<GatedExecutor> {
    let parts = GateParts { read: Arc::new(cluster.inner.clone()), write: cluster.clone(), ledger: ledger.clone(), clock: Arc::new(clock.clone()) };
    Arc::new(GatedExecutor::new(inner, parts, config))
}

/// Everything that an action could change.
pub async fn state(cluster: &dyn ClusterRead) -> Value {
    let mut all = Vec::new();
    for kind in
        ["Deployment", "ReplicaSet", "Pod", "Node", "HorizontalPodAutoscaler", "Namespace", "Service", "ConfigMap", "NetworkPolicy", "CronJob"]
    {
        all.extend(cluster.list(ctx(Mode::Auto), ListQuery::of(kind, None)).await.unwrap().into_iter().map(|o| o.value().clone()));
    }
    Value::Array(all)
}

pub fn ctx(mode: Mode) -> CallContext {
    CallContext::new(Actor::system("test")).with_mode(mode)
}

pub fn request(action: &str, target: &str, params: Value, key: &str) -> ActionRequest {
    ActionRequest { action: action.into(), target: target.parse().unwrap(), params, key: key.into() }
}

pub fn scale(to: u32, key: &str) -> ActionRequest {
    request("scale_deployment", "Deployment/shop/web", json!({"replicas": to}), key)
}

pub fn ask(request: ActionRequest) -> ExecuteRequest {
    ExecuteRequest { request, incident_id: None, approved_digest: None, approved_by_person: false, approval_id: None }
}

pub fn approved(request: ActionRequest, digest: &str) -> ExecuteRequest {
    ExecuteRequest { request, incident_id: None, approved_digest: Some(digest.into()), approved_by_person: true, approval_id: None }
}
