//! What the labels of an alert say: which objects it may be about, and who scraped the metric.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use kubernaut_core::{
    glob,
    model::{Object, ObjectRef, well_known_kinds},
};

use super::names::{host, is_object_name};

/// An object that an alert may be about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Candidate {
    /// A label for objects of one kind, which no scraper sets.
    Specific(ObjectRef),
    /// A node: the object itself, or where the pod runs.
    Node(ObjectRef),
    /// A pod: the object itself, or the scraper.
    Pod(ObjectRef),
    /// A Service, or the workload of that name.
    Service(ObjectRef),
    /// The name by which an application reports telemetry: the workload that declares it, else the Service, else the workload of that name.
    Telemetry(ObjectRef),
    /// A weak sign, which counts only if the object is there.
    Hint(ObjectRef),
}

impl Candidate {
    /// Whether it is no sign at all beside a label that no scraper sets.
    pub(super) fn is_weaker_than_pod(&self) -> bool {
        matches!(self, Self::Service(_) | Self::Telemetry(_) | Self::Hint(_))
    }
}

/// The labels of one alert, read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    /// Objects that the alert may be about, the most specific first.
    pub(super) candidates: Vec<Candidate>,
    /// The namespace that the metric is about.
    pub(super) namespace: Option<String>,
    /// The host that was scraped.
    pub(super) instance: Option<String>,
    /// Whether the alert's name speaks of nodes.
    pub(super) speaks_of_nodes: bool,
    /// Whether a known exporter was scraped.
    pub(super) by_exporter: bool,
    job: Option<String>,
    service: Option<String>,
    container: Option<String>,
    container_is_exporter: bool,
}

/// Kinds with a label of their own, in the order in which they are tried, with further label names.
const SPECIFIC: &[(&str, &[&str])] = &[
    ("HorizontalPodAutoscaler", &["hpa"]),
    ("PodDisruptionBudget", &["pdb"]),
    ("PersistentVolumeClaim", &["pvc"]),
    ("Deployment", &[]),
    ("StatefulSet", &[]),
    ("DaemonSet", &[]),
    ("Job", &[]),
    ("CronJob", &[]),
    ("ReplicaSet", &[]),
    ("ReplicationController", &[]),
    ("Ingress", &[]),
    ("NetworkPolicy", &[]),
    ("ResourceQuota", &[]),
    ("LimitRange", &[]),
    ("PersistentVolume", &[]),
];

/// Labels that name the kind of an object, with those that name the object and its namespace.
const PAIRS: &[(&str, &str, &str)] =
    &[("involved_object_kind", "involved_object_name", "involved_object_namespace"), ("workload_type", "workload", ""), ("kind", "name", "")];

/// Kinds that are only a weak sign.
const WEAK: &[&str] = &["ConfigMap", "Secret", "StorageClass"];

const NAMESPACE: &[&str] = &["exported_namespace", "namespace", "kubernetes_namespace", "kube_namespace", "k8s_namespace_name", "k8s.namespace.name"];

impl Reading {
    /// `exporters` are patterns in lower case.
    pub(super) fn of(labels: &BTreeMap<String, String>, alert_name: &str, exporters: &[String]) -> Self {
        let labels = Labels(labels);
        let exporter = |name: Option<&str>| {
            let lower = name.map(str::to_ascii_lowercase);
            lower.is_some_and(|name| exporters.iter().any(|pattern| glob::matches(pattern, &name)))
        };
        let text = |key: &str| labels.0.get(key).filter(|value| !value.is_empty()).cloned();
        let (job, service, container) = (text("job"), text("service"), text("container"));
        let namespace = NAMESPACE.iter().find_map(|key| labels.name(key)).map(str::to_owned);
        Self {
            candidates: candidates(&labels, namespace.as_deref()),
            namespace,
            instance: labels.0.get("instance").map(|address| host(address).to_owned()).filter(|host| !host.is_empty()),
            speaks_of_nodes: alert_name.to_ascii_lowercase().contains("node"),
            by_exporter: exporter(job.as_deref()) || exporter(service.as_deref()),
            container_is_exporter: exporter(container.as_deref()),
            job,
            service,
            container,
        }
    }

