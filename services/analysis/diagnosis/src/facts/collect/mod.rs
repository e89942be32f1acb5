//! Reads the facts of one incident, concurrently and within bounds. Everything after it is pure.

mod focus;
mod logs;
mod managers;
mod reader;

use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::ObjectRef,
    port::{ClusterRead, EventQuery, ListQuery},
    service::{AnalysisRequest, CallContext, Capability},
};

use super::{Facts, capacity, deps, events, log, metric, pod, service, workload};
use crate::config::DiagnosisConfig;
use reader::Reader;

pub(crate) use focus::{creation_failures, focus, ingress_services};

/// Kinds read of every namespace that matters.
const NAMESPACED: &[&str] = &[
    "Pod",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "ControllerRevision",
    "Job",
    "CronJob",
    "Service",
    "EndpointSlice",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "PersistentVolumeClaim",
    "ResourceQuota",
    "LimitRange",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Ingress",
    "Role",
    "RoleBinding",
];

/// Kinds read of the cluster, few objects each.
const CLUSTER: &[&str] = &["Namespace", "Node", "StorageClass", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];

/// Reads everything that rules may need for a request.
///
/// # Errors
/// `Unavailable` if the cluster does not answer at all, `Timeout` and `Cancelled` after the context.
pub(crate) async fn collect(read: Arc<dyn ClusterRead>, ctx: &CallContext, request: &AnalysisRequest, config: &DiagnosisConfig) -> Result<Facts> {
    let info = ctx.run("diagnosis.info", read.info(ctx.clone())).await?;
    let mut facts = Facts::empty(info.now, request.target.clone());
    facts.history.clone_from(&request.history);
    facts.about_requests = focus::about_requests(request);
    facts.alert_at = request.alerts.iter().map(|a| a.starts_at).min();
    let reader = Reader::new(read, ctx.clone(), config).of(info.recorded);

    let (own, cluster) = tokio::join!(load_first(&reader, &request.target), reader.lists(CLUSTER, None));
    own.into_iter().chain([cluster]).for_each(|batch| batch.into_store(&mut facts.store));
    load_events(&reader, &mut facts, request.target.namespace.as_deref()).await;
    reader.check()?;
    if !reader.read_anything() {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "diagnosis.collect",
            "no object can be read; check the cluster's address and the rights of this account",
        )
        .with("target", &request.target));
    }
    widen(&reader, &mut facts, request, config).await?;
    facts.events = events::merge(std::mem::take(&mut facts.events), config.max_events);
    facts.gaps = reader.gaps();
    Ok(facts)
}

async fn load_first(reader: &Reader<'_>, target: &ObjectRef) -> Vec<reader::Batch> {
    let Some(namespace) = target.namespace.as_deref() else {
        return vec![reader.one(target).await];
    };
    let known = NAMESPACED.contains(&target.kind.as_str());
    let lists = reader.lists(NAMESPACED, Some(namespace)).await;
    if known { vec![lists] } else { vec![lists, reader.one(target).await] }
}

async fn load_events(reader: &Reader<'_>, facts: &mut Facts, namespace: Option<&str>) {
    let Some(namespace) = namespace else { return };
    facts.events.extend(reader.events(EventQuery { namespace: Some(namespace.to_owned()), object: None }).await);
}

async fn load_namespace(reader: &Reader<'_>, facts: &mut Facts, namespace: &str) {
    let found = reader.lists(NAMESPACED, Some(namespace)).await;
    // Every namespace holds something; one that is empty in a recording was not recorded, and what is missing there may exist.
    if reader.is_recorded() && found.is_empty() {
        return;
    }
    found.into_store(&mut facts.store);
    load_events(reader, facts, Some(namespace)).await;
}

