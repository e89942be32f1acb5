//! Policies in Rego: what an operator's own rules say about an action.
//!
//! They can refuse, ask, and say what agreement takes. They never open what another check closes; and policies that are broken, late or silent
//! ask for a person.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kubernaut_core::model::ApprovalTerms;
use regorus::{Engine, Value as RegoValue, utils::limits::ExecutionTimerConfig};
use serde::Deserialize;
use serde_json::Value;

use super::pass::Verdict;

const QUERY: &str = "data.kubernaut.gate";
/// More than any folder of policies for people has.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The policies of a folder.
#[derive(Debug)]
pub(super) struct Policies {
    dir: PathBuf,
    limit: Duration,
    read: Mutex<Option<Read>>,
}

/// What was read last, and what became of it.
#[derive(Clone)]
struct Read {
    files: Vec<(PathBuf, String)>,
    engine: Result<Arc<Engine>, String>,
}

impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("files", &self.files.len()).field("error", &self.engine.as_ref().err()).finish()
    }
}

/// What policies answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    deny: Vec<Value>,
    ask: Vec<Value>,
    approval: Option<ApprovalTerms>,
}

impl Policies {
    pub(super) fn new(dir: PathBuf, timeout_ms: u64) -> Arc<Self> {
        Arc::new(Self { dir, limit: Duration::from_millis(timeout_ms.max(1)), read: Mutex::default() })
    }

    /// What they say about `input`, and what agreement takes by them.
    pub(super) async fn judge(self: &Arc<Self>, input: Value) -> (Verdict, Option<ApprovalTerms>) {
        let (policies, limit) = (Arc::clone(self), self.limit);
        let work = tokio::task::spawn_blocking(move || policies.evaluate(&input));
        // The engine keeps the limit by itself; this is for what it does not look at, such as reading a slow disk.
        let answer = match tokio::time::timeout(limit * 2, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(format!("the evaluation broke off: {error}")),
            Err(_) => Err("no answer in time".into()),
        };
        match answer {
            Ok(answer) => said(answer),
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "policies cannot be evaluated; a person is asked");
                metrics::counter!("kubernaut_executor_policy_failures_total").increment(1);
                (Verdict::ask(format!("policies cannot be evaluated, so a person must agree: {error}")), None)
            }
        }
    }

    fn evaluate(&self, input: &Value) -> Result<Answer, String> {
        let mut engine = Engine::clone(self.engine()?.as_ref());
        let check_interval = NonZeroU32::new(1000).unwrap_or(NonZeroU32::MIN);
        engine.set_execution_timer_config(ExecutionTimerConfig { limit: self.limit, check_interval });
        engine.set_input(RegoValue::from_json_str(&input.to_string()).map_err(text)?);
        let results = engine.eval_query(QUERY.to_owned(), false).map_err(text)?;
        let value = results.result.first().and_then(|r| r.expressions.first()).map(|e| &e.value);
        let value = value.filter(|v| **v != RegoValue::Undefined).ok_or("no policy of package kubernaut.gate says anything")?;
        let json: Value = serde_json::from_str(&value.to_json_str().map_err(text)?).map_err(text)?;
        if json.get("deny").is_none() && json.get("ask").is_none() {
            return Err("no policy of package kubernaut.gate has a rule deny or ask".into());
        }
        serde_json::from_value(json).map_err(text)
    }

    /// The engine for what the folder holds now. Compiled anew only if the content changed.
    fn engine(&self) -> Result<Arc<Engine>, String> {
        let files = read(&self.dir)?;
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|known| known.files == files) {
            return known.engine.clone();
        }
        let engine = compile(&files).map(Arc::new);
        tracing::info!(dir = %self.dir.display(), files = files.len(), fine = engine.is_ok(), "policies read");
        *last = Some(Read { files, engine: engine.clone() });
        engine
    }
}

