//! The handle of the bindings, with parts "of another language" in Rust.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use kubernaut::{
    Error, ErrorKind, Result, async_trait,
    host::{self, CallOptions, Host, HostCall, HostRequest, PluginKind, PluginSpec, Plugins, Slot},
};
use serde_json::{Value, json};

fn bundle() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/bundles/crashing-release")
}

fn call(host: &Host, operation: &str, params: &Value) -> Result<Value> {
    let text = host.call_blocking(operation.into(), params.to_string(), CallOptions::default(), || Ok(()))?;
    Ok(serde_json::from_str(&text).expect("answers are JSON"))
}

fn engine(plugins: Plugins, host: Option<Arc<dyn HostCall>>) -> Host {
    let config = json!({"ledger": {"memory": true}, "cluster": {"bundle": bundle()}});
    Host::new(&config, false, plugins, host).expect("a valid configuration")
}

/// Answers what it is told, or never; keeps the slots of calls that nobody waits for, as a host does that cannot end them.
#[derive(Debug, Default)]
struct Parrot {
    answer: Option<String>,
    kept: Mutex<Vec<Slot>>,
    calls: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

struct CountsDrops(Arc<AtomicUsize>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl HostCall for Parrot {
    async fn call(&self, request: HostRequest) -> Result<String> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match &self.answer {
            Some(answer) => Ok(answer.clone()),
            None => {
                let _counted = CountsDrops(self.dropped.clone());
                self.kept.lock().unwrap().push(request.slot);
                std::future::pending().await
            }
        }
    }
}

fn classifier(parrot: &Arc<Parrot>, limits: PluginSpec) -> Host {
    let spec = PluginSpec { name: "Parrot".into(), methods: vec!["classify".into()], ..limits };
    engine(Plugins::from([(PluginKind::Classifier, spec)]), Some(parrot.clone()))
}

fn analyze(host: &Host) -> Error {
    call(host, "analyze", &json!({"target": "Deployment/ferry-terminal/departures"})).expect_err("the classifier gives no answer")
}

#[test]
fn mistakes_of_the_caller_name_operation_and_field() {
    let host = engine(Plugins::new(), None);
    assert_eq!(call(&host, "no_such", &json!({})).unwrap_err().kind(), ErrorKind::NotFound);
    let wrong = call(&host, "incidents", &json!({"limit": "many"})).unwrap_err();
    assert!(wrong.kind() == ErrorKind::InvalidInput && wrong.to_string().contains("field=limit"), "{wrong}");
    let unknown = call(&host, "incidents", &json!({"colour": "red"})).unwrap_err();
    assert!(unknown.to_string().contains("unknown field `colour`"), "{unknown}");
    let nameless = call(&host, "approve", &json!({"approval_id": uuid::Uuid::nil(), "by": " "})).unwrap_err();
    assert_eq!(nameless.kind(), ErrorKind::InvalidInput, "an answer needs a name");
}

#[test]
fn a_wrong_answer_names_plug_in_and_field() {
    let parrot = Arc::new(Parrot { answer: Some(json!({"environment": {"value": "moon"}}).to_string()), ..Parrot::default() });
    let error = analyze(&classifier(&parrot, PluginSpec::default()));
    assert_eq!(error.kind(), ErrorKind::PluginFailed);
    let text = error.to_string();
    assert!(text.contains("plugin=Parrot") && text.contains("field=environment.value"), "{text}");
}

#[test]
fn a_deadline_drops_the_call_and_a_call_that_the_host_cannot_end_keeps_its_place() {
    let parrot = Arc::new(Parrot::default());
    let host = classifier(&parrot, PluginSpec { timeout_ms: 50, max_concurrency: 1, ..PluginSpec::default() });
    assert_eq!(analyze(&host).kind(), ErrorKind::Timeout);
    assert_eq!(parrot.dropped.load(Ordering::SeqCst), 1, "the host was told");
    assert_eq!(analyze(&host).kind(), ErrorKind::Timeout);
    assert_eq!(parrot.calls.load(Ordering::SeqCst), 1, "the second call never reached the host");
    parrot.kept.lock().unwrap().clear();
    assert_eq!(analyze(&host).kind(), ErrorKind::Timeout);
    assert_eq!(parrot.calls.load(Ordering::SeqCst), 2, "the place is free again");
}

#[test]
fn a_plug_in_of_the_wrong_shape_is_refused_at_once() {
    let spec = |methods: &[&str]| PluginSpec { methods: methods.iter().map(|m| (*m).to_owned()).collect(), ..PluginSpec::default() };
    for (methods, named) in [(vec!["remember"], "recall"), (vec!["remember", "recall", "history", "fly"], "fly")] {
        let plugins = Plugins::from([(PluginKind::ContextStore, spec(&methods))]);
        let error = Host::new(&Value::Null, false, plugins, Some(Arc::new(Parrot::default()))).expect_err("a method is missing or unknown");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn names_of_errors_are_read_back() {
    for row in host::ERRORS {
        assert_eq!(host::kind_from(row.kind.as_str()), Some(row.kind));
    }
}
