//! Which workloads are in view: those behind the alerted object, then the peers they name.

use std::collections::BTreeSet;

use kubernaut_core::{
    model::{Object, ObjectRef, selector_matches},
    service::AnalysisRequest,
};
use serde_json::Value;

use super::{
    super::{Facts, deps, log, pod, refs, service, workload},
    logged_hosts, named_services,
};
use crate::facts::workload::Workload;

/// Labels by which an alert says that it is about the state of an object.
const STATE_LABELS: &[&str] = &[
    "pod",
    "deployment",
    "statefulset",
    "daemonset",
    "replicaset",
    "job_name",
    "cronjob",
    "node",
    "persistentvolumeclaim",
    "horizontalpodautoscaler",
    "poddisruptionbudget",
];

/// Whether none of the alerts is about an object's state; without alerts a Service stands for its requests.
pub(super) fn about_requests(request: &AnalysisRequest) -> bool {
    match request.alerts.as_slice() {
        [] => request.target.kind == "Service",
        alerts => !alerts.iter().any(|a| STATE_LABELS.iter().any(|l| a.labels.contains_key(*l))),
    }
}

/// Workloads behind an object.
pub(crate) fn focus(facts: &Facts, target: &ObjectRef) -> Vec<ObjectRef> {
    let namespace = target.namespace.as_deref();
    let Some(object) = facts.store.get(&target.kind, namespace, &target.name) else {
        return former_owner(facts, target).into_iter().collect();
    };
    match target.kind.as_str() {
        kind if workload::KINDS.contains(&kind) => vec![workload::owner_of(facts, object)],
        "Service" => behind_service(facts, object),
        "HorizontalPodAutoscaler" => scale_target(object).into_iter().collect(),
        "PodDisruptionBudget" => selected(facts, namespace, object.at("/spec/selector")),
        "PersistentVolumeClaim" => users_of_claim(facts, namespace, &target.name),
        "Ingress" => {
            ingress_services(object).iter().filter_map(|s| facts.store.get("Service", namespace, s)).flat_map(|s| behind_service(facts, s)).collect()
        }
        "Node" => on_node(facts, &target.name),
        "Namespace" | "ResourceQuota" | "LimitRange" => unhealthy_in(facts, if target.kind == "Namespace" { Some(&target.name) } else { namespace }),
        _ => Vec::new(),
    }
}

fn behind_service(facts: &Facts, object: &Object) -> Vec<ObjectRef> {
    let mut found: Vec<ObjectRef> = service::workloads(facts, object).iter().map(Workload::reference).collect();
    found.extend(deps::clients(facts, &object.reference()).iter().map(|(w, _)| w.reference()));
    found
}

/// The workload of a pod, or of a run, that is gone, by its name.
pub(crate) fn former_owner(facts: &Facts, target: &ObjectRef) -> Option<ObjectRef> {
    let namespace = target.namespace.as_deref();
    if target.kind == "Job" {
        let (name, run) = target.name.rsplit_once('-')?;
        let counted = run.bytes().all(|b| b.is_ascii_digit());
        return facts.store.get("CronJob", namespace, name).filter(|_| counted).map(Object::reference);
    }
    if target.kind != "Pod" {
        return None;
    }
    let (without_suffix, _) = target.name.rsplit_once('-')?;
    let owner = |kind: &str, name: &str| facts.store.get(kind, namespace, name).map(|o| workload::owner_of(facts, o));
    let by_hash = without_suffix.rsplit_once('-').and_then(|(name, _)| owner("Deployment", name));
    owner("ReplicaSet", without_suffix).or_else(|| ["StatefulSet", "DaemonSet", "Job"].iter().find_map(|k| owner(k, without_suffix))).or(by_hash)
}

/// The workload that an autoscaler scales.
pub(crate) fn scale_target(hpa: &Object) -> Option<ObjectRef> {
    Some(ObjectRef::new(hpa.str_at("/spec/scaleTargetRef/kind")?, hpa.namespace(), hpa.str_at("/spec/scaleTargetRef/name")?))
}

/// Workloads whose pods a label selector matches.
pub(crate) fn selected(facts: &Facts, namespace: Option<&str>, selector: Option<&Value>) -> Vec<ObjectRef> {
    let (Some(namespace), Some(selector)) = (namespace, selector) else { return Vec::new() };
    workload::labelled(facts, namespace, |labels| selector_matches(selector, labels)).iter().map(Workload::reference).collect()
}

