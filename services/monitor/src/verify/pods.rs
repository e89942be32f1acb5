//! Whether pods run and keep running. Pure.

use kubernaut_core::model::{Object, Timestamp};
use serde_json::Value;

use super::finding::Finding;

/// What counts as running stably.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stability {
    /// Now, by the cluster.
    pub(super) now: Timestamp,
    /// When the run began: restarts before it do not count against it.
    pub(super) since: Timestamp,
    pub(super) stable_s: u64,
    pub(super) restart_stable_s: u64,
    /// Times of a recording say nothing about how long something has run.
    pub(super) recorded: bool,
}

/// Reasons for waiting that do not pass by themselves.
const STUCK: &[&str] = &[
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// All pods that count: not those that are going, and not those that have ended, which are replaced.
pub(super) fn all(pods: &[Object], stability: &Stability) -> Finding {
    let counts = |p: &&Object| p.at("/metadata/deletionTimestamp").is_none() && !matches!(p.str_at("/status/phase"), Some("Succeeded" | "Failed"));
    let pods: Vec<_> = pods.iter().filter(counts).collect();
    let summary = Finding::good(format!("{} pod(s) run", pods.len()));
    pods.iter().map(|p| one(p, stability)).fold(summary, Finding::and)
}

pub(super) fn one(pod: &Object, stability: &Stability) -> Finding {
    let name = pod.name();
    match pod.str_at("/status/phase") {
        Some("Succeeded") => return Finding::good(format!("pod {name} has completed")),
        Some("Failed") => return Finding::bad(format!("pod {name} has failed: {}", pod.str_at("/status/reason").unwrap_or("no reason given"))),
        _ => {}
    }
    let statuses = pod.list_at("/status/initContainerStatuses").iter().chain(pod.list_at("/status/containerStatuses"));
    let containers = statuses.map(|s| container(name, s, stability));
    containers.fold(readiness(pod), Finding::and)
}

fn readiness(pod: &Object) -> Finding {
    let name = pod.name();
    match pod.condition("Ready").and_then(|c| c["status"].as_str()) {
        Some("True") => Finding::good(format!("pod {name} is ready")),
        _ if pod.at("/spec/nodeName").is_none() => {
            let why = pod.condition("PodScheduled").and_then(|c| c["message"].as_str()).unwrap_or("not scheduled yet");
            Finding::settling(format!("pod {name} has no node: {why}"))
        }
        _ => Finding::settling(format!("pod {name} is not ready")),
    }
}

fn container(pod: &str, status: &Value, stability: &Stability) -> Finding {
    let name = status["name"].as_str().unwrap_or_default();
    let state = &status["state"];
    if let Some(reason) = state["waiting"]["reason"].as_str() {
        let text = format!("container {name} of pod {pod} waits: {reason}");
        return if STUCK.contains(&reason) { Finding::bad(text).crashing() } else { Finding::settling(text) };
    }
    if let Some(code) = state["terminated"]["exitCode"].as_i64() {
        let text = format!("container {name} of pod {pod} ended with exit code {code}");
        return if code == 0 { Finding::good(text) } else { Finding::bad(text) };
    }
    let started = time(&state["running"]["startedAt"]);
    match started.filter(|_| !stability.recorded) {
        Some(started) => age(pod, name, started, time(&status["lastState"]["terminated"]["finishedAt"]), stability),
        None => Finding::good(format!("container {name} of pod {pod} runs")),
    }
}

fn age(pod: &str, name: &str, started: Timestamp, ended_before: Option<Timestamp>, stability: &Stability) -> Finding {
    let seconds = stability.now.duration_since(started).as_secs();
    let restarted = ended_before.is_some_and(|at| at >= stability.since);
    let needed = if restarted { stability.restart_stable_s } else { stability.stable_s };
    if seconds >= i64::try_from(needed).unwrap_or(i64::MAX) {
        return Finding::good(format!("container {name} of pod {pod} runs"));
    }
    let what = if restarted { "restarted" } else { "started" };
    Finding::settling(format!("container {name} of pod {pod} {what} {seconds} s ago; it must run for {needed} s"))
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
