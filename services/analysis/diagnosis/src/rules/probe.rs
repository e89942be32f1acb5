//! Probes that are wrong while the process is well.

use kubernaut_core::model::{Category, EvidenceSource, Object};
use kubernaut_core::port::KubeEvent;
use serde_json::{Map, Value, json};

use super::{Case, rollout};
use crate::{
    facts::{
        pod::{self, Container},
        revision::ChangeKind,
    },
    graph::{Finding, Report},
    propose,
};

/// A probe's field and the words that events use for it.
const PROBES: &[(&str, &str)] = &[("livenessProbe", "Liveness"), ("startupProbe", "Startup"), ("readinessProbe", "Readiness")];

/// Seconds during which a container that was killed for its probe is not taken for healed.
const KILLED_JUST_NOW_S: i64 = 180;

pub(super) fn examine(case: &Case<'_>, report: &mut Report) {
    let restless = |p: &&Object| {
        let killed = |e: &KubeEvent| e.reason == "Killing" && e.message.contains("probe") && case.facts.is_recent(e, KILLED_JUST_NOW_S);
        !case.failing.iter().any(|f| f.name() == p.name()) && case.facts.events_of(&p.reference()).any(killed)
    };
    let restless: Vec<&Object> = case.workload.live_pods().filter(restless).collect();
    for object in case.failing.iter().chain(&restless) {
        for container in pod::containers(object).iter().filter(|c| !c.init) {
            for (field, word) in PROBES {
                let Some(event) = probe_event(case, object, word) else { continue };
                if container.spec[*field].is_object()
                    && let Some(finding) = judge(case, object, container, field, event)
                {
                    report.find(finding);
                    return;
                }
            }
        }
    }
    for object in &case.failing {
        for container in pod::containers(object).iter().filter(|c| !c.init) {
            if let Some(finding) = without_events(case, object, container) {
                report.find(finding);
                return;
            }
        }
    }
}

/// Events are kept for an hour only: a probe on a port that the container does not have speaks for itself.
fn without_events(case: &Case<'_>, object: &Object, container: &Container<'_>) -> Option<Finding> {
    if case.facts.events_of(&object.reference()).any(|e| e.reason == "Unhealthy") {
        return None;
    }
    let running = container.is_running() && !container.ready();
    let field = match running {
        true => "readinessProbe",
        false if kills(case, object, container) => "livenessProbe",
        false => return None,
    };
    let (port, named) = probe_port(container, field)?;
    if container.ports().is_empty() || container.ports().iter().any(|(p, _)| *p == port) {
        return None;
    }
    let message = if named {
        format!("no event is left; {field} asks port {port}: connection refused is to be expected")
    } else {
        format!("{field} names a port that does not exist")
    };
    let event = KubeEvent {
        object: object.reference(),
        kind: "Warning".into(),
        reason: "Unhealthy".into(),
        message,
        count: 0,
        first_at: None,
        last_at: None,
        component: String::new(),
    };
    judge(case, object, container, field, &event).map(|f| Finding { confidence: f.confidence.min(0.86), ..f })
}

fn probe_event<'a>(case: &Case<'a>, object: &Object, word: &str) -> Option<&'a KubeEvent> {
    let begins = format!("{word} probe");
    case.facts
        .events_of(&object.reference())
        .filter(|e| e.reason == "Unhealthy" && e.message.starts_with(&begins) && case.facts.is_recent(e, 3_600))
        .last()
}

/// What is wrong with a probe, and the value that would be right.
struct Fault {
    confidence: f64,
    text: String,
    patch: Map<String, Value>,
}

fn judge(case: &Case<'_>, object: &Object, container: &Container<'_>, field: &str, event: &KubeEvent) -> Option<Finding> {
    let is_readiness = field == "readinessProbe";
    if !is_readiness && !kills(case, object, container) {
        return None;
    }
    // A process that ends by itself, or is killed for memory, makes every probe fail.
    if container.last_end().is_some_and(|t| t.is_oom() || (t.failed() && !matches!(t.exit_code, 137 | 143))) && container.is_crashing(case.facts.now)
    {
        return None;
    }
    let fault = changed(case, container, field)
        .or_else(|| wrong_port(case, object, container, field, event))
        .or_else(|| wrong_path(case, container, field, event))
        .or_else(|| wrong_timing(case, object, container, field, event))?;
    let category = if is_readiness { Category::ReadinessProbeMisconfig } else { Category::LivenessProbeMisconfig };
    let reference = case.reference();
    let mut params = Map::from_iter([("container".to_owned(), json!(container.name)), ("probe".to_owned(), json!(field.trim_end_matches("Probe")))]);
    let known = !fault.patch.is_empty();
    params.extend(fault.patch);
    let finding = Finding::new(category, &reference, fault.confidence, fault.text.clone())
        .because(&object.reference(), EvidenceSource::Event, format!("{} ({} times)", event.message, event.count))
        .because(&reference, EvidenceSource::Spec, format!("{field} of container {}: {}", container.name, container.spec[field]))
        .because(&object.reference(), EvidenceSource::Status, process_state(container));
    Some(
        finding.propose(
            propose::action("patch_probe", &reference, Value::Object(params))
                .when(known, "the right value is known from the ports, the other probe or an earlier revision")
                .effect("the probe succeeds and the pods become Ready")
                .steps(vec![format!("correct {field} of container {}", container.name)])
                .done(),
        ),
    )
}

