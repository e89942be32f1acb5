//! Rules, one file per family. Each is a pure function over facts; none names a particular object.

mod admission;
mod autoscaling;
mod component;
mod config;
mod cpu;
mod crash;
mod credentials;
mod custom;
mod deletion;
mod dependency;
mod disruption;
mod image;
mod init;
mod job;
mod network;
mod node;
mod nofault;
mod oom;
mod probe;
mod quota;
mod rbac;
mod rollout;
mod saturation;
mod scale;
mod scheduling;
mod service;
mod storage;
mod tally;
mod unbound;

use std::cell::OnceCell;

use kubernaut_core::model::{Object, ObjectRef, Timestamp};

use crate::{
    facts::{
        Facts,
        collect::focus,
        log::Hit,
        pod::{self, Container},
        revision::{self, Rollout},
        workload::{self, Workload},
    },
    graph::Report,
};

/// Seconds within which a fault after a rollout is put down to it.
const BLAME_S: i64 = 3_600;

/// Age below which a failing pod without warnings counts as failing from its birth.
const YOUNG_S: i64 = 6 * 3_600;

/// A workload under examination, with what several rules need.
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) workload: Workload<'a>,
    /// Its pods that are not well.
    pub(crate) failing: Vec<&'a Object>,
    /// Whether the alert is about it.
    pub(crate) is_target: bool,
    rollout: OnceCell<Option<Rollout<'a>>>,
}

impl<'a> Case<'a> {
    fn new(facts: &'a Facts, workload: Workload<'a>, is_target: bool) -> Self {
        let failing = workload.failing_pods(facts.now);
        Self { facts, workload, failing, is_target, rollout: OnceCell::new() }
    }

    pub(crate) fn reference(&self) -> ObjectRef {
        self.workload.reference()
    }

    pub(crate) fn namespace(&self) -> &'a str {
        self.workload.namespace().unwrap_or_default()
    }

    /// The last rollout that changed more than annotations.
    pub(crate) fn rollout(&self) -> Option<&Rollout<'a>> {
        self.rollout.get_or_init(|| revision::last_rollout(self.facts, &self.workload)).as_ref().filter(|r| r.is_material())
    }

    /// Failing containers with their pods.
    pub(crate) fn failing_containers(&self) -> impl Iterator<Item = (&'a Object, Container<'a>)> + use<'a, '_> {
        let bad = |c: &Container<'_>| !c.ready() || c.is_crashing(self.facts.now);
        self.failing.iter().flat_map(move |p| pod::containers(p).into_iter().filter(bad).map(|c| (*p, c)))
    }

    /// Containers that keep ending.
    pub(crate) fn crashing(&self) -> impl Iterator<Item = (&'a Object, Container<'a>)> + use<'a, '_> {
        self.failing_containers().filter(|(_, c)| !c.init && c.is_crashing(self.facts.now))
    }

    /// Recognised log lines of one container.
    pub(crate) fn hits(&self, object: &Object, container: &str) -> &'a [Hit] {
        self.facts.logs.get(object.namespace().unwrap_or_default(), object.name(), container).map_or(&[], |l| l.hits())
    }

    /// Recognised log lines of all its containers; of healthy ones only the recent lines.
    pub(crate) fn all_hits(&self) -> Vec<(&'a Object, &'a Hit)> {
        let namespace = self.namespace();
        let mut found = Vec::new();
        for object in &self.workload.pods {
            let failing = self.failing.iter().any(|p| p.name() == object.name());
            for (_, log) in self.facts.logs.of_pod(namespace, object.name()) {
                let hits: Box<dyn Iterator<Item = &'a Hit>> =
                    if failing { Box::new(log.hits().iter()) } else { Box::new(log.recent(self.facts.now, 900)) };
                found.extend(hits.map(|h| (*object, h)));
            }
        }
        found
    }

    /// When the trouble began, as far as pods and events tell: the first warning, else the birth of a young pod, else the last loss of readiness.
    pub(crate) fn onset(&self) -> Option<Timestamp> {
        let of_pod = |p: &&Object| {
            let warned = self.facts.events_of(&p.reference()).filter(|e| e.kind == "Warning").filter_map(|e| e.first_at).min();
            let young = p.created_at().filter(|at| self.facts.age_s(*at) < YOUNG_S);
            warned.or(young).or_else(|| pod::ready_changed(p))
        };
        self.failing.iter().filter_map(of_pod).min()
    }

    /// The rollout, if the trouble began with it: only pods of the new revision fail, soon after it.
    pub(crate) fn blamed_rollout(&self) -> Option<&Rollout<'a>> {
        let rollout = self.rollout()?;
        let of_current = |p: &&&Object| rollout.current.made(p);
        if self.failing.is_empty() || self.failing.iter().filter(of_current).count() == 0 {
            return None;
        }
        let old_fail_too = self.failing.iter().filter(|p| !of_current(p)).count() > 0;
        let (at, onset) = (rollout.at?, self.onset()?);
        let delay = onset.as_second() - at.as_second();
        (!old_fail_too && (-120..=BLAME_S).contains(&delay)).then_some(rollout)
    }
}

