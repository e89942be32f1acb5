//! Whether an object of a kind is as it should be. Pure: over the object as read.

use kubernaut_core::model::Object;

use super::finding::Finding;

/// A controller of pods, by its own account; its pods are judged apart. `None` for a kind that is none.
pub(super) fn controller(object: &Object) -> Option<Finding> {
    let n = |pointer: &str| object.i64_at(pointer).unwrap_or(0);
    let (desired, updated, available) = match object.kind() {
        "Deployment" => (object.i64_at("/spec/replicas").unwrap_or(1), n("/status/updatedReplicas"), n("/status/availableReplicas")),
        "ReplicaSet" | "ReplicationController" => {
            let desired = object.i64_at("/spec/replicas").unwrap_or(1);
            (desired, desired, n("/status/availableReplicas"))
        }
        "StatefulSet" => {
            let desired = object.i64_at("/spec/replicas").unwrap_or(1);
            let available = object.i64_at("/status/availableReplicas").unwrap_or_else(|| n("/status/readyReplicas"));
            (desired, if partitioned(object) { desired } else { n("/status/updatedReplicas") }, available)
        }
        "DaemonSet" => {
            let desired = n("/status/desiredNumberScheduled");
            let updated = if object.str_at("/spec/updateStrategy/type") == Some("OnDelete") { desired } else { n("/status/updatedNumberScheduled") };
            (desired, updated, n("/status/numberAvailable"))
        }
        _ => return None,
    };
    Some(replicas(object, desired, updated, available).replicas(available, desired))
}

/// Pods below a partition, or with `OnDelete`, keep their revision on purpose.
fn partitioned(object: &Object) -> bool {
    object.i64_at("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0) > 0 || object.str_at("/spec/updateStrategy/type") == Some("OnDelete")
}

fn replicas(object: &Object, desired: i64, updated: i64, available: i64) -> Finding {
    let name = object.reference();
    let observed = object.i64_at("/status/observedGeneration").unwrap_or(0);
    let total = object.i64_at("/status/replicas").unwrap_or(0);
    if observed < object.i64_at("/metadata/generation").unwrap_or(0) {
        return Finding::settling(format!("{name}: its controller has not seen the change yet"));
    }
    if desired == 0 {
        return Finding::bad(format!("{name}: no replica is wanted"));
    }
    if object.condition("Progressing").is_some_and(|c| c["reason"] == "ProgressDeadlineExceeded") {
        return Finding::bad(format!("{name}: its rollout is stuck, {available} of {desired} available"));
    }
    if updated < desired || available < desired || (object.kind() == "Deployment" && total > updated) {
        return Finding::settling(format!("{name}: {available} of {desired} available, {updated} of the wanted revision"));
    }
    Finding::good(format!("{name}: {available} of {desired} available"))
}

/// A kind that says itself how it is. `cordoned` tells whether the run cordoned this very node.
pub(super) fn condition(object: &Object, cordoned: bool) -> Finding {
    match object.kind() {
        "Node" => node(object, cordoned),
        "PersistentVolumeClaim" => phase(object, &["Bound"]),
        "PersistentVolume" => phase(object, &["Bound", "Available"]),
        "HorizontalPodAutoscaler" => autoscaler(object),
        "PodDisruptionBudget" => budget(object),
        _ => generic(object),
    }
}

fn status_of<'a>(object: &'a Object, condition: &str) -> Option<&'a str> {
    object.condition(condition)?["status"].as_str()
}

fn node(node: &Object, cordoned: bool) -> Finding {
    let name = node.reference();
    if status_of(node, "Ready") != Some("True") {
        return Finding::bad(format!("{name} is not ready"));
    }
    let pressed = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"].into_iter().find(|c| status_of(node, c) == Some("True"));
    if let Some(pressure) = pressed {
        return Finding::bad(format!("{name} has {pressure}"));
    }
    if !cordoned && node.bool_at("/spec/unschedulable") == Some(true) {
        return Finding::bad(format!("{name} takes no new pods"));
    }
    Finding::good(format!("{name} is ready"))
}

/// A job that runs is as it should be; how its pods are is judged apart.
pub(super) fn job(job: &Object) -> Finding {
    let name = job.reference();
    if status_of(job, "Complete") == Some("True") {
        return Finding::good(format!("{name} has completed"));
    }
    if status_of(job, "Failed") == Some("True") {
        let why = job.condition("Failed").and_then(|c| c["message"].as_str()).unwrap_or("no reason given");
        return Finding::bad(format!("{name} has failed: {why}"));
    }
    let active = job.i64_at("/status/active").unwrap_or(0);
    let text = format!("{name} has not completed, {active} pod(s) active");
    if active > 0 { Finding::good(text) } else { Finding::settling(text) }
}

fn phase(object: &Object, good: &[&str]) -> Finding {
    let (name, phase) = (object.reference(), object.str_at("/status/phase").unwrap_or("unknown"));
    let text = format!("{name} is {phase}");
    if good.contains(&phase) { Finding::good(text) } else { Finding::settling(text) }
}

fn autoscaler(hpa: &Object) -> Finding {
    let name = hpa.reference();
    let blocked = ["AbleToScale", "ScalingActive"].into_iter().find(|c| status_of(hpa, c) == Some("False"));
    if let Some(condition) = blocked {
        let why = hpa.condition(condition).and_then(|c| c["message"].as_str()).unwrap_or("no reason given");
        return Finding::bad(format!("{name}: {condition} is false: {why}"));
    }
    let (current, most) = (hpa.i64_at("/status/currentReplicas").unwrap_or(0), hpa.i64_at("/spec/maxReplicas").unwrap_or(i64::MAX));
    let wants_more = hpa.condition("ScalingLimited").is_some_and(|c| c["status"] == "True" && c["reason"] == "TooManyReplicas");
    if wants_more || current >= most {
        return Finding::bad(format!("{name} is at its ceiling, {current} of {most}"));
    }
    Finding::good(format!("{name} scales, {current} of at most {most}"))
}

fn budget(budget: &Object) -> Finding {
    let n = |pointer: &str| budget.i64_at(pointer).unwrap_or(0);
    let (allowed, expected) = (n("/status/disruptionsAllowed"), n("/status/expectedPods"));
    let text = format!("{} allows {allowed} disruption(s)", budget.reference());
    if allowed > 0 || expected == 0 { Finding::good(text) } else { Finding::bad(text) }
}

fn generic(object: &Object) -> Finding {
    let name = object.reference();
    for condition in ["Ready", "Available", "Healthy", "Established"] {
        match status_of(object, condition) {
            Some("True") => return Finding::good(format!("{name} is {condition}")),
            Some(status) => return Finding::settling(format!("{name}: {condition} is {status}")),
            None => {}
        }
    }
    Finding::silent(format!("{name} exists and says nothing about its health"))
}