/// Reads further what the first facts ask for: nodes' pods, other namespaces, logs, metrics, roles.
async fn widen(reader: &Reader<'_>, facts: &mut Facts, request: &AnalysisRequest, config: &DiagnosisConfig) -> Result<()> {
    if needs_all_pods(facts) {
        reader.lists(&["Pod"], None).await.into_store(&mut facts.store);
    }
    load_node_events(reader, facts).await;
    if request.target.kind == "Node" {
        for namespace in focus::namespaces_on_node(facts, &request.target.name, config.max_namespaces) {
            load_namespace(reader, facts, &namespace).await;
        }
    }
    if needs_volumes(facts) {
        reader.lists(&["PersistentVolume"], None).await.into_store(&mut facts.store);
    }
    if request.target.kind == "Ingress" {
        reader.lists(&["IngressClass"], None).await.into_store(&mut facts.store);
    }
    load_gitops(reader, facts).await;
    reader.check()?;
    rounds(reader, facts, config).await?;
    load_system(reader, facts, config).await;
    load_custom(reader, facts).await;
    if focus::denied_by_rbac(facts) {
        reader.lists(&["ClusterRole", "ClusterRoleBinding"], None).await.into_store(&mut facts.store);
    }
    if focus::misses_pull_secret(facts) {
        reader.pull_secrets().await.into_store(&mut facts.store);
    }
    load_metrics(reader, facts).await;
    reader.check()
}

/// Follows dependencies outwards, a round a step: logs of the workloads in view, then the peers that these name.
async fn rounds(reader: &Reader<'_>, facts: &mut Facts, config: &DiagnosisConfig) -> Result<()> {
    // What is wrong with a node shows in its status, not in the logs of what runs on it.
    let mut frontier = if facts.target.kind == "Node" { Vec::new() } else { focus(facts, &facts.target) };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut extra = 0;
    let mut whole = BTreeSet::new();
    if frontier.is_empty() {
        managers::read(reader, facts, &[], &mut whole).await;
    }
    for round in 0..config.max_depth {
        frontier.retain(|r| seen.insert(r.to_string()));
        if frontier.is_empty() || reader.is_over() {
            break;
        }
        logs::read(reader, facts, &frontier, round == 0, config).await;
        managers::read(reader, facts, &frontier, &mut whole).await;
        reader.check()?;
        for namespace in focus::foreign_namespaces(facts, &frontier) {
            if extra < config.max_namespaces && !reader.is_over() {
                extra += 1;
                load_namespace(reader, facts, &namespace).await;
            }
        }
        frontier = focus::next(facts, &frontier, round == 0);
    }
    Ok(())
}

fn needs_all_pods(facts: &Facts) -> bool {
    let target = facts.target.kind.as_str();
    let short = |p: &kubernaut_core::model::Object| pod::is_unscheduled(p);
    matches!(target, "Node" | "HorizontalPodAutoscaler") || facts.store.list("Pod", facts.target.namespace.as_deref()).any(short)
}

fn needs_volumes(facts: &Facts) -> bool {
    facts.target.kind.starts_with("PersistentVolume")
        || facts.store.list("PersistentVolumeClaim", facts.target.namespace.as_deref()).any(|c| c.str_at("/status/phase") != Some("Bound"))
        || facts.store.list("Pod", facts.target.namespace.as_deref()).filter_map(pod::unschedulable).any(super::schedule::blames_place_of_volume)
}

async fn load_node_events(reader: &Reader<'_>, facts: &mut Facts) {
    let troubled = |n: &&kubernaut_core::model::Object| {
        n.name() == facts.target.name || !capacity::node_ready(n) || n.bool_at("/spec/unschedulable") == Some(true)
    };
    let nodes: Vec<ObjectRef> = facts.store.all("Node").filter(troubled).take(10).map(|n| ObjectRef::new("Node", None, n.name())).collect();
    let reads = nodes.into_iter().map(|n| reader.events(EventQuery { namespace: None, object: Some(n) }));
    for found in join_all(reads).await {
        facts.events.extend(found);
    }
}

async fn load_gitops(reader: &Reader<'_>, facts: &mut Facts) {
    let tracked = |o: &kubernaut_core::model::Object| {
        o.annotation("argocd.argoproj.io/tracking-id").is_some()
            || o.label("argocd.argoproj.io/instance").is_some()
            || o.label("app.kubernetes.io/instance").is_some()
            || super::managed::writes(o).any(|w| w.manager.starts_with("argocd"))
    };
    let namespace = facts.target.namespace.as_deref();
    if ["Deployment", "StatefulSet", "DaemonSet", "ConfigMap", "Service"].iter().any(|k| facts.store.list(k, namespace).any(tracked)) {
        let query = ListQuery { group: "argoproj.io".into(), kind: "Application".into(), ..ListQuery::default() };
        reader.list_optional(query).await.into_store(&mut facts.store);
    }
}

