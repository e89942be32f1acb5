//! Which object an alert is about, and to which top owner it belongs.
//!
//! The labels are read into candidates ([`reading`]), the most specific first, and the first whose object is there is the target. What the
//! labels of the scraper name (the exporter's pod and Service) is passed over while anything else is a candidate. If the cluster does not
//! answer in time, the labels alone decide and the owner stays open.

mod lookup;
mod names;
mod owner;
mod reading;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use kubernaut_core::{
    model::{Object, ObjectRef},
    port::ClusterRead,
    service::CallContext,
};
use moka::future::Cache;

pub(crate) use self::names::is_safe_name;
use self::{
    lookup::{Looked, Lookup},
    owner::Owners,
    reading::{Candidate, Reading},
};
use crate::{TargetConfig, measure};

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolution {
    pub(crate) target: ObjectRef,
    pub(crate) owner: ObjectRef,
    /// Whether the owner is certain.
    pub(crate) owner_resolved: bool,
}

/// Finds targets and owners.
#[derive(Debug)]
pub(crate) struct Targets {
    lookup: Lookup,
    owners: Owners,
    resolved: Cache<(Arc<str>, Reading), Resolution>,
    exporters: Vec<String>,
}

/// A candidate that was looked at: what it names, and the object if it is there.
struct Choice {
    reference: ObjectRef,
    state: Looked,
}

impl Targets {
    pub(crate) fn new(cluster: Arc<dyn ClusterRead>, config: &TargetConfig) -> Self {
        Self {
            lookup: Lookup::new(cluster, config.lookup_concurrency),
            owners: Owners::new(config),
            resolved: Cache::builder().max_capacity(config.cache_entries).time_to_live(ttl_of(config.cache_ttl_s)).build(),
            exporters: config.exporters.iter().map(|pattern| pattern.to_ascii_lowercase()).collect(),
        }
    }

    /// The target by the labels. Never fails: an alert that names nothing is about its namespace, or about the cluster.
    pub(crate) async fn by_labels(&self, ctx: &CallContext, labels: &BTreeMap<String, String>, alert_name: &str) -> Resolution {
        let reading = Reading::of(labels, alert_name, &self.exporters);
        let key = (ctx.cluster.clone(), reading);
        if let Some(known) = self.resolved.get(&key).await {
            measure::target("cached");
            return known;
        }
        let choice = self.choose(ctx, &key.1).await;
        let there = matches!(choice.state, Looked::Found(_));
        let resolution = self.owned(ctx, choice).await;
        if there && resolution.owner_resolved {
            self.resolved.insert(key, resolution.clone()).await;
        }
        resolution
    }

    /// The owner of a target that the sender names itself.
    pub(crate) async fn by_reference(&self, ctx: &CallContext, reference: ObjectRef) -> Resolution {
        let state = self.lookup.get(ctx, &reference).await;
        self.owned(ctx, Choice { reference, state }).await
    }

    async fn owned(&self, ctx: &CallContext, choice: Choice) -> Resolution {
        let target = choice.reference;
        let owner = match &choice.state {
            Looked::Found(object) => self.owners.of(&self.lookup, ctx, &target, object).await,
            // Nothing is above an object that is gone without a trace.
            Looked::Absent => Some(self.owners.of_gone(&self.lookup, ctx, &target).await.unwrap_or_else(|| target.clone())),
            Looked::Unknown => self.owners.remembered(ctx, &target).await,
        };
        measure::target(if owner.is_some() { "resolved" } else { "labels_only" });
        Resolution { owner_resolved: owner.is_some(), owner: owner.unwrap_or_else(|| target.clone()), target }
    }