/// Workloads whose pods mount a claim.
pub(crate) fn users_of_claim(facts: &Facts, namespace: Option<&str>, claim: &str) -> Vec<ObjectRef> {
    let uses = |p: &&Object| p.list_at("/spec/volumes").iter().any(|v| v["persistentVolumeClaim"]["claimName"] == claim);
    let mut found: Vec<ObjectRef> = facts.store.list("Pod", namespace).filter(uses).map(|p| workload::owner_of(facts, p)).collect();
    found.dedup_by(|a, b| a.same_object(b));
    found
}

/// Services that an Ingress sends to.
pub(crate) fn ingress_services(ingress: &Object) -> Vec<String> {
    let paths = ingress.list_at("/spec/rules").iter().flat_map(|r| r["http"]["paths"].as_array().into_iter().flatten());
    let mut found: Vec<String> = paths.filter_map(|p| p["backend"]["service"]["name"].as_str().map(str::to_owned)).collect();
    found.extend(ingress.str_at("/spec/defaultBackend/service/name").map(str::to_owned));
    found.sort();
    found.dedup();
    found
}

fn on_node(facts: &Facts, node: &str) -> Vec<ObjectRef> {
    let mut found: Vec<ObjectRef> =
        facts.store.all("Pod").filter(|p| p.str_at("/spec/nodeName") == Some(node)).map(|p| workload::owner_of(facts, p)).take(20).collect();
    found.dedup_by(|a, b| a.same_object(b));
    found
}

fn unhealthy_in(facts: &Facts, namespace: Option<&str>) -> Vec<ObjectRef> {
    let Some(namespace) = namespace else { return Vec::new() };
    workload::all_in(facts, namespace).filter(|w| !w.is_healthy(facts.now)).map(|w| w.reference()).take(10).collect()
}

/// Namespaces with pods on a node, those with evicted or failing pods first; system ones last.
pub(super) fn namespaces_on_node(facts: &Facts, node: &str, limit: usize) -> Vec<String> {
    let mut count: std::collections::BTreeMap<&str, (usize, usize)> = std::collections::BTreeMap::new();
    for p in facts.store.all("Pod").filter(|p| p.str_at("/spec/nodeName") == Some(node)) {
        let entry = count.entry(p.namespace().unwrap_or_default()).or_default();
        entry.0 += usize::from(pod::is_unhealthy(p, facts.now));
        entry.1 += 1;
    }
    let mut all: Vec<_> = count.into_iter().collect();
    all.sort_by_key(|(name, (bad, pods))| (name.starts_with("kube-"), std::cmp::Reverse(*bad), std::cmp::Reverse(*pods)));
    all.into_iter().take(limit).map(|(n, _)| n.to_owned()).collect()
}

/// Namespaces of hosts named by workloads in view that were not read yet.
pub(super) fn foreign_namespaces(facts: &Facts, frontier: &[ObjectRef]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for reference in frontier {
        let Some(workload) = Workload::find(facts, reference) else { continue };
        let own = workload.namespace().unwrap_or_default();
        let mut hosts = logged_hosts(facts, &workload);
        hosts.extend(deps::settings(facts, &workload).iter().flat_map(|s| s.text.lines().take(500).flat_map(log::hosts_in)));
        hosts.extend(creation_failures(facts, &workload).iter().flat_map(|m| log::hosts_in(m)));
        for host in hosts {
            let Some((_, namespace)) = service::cluster_name(&host.name, own) else { continue };
            let exists = facts.store.get("Namespace", None, namespace).is_some() || host.name.contains(".svc");
            if namespace != own && exists && !facts.store.is_complete("Service", Some(namespace)) {
                found.insert(namespace.to_owned());
            }
        }
    }
    found
}

/// Messages of controllers that could not create a workload's pods.
pub(crate) fn creation_failures(facts: &Facts, workload: &Workload<'_>) -> Vec<String> {
    let mut objects = vec![workload.reference()];
    objects.extend(facts.store.children(&workload.reference()).filter(|c| c.kind() != "Pod").map(Object::reference));
    let mut found: Vec<String> =
        objects.iter().flat_map(|o| facts.events_of(o)).filter(|e| e.reason == "FailedCreate").map(|e| e.message.clone()).collect();
    found.reverse();
    let condition = workload.object.condition("ReplicaFailure").filter(|c| c["status"] == "True").and_then(|c| c["message"].as_str());
    found.extend(condition.map(str::to_owned));
    found
}

