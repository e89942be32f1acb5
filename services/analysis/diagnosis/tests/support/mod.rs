//! A cluster made of scenes: workloads with revisions, pods in all states, logs, events and metrics.

#![allow(clippy::unwrap_used, clippy::too_many_arguments, dead_code, missing_docs, unreachable_pub, reason = "each test file uses its own part")]

use std::{collections::BTreeMap, sync::Arc};

use kubernaut_core::{
    Result, async_trait,
    model::{Analysis, HistoryEntry, Object, ObjectRef, Timestamp},
    port::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText, MetricSeries},
    service::{AnalysisRequest, Analyzer, CallContext, Capability},
};
use kubernaut_diagnosis::{Diagnosis, DiagnosisConfig};
use serde_json::{Value, json};

pub const NOW: &str = "2026-09-10T08:00:00Z";

/// `minutes` before now.
pub fn ago(minutes: i64) -> String {
    let now: Timestamp = NOW.parse().unwrap();
    Timestamp::from_second(now.as_second() - minutes * 60).unwrap().to_string()
}

#[derive(Debug, Clone)]
pub struct World {
    pub ns: String,
    pub objects: Vec<Value>,
    pub events: Vec<KubeEvent>,
    pub logs: BTreeMap<(String, String, String, bool), String>,
    pub metrics: Vec<MetricSeries>,
    pub history: Vec<HistoryEntry>,
    /// Lists leave out who wrote which field, as a live cluster's do.
    pub lean_lists: bool,
}

/// How the pods of the current revision are.
#[derive(Debug, Clone)]
pub enum Pods {
    Ready,
    /// Exit code, reason, seconds that each run lasted.
    Crash(i64, &'static str, i64),
    Waiting(&'static str, String),
    Pending(String),
    /// Runs without being ready, since so many minutes.
    Unready(i64),
    InitRunning(i64),
    InitCrash(i64),
    None,
}

/// One Deployment (or other kind) to be put up.
#[derive(Debug, Clone)]
pub struct Deploy {
    pub kind: &'static str,
    pub name: String,
    pub replicas: i64,
    /// Minutes ago and pod spec of each revision, oldest first.
    pub revisions: Vec<(i64, Value)>,
    pub pods: Pods,
    pub old_ready: i64,
    pub manager: &'static str,
    pub meta: Value,
}

pub fn container(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image, "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}})
}

pub fn spec(container: Value) -> Value {
    json!({"containers": [container], "restartPolicy": "Always"})
}

/// A JSON merge patch.
pub fn merge(mut base: Value, patch: Value) -> Value {
    fn walk(base: &mut Value, patch: Value) {
        match patch {
            Value::Object(map) => {
                if !base.is_object() {
                    *base = json!({});
                }
                for (k, v) in map {
                    if v.is_null() {
                        base.as_object_mut().unwrap().remove(&k);
                    } else {
                        walk(base.as_object_mut().unwrap().entry(k).or_insert(Value::Null), v);
                    }
                }
            }
            other => *base = other,
        }
    }
    walk(&mut base, patch);
    base
}

pub fn deploy(name: &str, spec: Value) -> Deploy {
    Deploy {
        kind: "Deployment",
        name: name.into(),
        replicas: 1,
        revisions: vec![(20 * 1440, spec)],
        pods: Pods::Ready,
        old_ready: 0,
        manager: "helmfile",
        meta: json!({}),
    }
}

impl Deploy {
    pub fn then(mut self, minutes_ago: i64, spec: Value) -> Self {
        self.revisions.push((minutes_ago, spec));
        self
    }
    pub fn since(mut self, minutes_ago: i64) -> Self {
        self.revisions.last_mut().unwrap().0 = minutes_ago;
        self
    }
    pub fn pods(mut self, pods: Pods) -> Self {
        self.pods = pods;
        self
    }
    pub fn replicas(mut self, n: i64) -> Self {
        self.replicas = n;
        self
    }
    pub fn old_ready(mut self, n: i64) -> Self {
        self.old_ready = n;
        self
    }
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = meta;
        self
    }
}

impl World {
    pub fn new(ns: &str) -> Self {
        let mut world =
            Self { ns: ns.into(), objects: vec![], events: vec![], logs: BTreeMap::new(), metrics: vec![], history: vec![], lean_lists: false };
        for n in [ns, "kube-system"] {
            world.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": {"kubernetes.io/metadata.name": n}}}));
        }
        for (i, name) in ["ip-10-1", "ip-10-2", "ip-10-3"].iter().enumerate() {
            world.node(name, json!({"metadata": {"labels": {"topology.kubernetes.io/zone": format!("z{i}")}}}));
        }
        world
    }

