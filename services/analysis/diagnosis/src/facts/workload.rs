//! Workloads: what they want, what they have, and which pods are theirs.

use std::collections::BTreeMap;

use kubernaut_core::model::{Object, ObjectRef, Timestamp};

use super::{Facts, pod};

/// Kinds that run pods from a template.
pub(crate) const KINDS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet", "ReplicationController", "Pod"];

/// Kinds that keep pods running.
pub(crate) const LONG_RUNNING: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"];

/// One workload with its pods.
#[derive(Debug, Clone)]
pub(crate) struct Workload<'a> {
    pub(crate) object: &'a Object,
    pub(crate) pods: Vec<&'a Object>,
}

impl<'a> Workload<'a> {
    /// The workload of a reference; `None` if it is none or was not read.
    pub(crate) fn find(facts: &'a Facts, reference: &ObjectRef) -> Option<Self> {
        KINDS.contains(&reference.kind.as_str()).then_some(())?;
        let object = facts.store.find(reference)?;
        Some(Self { object, pods: pods_of(facts, object) })
    }

    pub(crate) fn reference(&self) -> ObjectRef {
        self.object.reference()
    }

    pub(crate) fn kind(&self) -> &'a str {
        self.object.kind()
    }

    pub(crate) fn namespace(&self) -> Option<&'a str> {
        self.object.namespace()
    }

    pub(crate) fn name(&self) -> &'a str {
        self.object.name()
    }

    /// Replicas it should have.
    pub(crate) fn desired(&self) -> i64 {
        match self.kind() {
            "DaemonSet" => self.object.i64_at("/status/desiredNumberScheduled").unwrap_or(0),
            "Pod" => 1,
            "Job" | "CronJob" => 0,
            _ => self.object.i64_at("/spec/replicas").unwrap_or(1),
        }
    }

    /// Replicas that are ready.
    pub(crate) fn ready(&self) -> i64 {
        match self.kind() {
            "DaemonSet" => self.object.i64_at("/status/numberReady").unwrap_or(0),
            "Pod" => i64::from(pod::is_ready(self.object)),
            _ => self.object.i64_at("/status/readyReplicas").unwrap_or(0),
        }
    }

    /// Pods that still count: neither over nor on their way out.
    pub(crate) fn live_pods(&self) -> impl Iterator<Item = &'a Object> + use<'a, '_> {
        self.pods.iter().copied().filter(|p| !pod::is_finished(p) && !pod::is_terminating(p))
    }

    /// Live pods that are not well.
    pub(crate) fn bad_pods(&self, now: Timestamp) -> Vec<&'a Object> {
        self.live_pods().filter(|p| pod::is_unhealthy(p, now)).collect()
    }

    /// Pods whose failure is looked at: live ones that are not well, and for a Job those that failed.
    pub(crate) fn failing_pods(&self, now: Timestamp) -> Vec<&'a Object> {
        if matches!(self.kind(), "Job" | "CronJob") {
            return self.pods.iter().copied().filter(|p| pod::is_unhealthy(p, now)).collect();
        }
        if self.kind() == "Pod" {
            return self.pods.iter().copied().filter(|p| pod::is_unhealthy(p, now)).collect();
        }
        self.bad_pods(now)
    }

    /// Whether everything that should run is ready and nothing of it is unwell.
    pub(crate) fn is_healthy(&self, now: Timestamp) -> bool {
        match self.kind() {
            "Job" => self.is_complete() || (!job_failed(self.object) && self.failing_pods(now).is_empty()),
            "CronJob" => self.failing_pods(now).is_empty(),
            "Pod" => !pod::is_unhealthy(self.object, now),
            _ => {
                let unavailable = self.object.i64_at("/status/unavailableReplicas").unwrap_or(0);
                self.ready() >= self.desired() && unavailable == 0 && self.bad_pods(now).is_empty()
            }
        }
    }

    /// Whether it is a Job that succeeded.
    pub(crate) fn is_complete(&self) -> bool {
        self.object.condition("Complete").is_some_and(|c| c["status"] == "True")
    }

    /// Whether the cluster refuses to create its pods now. While a rollout is stuck on that, the pods of the revision before keep the
    /// count of replicas whole.
    pub(crate) fn is_refused(&self) -> bool {
        self.object.condition("ReplicaFailure").is_some_and(|c| c["status"] == "True")
    }

    /// The template's labels, which its pods carry.
    pub(crate) fn pod_labels(&self) -> BTreeMap<&'a str, &'a str> {
        template_labels(self.object)
    }
}

/// Whether a Job has given up.
pub(crate) fn job_failed(job: &Object) -> bool {
    job.condition("Failed").is_some_and(|c| c["status"] == "True")
}

/// The top owner where it runs pods, else the object itself; a pod of a Job belongs to the Job, not to its CronJob.
pub(crate) fn owner_of(facts: &Facts, object: &Object) -> ObjectRef {
    let mut top = object.reference();
    let mut next = object.controller();
    for _ in 0..5 {
        let Some(owner) = next.take().filter(|o| KINDS.contains(&o.kind.as_str()) && o.kind != "CronJob") else { break };
        next = facts.store.get(&owner.kind, owner.namespace.as_deref(), &owner.name).and_then(Object::controller);
        top = owner;
    }
    top
}

fn pods_of<'a>(facts: &'a Facts, owner: &'a Object) -> Vec<&'a Object> {
    if owner.kind() == "Pod" {
        return vec![owner];
    }
    let mut found = Vec::new();
    let mut owners = vec![owner.reference()];
    for _ in 0..3 {
        let mut next = Vec::new();
        for child in owners.iter().flat_map(|o| facts.store.children(o)) {
            match child.kind() {
                "Pod" => found.push(child),
                _ => next.push(child.reference()),
            }
        }
        owners = next;
    }
    found
}

/// Labels that the pods of a workload carry.
fn template_labels(object: &Object) -> BTreeMap<&str, &str> {
    match object.kind() {
        "Pod" => object.labels(),
        "CronJob" => object.map_at("/spec/jobTemplate/spec/template/metadata/labels"),
        _ => object.map_at("/spec/template/metadata/labels"),
    }
}

/// All workloads of a namespace that keep pods running and are nobody's child.
pub(crate) fn all_in<'a>(facts: &'a Facts, namespace: &'a str) -> impl Iterator<Item = Workload<'a>> + use<'a> {
    tops(facts, namespace).map(|object| Workload { object, pods: pods_of(facts, object) })
}

/// Those of them whose pods carry labels that pass. Pods are looked up for these only.
pub(crate) fn labelled<'a>(facts: &'a Facts, namespace: &'a str, passes: impl Fn(&BTreeMap<&str, &str>) -> bool) -> Vec<Workload<'a>> {
    tops(facts, namespace).filter(|o| passes(&template_labels(o))).map(|object| Workload { object, pods: pods_of(facts, object) }).collect()
}

fn tops<'a>(facts: &'a Facts, namespace: &'a str) -> impl Iterator<Item = &'a Object> + use<'a> {
    LONG_RUNNING.iter().flat_map(move |kind| facts.store.list(kind, Some(namespace))).filter(|o| o.controller().is_none())
}