/// The next step: workloads behind the Services that the frontier names, and at first those that name the target.
pub(super) fn next(facts: &Facts, frontier: &[ObjectRef], first: bool) -> Vec<ObjectRef> {
    let mut found = Vec::new();
    for reference in frontier {
        let Some(workload) = Workload::find(facts, reference) else { continue };
        let named = named_services(facts, &workload);
        for name in &named {
            let Some(object) = facts.store.find(name) else { continue };
            found.extend(service::workloads(facts, object).iter().map(Workload::reference));
        }
        if first {
            for own in service::of_workload(facts, &workload) {
                found.extend(deps::clients(facts, &own.reference()).iter().map(|(w, _)| w.reference()));
            }
            // Others that use the same peers: the fault may be with whoever should feed the target.
            if workload.is_healthy(facts.now) {
                found.extend(named.iter().flat_map(|s| deps::clients(facts, s)).map(|(w, _)| w.reference()));
            }
        }
        for message in creation_failures(facts, &workload) {
            for host in log::hosts_in(&message) {
                if let service::Resolved::Service(s) = service::resolve(facts, &host, workload.namespace().unwrap_or_default())
                    && let Some(object) = facts.store.find(&s)
                {
                    found.extend(service::workloads(facts, object).iter().map(Workload::reference));
                }
            }
        }
    }
    found
}

/// Whether names of Services that exist are not resolved.
pub(super) fn resolves_badly(facts: &Facts) -> bool {
    facts.store.all("Pod").any(|p| {
        let namespace = p.namespace().unwrap_or_default();
        let unresolved = |h: &log::Hit| {
            h.sign.is_lookup() && h.hosts.iter().any(|host| matches!(service::resolve(facts, host, namespace), service::Resolved::Service(_)))
        };
        facts.logs.of_pod(namespace, p.name()).any(|(_, l)| l.hits().iter().any(unresolved))
    })
}

/// Namespaces of what sets up networks and volumes of pods, where events say that it does not.
pub(super) fn component_namespaces(facts: &Facts) -> BTreeSet<String> {
    let blames = |e: &&kubernaut_core::port::KubeEvent| {
        matches!(e.reason.as_str(), "FailedCreatePodSandBox" | "NetworkNotReady") || e.message.contains("list of registered CSI drivers")
    };
    if !facts.events.iter().any(|e| blames(&e)) {
        return BTreeSet::new();
    }
    let system = |n: &str| n == "kube-system" || ["calico", "cilium", "flannel", "csi", "storage", "longhorn", "rook"].iter().any(|w| n.contains(w));
    facts.store.all("Namespace").map(|n| n.name().to_owned()).filter(|n| system(n)).collect()
}

/// Whether probes fail for want of an answer in time, or the alert may be about that.
pub(super) fn probes_time_out(facts: &Facts) -> bool {
    facts.events.iter().any(|e| e.reason == "Unhealthy" && ["deadline", "imeout", "timed out"].iter().any(|w| e.message.contains(w)))
}

/// Whether a pod of the target's namespace refers to a Secret that does not exist.
pub(super) fn misses_a_secret(facts: &Facts) -> bool {
    let absent = |r: &refs::Reference| r.object.kind == "Secret" && refs::broken(facts, r) == Some(refs::Broken::Absent);
    let namespace = facts.target.namespace.as_deref();
    let of_pods = facts.store.list("Pod", namespace).filter(|p| !pod::is_ready(p));
    of_pods.filter_map(|p| p.at("/spec")).any(|s| refs::references(s, namespace).iter().any(absent)) || facts.target.kind == "Ingress"
}

/// Whether any log reports a denial by RBAC.
pub(super) fn denied_by_rbac(facts: &Facts) -> bool {
    facts.store.all("Pod").any(|p| {
        facts.logs.of_pod(p.namespace().unwrap_or_default(), p.name()).any(|(_, l)| l.hits().iter().any(|h| h.sign.kind == log::Signature::Forbidden))
    })
}

/// Whether an image cannot be pulled for lack of credentials that may exist elsewhere.
pub(super) fn misses_pull_secret(facts: &Facts) -> bool {
    facts.store.list("Pod", facts.target.namespace.as_deref()).any(|p| {
        let backing_off = pod::containers(p).iter().any(|c| matches!(c.waiting_reason(), "ImagePullBackOff" | "ErrImagePull"));
        let absent = |r: &refs::Reference| r.place == "imagePullSecrets" && refs::broken(facts, r).is_some();
        backing_off && p.at("/spec").is_some_and(|s| refs::references(s, p.namespace()).iter().any(absent))
    })
}

/// Whether any container was killed for memory.
pub(super) fn any_oom(facts: &Facts) -> bool {
    facts.store.all("Pod").any(|p| pod::containers(p).iter().any(|c| c.last_end().is_some_and(|t| t.is_oom() || t.exit_code == 137)))
}
