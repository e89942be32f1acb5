//! Runs of actions through an API server that loses, refuses and delays: what is not refused succeeds, and nothing happens twice.
//!
//! `KUBERNAUT_FAULT_RUNS` runs (default 60), `KUBERNAUT_FAULT_PER_MILLE` faults of each kind in a thousand requests (default 20),
//! `KUBERNAUT_FAULT_SEED` for another order of them. Needs the test cluster, as the other end-to-end tests do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod proxy;

use std::{
    collections::BTreeMap,
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use kubernaut::{
    model::{
        Alert, AlertId, AlertStatus, ExecutionOutcome, IncidentId, Mode, PLAN_VERSION, Plan, PlanId, RetryPolicy, Run, RunId, RunState, Severity,
        Step,
    },
    port::{Clock, Intake, IntakePolicy, Ledger, SystemClock},
    service::{CallContext, StartRequest, WorkflowEngine},
    services::{
        cluster::{KubeCluster, KubeConfig},
        executor::{GateConfig, GateParts, GatedExecutor, KubeExecutor},
        storage::{SqliteConfig, SqliteLedger},
        workflow::{DurableEngine, EngineConfig},
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const WORKLOADS: u64 = 8;
/// How many runs are under way at once.
const AT_ONCE: usize = 8;

struct Lab {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

impl Lab {
    fn from_env() -> Option<Self> {
        let (Some(kubeconfig), Some(kubectl)) = (env::var_os("KUBERNAUT_TEST_KUBECONFIG"), env::var_os("KUBERNAUT_TEST_KUBECTL")) else {
            assert_ne!(env::var("KUBERNAUT_REQUIRE_CLUSTER").as_deref(), Ok("1"), "the test cluster is required but not there");
            let _ = writeln!(std::io::stderr(), "skipped: no test cluster; start one with `cargo xtask cluster up`");
            return None;
        };
        Some(Self { kubectl: kubectl.into(), kubeconfig: kubeconfig.into(), namespace: format!("faults-{}", std::process::id()) })
    }

    fn kubectl(&self, args: &[&str], input: &str) -> String {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Workloads whose pods no node takes, so that only the API server works.
    fn put_up(&self) {
        let mut items =
            vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": {"kubernaut.ai/managed": "true"}}})];
        for n in 0..WORKLOADS {
            let name = format!("web-{n}");
            let meta = json!({"name": name, "namespace": self.namespace});
            let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"nodeSelector": {"no": "node"},
                "containers": [{"name": "app", "image": "none:1", "resources": {"limits": {"memory": "64Mi"}}}]}});
            items.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}}));
            items.push(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta,
                "spec": {"minReplicas": 1, "maxReplicas": 4, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": format!("other-{n}")}}}));
        }
        self.kubectl(&["apply", "-f", "-"], &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    }

    fn step(&self, luck: u64) -> Step {
        let name = format!("web-{}", luck / 7 % WORKLOADS);
        let number = luck / 131;
        let (action, kind, params) = match luck % 5 {
            0 => ("scale_deployment", "Deployment", json!({"replicas": 1 + number % 3})),
            1 => ("set_resources", "Deployment", json!({"container": "app", "memory_limit": format!("{}Mi", 64 + number % 64)})),
            2 => ("patch_env", "Deployment", json!({"container": "app", "set": {"TURN": number.to_string()}})),
            3 => ("rollout_restart", "Deployment", json!({})),
            _ => ("patch_hpa", "HorizontalPodAutoscaler", json!({"max_replicas": 4 + number % 4})),
        };
        Step {
            id: "step".into(),
            action: action.into(),
            action_version: 1,
            target: format!("{kind}/{}/{name}", self.namespace).parse().unwrap(),
            params,
            depends_on: Vec::new(),
            retry: RetryPolicy { max_attempts: 8, backoff_ms: 100, max_backoff_ms: 2000 },
            timeout_s: 60,
            critical: true,
            requires_approval: false,
        }
    }
}

/// A kubeconfig for the proxy, which needs no credentials.
fn through(address: std::net::SocketAddr, dir: &Path) -> PathBuf {
    let path = dir.join("kubeconfig");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{address}")}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}], "users": [{"name": "proxy", "user": {}}]});
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

async fn incident(ledger: &Arc<dyn Ledger>, target: &kubernaut::model::ObjectRef, n: u64) -> IncidentId {
    let at = SystemClock.now();
    let alert = Alert {
        id: AlertId::new(at),
        source: "test".into(),
        status: AlertStatus::Firing,
        name: "Fault".into(),
        severity: Severity::Warning,
        labels: BTreeMap::from([("run".to_owned(), n.to_string())]),
        annotations: BTreeMap::new(),
        starts_at: at,
        ends_at: None,
        received_at: at,
        generator_url: None,
        source_fingerprint: None,
        owner: target.clone(),
        target: target.clone(),
        owner_resolved: true,
        fingerprint: format!("run-{n}"),
    };
    let taken = ledger.intake(CallContext::system("test"), Intake { alerts: vec![alert], policy: IntakePolicy::default() }).await.unwrap();
    taken[0].incident_id.unwrap()
}

async fn one(lab: &Lab, ledger: &Arc<dyn Ledger>, engine: &DurableEngine, n: u64, seed: u64) -> Run {
    // Well mixed, so that neighbours do not do the same to the same.
    let luck = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed) >> 16;
    let step = lab.step(luck);
    let incident_id = incident(ledger, &step.target, n).await;
    let now = SystemClock.now();
    let plan = Plan { id: PlanId::new(now), version: PLAN_VERSION, reason: "faults".into(), steps: vec![step], approval_timeout_s: 60 };
    let ctx = || CallContext::system("test");
    let run = engine.start(ctx(), StartRequest { run_id: RunId::new(now), incident_id, attempt: 1, plan, mode: Mode::Auto }).await.unwrap();
    let mut changes = ledger.changes();
    loop {
        let now = ledger.run(ctx(), run.id).await.unwrap();
        if now.state.is_terminal() || now.state == RunState::AwaitingApproval {
            return now;
        }
        let _ = tokio::time::timeout(Duration::from_millis(200), changes.changed()).await;
    }
}

/// What became of all runs.
#[derive(Debug, Default)]
struct Tally {
    applied: u64,
    nothing_to_do: u64,
    refused: u64,
    failed: Vec<String>,
}

impl Tally {
    fn count(&mut self, run: &Run, accepted: u64) {
        let step = &run.steps[0];
        let outcome = step.execution.as_ref().map(|e| e.outcome);
        match (run.state, outcome) {
            (RunState::Succeeded, Some(ExecutionOutcome::NoChange)) => {
                self.nothing_to_do += 1;
                assert_eq!(accepted, 0, "nothing to do, yet something was written: {run:?}");
            }
            (RunState::Succeeded, _) => {
                self.applied += 1;
                assert_eq!(accepted, 1, "{} under {} was accepted {accepted} times", run.plan.steps[0].action, step.key);
            }
            (RunState::AwaitingApproval, _) | (_, Some(ExecutionOutcome::Refused | ExecutionOutcome::NeedsApproval)) => {
                self.refused += 1;
                assert_eq!(accepted, 0, "refused, yet something was written: {run:?}");
            }
            _ => {
                assert!(accepted <= 1, "written twice: {run:?}");
                self.failed.push(format!("{} ({accepted} accepted): {} {:?}", run.plan.steps[0].action, run.message, step.error));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_refused_succeeds_once_however_the_api_server_behaves() {
    let Some(lab) = Lab::from_env() else { return };
    let lab = Arc::new(lab);
    let (runs, seed) = (number("KUBERNAUT_FAULT_RUNS", 60), number("KUBERNAUT_FAULT_SEED", 1));
    lab.put_up();
    let dir = tempfile::tempdir().unwrap();
    let (address, seen) = proxy::start(&lab.kubeconfig, number("KUBERNAUT_FAULT_PER_MILLE", 20), seed).await;
    let config = KubeConfig { kubeconfig: Some(through(address, dir.path())), request_timeout_s: 3, ..KubeConfig::default() };
    let cluster = Arc::new(KubeCluster::connect(config).await.unwrap());
    let clock = Arc::new(SystemClock);
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(SqliteConfig::memory(), clock.clone()).await.unwrap());
    let kube = KubeExecutor::new(cluster.clone(), cluster.clone(), clock.clone());
    // How much may go on at once is tested elsewhere.
    let gate = GateConfig { settle_s: 0, max_growth_factor: 100, ..GateConfig::default() };
    let parts = GateParts { read: cluster.clone(), write: cluster, ledger: ledger.clone(), clock: clock.clone() };
    let gate = Arc::new(GatedExecutor::new(Arc::new(kube), parts, gate));
    let engine = DurableEngine::new(ledger.clone(), gate, clock, EngineConfig { busy_retry_ms: 100, ..EngineConfig::default() });
    let shutdown = CancellationToken::new();
    let driver = tokio::spawn({
        let (engine, shutdown) = (engine.clone(), shutdown.clone());
        async move { engine.run(shutdown).await }
    });

    let began = Instant::now();
    let mut under_way = tokio::task::JoinSet::new();
    let mut ended = Vec::new();
    for n in 0..runs {
        if under_way.len() >= AT_ONCE {
            ended.extend(under_way.join_next().await.map(|r| r.unwrap()));
        }
        let (lab, ledger, engine) = (lab.clone(), ledger.clone(), engine.clone());
        under_way.spawn(async move { one(&lab, &ledger, &engine, n, seed).await });
    }
    while let Some(run) = under_way.join_next().await {
        ended.push(run.unwrap());
    }
    shutdown.cancel();
    driver.await.unwrap();

    let accepted = seen.accepted.lock().unwrap().clone();
    let mut tally = Tally::default();
    for run in &ended {
        tally.count(run, accepted.get(&run.steps[0].key).copied().unwrap_or(0));
    }
    let keys: u64 = accepted.values().sum();
    let counted = tally.applied + tally.nothing_to_do;
    let tried = counted + tally.failed.len() as u64;
    let report: Value = json!({
        "runs": runs, "seed": seed, "seconds": began.elapsed().as_secs(), "requests": seen.requests.load(std::sync::atomic::Ordering::Relaxed),
        "faults": seen.faults.lock().unwrap().iter().map(|(k, v)| (format!("{k:?}"), *v)).collect::<BTreeMap<_, _>>(),
        "applied": tally.applied, "nothing_to_do": tally.nothing_to_do, "refused": tally.refused, "failed": tally.failed, "writes_accepted": keys,
    });
    let _ = writeln!(std::io::stderr(), "faults: {report}");
    lab.kubectl(&["delete", "namespace", &lab.namespace, "--wait=false"], "");
    assert!(accepted.values().all(|n| *n == 1), "no effect is doubled: {accepted:?}");
    assert!(counted * 100 >= tried * 99, "{counted} of {tried} that were not refused succeeded: {:?}", tally.failed);
    assert!(tally.refused * 2 < runs, "most are not refused, else little was tried");
}
