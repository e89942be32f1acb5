//! The choice of target and owner, over clusters made of objects.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{Object, ObjectRef, Timestamp},
    port::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText},
    service::CallContext,
    testkit::ObjectsCluster,
};
use serde_json::{Value, json};

use super::{Resolution, Targets};
use crate::TargetConfig;

fn object(kind: &str, namespace: Option<&str>, name: &str, more: Value) -> Value {
    let reference = ObjectRef::new(kind, namespace, name);
    let api_version = if reference.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", reference.group) };
    let mut value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "uid": format!("uid-{name}")}});
    if let Some(namespace) = namespace {
        value["metadata"]["namespace"] = json!(namespace);
    }
    merge(&mut value, more);
    value
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value)),
        (into, from) => *into = from,
    }
}

fn owned_by(kind: &str, name: &str) -> Value {
    let group = ObjectRef::new(kind, Some("x"), name).group;
    json!({"metadata": {"ownerReferences": [{"apiVersion": format!("{group}/v1"), "kind": kind, "name": name, "uid": format!("uid-{name}"), "controller": true}]}})
}

fn running_at(node: &str, ip: &str) -> Value {
    json!({"spec": {"nodeName": node}, "status": {"podIP": ip, "podIPs": [{"ip": ip}]}})
}

/// A shop with a Deployment, a monitoring namespace with a state exporter and a node agent, two nodes.
fn cluster() -> ObjectsCluster {
    let cluster = ObjectsCluster::at(Timestamp::UNIX_EPOCH);
    for node in ["n1", "n2"] {
        let ip = format!("192.168.0.{}", &node[1..]);
        cluster.put(object("Node", None, node, json!({"status": {"addresses": [{"type": "InternalIP", "address": ip}]}})));
    }
    cluster.put(object("Deployment", Some("shop"), "web", json!({})));
    cluster.put(object("ReplicaSet", Some("shop"), "web-5566d57b57", owned_by("Deployment", "web")));
    let mut pod = owned_by("ReplicaSet", "web-5566d57b57");
    merge(&mut pod, running_at("n1", "10.0.0.5"));
    cluster.put(object("Pod", Some("shop"), "web-5566d57b57-44xjv", pod));
    cluster.put(object("Service", Some("shop"), "web", json!({})));
    cluster.put(object("Deployment", Some("monitoring"), "kube-state-metrics", json!({})));
    cluster.put(object("Service", Some("monitoring"), "kube-state-metrics", json!({})));
    cluster.put(object("Pod", Some("monitoring"), "kube-state-metrics-7f5b8c6d9-x2mqp", running_at("n1", "10.0.0.9")));
    let mut agent = owned_by("DaemonSet", "node-exporter");
    merge(&mut agent, json!({"spec": {"nodeName": "n2", "hostNetwork": true}, "status": {"podIP": "192.168.0.2", "hostIP": "192.168.0.2"}}));
    cluster.put(object("Pod", Some("monitoring"), "node-exporter-x7k2p", agent));
    cluster
}

/// Labels of the exporter's scrape, as an alert on a metric without pod and container of its own has them.
const SCRAPED: &[(&str, &str)] = &[
    ("job", "kube-state-metrics"),
    ("service", "kube-state-metrics"),
    ("container", "kube-state-metrics"),
    ("pod", "kube-state-metrics-7f5b8c6d9-x2mqp"),
    ("instance", "10.0.0.9:8080"),
];

async fn resolve(cluster: impl ClusterRead, name: &str, labels: &[(&str, &str)]) -> Resolution {
    let labels: BTreeMap<String, String> = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let ctx = CallContext::system("test").with_timeout(Duration::from_millis(150));
    Targets::new(Arc::new(cluster), &TargetConfig::default()).by_labels(&ctx, &labels, name).await
}

async fn target(cluster: impl ClusterRead, labels: &[(&str, &str)]) -> String {
    resolve(cluster, "Alert", labels).await.target.to_string()
}

fn with<'a>(labels: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = SCRAPED.to_vec();
    all.retain(|(key, _)| !labels.iter().any(|(own, _)| own == key));
    all.extend_from_slice(labels);
    all
}

#[tokio::test]
async fn a_pod_belongs_to_its_top_owner() {
    let found = resolve(cluster(), "Alert", &with(&[("namespace", "shop"), ("pod", "web-5566d57b57-44xjv"), ("container", "web")])).await;
    assert_eq!(found.target.to_string(), "Pod/shop/web-5566d57b57-44xjv");
    assert_eq!((found.owner.to_string().as_str(), found.owner_resolved), ("Deployment/shop/web", true));
}

#[tokio::test]
async fn labels_that_no_scraper_sets_come_first() {
    assert_eq!(target(cluster(), &with(&[("namespace", "shop"), ("deployment", "web")])).await, "Deployment/shop/web");
    let own = cluster();
    own.put(object("HorizontalPodAutoscaler", Some("shop"), "web", json!({})));
    let labels = [("namespace", "shop"), ("deployment", "web"), ("horizontalpodautoscaler", "web"), ("pod", "web-5566d57b57-44xjv")];
    assert_eq!(target(own, &labels).await, "HorizontalPodAutoscaler/shop/web");
}