fn process_state(container: &Container<'_>) -> String {
    match container.last_end() {
        Some(t) => format!(
            "container {} ended with exit code {} ({}) after {} s, {} restarts",
            container.name,
            t.exit_code,
            t.reason,
            t.ran_s().unwrap_or(0),
            container.restarts()
        ),
        None => format!("container {} is running, {} restarts", container.name, container.restarts()),
    }
}

/// Whether the kubelet ends the container for its probe.
fn kills(case: &Case<'_>, object: &Object, container: &Container<'_>) -> bool {
    let killed =
        case.facts.events_of(&object.reference()).any(|e| e.reason == "Killing" && e.message.contains(container.name) && e.message.contains("probe"));
    killed || (container.restarts() > 0 && container.last_end().is_some_and(|t| matches!(t.exit_code, 0 | 137 | 143) && !t.is_oom()))
}

/// The last rollout changed the probe, and the one before worked.
fn changed(case: &Case<'_>, container: &Container<'_>, field: &str) -> Option<Fault> {
    // Between two kills the pods are ready and nothing fails: then the release is blamed by its time alone.
    let lately = || case.rollout().filter(|r| case.failing.is_empty() && r.at.is_some_and(|at| case.facts.age_s(at) < super::BLAME_S));
    let rollout = case.blamed_rollout().or_else(lately).filter(|r| r.proven.is_some())?;
    let kind = if field == "readinessProbe" { ChangeKind::Readiness } else { ChangeKind::Liveness };
    let suffix = format!(".{field}");
    let change = rollout.of(kind).find(|c| c.container.as_deref() == Some(container.name) && c.path.ends_with(&suffix))?;
    let before = change.before.clone()?;
    let mut patch = flat(&before);
    patch.insert("restore".into(), before);
    Some(Fault {
        confidence: 0.96,
        text: format!("revision {} changed the probe: {}", rollout.current.number, rollout::describe(rollout, change)),
        patch,
    })
}

/// Port, path and timing of a probe as flat values.
fn flat(probe: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    for handler in ["httpGet", "tcpSocket", "grpc"] {
        for key in ["port", "path"] {
            if let Some(value) = probe[handler].get(key) {
                out.insert(key.to_owned(), value.clone());
            }
        }
    }
    out
}

fn probe_port(container: &Container<'_>, field: &str) -> Option<(u16, bool)> {
    let probe = &container.spec[field];
    let port = ["httpGet", "tcpSocket", "grpc"].iter().find_map(|h| probe[*h].get("port"))?;
    if let Some(n) = port.as_u64() {
        return Some((u16::try_from(n).ok()?, true));
    }
    let name = port.as_str()?;
    let known = container.ports().iter().find(|(_, n)| *n == name).map(|(p, _)| *p);
    Some((known.unwrap_or(0), known.is_some()))
}

/// Refused on a port on which nothing listens, while the container serves another.
fn wrong_port(case: &Case<'_>, object: &Object, container: &Container<'_>, field: &str, event: &KubeEvent) -> Option<Fault> {
    let (port, named) = probe_port(container, field)?;
    let refused = event.message.contains("connection refused") || event.message.contains("refused") || !named;
    if !refused {
        return None;
    }
    let listens = case.facts.logs.get(case.namespace(), object.name(), container.name).map(|l| l.listens.clone()).unwrap_or_default();
    let declared: Vec<u16> = container.ports().iter().map(|(p, _)| *p).collect();
    let other_probe =
        PROBES.iter().filter(|(f, _)| *f != field).filter_map(|(f, _)| probe_port(container, f)).map(|(p, _)| p).find(|p| *p != port && *p != 0);
    let said = listens.iter().find(|p| **p != port).copied().filter(|_| !listens.contains(&port));
    let only = match declared.as_slice() {
        [one] if *one != port => Some(*one),
        _ => None,
    };
    // A port that is declared and listened on refuses only while the process starts or is ill.
    let right = said.or(only).or(other_probe.filter(|p| declared.contains(p) && !declared.contains(&port)))?;
    let confidence = if said.is_some() || (only.is_some() && !declared.contains(&port)) { 0.96 } else { 0.85 };
    let text = format!("the {} asks port {port}, the container serves port {right}", field.trim_end_matches("Probe"));
    Some(Fault { confidence, text, patch: Map::from_iter([("port".to_owned(), json!(right))]) })
}

