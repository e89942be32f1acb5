//! Rights, Helm and Alertmanager on the real cluster. Effects are read with kubectl, not through the code under test.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use kubernaut_cluster::{KubeCluster, KubeConfig};
use kubernaut_core::{
    model::{ActionRequest, Execution, ExecutionOutcome::*, Mode, Observation},
    port::{Ledger, SystemClock},
    service::{Executor, UndoRequest},
};
use kubernaut_executor::{
    ExecutorRouter, GateConfig, GateParts, GatedExecutor, KubeExecutor, OutsideConfig, OutsideExecutor, find_spec,
    outside::{AlertmanagerConfig, HelmConfig},
    rbac::{RoleRequest, roles},
    registry,
};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{approved, ask, ctx, request};

struct Lab {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
    dir: TempDir,
}

/// The value of a variable; a test that needs it is skipped without, unless the cluster is required.
fn needed(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).map(PathBuf::from);
    if value.is_none() {
        assert_ne!(env::var("KUBERNAUT_REQUIRE_CLUSTER").as_deref(), Ok("1"), "KUBERNAUT_REQUIRE_CLUSTER=1 but {name} is not set");
        let _ = writeln!(std::io::stderr(), "skipped: {name} is not set; `cargo xtask test` sets it");
    }
    value
}

impl Lab {
    fn new(purpose: &str) -> Option<Self> {
        let (kubeconfig, kubectl) = (needed("KUBERNAUT_TEST_KUBECONFIG")?, needed("KUBERNAUT_TEST_KUBECTL")?);
        let lab = Self { kubectl, kubeconfig, namespace: format!("safety-{purpose}-{}", std::process::id()), dir: TempDir::new().unwrap() };
        let labels = json!({"kubernaut.ai/managed": "true"});
        lab.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": lab.namespace, "labels": labels}}));
        Some(lab)
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

    fn inside(&self, args: &[&str]) -> String {
        self.kubectl(&[&["-n", &self.namespace], args].concat(), "")
    }

    fn apply(&self, object: &Value) {
        self.kubectl(&["apply", "-f", "-"], &object.to_string());
    }

    fn get(&self, what: &str) -> Value {
        serde_json::from_str(&self.inside(&["get", what, "-o", "json"])).unwrap()
    }

    fn target(&self, kind: &str, name: &str) -> String {
        format!("{kind}/{}/{name}", self.namespace)
    }

    async fn gate(&self, kubeconfig: &Path, outside: &OutsideConfig) -> GatedExecutor {
        let config = KubeConfig { kubeconfig: Some(kubeconfig.to_owned()), ..KubeConfig::default() };
        let cluster = Arc::new(KubeCluster::connect(config).await.unwrap());
        let clock = Arc::new(SystemClock);
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(SqliteConfig::memory(), clock.clone()).await.unwrap());
        let kube = KubeExecutor::new(cluster.clone(), cluster.clone(), clock.clone());
        let outside = OutsideExecutor::new(cluster.clone(), outside).unwrap();
        let router = ExecutorRouter::new(vec![Arc::new(kube), Arc::new(outside)]);
        let config = GateConfig { settle_s: 0, ..GateConfig::default() };
        GatedExecutor::new(Arc::new(router), GateParts { read: cluster.clone(), write: cluster, ledger, clock }, config)
    }

    /// A kubeconfig for a service account that may do what the roles say.
    fn account(&self, name: &str) -> PathBuf {
        self.inside(&["create", "serviceaccount", name]);
        let token = self.inside(&["create", "token", name]);
        let admin: Value = serde_json::from_str(&self.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"], "")).unwrap();
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": admin["clusters"],
            "contexts": [{"name": "c", "context": {"cluster": admin["clusters"][0]["name"], "user": "u"}}],
            "users": [{"name": "u", "user": {"token": token.trim()}}]});
        let path = self.dir.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    fn end(&self) {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"], "");
    }
}

/// Pods that run nowhere, so that the test is about rights only.
fn workload(lab: &Lab) -> Value {
    let labels = json!({"app": "web"});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": lab.namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "app", "image": "none:1", "resources": {"limits": {"memory": "64Mi"}}}]}}}})
}