    async fn choose(&self, ctx: &CallContext, reading: &Reading) -> Choice {
        // What stays if nothing that is there can be the target.
        let mut absent: Option<Choice> = None;
        let mut scraper: Option<Choice> = None;
        for candidate in &reading.candidates {
            // After a label that no scraper sets, a Service or an application's name adds nothing.
            if candidate.is_weaker_than_pod() && absent.as_ref().is_some_and(|choice| choice.reference.kind != "Pod") {
                continue;
            }
            match self.judge(ctx, reading, candidate, absent.is_some(), scraper.is_some()).await {
                Verdict::Target(choice) => return choice,
                Verdict::Absent(choice) => _ = absent.get_or_insert(choice),
                Verdict::Scraper(choice) => _ = scraper.get_or_insert(choice),
                Verdict::Nothing => {}
            }
        }
        if let Some(absent) = absent {
            return absent;
        }
        if let Some(node) = self.node_by_instance(ctx, reading).await {
            return node;
        }
        scraper.unwrap_or_else(|| scope(ctx, reading))
    }

    async fn judge(&self, ctx: &CallContext, reading: &Reading, candidate: &Candidate, another_is_named: bool, scraper_is_known: bool) -> Verdict {
        match candidate {
            Candidate::Specific(reference) => self.plain(ctx, reference).await.into(),
            Candidate::Node(node) => self.judge_node(ctx, reading, node).await,
            Candidate::Pod(pod) => self.judge_pod(ctx, reading, pod, another_is_named).await,
            Candidate::Service(service) if scraper_is_known || reading.is_exporter_service(service) => {
                Verdict::Scraper(Choice { reference: service.clone(), state: Looked::Unknown })
            }
            Candidate::Service(service) => self.service_or_workload(ctx, service).await.into(),
            Candidate::Telemetry(service) => self.telemetry(ctx, service).await.into(),
            Candidate::Hint(_) if scraper_is_known => Verdict::Nothing,
            Candidate::Hint(reference) => {
                let service = reference.kind == "Service";
                let choice = if service { self.service_or_workload(ctx, reference).await } else { self.plain(ctx, reference).await };
                if matches!(choice.state, Looked::Found(_)) { Verdict::Target(choice) } else { Verdict::Nothing }
            }
        }
    }

    async fn plain(&self, ctx: &CallContext, reference: &ObjectRef) -> Choice {
        Choice { reference: reference.clone(), state: self.lookup.get(ctx, reference).await }
    }

    /// A node, or the pod of the same alert if the node is only where that pod runs.
    async fn judge_node(&self, ctx: &CallContext, reading: &Reading, node: &ObjectRef) -> Verdict {
        let Some(pod) = reading.pod() else {
            return self.plain(ctx, node).await.into();
        };
        let found = self.plain(ctx, pod).await;
        let pod_is_meant = match &found.state {
            Looked::Found(object) => {
                let runs_there = object.str_at("/spec/nodeName") == Some(node.name.as_str());
                runs_there && !reading.is_exporter(pod, Some(object)) && !(reading.speaks_of_nodes && reading.was_scraped(pod, Some(object)))
            }
            Looked::Absent => !reading.is_exporter(pod, None) && self.owners.of_gone(&self.lookup, ctx, pod).await.is_some(),
            Looked::Unknown => !reading.is_exporter(pod, None) && !reading.speaks_of_nodes,
        };
        if pod_is_meant { Verdict::Target(found) } else { self.plain(ctx, node).await.into() }
    }

    async fn judge_pod(&self, ctx: &CallContext, reading: &Reading, pod: &ObjectRef, another_is_named: bool) -> Verdict {
        let choice = self.plain(ctx, pod).await;
        match &choice.state {
            Looked::Found(object) if reading.is_exporter(pod, Some(object)) => match node_of_agent(object).filter(|_| reading.instance.is_some()) {
                Some(node) => self.plain(ctx, &node).await.into(),
                None => Verdict::Scraper(choice),
            },
            Looked::Found(object) if another_is_named && reading.was_scraped(pod, Some(object)) => Verdict::Scraper(choice),
            Looked::Found(_) => Verdict::Target(choice),
            Looked::Unknown if reading.is_exporter(pod, None) => Verdict::Scraper(choice),
            Looked::Unknown => Verdict::Target(choice),
            // A pod that is gone still counts if its workload is there.
            Looked::Absent if !another_is_named && self.owners.of_gone(&self.lookup, ctx, pod).await.is_some() => Verdict::Target(choice),
            Looked::Absent => Verdict::Absent(choice),
        }
    }