/// Namespaces in which parts of the cluster run, where facts point to one of them.
async fn load_system(reader: &Reader<'_>, facts: &mut Facts, config: &DiagnosisConfig) {
    let mut wanted = focus::component_namespaces(facts);
    if focus::resolves_badly(facts) {
        wanted.insert("kube-system".to_owned());
    }
    for namespace in wanted.into_iter().filter(|n| !facts.store.is_complete("ConfigMap", Some(n))).take(config.max_namespaces).collect::<Vec<_>>() {
        load_namespace(reader, facts, &namespace).await;
        let unwell: Vec<ObjectRef> =
            workload::all_in(facts, &namespace).filter(|w| !w.is_healthy(facts.now)).map(|w| w.reference()).take(5).collect();
        logs::read(reader, facts, &unwell, false, config).await;
    }
}

/// Custom resources that fill a Secret which is missing.
async fn load_custom(reader: &Reader<'_>, facts: &mut Facts) {
    let namespace = facts.target.namespace.clone();
    if !focus::misses_a_secret(facts) && facts.target.kind != "Certificate" {
        return;
    }
    let list =
        |kind: &str, namespace: Option<String>| ListQuery { group: "cert-manager.io".into(), kind: kind.into(), namespace, ..ListQuery::default() };
    reader.list_optional(list("Certificate", namespace.clone())).await.into_store(&mut facts.store);
    if facts.store.all("Certificate").next().is_some() {
        reader.list_optional(list("Issuer", namespace)).await.into_store(&mut facts.store);
        reader.list_optional(list("ClusterIssuer", None)).await.into_store(&mut facts.store);
    }
}

async fn load_metrics(reader: &Reader<'_>, facts: &mut Facts) {
    if !reader.has(Capability::Metrics) {
        return;
    }
    let workload = workload::KINDS.contains(&facts.target.kind.as_str());
    let memory = workload || focus::any_oom(facts);
    let slow = focus::probes_time_out(facts);
    let claims = facts.store.all("PersistentVolumeClaim").next().is_some();
    let disk = facts.store.all("Node").any(|n| n.condition("DiskPressure").is_some_and(|c| c["status"] == "True")) || facts.target.kind == "Node";
    let wanted = metric::NAMES.iter().filter(|n| match **n {
        "container_memory_working_set_bytes" => memory,
        n if n.starts_with("kubelet_volume") => claims,
        n if n.starts_with("container_cpu") => slow,
        _ => disk,
    });
    let wanted: Vec<_> = wanted.map(|n| reader.metrics(n)).collect();
    let found = join_all(wanted).await;
    let mut seen = BTreeSet::new();
    for series in found.into_iter().flatten() {
        if seen.insert((series.query.clone(), format!("{:?}", series.labels))) {
            facts.metrics.push(series);
        }
    }
}

/// Hosts that recognised log lines of a workload name.
pub(crate) fn logged_hosts(facts: &Facts, workload: &workload::Workload<'_>) -> Vec<log::Host> {
    let namespace = workload.namespace().unwrap_or_default();
    let hits = workload.pods.iter().flat_map(|p| facts.logs.of_pod(namespace, p.name())).flat_map(|(_, l)| l.hits());
    let mut hosts: Vec<log::Host> = hits.filter(|h| h.sign.names_a_host()).flat_map(|h| h.hosts.iter().cloned()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Services that a workload names, in settings or in recognised log lines.
pub(crate) fn named_services(facts: &Facts, workload: &workload::Workload<'_>) -> Vec<ObjectRef> {
    let namespace = workload.namespace().unwrap_or_default();
    let mut found: Vec<ObjectRef> = deps::dependencies(facts, workload).iter().filter_map(|d| d.service().cloned()).collect();
    for host in logged_hosts(facts, workload) {
        if let service::Resolved::Service(s) = service::resolve(facts, &host, namespace) {
            found.push(s);
        }
    }
    found.sort();
    found.dedup();
    found
}