    pub fn put(&mut self, object: Value) -> &mut Self {
        self.objects.push(object);
        self
    }

    pub fn node(&mut self, name: &str, patch: Value) -> &mut Self {
        self.objects.retain(|o| !(o["kind"] == "Node" && o["metadata"]["name"] == name));
        let base = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}},
            "spec": {}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "50Gi"},
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": "True", "reason": "KubeletReady"}]}});
        self.put(merge(base, patch))
    }

    pub fn object(&mut self, api: &str, kind: &str, name: &str, body: Value) -> &mut Self {
        let meta = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": self.ns, "uid": format!("{kind}-{name}"), "creationTimestamp": ago(30 * 1440)}});
        self.put(merge(meta, body))
    }

    pub fn config_map(&mut self, name: &str, data: Value, changed_ago: Option<i64>) -> &mut Self {
        let fields: Vec<Value> = changed_ago
            .map(|m| json!({"manager": "kubectl-edit", "operation": "Update", "time": ago(m), "fieldsV1": {"f:data": {}}}))
            .into_iter()
            .collect();
        self.object("v1", "ConfigMap", name, json!({"metadata": {"managedFields": fields}, "data": data}))
    }

    pub fn service(&mut self, name: &str, selector: Value, port: u16, target: Value) -> &mut Self {
        self.object("v1", "Service", name, json!({"spec": {"selector": selector, "clusterIP": format!("10.96.7.{}", self.objects.len() % 250), "ports": [{"port": port, "targetPort": target}]}}))
    }

    /// A Service that selects a workload put up with [`World::deploy`].
    pub fn serve(&mut self, name: &str, port: u16) -> &mut Self {
        self.service(name, json!({"app": name}), port, json!(port))
    }

    /// Puts up a workload with its revisions and pods.
    pub fn deploy(&mut self, d: Deploy) -> &mut Self {
        let ns = self.ns.clone();
        let last = d.revisions.last().unwrap().clone();
        let labels = json!({"app": d.name});
        let healthy = matches!(d.pods, Pods::Ready);
        let ready = if healthy { d.replicas } else { d.old_ready };
        let fields: Vec<Value> = vec![json!({"manager": d.manager, "operation": "Update", "time": ago(last.0), "fieldsV1": {}})];
        let meta = json!({"name": d.name, "namespace": ns, "uid": format!("{}-{}", d.kind, d.name), "labels": labels, "creationTimestamp": ago(d.revisions[0].0),
            "annotations": {"deployment.kubernetes.io/revision": d.revisions.len().to_string()}, "managedFields": fields});
        let status = json!({"replicas": d.replicas, "readyReplicas": ready, "availableReplicas": ready, "unavailableReplicas": if healthy { 0 } else { (d.replicas - ready).max(1) },
            "desiredNumberScheduled": d.replicas, "numberReady": ready});
        let mut object = json!({"apiVersion": "apps/v1", "kind": d.kind, "metadata": meta, "spec": {"replicas": d.replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": last.1}}, "status": status});
        if d.replicas == 0 {
            object["status"] = json!({});
        }
        self.put(merge(object, d.meta.clone()));
        for (i, (minutes, spec)) in d.revisions.iter().enumerate() {
            let current = i + 1 == d.revisions.len();
            let set = set_name(&d, i);
            let count = if current {
                d.replicas
            } else if i + 2 == d.revisions.len() {
                d.old_ready
            } else {
                0
            };
            let ready = if current && !healthy { 0 } else { count };
            let owner =
                json!([{"apiVersion": "apps/v1", "kind": d.kind, "name": d.name, "uid": format!("{}-{}", d.kind, d.name), "controller": true}]);
            let template = json!({"metadata": {"labels": {"app": d.name, "pod-template-hash": format!("h{i}")}}, "spec": spec});
            if d.kind == "Deployment" {
                self.put(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": set, "namespace": ns, "uid": set, "creationTimestamp": ago(*minutes), "ownerReferences": owner,
                    "annotations": {"deployment.kubernetes.io/revision": (i + 1).to_string()}}, "spec": {"replicas": count, "template": template}, "status": {"replicas": count, "readyReplicas": ready}}));
            } else {
                self.put(json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": set, "namespace": ns, "uid": set, "creationTimestamp": ago(*minutes), "ownerReferences": owner},
                    "revision": i + 1, "data": {"spec": {"template": template}}}));
            }
            if current && !matches!(d.pods, Pods::None) {
                for n in 0..count {
                    self.pod(&d, i, n, *minutes, spec, &d.pods.clone());
                }
            } else if !current {
                for n in 0..count {
                    self.pod(&d, i, n, *minutes, spec, &Pods::Ready);
                }
            }
        }
        self
    }

    fn pod(&mut self, d: &Deploy, revision: usize, n: i64, minutes: i64, spec: &Value, state: &Pods) {
        let name = pod_name(d, revision, n);
        let ns = self.ns.clone();
        let (kind, owner) = if d.kind == "Deployment" { ("ReplicaSet", set_name(d, revision)) } else { (d.kind, d.name.clone()) };
        let mut spec = spec.clone();
        let scheduled = !matches!(state, Pods::Pending(_));
        if scheduled {
            spec["nodeName"] = json!(format!("ip-10-{}", n % 3 + 1));
        }
        let mains: Vec<String> = spec["containers"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
        let inits: Vec<String> = spec["initContainers"].as_array().into_iter().flatten().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
        let mut phase = "Running";
        let mut init_status = json!([]);
        let first = |state: Value, last: Value, ready: bool, restarts: i64| {
            mains
                .iter()
                .enumerate()
                .map(|(i, c)| {
                    if i == 0 {
                        json!({"name": c, "ready": ready, "restartCount": restarts, "state": state, "lastState": last})
                    } else {
                        json!({"name": c, "ready": true, "restartCount": 0, "state": {"running": {"startedAt": ago(minutes)}}})
                    }
                })
                .collect::<Vec<_>>()
        };
        let mut condition =
            json!({"type": "Ready", "status": "False", "lastTransitionTime": ago(minutes.min(30)), "message": "containers with unready status"});
        let mut scheduled_condition = json!({"type": "PodScheduled", "status": "True"});
        let statuses = match state {
            Pods::Ready => {
                condition["status"] = json!("True");
                condition["lastTransitionTime"] = json!(ago(minutes));
                first(json!({"running": {"startedAt": ago(minutes)}}), json!({}), true, 0)
            }
            Pods::Crash(code, reason, ran) => {
                let end: Timestamp = ago(2).parse().unwrap();
                let start = Timestamp::from_second(end.as_second() - ran).unwrap();
                first(
                    json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}),
                    json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": start.to_string(), "finishedAt": end.to_string()}}),
                    false,
                    7,
                )
            }
            Pods::Waiting(reason, message) => {
                phase = "Pending";
                first(json!({"waiting": {"reason": reason, "message": message}}), json!({}), false, 0)
            }
            Pods::Pending(message) => {
                phase = "Pending";
                scheduled_condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
                vec![]
            }
            Pods::Unready(since) => {
                condition["lastTransitionTime"] = json!(ago(*since));
                first(json!({"running": {"startedAt": ago(minutes)}}), json!({}), false, 0)
            }
            Pods::InitRunning(since) => {
                phase = "Pending";
                init_status = json!([{"name": inits[0], "ready": false, "restartCount": 0, "state": {"running": {"startedAt": ago(*since)}}}]);
                first(json!({"waiting": {"reason": "PodInitializing"}}), json!({}), false, 0)
            }
            Pods::InitCrash(code) => {
                phase = "Pending";
                init_status = json!([{"name": inits[0], "ready": false, "restartCount": 6, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": code, "reason": "Error", "startedAt": ago(3), "finishedAt": ago(2)}}}]);
                first(json!({"waiting": {"reason": "PodInitializing"}}), json!({}), false, 0)
            }
            Pods::None => vec![],
        };
        let conditions = if scheduled { json!([condition, scheduled_condition]) } else { json!([scheduled_condition]) };
        self.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": ns, "uid": name, "creationTimestamp": ago(minutes), "labels": {"app": d.name, "pod-template-hash": format!("h{revision}"), "controller-revision-hash": set_name(d, revision)},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": owner, "controller": true}]},
            "spec": spec, "status": {"phase": phase, "podIP": format!("10.4.{}.{}", revision + 1, n + 10), "conditions": conditions, "containerStatuses": statuses, "initContainerStatuses": init_status}}));
        if matches!(state, Pods::Crash(..)) {
            self.warn(&format!("Pod/{ns}/{name}"), "BackOff", "Back-off restarting failed container", 30, minutes.min(40) - 1, 0);
        }
    }

    pub fn event(&mut self, object: &str, kind: &str, reason: &str, message: &str, count: u64, first_ago: i64, last_ago: i64) -> &mut Self {
        self.events.push(KubeEvent {
            object: object.parse().unwrap(),
            kind: kind.into(),
            reason: reason.into(),
            message: message.into(),
            count,
            first_at: Some(ago(first_ago).parse().unwrap()),
            last_at: Some(ago(last_ago).parse().unwrap()),
            component: String::new(),
        });
        self
    }

    pub fn warn(&mut self, object: &str, reason: &str, message: &str, count: u64, first_ago: i64, last_ago: i64) -> &mut Self {
        self.event(object, "Warning", reason, message, count, first_ago, last_ago)
    }

    pub fn log(&mut self, pod: &str, container: &str, text: &str) -> &mut Self {
        for previous in [false, true] {
            self.logs.insert((self.ns.clone(), pod.into(), container.into(), previous), format!("{text}\n"));
        }
        self
    }

    pub fn metric(&mut self, name: &str, labels: &[(&str, &str)], values: &[f64], step_s: i64) -> &mut Self {
        let now: Timestamp = NOW.parse().unwrap();
        let n = values.len() as i64;
        let values =
            values.iter().enumerate().map(|(i, v)| (Timestamp::from_second(now.as_second() - (n - 1 - i as i64) * step_s).unwrap(), *v)).collect();
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.metrics.push(MetricSeries { query: name.into(), labels, values });
        self
    }

    pub async fn diagnose(&self, target: &str) -> Analysis {
        let target: ObjectRef = target.parse().unwrap();
        let request = AnalysisRequest { incident_id: None, target, alerts: vec![], classification: None, history: self.history.clone() };
        Diagnosis::new(Arc::new(self.clone()), DiagnosisConfig::default()).analyze(CallContext::system("test"), request).await.unwrap()
    }
}