    /// An application by its name in telemetry.
    async fn telemetry(&self, ctx: &CallContext, service: &ObjectRef) -> Choice {
        let mut workloads = Vec::new();
        for kind in WORKLOADS {
            let choice = self.plain(ctx, &ObjectRef::new(*kind, service.namespace.as_deref(), &service.name)).await;
            match &choice.state {
                Looked::Found(object) if declares(object, &service.name) => return choice,
                Looked::Found(_) => workloads.push(choice),
                Looked::Absent => {}
                Looked::Unknown => break,
            }
        }
        let workload = workloads.into_iter().next();
        match (self.plain(ctx, service).await, workload) {
            (Choice { state: Looked::Absent, .. }, Some(workload)) => workload,
            (service, _) => service,
        }
    }

    async fn service_or_workload(&self, ctx: &CallContext, service: &ObjectRef) -> Choice {
        let first = self.plain(ctx, service).await;
        if first.state != Looked::Absent {
            return first;
        }
        for kind in WORKLOADS {
            let workload = self.plain(ctx, &ObjectRef::new(*kind, service.namespace.as_deref(), &service.name)).await;
            if matches!(workload.state, Looked::Found(_)) {
                return workload;
            }
        }
        first
    }

    /// The node that an agent without pod labels reports on.
    async fn node_by_instance(&self, ctx: &CallContext, reading: &Reading) -> Option<Choice> {
        let instance = reading.instance.as_deref().filter(|_| reading.by_exporter || reading.speaks_of_nodes)?;
        let object = if instance.parse::<IpAddr>().is_ok() {
            self.lookup.node_at(ctx, instance).await?
        } else if is_safe_name(instance) {
            match self.lookup.get(ctx, &ObjectRef::new("Node", None, instance)).await {
                Looked::Found(object) => object,
                _ => return None,
            }
        } else {
            return None;
        };
        Some(Choice { reference: ObjectRef::new("Node", None, object.name()), state: Looked::Found(object) })
    }
}

/// What became of a candidate.
enum Verdict {
    /// It is the target.
    Target(Choice),
    /// Its object is not there; it counts if nothing else does.
    Absent(Choice),
    /// It is what was scraped; it counts if nothing else does.
    Scraper(Choice),
    /// It does not count.
    Nothing,
}

impl From<Choice> for Verdict {
    fn from(choice: Choice) -> Self {
        if choice.state == Looked::Absent { Self::Absent(choice) } else { Self::Target(choice) }
    }
}

/// A time that the cache accepts; it refuses those above a thousand years.
fn ttl_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(10 * 365 * 86_400))
}

const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet"];

/// Whether a workload declares a name under which it reports telemetry, as OpenTelemetry's charts and operator write it.
fn declares(workload: &Object, name: &str) -> bool {
    ["/metadata/labels", "/spec/template/metadata/labels", "/metadata/annotations", "/spec/template/metadata/annotations"]
        .iter()
        .filter_map(|pointer| workload.at(pointer))
        .any(|pairs| ["opentelemetry.io/name", "resource.opentelemetry.io/service.name"].iter().any(|key| pairs[*key] == name))
}

/// The node of a pod that watches over its node: of a DaemonSet, in the node's network.
fn node_of_agent(pod: &Object) -> Option<ObjectRef> {
    let agent = pod.bool_at("/spec/hostNetwork") == Some(true) && pod.controller().is_some_and(|owner| owner.kind == "DaemonSet");
    let node = pod.str_at("/spec/nodeName").filter(|_| agent)?;
    Some(ObjectRef::new("Node", None, node))
}

/// Where an alert comes from that names no object.
fn scope(ctx: &CallContext, reading: &Reading) -> Choice {
    let reference = match &reading.namespace {
        Some(namespace) => ObjectRef::new("Namespace", None, namespace),
        None => ObjectRef::new("Cluster", None, if ctx.cluster.is_empty() { "default" } else { &*ctx.cluster }),
    };
    Choice { reference, state: Looked::Absent }
}

#[cfg(test)]
mod tests;