fn said(answer: Answer) -> (Verdict, Option<ApprovalTerms>) {
    let joined = |reasons: &[Value]| reasons.iter().map(|r| r.as_str().map_or_else(|| r.to_string(), str::to_owned)).collect::<Vec<_>>().join("; ");
    let verdict = match (answer.deny.is_empty(), answer.ask.is_empty()) {
        (false, _) => Verdict::fail(format!("policy: {}", joined(&answer.deny))),
        (true, false) => Verdict::ask(format!("policy: {}", joined(&answer.ask))),
        (true, true) => Verdict::pass("policies neither refuse nor ask"),
    };
    (verdict, answer.approval)
}

fn text(error: impl std::fmt::Display) -> String {
    // The first line names the fault; the rest draws it.
    let all = error.to_string();
    all.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// All files that count, sorted by name, so that equal content compares equal.
fn read(dir: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).map_err(named)?.collect::<Result<Vec<_>, _>>().map_err(named)?.iter().map(|e| e.path()).collect();
    paths.retain(|path| is_policy(path) || path.file_name().is_some_and(|name| name == "data.json"));
    paths.sort();
    let mut size = 0;
    let mut files = Vec::new();
    for path in paths {
        size += std::fs::metadata(&path).map_err(named)?.len();
        if size > LARGEST {
            return Err(format!("{}: more than {LARGEST} bytes of policies", dir.display()));
        }
        let content = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        files.push((path, content));
    }
    if !files.iter().any(|(path, _)| is_policy(path)) {
        return Err(format!("{} has no *.rego file", dir.display()));
    }
    Ok(files)
}

fn is_policy(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.ends_with(".rego") && !name.ends_with("_test.rego")
}

