//! Actions outside of the cluster: a real Git repository; Helm and Alertmanager where the test cluster has them.

use std::{path::Path, process::Command, sync::Arc};

use kubernaut_core::{
    model::{ActionRequest, Execution, ExecutionOutcome::*, Mode, Observation},
    port::{ClusterRead, Ledger, ManualClock},
    service::{Executor, UndoRequest},
};
use kubernaut_executor::{
    ExecutorRouter, GateConfig, GateParts, GatedExecutor, KubeExecutor, OutsideConfig, OutsideExecutor, find_spec,
    outside::{GitConfig, RepositoryConfig, specs},
    registry,
};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    bundle,
    recorder::Recorder,
    world::{approved, ask, ctx, request},
};

const TARGET: &str = "Deployment/shop/web";

/// A repository with a folder for `shop`, to which a bad commit was made last.
struct Source {
    remote: TempDir,
    bad: String,
}

fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git")
        .args(["-c", "user.name=ana", "-c", "user.email=ana@example.com", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

impl Source {
    fn new() -> Self {
        let remote = TempDir::new().unwrap();
        let work = TempDir::new().unwrap();
        git(remote.path(), &["init", "--quiet", "--bare", "."]);
        git(work.path(), &["clone", "--quiet", &remote.path().to_string_lossy(), "."]);
        git(work.path(), &["checkout", "--quiet", "-B", "main"]);
        let write = |path: &str, text: &str| {
            let path = work.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("apps/shop/web.yaml", "replicas: 3\n");
        write("apps/other/web.yaml", "replicas: 1\n");
        git(work.path(), &["add", "."]);
        git(work.path(), &["commit", "--quiet", "-m", "first"]);
        write("apps/shop/web.yaml", "replicas: 0\n");
        git(work.path(), &["commit", "--quiet", "-am", "save money"]);
        let bad = git(work.path(), &["rev-parse", "HEAD"]);
        write("apps/other/web.yaml", "replicas: 2\n");
        git(work.path(), &["commit", "--quiet", "-am", "another team"]);
        git(work.path(), &["push", "--quiet", "origin", "main"]);
        Self { remote, bad }
    }

    fn config(&self) -> OutsideConfig {
        let repository = RepositoryConfig {
            namespaces: vec!["shop".into()],
            url: format!("file://{}", self.remote.path().display()),
            branch: "main".into(),
            path: Some("apps/shop".into()),
            token: None,
            pull_request: None,
        };
        OutsideConfig { git: GitConfig { repositories: vec![repository], ..GitConfig::default() }, ..OutsideConfig::default() }
    }

    fn branches(&self) -> Vec<String> {
        let all = git(self.remote.path(), &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
        all.lines().filter(|b| *b != "main").map(str::to_owned).collect()
    }
}

async fn gate(config: &OutsideConfig) -> GatedExecutor {
    let clock = ManualClock::at(bundle::NOW.parse().unwrap());
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(SqliteConfig::memory(), Arc::new(clock.clone())).await.unwrap());
    let cluster = Recorder::new(bundle::open(&bundle::objects()), ledger.clone());
    let read: Arc<dyn ClusterRead> = Arc::new(cluster.inner.clone());
    let clock = Arc::new(clock);
    let kube = KubeExecutor::new(read.clone(), cluster.clone(), clock.clone());
    let outside = OutsideExecutor::new(read.clone(), config).unwrap();
    let router = ExecutorRouter::new(vec![Arc::new(kube), Arc::new(outside)]);
    GatedExecutor::new(Arc::new(router), GateParts { read, write: cluster, ledger, clock }, GateConfig::default())
}

fn revert(commit: &str, key: &str) -> ActionRequest {
    request("git_revert_commit", TARGET, json!({"commit": commit, "reason": "nothing runs any more"}), key)
}

/// Shown, agreed to and carried out.
async fn carried_out(gate: &GatedExecutor, request: ActionRequest) -> Execution {
    let shown = gate.dry_run(ctx(Mode::Auto), request.clone()).await.unwrap();
    assert!(shown.report.refusal().is_none(), "{:?}", shown.report);
    let unasked = gate.execute(ctx(Mode::Auto), ask(request.clone())).await.unwrap();
    assert_eq!(unasked.outcome, NeedsApproval, "the source of a namespace is never changed without a person");
    gate.execute(ctx(Mode::Auto), approved(request, &shown.digest)).await.unwrap()
}

#[tokio::test]
async fn a_commit_is_taken_back_on_a_branch_of_its_own_and_the_branch_can_be_taken_away() {
    let source = Source::new();
    let gate = gate(&source.config()).await;
    let shown = gate.dry_run(ctx(Mode::Auto), revert(&source.bad, "k")).await.unwrap();
    assert_eq!(shown.changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/files/apps~1shop~1web.yaml"]);
    assert!(shown.warnings[0].contains("+replicas: 3"), "{:?}", shown.warnings);
    assert!(source.branches().is_empty(), "showing pushes nothing");
    let done = carried_out(&gate, revert(&source.bad, "k")).await;
    assert_eq!(done.outcome, Applied, "{}", done.message);
    let branches = source.branches();
    assert_eq!(branches.len(), 1);
    let content = git(source.remote.path(), &["show", &format!("{}:apps/shop/web.yaml", branches[0])]);
    assert_eq!(content, "replicas: 3");
    let message = git(source.remote.path(), &["log", "-1", "--format=%B", &branches[0]]);
    assert!(message.contains("nothing runs any more") && message.contains("Kubernaut-Key: k"), "{message}");
    let again = gate.execute(ctx(Mode::Auto), approved(revert(&source.bad, "k"), &done.digest)).await.unwrap();
    assert_eq!((again.outcome, source.branches().len()), (AlreadyApplied, 1));
    assert_eq!(gate.observe(ctx(Mode::Auto), revert(&source.bad, "k")).await.unwrap(), Observation::Applied);
    let undo = UndoRequest { request: revert(&source.bad, "k"), incident_id: None, execution: done, key: "u".into() };
    assert_eq!(gate.undo(ctx(Mode::Auto), undo).await.unwrap().outcome, Applied);
    assert!(source.branches().is_empty());
}

#[tokio::test]
async fn what_was_merged_is_not_taken_back_by_force() {
    let source = Source::new();
    let gate = gate(&source.config()).await;
    let done = carried_out(&gate, revert(&source.bad, "k")).await;
    let branch = source.branches().remove(0);
    let work = TempDir::new().unwrap();
    git(work.path(), &["clone", "--quiet", "--branch", "main", &source.remote.path().to_string_lossy(), "."]);
    git(work.path(), &["merge", "--quiet", "--no-ff", "-m", "merge", &format!("origin/{branch}")]);
    git(work.path(), &["push", "--quiet", "origin", "main"]);
    let undo = UndoRequest { request: revert(&source.bad, "k"), incident_id: None, execution: done, key: "u".into() };
    let error = gate.undo(ctx(Mode::Auto), undo).await.unwrap_err();
    assert!(error.to_string().contains("merged"), "{error}");
}

#[tokio::test]
async fn a_commit_of_another_folder_an_unknown_one_and_an_unknown_namespace_are_refused() {
    let source = Source::new();
    let gate = gate(&source.config()).await;
    let other = git(source.remote.path(), &["rev-parse", "main"]);
    let why = async |request: ActionRequest| {
        let done = gate.execute(ctx(Mode::Auto), ask(request)).await.unwrap();
        assert_eq!(done.outcome, Refused);
        done.report.refusal().map(|c| format!("{}: {}", c.name, c.text)).unwrap()
    };
    assert!(why(revert(&other, "a")).await.contains("outside of apps/shop"));
    assert!(why(revert("0123456789abcdef", "b")).await.contains("is not among"));
    let elsewhere = self::gate(&OutsideConfig::default()).await;
    let unconfigured = elsewhere.execute(ctx(Mode::Auto), ask(revert(&source.bad, "c"))).await.unwrap();
    assert!(unconfigured.message.contains("no repository is configured"), "{}", unconfigured.message);
    let protected = gate.execute(ctx(Mode::Auto), ask(request("git_revert", "Deployment/kube-system/web", Value::Null, "d"))).await.unwrap();
    assert_eq!(protected.report.refusal().map(|c| c.name.as_str()), Some("protected"));
    assert!(source.branches().is_empty());
}

#[tokio::test]
async fn what_is_not_configured_does_not_hold() {
    let gate = gate(&OutsideConfig::default()).await;
    for (action, params) in [("helm_rollback", json!({})), ("create_silence", json!({"matchers": {"alertname": "Down"}, "reason": "planned"}))] {
        let done = gate.execute(ctx(Mode::Auto), ask(request(action, TARGET, params, action))).await.unwrap();
        assert_eq!(done.report.refusal().map(|c| c.name.as_str()), Some("preconditions"), "{action}: {}", done.message);
    }
}

/// The actions of the roadmap, under the names that its tools use.
const CANONICAL: [&str; 30] = [
    "scale_deployment",
    "restart_pod",
    "increase_resources",
    "rollback_deployment",
    "expand_pvc",
    "drain_node",
    "cordon_node",
    "uncordon_node",
    "taint_node",
    "untaint_node",
    "quarantine_pod",
    "cleanup_storage",
    "backup_data",
    "compact_storage",
    "update_hpa",
    "restart_daemonset",
    "scale_statefulset",
    "rotate_secrets",
    "audit_logs",
    "update_network_policy",
    "restart_network",
    "reset_service_mesh",
    "failover_database",
    "repair_database",
    "enable_debug_mode",
    "create_heap_dump",
    "collect_diagnostics",
    "optimize_resources",
    "migrate_workload",
    "notify_only",
];

#[test]
fn every_canonical_name_is_answered_by_one_action() {
    let offered: Vec<_> = registry().iter().cloned().chain(specs()).collect();
    let missing: Vec<_> = CANONICAL.iter().filter(|name| find_spec(&offered, name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let names: Vec<&str> = offered.iter().flat_map(|s| std::iter::once(&s.name).chain(&s.aliases)).map(String::as_str).collect();
    let repeated: Vec<_> = names.iter().filter(|name| names.iter().filter(|n| n == name).count() > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}