/// The role's objects, and the same with one verb taken away, for every verb there is.
fn without_each_verb(objects: &[Value]) -> Vec<(String, Vec<Value>)> {
    let mut all = Vec::new();
    for (at, role) in objects.iter().enumerate() {
        for (r, rule) in role["rules"].as_array().into_iter().flatten().enumerate() {
            for (v, verb) in rule["verbs"].as_array().unwrap().iter().enumerate() {
                let mut less = objects.to_vec();
                less[at]["rules"][r]["verbs"].as_array_mut().unwrap().remove(v);
                if less[at]["rules"][r]["verbs"].as_array().unwrap().is_empty() {
                    less[at]["rules"].as_array_mut().unwrap().remove(r);
                }
                all.push((format!("{} {}", verb.as_str().unwrap(), rule["resources"][0].as_str().unwrap()), less));
            }
        }
    }
    all
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

async fn attempt(gate: &GatedExecutor, request: ActionRequest) -> Result<Execution, String> {
    let mut last = Err("never tried".to_owned());
    // The authoriser learns of a new role a moment later.
    for _ in 0..20 {
        last = gate.execute(ctx(Mode::Auto), ask(request.clone())).await.map_err(|e| e.to_string());
        if last.as_ref().is_ok_and(|done| done.outcome == Applied) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    last
}

#[tokio::test]
async fn the_printed_role_is_enough_and_with_one_verb_less_nothing_changes() {
    let Some(lab) = Lab::new("rights") else { return };
    lab.apply(&workload(&lab));
    let scale = |to: usize| json!({"replicas": to});
    let memory = |n: usize| json!({"container": "app", "memory_limit": format!("{}Mi", 65 + n)});
    type Params = Box<dyn Fn(usize) -> Value>;
    let actions: Vec<(&str, Params)> = vec![("scale_deployment", Box::new(move |n| scale(2 + n % 2))), ("set_resources", Box::new(memory))];
    let mut needless = Vec::new();
    for (n, (action, params)) in actions.iter().enumerate() {
        let name = format!("role-{n}-{}", std::process::id());
        let kubeconfig = lab.account(&name);
        let spec = find_spec(registry(), action).unwrap();
        let wanted =
            RoleRequest { name: name.clone(), namespaces: vec![lab.namespace.clone()], service_account: (lab.namespace.clone(), name.clone()) };
        let objects = roles(&[spec], &wanted).unwrap();
        lab.apply(&list(&objects));
        let gate = lab.gate(&kubeconfig, &OutsideConfig::default()).await;
        let target = lab.target("Deployment", "web");
        let done = attempt(&gate, request(action, &target, params(0), &format!("{name}-all"))).await;
        assert!(done.as_ref().is_ok_and(|d| d.outcome == Applied), "{action} with its own role: {done:?}");
        // Once for every verb of the first action; of the others for what they write.
        let all = without_each_verb(&objects).into_iter().filter(|(verb, _)| n == 0 || verb.starts_with("patch deployments"));
        for (turn, (verb, less)) in all.enumerate() {
            lab.apply(&list(&less));
            tokio::time::sleep(Duration::from_millis(700)).await;
            let before = lab.get("deployment/web")["metadata"]["generation"].clone();
            let gate = lab.gate(&kubeconfig, &OutsideConfig::default()).await;
            let done = gate.execute(ctx(Mode::Auto), ask(request(action, &target, params(turn + 1), &format!("{name}-{turn}")))).await;
            let after = lab.get("deployment/web")["metadata"]["generation"].clone();
            let applied = done.as_ref().is_ok_and(|d| d.outcome == Applied);
            assert_eq!(applied, before != after, "what is not reported as applied changes nothing: {action} without {verb}: {done:?}");
            if applied {
                needless.push(format!("{action}: {verb}"));
            }
            lab.apply(&list(&objects));
        }
        for kind in ["clusterrole", "clusterrolebinding"] {
            lab.kubectl(&["delete", kind, &name, "--ignore-not-found"], "");
        }
    }
    // Kinds that the action works on, too, or that may own its target.
    let others = ["replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs"];
    needless.retain(|n| !others.iter().any(|o| n.ends_with(o)));
    assert!(needless.is_empty(), "these verbs are not needed: {needless:?}");
    lab.end();
}

fn run(program: &Path, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn a_helm_release_goes_back_and_forward_again_with_helm_itself() {
    let Some(helm) = needed("KUBERNAUT_TEST_HELM") else { return };
    let Some(lab) = Lab::new("helm") else { return };
    let chart = lab.dir.path().join("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: app\nversion: 1.0.0\n").unwrap();
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {level: {{ .Values.level | quote }}}\n";
    std::fs::write(chart.join("templates/settings.yaml"), template).unwrap();
    let (chart, kubeconfig) = (chart.to_string_lossy().into_owned(), lab.kubeconfig.to_string_lossy().into_owned());
    for (command, level) in [("install", "good"), ("upgrade", "bad")] {
        let set = format!("level={level}");
        run(&helm, &[command, "shop", &chart, "--namespace", &lab.namespace, "--kubeconfig", &kubeconfig, "--set", &set]);
    }
    let level = || lab.get("configmap/settings")["data"]["level"].as_str().unwrap().to_owned();
    assert_eq!(level(), "bad");
    let helm = HelmConfig { program: helm, kubeconfig: Some(lab.kubeconfig.clone()), timeout_s: 60 };
    let gate = lab.gate(&lab.kubeconfig, &OutsideConfig { helm, ..OutsideConfig::default() }).await;
    let back = |key: &str| request("helm_rollback", &lab.target("ConfigMap", "settings"), json!({"from_revision": 2, "to_revision": 1}), key);
    let shown = gate.dry_run(ctx(Mode::Auto), back("k")).await.unwrap();
    assert!(shown.report.refusal().is_none(), "{:?}", shown.report);
    let level_change = shown.changes.iter().find(|c| c.path.ends_with("/data/level")).unwrap();
    assert_eq!((&level_change.before, &level_change.after), (&Some(json!("bad")), &Some(json!("good"))));
    assert_eq!(level(), "bad", "showing changes nothing");
    let done = gate.execute(ctx(Mode::Auto), approved(back("k"), &shown.digest)).await.unwrap();
    assert_eq!((done.outcome, level().as_str()), (Applied, "good"), "{}", done.message);
    assert_eq!(gate.observe(ctx(Mode::Auto), back("k")).await.unwrap(), Observation::Applied);
    let stale = gate.execute(ctx(Mode::Auto), ask(back("k2"))).await.unwrap();
    assert_eq!(stale.report.refusal().map(|c| c.name.as_str()), Some("preconditions"), "the release does not stand at revision 2 any more");
    let undo = UndoRequest { request: back("k"), incident_id: None, execution: done, key: "u".into() };
    assert_eq!(gate.undo(ctx(Mode::Auto), undo).await.unwrap().outcome, Applied);
    assert_eq!(level(), "bad", "it is back as it was before");
    lab.end();
}

#[tokio::test]
async fn a_silence_is_made_for_one_namespace_and_ends_with_undo() {
    let Some(url) = needed("KUBERNAUT_TEST_ALERTMANAGER_URL") else { return };
    let Some(lab) = Lab::new("silence") else { return };
    lab.apply(&workload(&lab));
    let url = url.to_string_lossy().into_owned();
    let alertmanager = AlertmanagerConfig { url: Some(url), token: None };
    let gate = lab.gate(&lab.kubeconfig, &OutsideConfig { alertmanager, ..OutsideConfig::default() }).await;
    let silence = |params: Value, key: &str| request("create_silence", &lab.target("Deployment", "web"), params, key);
    let params = || json!({"matchers": {"alertname": "WebDown"}, "reason": "planned", "duration_s": 600});
    let wide = silence(json!({"matchers": {"namespace": "another", "alertname": "x"}, "reason": "r"}), "wide");
    assert_eq!(gate.execute(ctx(Mode::Auto), ask(wide)).await.unwrap().outcome, Refused);
    let key = format!("silence-{}", std::process::id());
    let shown = gate.dry_run(ctx(Mode::Auto), silence(params(), &key)).await.unwrap();
    assert_eq!(gate.observe(ctx(Mode::Auto), silence(params(), &key)).await.unwrap(), Observation::NotApplied);
    let done = gate.execute(ctx(Mode::Auto), approved(silence(params(), &key), &shown.digest)).await.unwrap();
    assert_eq!(done.outcome, Applied, "{}", done.message);
    assert_eq!(gate.observe(ctx(Mode::Auto), silence(params(), &key)).await.unwrap(), Observation::Applied);
    let again = gate.execute(ctx(Mode::Auto), approved(silence(params(), &key), &shown.digest)).await.unwrap();
    assert_eq!(again.outcome, AlreadyApplied);
    let undo = UndoRequest { request: silence(params(), &key), incident_id: None, execution: done, key: format!("{key}-undo") };
    let back = gate.undo(ctx(Mode::Auto), undo).await.unwrap();
    assert_eq!(back.outcome, Applied, "{}", back.message);
    lab.end();
}