fn set_name(d: &Deploy, revision: usize) -> String {
    format!("{}-h{revision}", d.name)
}

fn pod_name(d: &Deploy, revision: usize, n: i64) -> String {
    if d.kind == "Deployment" { format!("{}-h{revision}-p{n}", d.name) } else { format!("{}-{n}", d.name) }
}

/// What a diagnosis must say.
#[track_caller]
pub fn expect(analysis: &Analysis, category: &str, object: &str, action: &str, target: &str) {
    let top = &analysis.candidates[0];
    let shown = serde_json::to_string_pretty(analysis).unwrap();
    assert_eq!((top.category.as_str(), top.object.to_string().as_str()), (category, object), "{shown}");
    let first = &analysis.actions[0];
    assert_eq!((first.action.as_str(), first.target.to_string().as_str()), (action, target), "{shown}");
}

/// A parameter of the first action.
pub fn param<'a>(analysis: &'a Analysis, pointer: &str) -> &'a Value {
    analysis.actions[0].params.pointer(pointer).unwrap_or(&Value::Null)
}

/// Whether all preconditions of the first action hold.
pub fn holds(analysis: &Analysis) -> bool {
    analysis.actions[0].preconditions.iter().all(|p| p.holds)
}

#[async_trait]
impl ClusterRead for World {
    async fn info(&self, _: CallContext) -> Result<ClusterInfo> {
        Ok(ClusterInfo { id: "test".into(), now: NOW.parse().unwrap(), recorded: !self.lean_lists, version: None })
    }