/// The object that rules look at for a reference: the workload for its pods and revisions, else the object itself.
pub(crate) fn subject(facts: &Facts, reference: &ObjectRef) -> ObjectRef {
    let plain = ObjectRef { uid: None, ..reference.clone() };
    let is_part = matches!(reference.kind.as_str(), "Pod" | "ReplicaSet" | "Job");
    if !is_part {
        return plain;
    }
    match facts.store.get(&reference.kind, reference.namespace.as_deref(), &reference.name) {
        Some(object) if object.kind() != "Job" => ObjectRef { uid: None, ..workload::owner_of(facts, object) },
        Some(_) => plain,
        None => focus(facts, reference).into_iter().next().map_or(plain, |o| ObjectRef { uid: None, ..o }),
    }
}

/// Applies the rules for the subject's kind.
pub(crate) fn examine(facts: &Facts, subject: &ObjectRef, is_target: bool, report: &mut Report) {
    if let Some(workload) = Workload::find(facts, subject) {
        let case = Case::new(facts, workload, is_target);
        examine_workload(&case, report);
        return;
    }
    if is_target {
        deletion::examine_object(facts, subject, report);
    }
    match subject.kind.as_str() {
        "Service" => service::examine(facts, subject, is_target, report),
        "Node" => node::examine(facts, subject, is_target, report),
        "PersistentVolumeClaim" => storage::examine_claim(facts, subject, is_target, report),
        "HorizontalPodAutoscaler" => autoscaling::examine(facts, subject, report),
        "PodDisruptionBudget" => disruption::examine(facts, subject, report),
        "Ingress" => service::examine_ingress(facts, subject, report),
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => admission::examine_configuration(facts, subject, report),
        _ => {
            custom::examine(facts, subject, report);
            for related in focus(facts, subject) {
                report.lead(crate::graph::Lead::new(&related, 0.9, "belongs to the alerted object"));
            }
        }
    }
    if is_target && report.findings.is_empty() && !report.leads.iter().any(|l| l.stands_for) {
        nofault::object(facts, subject, report);
    }
}

fn examine_workload(case: &Case<'_>, report: &mut Report) {
    // What a run that succeeded met on its way is history.
    if case.workload.kind() == "Job" && case.workload.is_complete() {
        if case.is_target {
            nofault::workload(case, report);
        }
        return;
    }
    scale::examine(case, report);
    deletion::examine(case, report);
    admission::examine(case, report);
    quota::examine(case, report);
    component::examine(case, report);
    scheduling::examine(case, report);
    storage::examine(case, report);
    image::examine(case, report);
    config::examine(case, report);
    init::examine(case, report);
    oom::examine(case, report);
    cpu::examine(case, report);
    probe::examine(case, report);
    rbac::examine(case, report);
    credentials::examine(case, report);
    rollout::examine(case, report);
    network::examine(case, report);
    node::examine_pods(case, report);
    dependency::examine(case, report);
    job::examine(case, report);
    crash::examine(case, report);
    if case.is_target {
        nofault::workload(case, report);
    }
}