/// The path is not known to the process.
fn wrong_path(_case: &Case<'_>, container: &Container<'_>, field: &str, event: &KubeEvent) -> Option<Fault> {
    if let Some(fault) = wrong_protocol(container, field, event) {
        return Some(fault);
    }
    let code = ["statuscode: 404", "statuscode: 405", "statuscode: 400", "statuscode: 401", "statuscode: 403"]
        .iter()
        .find(|c| event.message.contains(**c))?;
    let path = container.spec[field]["httpGet"]["path"].as_str().unwrap_or("/");
    let other = PROBES.iter().filter(|(f, _)| *f != field).filter_map(|(f, _)| container.spec[*f]["httpGet"]["path"].as_str()).find(|p| *p != path);
    let patch = other.map(|p| Map::from_iter([("path".to_owned(), json!(p))])).unwrap_or_default();
    let text = format!("the {} asks path {path} and gets {}", field.trim_end_matches("Probe"), code.trim_start_matches("statuscode: "));
    Some(Fault { confidence: if code.ends_with("404") { 0.92 } else { 0.82 }, text, patch })
}

/// The process speaks another protocol than the probe, or lacks what the probe runs.
fn wrong_protocol(container: &Container<'_>, field: &str, event: &KubeEvent) -> Option<Fault> {
    let message = event.message.as_str();
    let has = |words: &[&str]| words.iter().any(|w| message.contains(w));
    let probe = field.trim_end_matches("Probe");
    let scheme = container.spec[field]["httpGet"]["scheme"].as_str().unwrap_or("HTTP");
    let fault = |confidence, text: String, patch| Some(Fault { confidence, text, patch });
    if has(&["server gave HTTP response to HTTPS client", "wrong version number"]) {
        return fault(0.94, format!("the {probe} speaks HTTPS, the process HTTP"), Map::from_iter([("scheme".to_owned(), json!("HTTP"))]));
    }
    if has(&["malformed HTTP response", "malformed HTTP status", "transport connection broken"]) {
        let patch = if scheme == "HTTP" { Map::from_iter([("scheme".to_owned(), json!("HTTPS"))]) } else { Map::new() };
        return fault(0.9, format!("the {probe} speaks HTTP, the process another protocol"), patch);
    }
    // A file that the command looks for may be missing because the process is not well; only the command itself counts.
    if has(&["executable file not found", "command not found", "OCI runtime exec failed"])
        && !has(&["stopped container", "not running", "process not found"])
    {
        return fault(0.93, format!("the {probe} runs a command that the container does not have"), Map::new());
    }
    let grpc = container.spec[field]["grpc"].is_object();
    (grpc && has(&["service unknown", "Unimplemented", "unknown service", "NOT_SERVING"]) && !has(&["NOT_SERVING"])).then(|| Fault {
        confidence: 0.88,
        text: format!("the {probe} asks for a health service that the process does not offer"),
        patch: Map::new(),
    })
}

/// The probe gives up before the process answers.
fn wrong_timing(case: &Case<'_>, object: &Object, container: &Container<'_>, field: &str, event: &KubeEvent) -> Option<Fault> {
    let probe = &container.spec[field];
    let number = |key: &str, default: i64| probe[key].as_i64().unwrap_or(default);
    let (delay, period, threshold, timeout) =
        (number("initialDelaySeconds", 0), number("periodSeconds", 10), number("failureThreshold", 3), number("timeoutSeconds", 1));
    let slow = ["deadline exceeded", "Timeout", "timeout", "timed out"].iter().any(|w| event.message.contains(w));
    if slow && timeout <= 1 && !is_stalled(case, object) && field == "livenessProbe" {
        let patch = Map::from_iter([("timeoutSeconds".to_owned(), json!(5))]);
        return Some(Fault { confidence: 0.82, text: format!("the probe gives up after {timeout} s"), patch });
    }
    if field == "readinessProbe" {
        return None;
    }
    let patience = delay + period * threshold;
    let ran = container.last_end().and_then(|t| t.ran_s())?;
    // Killed as soon as patience ends, every time, while still starting: it never got the time that it needs.
    let killed_at_patience = ran >= patience - period && ran <= patience + 2 * period + 40;
    let listens = case.facts.logs.get(case.namespace(), object.name(), container.name).is_some_and(|l| !l.listens.is_empty());
    let starting = container.restarts() >= 2 && killed_at_patience && !listens && container.spec["startupProbe"].is_null();
    starting.then(|| {
        let patch = Map::from_iter([("initialDelaySeconds".to_owned(), json!((delay + 2 * patience).max(60)))]);
        Fault { confidence: 0.82, text: format!("the probe ends the container after {patience} s, before it has started"), patch }
    })
}

/// Whether the node or the cpu limit may be why answers are slow.
fn is_stalled(case: &Case<'_>, object: &Object) -> bool {
    let node = object.str_at("/spec/nodeName").and_then(|n| case.facts.store.get("Node", None, n));
    node.is_some_and(|n| {
        !crate::facts::capacity::node_ready(n)
            || n.list_at("/status/conditions")
                .iter()
                .any(|c| c["type"] != "Ready" && c["status"] == "True" && c["type"].as_str().is_some_and(|t| t.ends_with("Pressure")))
    })
}