    async fn get(&self, _: CallContext, reference: ObjectRef) -> Result<Option<Object>> {
        Ok(self
            .objects
            .iter()
            .map(|o| Object::new(o.clone()))
            .find(|o| o.kind() == reference.kind && o.name() == reference.name && o.namespace() == reference.namespace.as_deref()))
    }

    async fn list(&self, _: CallContext, query: ListQuery) -> Result<Vec<Object>> {
        let wanted = self.objects.iter().filter(|o| o["kind"] == query.kind.as_str()).cloned().map(|mut o| {
            if self.lean_lists {
                o["metadata"]["managedFields"] = Value::Null;
            }
            Object::new(o)
        });
        Ok(wanted.filter(|o| query.matches(o)).collect())
    }

    async fn owners(&self, _: CallContext, _: ObjectRef) -> Result<Vec<ObjectRef>> {
        Ok(vec![])
    }

    async fn events(&self, _: CallContext, query: EventQuery) -> Result<Vec<KubeEvent>> {
        let wanted = |e: &&KubeEvent| {
            query.namespace.as_ref().is_none_or(|n| e.object.namespace.as_ref() == Some(n))
                && query.object.as_ref().is_none_or(|o| o.same_object(&e.object))
        };
        Ok(self.events.iter().filter(wanted).cloned().collect())
    }

    async fn logs(&self, _: CallContext, q: LogQuery) -> Result<Option<LogText>> {
        let text = self.logs.get(&(q.namespace, q.pod, q.container, q.previous)).cloned();
        Ok(text.map(|text| LogText { text, truncated: false }))
    }

    async fn metrics(&self, _: CallContext, name: String) -> Result<Vec<MetricSeries>> {
        Ok(self.metrics.iter().filter(|s| s.query.contains(&name)).cloned().collect())
    }

    fn capabilities(&self) -> Vec<Capability> {
        vec![Capability::Metrics]
    }
}