    /// The pod candidate.
    pub(super) fn pod(&self) -> Option<&ObjectRef> {
        self.candidates.iter().find_map(|candidate| match candidate {
            Candidate::Pod(pod) => Some(pod),
            _ => None,
        })
    }

    /// Whether a pod was scraped for the metric, as far as it can be told; its own metrics count too.
    pub(super) fn was_scraped(&self, pod: &ObjectRef, object: Option<&Object>) -> bool {
        if let (Some(instance), Some(object)) = (&self.instance, object) {
            let addresses = addresses(object);
            if !addresses.is_empty() {
                return addresses.iter().any(|address| address == instance) || *instance == pod.name;
            }
        }
        let after =
            |name: &Option<String>| name.as_ref().is_some_and(|name| pod.name.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-')));
        after(&self.service) || after(&self.job)
    }

    /// Whether a pod is an exporter that was scraped for a metric about something else.
    pub(super) fn is_exporter(&self, pod: &ObjectRef, object: Option<&Object>) -> bool {
        (self.by_exporter || self.container_is_exporter) && self.was_scraped(pod, object)
    }

    /// Whether a Service is what the scraper was reached by.
    pub(super) fn is_exporter_service(&self, service: &ObjectRef) -> bool {
        self.by_exporter && self.service.as_ref() == Some(&service.name)
    }
}

/// The addresses at which a pod is scraped; those of its node too if it shares the node's network.
fn addresses(pod: &Object) -> Vec<&str> {
    let ips = pod.list_at("/status/podIPs").iter().filter_map(|ip| ip["ip"].as_str());
    let mut all: Vec<&str> = ips.chain(pod.str_at("/status/podIP")).collect();
    if !all.is_empty() && pod.bool_at("/spec/hostNetwork") == Some(true) {
        all.extend(pod.str_at("/status/hostIP").into_iter().chain(pod.str_at("/spec/nodeName")));
    }
    all
}

/// The label names in use for each kind that is looked for, in the order in which they are tried; made once, for every alert is read by them.
static USUAL: LazyLock<HashMap<&'static str, Vec<String>>> = LazyLock::new(|| {
    let kinds = SPECIFIC.iter().map(|(kind, _)| *kind).chain(WEAK.iter().copied()).chain(["Node", "Pod"]);
    kinds.map(|kind| (kind, usual_labels(kind))).collect()
});

fn usual_labels(kind: &str) -> Vec<String> {
    let lower = kind.to_ascii_lowercase();
    // `job` is the scrape job.
    let plain = if kind == "Job" { "job_name".to_owned() } else { lower.clone() };
    vec![
        format!("exported_{plain}"),
        plain,
        format!("{lower}_name"),
        format!("k8s_{lower}_name"),
        format!("k8s.{lower}.name"),
        format!("kube_{lower}"),
    ]
}

struct Labels<'a>(&'a BTreeMap<String, String>);

impl Labels<'_> {
    /// The value of a label, if it can be an object's name.
    fn name(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| is_object_name(value))
    }

    /// The object's name by the labels that are in use for a kind. `exported_` marks the metric's own label where the scraper's took its place.
    fn of_kind(&self, kind: &str, more: &[&str]) -> Option<&str> {
        let usual = USUAL.get(kind).map_or(&[][..], Vec::as_slice);
        usual.iter().map(String::as_str).chain(more.iter().copied()).find_map(|key| self.name(key))
    }

    /// Whether labels of the metric were renamed because the scraper has labels of the same name: plain ones are then the scraper's.
    fn renamed(&self) -> bool {
        ["exported_namespace", "exported_pod"].iter().any(|key| self.0.contains_key(*key))
    }
}