#[tokio::test]
async fn an_object_that_is_not_there_is_passed_over_while_another_is() {
    let labels = [("namespace", "shop"), ("deployment", "gone"), ("pod", "web-5566d57b57-44xjv")];
    assert_eq!(target(cluster(), &labels).await, "Pod/shop/web-5566d57b57-44xjv");
}

#[tokio::test]
async fn the_exporter_is_never_taken_for_an_object_that_is_gone() {
    for namespace in ["shop", "monitoring"] {
        let found = target(cluster(), &with(&[("namespace", namespace), ("statefulset", "gone")])).await;
        assert_eq!(found, format!("StatefulSet/{namespace}/gone"));
    }
}

#[tokio::test]
async fn an_alert_about_the_exporter_itself_is_about_the_exporter() {
    assert_eq!(target(cluster(), &with(&[("namespace", "monitoring")])).await, "Pod/monitoring/kube-state-metrics-7f5b8c6d9-x2mqp");
}

#[tokio::test]
async fn renamed_labels_are_the_metrics_own() {
    let labels = with(&[("namespace", "monitoring"), ("exported_namespace", "shop"), ("exported_pod", "web-5566d57b57-44xjv")]);
    assert_eq!(target(cluster(), &labels).await, "Pod/shop/web-5566d57b57-44xjv");
    let labels = with(&[("namespace", "monitoring"), ("exported_namespace", "shop"), ("deployment", "web")]);
    assert_eq!(target(cluster(), &labels).await, "Deployment/shop/web");
}

#[tokio::test]
async fn a_node_is_the_target_unless_it_is_only_where_the_pod_runs() {
    for node in ["n1", "n2"] {
        // The exporter runs on n1.
        assert_eq!(target(cluster(), &with(&[("namespace", "monitoring"), ("node", node)])).await, format!("Node/{node}"));
    }
    assert_eq!(target(cluster(), &with(&[("node", "n2")])).await, "Node/n2");
    let pod = [("namespace", "shop"), ("pod", "web-5566d57b57-44xjv"), ("node", "n1"), ("instance", "192.168.0.1:10250"), ("job", "kubelet")];
    assert_eq!(target(cluster(), &pod).await, "Pod/shop/web-5566d57b57-44xjv");
}

#[tokio::test]
async fn an_agent_reports_on_its_node() {
    let agent = [("namespace", "monitoring"), ("pod", "node-exporter-x7k2p"), ("job", "node-exporter"), ("container", "node-exporter")];
    for instance in ["192.168.0.2:9100", "n2"] {
        let mut labels = agent.to_vec();
        labels.push(("instance", instance));
        assert_eq!(target(cluster(), &labels).await, "Node/n2");
        assert_eq!(target(cluster(), &[("job", "node-exporter"), ("instance", instance)]).await, "Node/n2");
    }
    // Seen from outside, the agent is a pod like any other.
    let labels = with(&[("namespace", "monitoring"), ("pod", "node-exporter-x7k2p"), ("container", "node-exporter")]);
    assert_eq!(target(cluster(), &labels).await, "Pod/monitoring/node-exporter-x7k2p");
}

#[tokio::test]
async fn a_service_name_is_a_service_or_else_a_workload() {
    let own = cluster();
    own.put(object("Deployment", Some("shop"), "billing", json!({})));
    own.put(object("Deployment", Some("shop"), "cart", json!({"spec": {"template": {"metadata": {"labels": {"opentelemetry.io/name": "cart"}}}}})));
    own.put(object("Service", Some("shop"), "cart", json!({})));
    for (key, name, expected) in [
        ("service_name", "web", "Service/shop/web"),
        ("service_name", "billing", "Deployment/shop/billing"),
        ("service_name", "cart", "Deployment/shop/cart"),
        ("service_name", "gone", "Service/shop/gone"),
        ("service", "cart", "Service/shop/cart"),
        ("service", "web.shop.svc.cluster.local", "Service/shop/web"),
        ("app", "billing", "Deployment/shop/billing"),
        ("app", "gone", "Namespace/shop"),
        ("job", "shop/billing", "Deployment/shop/billing"),
    ] {
        assert_eq!(target(own.clone(), &[("namespace", "shop"), (key, name)]).await, expected, "{key}={name}");
    }
}

#[tokio::test]
async fn an_alert_that_names_nothing_is_about_its_scope() {
    assert_eq!(target(cluster(), &[("namespace", "shop")]).await, "Namespace/shop");
    assert_eq!(target(cluster(), &[("alertname", "Watchdog")]).await, "Cluster/default");
    // No names of objects: not looked up, not trusted.
    assert_eq!(target(cluster(), &[("namespace", "shop"), ("pod", "../../nodes/n1"), ("deployment", "Ünïcode")]).await, "Namespace/shop");
}