fn compile(files: &[(PathBuf, String)]) -> Result<Engine, String> {
    let mut engine = Engine::new();
    for (path, content) in files {
        let named = |e: String| format!("{}: {e}", path.display());
        if is_policy(path) {
            engine.add_policy(path.display().to_string(), content.clone()).map_err(|e| named(text(e)))?;
        } else {
            engine.add_data_json(content).map_err(|e| named(text(e)))?;
        }
    }
    Ok(engine)
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::CheckOutcome::{self, Ask, Fail, Pass};
    use serde_json::json;

    use super::*;

    const BASE: &str = "package kubernaut.gate\nimport rego.v1\n";

    struct Folder(tempfile::TempDir, Arc<Policies>);

    impl Folder {
        fn of(rules: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let policies = Policies::new(dir.path().to_owned(), 400);
            let folder = Self(dir, policies);
            folder.write("a.rego", &format!("{BASE}{rules}"));
            folder
        }

        fn write(&self, name: &str, content: &str) {
            std::fs::write(self.0.path().join(name), content).unwrap();
        }

        async fn says(&self, input: Value) -> (CheckOutcome, String) {
            let (verdict, _) = self.1.judge(input).await;
            (verdict.outcome, verdict.text)
        }
    }

    const ZERO: &str = "deny contains \"no zero replicas\" if input.params.replicas == 0\nask contains \"nodes\" if input.target.kind == \"Node\"\n";

    #[tokio::test]
    async fn policies_refuse_ask_or_stay_silent() {
        let folder = Folder::of(ZERO);
        assert_eq!(folder.says(json!({"params": {"replicas": 0}, "target": {"kind": "Node"}})).await, (Fail, "policy: no zero replicas".into()));
        assert_eq!(folder.says(json!({"params": {}, "target": {"kind": "Node"}})).await.0, Ask);
        assert_eq!(folder.says(json!({"params": {"replicas": 1}, "target": {"kind": "Deployment"}})).await.0, Pass);
    }

    #[tokio::test]
    async fn a_change_of_content_counts_at_once_and_a_broken_one_asks() {
        let folder = Folder::of(ZERO);
        let input = || json!({"params": {"replicas": 1}, "target": {"kind": "Deployment"}});
        assert_eq!(folder.says(input()).await.0, Pass);
        folder.write("b.rego", &format!("{BASE}deny contains \"freeze\" if true\n"));
        assert_eq!(folder.says(input()).await.0, Fail);
        folder.write("b.rego", "package kubernaut.gate\nthis is no policy");
        let (outcome, text) = folder.says(input()).await;
        assert!(outcome == Ask && text.contains("b.rego"), "{text}");
        std::fs::remove_file(folder.0.path().join("b.rego")).unwrap();
        assert_eq!(folder.says(input()).await.0, Pass);
    }

    #[tokio::test]
    async fn what_is_silent_missing_or_of_another_package_asks() {
        assert_eq!(Folder::of("helper := 1\n").says(json!({})).await.0, Ask);
        let folder = Folder::of(ZERO);
        folder.write("a.rego", "package other\nimport rego.v1\ndeny contains \"x\" if true\n");
        assert_eq!(folder.says(json!({})).await.0, Ask);
        let gone = Policies::new("/nonexistent/policies".into(), 100);
        assert_eq!(gone.judge(json!({})).await.0.outcome, Ask);
        assert_eq!(Folder::of("deny := \"not a list\"\n").says(json!({})).await.0, Ask);
    }

    #[tokio::test]
    async fn a_policy_that_takes_too_long_asks() {
        let slow = "deny contains \"never\" if {\n  some a in numbers.range(1, 4000)\n  some b in numbers.range(1, 4000)\n  a + b == -1\n}\n";
        let (outcome, text) = Folder::of(slow).says(json!({})).await;
        assert_eq!(outcome, Ask, "{text}");
    }

    #[tokio::test]
    async fn policies_say_what_agreement_takes() {
        let folder = Folder::of("ask contains \"data\" if true\napproval := {\"approvers\": 2, \"groups\": [\"dba\"]} if true\n");
        let (_, terms) = folder.1.judge(json!({})).await;
        assert_eq!(terms.map(|t| (t.approvers, t.groups)), Some((2, vec!["dba".to_owned()])));
    }

    #[tokio::test]
    async fn the_examples_say_what_they_promise() {
        let policies = Policies::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies").into(), 2000);
        let input = |change: fn(&mut Value)| {
            let mut input = json!({
                "action": {"name": "scale_replicas", "family": "workload", "risk": "low", "reversibility": "undo"}, "params": {"replicas": 2},
                "target": {"kind": "Deployment", "labels": {}, "replicas": 2}, "environment": "production", "now": "2026-06-05T10:00:00Z",
            });
            change(&mut input);
            input
        };
        for (what, change, expected, approvers) in [
            ("plain", (|_| {}) as fn(&mut Value), Pass, None),
            ("to zero", |i| i["params"]["replicas"] = json!(0), Fail, None),
            ("to zero elsewhere", |i| (i["params"]["replicas"], i["environment"]) = (json!(0), json!("testing")), Pass, None),
            ("too far", |i| i["params"]["replicas"] = json!(7), Fail, None),
            ("irreversible", |i| i["action"]["reversibility"] = json!("irreversible"), Fail, None),
            ("a node", |i| i["target"]["kind"] = json!("Node"), Ask, Some(2)),
            ("data", |i| i["target"]["labels"] = json!({"tier": "data"}), Ask, Some(1)),
            (
                "at night",
                |i| (i["action"]["risk"], i["environment"], i["now"]) = (json!("high"), json!("testing"), json!("2026-06-05T22:00:00Z")),
                Ask,
                None,
            ),
            ("by day", |i| (i["action"]["risk"], i["environment"]) = (json!("high"), json!("testing")), Pass, None),
        ] {
            let (verdict, terms) = policies.judge(input(change)).await;
            assert_eq!((verdict.outcome, terms.map(|t| t.approvers)), (expected, approvers), "{what}: {}", verdict.text);
        }
    }
}