fn candidates(labels: &Labels<'_>, namespace: Option<&str>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let object = |kind: &str, name: &str| reference(kind, namespace, name);
    for (kind, more) in SPECIFIC {
        found.extend(labels.of_kind(kind, more).and_then(|name| object(kind, name)).map(Candidate::Specific));
    }
    for (kind, name, own_namespace) in PAIRS {
        let pair = kind_of(labels, kind).zip(labels.name(name));
        found.extend(pair.and_then(|(kind, name)| reference(kind, labels.name(own_namespace).or(namespace), name)).map(by_kind));
    }
    let node = labels.of_kind("Node", &["kubernetes_node", "nodename"]);
    found.extend(node.and_then(|name| object("Node", name)).map(Candidate::Node));
    found.extend(pod_name(labels).and_then(|name| object("Pod", name)).map(Candidate::Pod));
    found.extend(services(labels, namespace));
    for kind in WEAK {
        found.extend(labels.of_kind(kind, &[]).and_then(|name| object(kind, name)).map(Candidate::Hint));
    }
    let hints = ["workload", "app", "app_kubernetes_io_name", "k8s_app", "job"];
    found.extend(hints.iter().filter_map(|key| hint_name(labels, key)).filter_map(|name| object("Service", name)).map(Candidate::Hint));
    found
}

/// A reference, if a kind that lives in namespaces has one.
fn reference(kind: &str, namespace: Option<&str>, name: &str) -> Option<ObjectRef> {
    let reference = ObjectRef::new(kind, namespace, name);
    let namespaced = well_known_kinds().iter().any(|known| known.kind == kind && known.namespaced);
    (!namespaced || reference.namespace.is_some()).then_some(reference)
}

fn kind_of(labels: &Labels<'_>, key: &str) -> Option<&'static str> {
    let value = labels.0.get(key)?;
    well_known_kinds().iter().find(|known| known.kind.eq_ignore_ascii_case(value)).map(|known| known.kind)
}

fn by_kind(reference: ObjectRef) -> Candidate {
    match reference.kind.as_str() {
        "Node" => Candidate::Node(reference),
        "Pod" => Candidate::Pod(reference),
        "Service" => Candidate::Service(reference),
        _ => Candidate::Specific(reference),
    }
}

fn pod_name<'a>(labels: &'a Labels<'_>) -> Option<&'a str> {
    if labels.renamed() {
        return labels.name("exported_pod");
    }
    labels.of_kind("Pod", &["kubernetes_pod_name"])
}

fn services(labels: &Labels<'_>, namespace: Option<&str>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (name, own_namespace) in
        [("destination_workload", "destination_workload_namespace"), ("destination_service_name", "destination_service_namespace")]
    {
        let namespace = labels.name(own_namespace).or(namespace);
        found.extend(labels.name(name).and_then(|name| reference("Service", namespace, name)).map(Candidate::Service));
    }
    let plain = if labels.renamed() {
        &["exported_service"][..]
    } else {
        &["exported_service", "service", "k8s_service_name", "kubernetes_service_name"][..]
    };
    for value in plain.iter().filter_map(|key| labels.name(key)) {
        // A host name of the cluster, such as `api.shop.svc`, has the namespace in it.
        let mut parts = value.split('.');
        let (name, of, svc) = (parts.next().unwrap_or(value), parts.next(), parts.next());
        let (name, namespace) = if svc == Some("svc") { (name, of) } else { (value, namespace) };
        found.extend(reference("Service", namespace, name).map(Candidate::Service));
    }
    let telemetry = ["service_name", "service.name", "otel_service_name", "exported_service_name"].iter().find_map(|key| labels.name(key));
    found.extend(telemetry.and_then(|name| reference("Service", namespace, name)).map(Candidate::Telemetry));
    found
}

/// A hint's name; a scrape job may be written as `namespace/name`.
fn hint_name<'a>(labels: &'a Labels<'_>, key: &str) -> Option<&'a str> {
    let value = labels.0.get(key)?;
    let name = value.rsplit('/').next().unwrap_or(value);
    is_object_name(name).then_some(name)
}