#[tokio::test]
async fn the_owner_outlives_its_pod() {
    let own = cluster();
    let pod = ObjectRef::new("Pod", Some("shop"), "web-5566d57b57-44xjv");
    own.remove(&pod);
    let labels = with(&[("namespace", "shop"), ("pod", "web-5566d57b57-44xjv"), ("container", "web")]);
    let found = resolve(own.clone(), "Alert", &labels).await;
    assert_eq!((&found.target, found.owner.to_string().as_str(), found.owner_resolved), (&pod, "Deployment/shop/web", true));
    // Even when the old ReplicaSet has been tidied away.
    own.remove(&ObjectRef::new("ReplicaSet", Some("shop"), "web-5566d57b57"));
    assert_eq!(resolve(own, "Alert", &labels).await.owner.to_string(), "Deployment/shop/web");
}

#[tokio::test]
async fn the_last_owner_is_remembered_when_nothing_of_it_is_left() {
    let own = cluster();
    own.put(object("Pod", Some("shop"), "oddly", owned_by("ReplicaSet", "web-5566d57b57")));
    let targets = Targets::new(Arc::new(own.clone()), &TargetConfig { cache_ttl_s: 0, ..TargetConfig::default() });
    let labels = BTreeMap::from([("namespace".to_owned(), "shop".to_owned()), ("pod".to_owned(), "oddly".to_owned())]);
    let ctx = CallContext::system("test");
    let before = targets.by_labels(&ctx, &labels, "Alert").await;
    own.remove(&ObjectRef::new("Pod", Some("shop"), "oddly"));
    own.remove(&ObjectRef::new("ReplicaSet", Some("shop"), "web-5566d57b57"));
    assert_eq!(targets.by_labels(&ctx, &labels, "Alert").await, before);
    assert_eq!(before.owner.to_string(), "Deployment/shop/web");
}

/// A cluster that never answers, or always fails.
#[derive(Debug)]
struct Down(Option<ErrorKind>);

impl Down {
    async fn fail<T>(&self) -> Result<T> {
        match self.0 {
            Some(kind) => Err(Error::new(kind, "cluster.get", "no answer")),
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl ClusterRead for Down {
    async fn info(&self, _: CallContext) -> Result<ClusterInfo> {
        self.fail().await
    }
    async fn get(&self, _: CallContext, _: ObjectRef) -> Result<Option<Object>> {
        self.fail().await
    }
    async fn list(&self, _: CallContext, _: ListQuery) -> Result<Vec<Object>> {
        self.fail().await
    }
    async fn owners(&self, _: CallContext, _: ObjectRef) -> Result<Vec<ObjectRef>> {
        self.fail().await
    }
    async fn events(&self, _: CallContext, _: EventQuery) -> Result<Vec<KubeEvent>> {
        self.fail().await
    }
    async fn logs(&self, _: CallContext, _: LogQuery) -> Result<Option<LogText>> {
        self.fail().await
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_labels_decide_in_time_and_the_owner_stays_open() {
    for down in [None, Some(ErrorKind::Unavailable), Some(ErrorKind::Forbidden)] {
        for (labels, expected) in [
            (with(&[("namespace", "shop"), ("deployment", "web")]), "Deployment/shop/web"),
            (with(&[("namespace", "shop"), ("pod", "web-5566d57b57-44xjv"), ("container", "web")]), "Pod/shop/web-5566d57b57-44xjv"),
            (with(&[("namespace", "monitoring"), ("node", "n1")]), "Node/n1"),
            (with(&[("namespace", "shop"), ("node", "n1"), ("pod", "web-1"), ("container", "web")]), "Pod/shop/web-1"),
            (with(&[("namespace", "shop"), ("job_name", "nightly")]), "Job/shop/nightly"),
            (vec![("namespace", "shop"), ("service_name", "web")], "Service/shop/web"),
        ] {
            let started = tokio::time::Instant::now();
            let found = resolve(Down(down), "Alert", &labels).await;
            assert_eq!((found.target.to_string().as_str(), found.owner_resolved), (expected, false), "{down:?}");
            assert_eq!(found.owner, found.target);
            assert!(started.elapsed() <= Duration::from_millis(150));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_cluster_is_left_alone_for_a_moment() {
    let targets = Targets::new(Arc::new(Down(None)), &TargetConfig::default());
    let ask = async |name: &str| {
        let labels = BTreeMap::from([("namespace".to_owned(), "shop".to_owned()), ("deployment".to_owned(), name.to_owned())]);
        let started = tokio::time::Instant::now();
        targets.by_labels(&CallContext::system("test").with_timeout(Duration::from_millis(150)), &labels, "Alert").await;
        started.elapsed()
    };
    for name in ["a", "b", "c"] {
        assert_eq!(ask(name).await, Duration::from_millis(150));
    }
    assert_eq!(ask("d").await, Duration::ZERO);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask("e").await, Duration::from_millis(150));
}
