//! Pods and their containers, read without assuming that any field is there.

use kubernaut_core::model::{Object, Timestamp};
use serde_json::Value;

/// How a container's run ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Termination<'a> {
    pub(crate) exit_code: i64,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
}

impl<'a> Termination<'a> {
    fn read(value: &'a Value) -> Option<Self> {
        value.is_object().then(|| Self {
            exit_code: value["exitCode"].as_i64().unwrap_or_default(),
            reason: value["reason"].as_str().unwrap_or_default(),
            message: value["message"].as_str().unwrap_or_default(),
            started: time(&value["startedAt"]),
            finished: time(&value["finishedAt"]),
        })
    }

    /// Whether the kernel or the kubelet killed it for memory.
    pub(crate) fn is_oom(&self) -> bool {
        self.reason == "OOMKilled"
    }

    /// Seconds it ran.
    pub(crate) fn ran_s(&self) -> Option<i64> {
        Some(self.finished?.as_second() - self.started?.as_second())
    }

    /// Whether it counts as a failure: non-zero, or killed for memory.
    pub(crate) fn failed(&self) -> bool {
        self.exit_code != 0 || self.is_oom()
    }
}

/// One container of a pod: its spec and its status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    pub(crate) init: bool,
    pub(crate) spec: &'a Value,
    pub(crate) status: &'a Value,
}

impl<'a> Container<'a> {
    pub(crate) fn waiting_reason(&self) -> &'a str {
        self.status["state"]["waiting"]["reason"].as_str().unwrap_or_default()
    }

    pub(crate) fn waiting_message(&self) -> &'a str {
        self.status["state"]["waiting"]["message"].as_str().unwrap_or_default()
    }

    pub(crate) fn running_since(&self) -> Option<Timestamp> {
        time(&self.status["state"]["running"]["startedAt"])
    }

    pub(crate) fn is_running(&self) -> bool {
        self.status["state"]["running"].is_object()
    }

    pub(crate) fn ready(&self) -> bool {
        self.status["ready"] == true
    }

    pub(crate) fn restarts(&self) -> i64 {
        self.status["restartCount"].as_i64().unwrap_or_default()
    }

    /// The end of the current run, else of the one before.
    pub(crate) fn last_end(&self) -> Option<Termination<'a>> {
        Termination::read(&self.status["state"]["terminated"]).or_else(|| Termination::read(&self.status["lastState"]["terminated"]))
    }

    /// The end of the current run.
    pub(crate) fn ended(&self) -> Option<Termination<'a>> {
        Termination::read(&self.status["state"]["terminated"])
    }

    /// Whether it keeps ending: backing off, or ended badly just now. A loop is in `CrashLoopBackOff` only part of the time.
    pub(crate) fn is_crashing(&self, now: Timestamp) -> bool {
        if self.waiting_reason() == "CrashLoopBackOff" {
            return true;
        }
        let failed_now = self.ended().is_some_and(|t| t.failed()) && (!self.init || self.restarts() > 0 || self.ended().is_some());
        let just_back = self.restarts() >= 2
            && self.is_running()
            && self.last_end().and_then(|t| t.finished).is_some_and(|f| now.as_second() - f.as_second() < 120)
            && !self.settled(now);
        failed_now || just_back || self.ends_again()
    }

    /// Whether it ended with success twice: it is started again only where it is meant to stay.
    fn ends_again(&self) -> bool {
        let ends = [&self.status["state"], &self.status["lastState"]].map(|s| Termination::read(&s["terminated"]));
        ends.iter().all(|t| t.is_some_and(|t| !t.failed()))
    }

    /// Whether its current run is ready and much longer than the one before.
    fn settled(&self, now: Timestamp) -> bool {
        let Some(since) = self.running_since() else { return false };
        let ran = self.last_end().and_then(|t| t.ran_s()).unwrap_or(0);
        self.ready() && now.as_second() - since.as_second() > (2 * ran).max(60)
    }

    /// The memory or cpu limit or request, such as `limits`, `memory`.
    pub(crate) fn resource(&self, bound: &str, resource: &str) -> Option<f64> {
        super::quantity::of(&self.spec["resources"][bound][resource])
    }

    /// Ports it declares: number and name.
    pub(crate) fn ports(&self) -> Vec<(u16, &'a str)> {
        declared_ports(self.spec)
    }
}

/// Ports that a container's spec declares: number and name.
pub(crate) fn declared_ports(spec: &Value) -> Vec<(u16, &str)> {
    let list = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|p| Some((u16::try_from(p["containerPort"].as_i64()?).ok()?, p["name"].as_str().unwrap_or_default()))).collect()
}

/// An RFC 3339 time in a JSON string.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// All containers of a pod, init containers first.
pub(crate) fn containers(pod: &Object) -> Vec<Container<'_>> {
    static NULL: Value = Value::Null;
    let mut all = Vec::new();
    for (specs, statuses, init) in
        [("/spec/initContainers", "/status/initContainerStatuses", true), ("/spec/containers", "/status/containerStatuses", false)]
    {
        let statuses = pod.list_at(statuses);
        for spec in pod.list_at(specs) {
            let Some(name) = spec["name"].as_str() else { continue };
            // A sidecar (an init container that always restarts) behaves like any other container.
            let init = init && spec["restartPolicy"] != "Always";
            let status = statuses.iter().find(|s| s["name"] == name).unwrap_or(&NULL);
            all.push(Container { name, init, spec, status });
        }
        // A pod of which only the status was recorded.
        if pod.list_at(specs).is_empty() {
            let named = statuses.iter().filter_map(|s| Some((s["name"].as_str()?, s)));
            all.extend(named.map(|(name, status)| Container { name, init, spec: &NULL, status }));
        }
    }
    all
}

pub(crate) fn phase(pod: &Object) -> &str {
    pod.str_at("/status/phase").unwrap_or_default()
}

pub(crate) fn is_ready(pod: &Object) -> bool {
    pod.condition("Ready").is_some_and(|c| c["status"] == "True")
}

pub(crate) fn is_terminating(pod: &Object) -> bool {
    pod.at("/metadata/deletionTimestamp").is_some()
}

/// Whether it is over: succeeded, failed or evicted.
pub(crate) fn is_finished(pod: &Object) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// The scheduler's message, while it finds no node.
pub(crate) fn unschedulable(pod: &Object) -> Option<&str> {
    let condition = pod.condition("PodScheduled").filter(|c| c["status"] == "False")?;
    Some(condition["message"].as_str().unwrap_or_default())
}

/// Whether it waits for a node.
pub(crate) fn is_unscheduled(pod: &Object) -> bool {
    phase(pod) == "Pending" && pod.str_at("/spec/nodeName").is_none_or(str::is_empty) && !is_terminating(pod)
}

/// When it was last seen to become ready or unready.
pub(crate) fn ready_changed(pod: &Object) -> Option<Timestamp> {
    time(&pod.condition("Ready")?["lastTransitionTime"])
}

/// Whether anything about it is wrong now.
pub(crate) fn is_unhealthy(pod: &Object, now: Timestamp) -> bool {
    if is_terminating(pod) || phase(pod) == "Succeeded" {
        return false;
    }
    if phase(pod) == "Failed" {
        return true;
    }
    !is_ready(pod) || containers(pod).iter().any(|c| !c.init && c.is_crashing(now))
}
