//! Requests against a real ledger in memory and a cluster of objects.

#![expect(clippy::unwrap_used, reason = "tests report by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use kubernaut_core::{
    ErrorKind, Result,
    model::{AlertStatus, IncidentId, IntakeOutcome, ObjectRef, SecretString},
    port::{Ledger, ManualClock},
    service::CallContext,
    testkit::ObjectsCluster,
};
use kubernaut_gateway::{FingerprintStrategy, Gateway, GatewayConfig, NativeBatch, Received, SIGNATURE_HEADER, sign};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

struct Scene {
    gateway: Gateway,
    ledger: Arc<SqliteLedger>,
    cluster: ObjectsCluster,
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

impl Scene {
    async fn new(config: GatewayConfig) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let ledger = Arc::new(SqliteLedger::open(SqliteConfig::memory(), clock.clone()).await.unwrap());
        let cluster = ObjectsCluster::at(now);
        let owner = |kind: &str, name: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true}]);
        cluster.put(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "shop", "name": "web", "uid": "web"}}));
        let metadata = json!({"namespace": "shop", "name": "web-5566d57b57", "uid": "web-5566d57b57", "ownerReferences": owner("Deployment", "web")});
        cluster.put(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata}));
        for pod in ["web-5566d57b57-44xjv", "web-5566d57b57-m9zsc"] {
            let metadata = json!({"namespace": "shop", "name": pod, "ownerReferences": owner("ReplicaSet", "web-5566d57b57")});
            cluster.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}));
        }
        let gateway = Gateway::new(ledger.clone(), Arc::new(cluster.clone()), clock, config);
        Self { gateway, ledger, cluster }
    }

    async fn post(&self, body: Value) -> Result<Received> {
        self.gateway.receive(ctx(), "alertmanager", &HeaderMap::new(), Bytes::from(body.to_string())).await
    }

    async fn incident(&self, id: IncidentId) -> kubernaut_core::model::Incident {
        self.ledger.incident(ctx(), id).await.unwrap()
    }
}

fn alert(pod: &str, status: &str) -> Value {
    json!({
        "status": status,
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": pod, "severity": "warning", "job": "kube-state-metrics"},
        "annotations": {"summary": "A container keeps crashing."},
        "startsAt": "2025-12-31T23:59:00Z",
        "endsAt": if status == "resolved" { "2025-12-31T23:59:59Z" } else { "0001-01-01T00:00:00Z" },
        "generatorURL": "http://p/graph", "fingerprint": format!("print-of-{pod}")
    })
}

fn batch(alerts: &[Value]) -> Value {
    json!({"version": "4", "status": "firing", "receiver": "hook", "truncatedAlerts": 0, "alerts": alerts})
}

fn outcomes(received: &Received) -> Vec<IntakeOutcome> {
    received.results.iter().map(|result| result.outcome).collect()
}

const POD: &str = "web-5566d57b57-44xjv";
const SECOND: &str = "web-5566d57b57-m9zsc";

#[tokio::test]
async fn all_pods_of_a_workload_are_one_incident_until_the_last_alert_ends() {
    let scene = Scene::new(GatewayConfig::default()).await;
    let first = scene.post(batch(&[alert(POD, "firing"), alert(SECOND, "firing")])).await.unwrap();
    assert_eq!((first.status, outcomes(&first)), (201, vec![IntakeOutcome::Created, IntakeOutcome::Duplicate]));
    let id = first.results[0].incident_id.unwrap();
    assert_eq!(first.results[1].incident_id, Some(id));
    let incident = scene.incident(id).await;
    assert_eq!((incident.owner.to_string().as_str(), incident.target.to_string().as_str()), ("Deployment/shop/web", "Pod/shop/web-5566d57b57-44xjv"));
    let again = scene.post(batch(&[alert(POD, "firing")])).await.unwrap();
    assert_eq!((again.status, outcomes(&again)), (202, vec![IntakeOutcome::Duplicate]));
    // The pods are replaced before their alerts end.
    for pod in [POD, SECOND] {
        scene.cluster.remove(&ObjectRef::new("Pod", Some("shop"), pod));
    }
    let half = scene.post(batch(&[alert(POD, "resolved"), alert(SECOND, "firing")])).await.unwrap();
    assert_eq!((half.status, outcomes(&half)), (202, vec![IntakeOutcome::Resolved, IntakeOutcome::Duplicate]));
    assert_eq!((scene.incident(id).await.firing, scene.incident(id).await.alert_resolved_at), (1, None));
    let end = scene.post(batch(&[alert(SECOND, "resolved")])).await.unwrap();
    assert_eq!((end.status, outcomes(&end), end.results[0].incident_id), (202, vec![IntakeOutcome::Resolved], Some(id)));
    assert!(scene.incident(id).await.alert_resolved_at.is_some());
    let stored = scene.ledger.alerts(ctx(), id).await.unwrap();
    assert_eq!(stored.len(), 6);
    assert_eq!(stored[3].ends_at, Some("2025-12-31T23:59:59Z".parse().unwrap()));
}

#[tokio::test]
async fn a_partly_bad_batch_keeps_its_good_alerts_and_names_the_bad_ones() {
    let scene = Scene::new(GatewayConfig::default()).await;
    let mut bad = alert(POD, "firing");
    bad["startsAt"] = json!("yesterday");
    let received = scene.post(batch(&[bad.clone(), alert(POD, "firing"), bad.clone(), alert(SECOND, "resolved")])).await.unwrap();
    use IntakeOutcome::{Created, Rejected, Resolved};
    assert_eq!((received.status, outcomes(&received)), (201, vec![Rejected, Created, Rejected, Resolved]));
    for (n, result) in received.results.iter().enumerate() {
        let path = result.error.as_deref().map(|error| error.split(": ").next().unwrap().to_owned());
        assert_eq!(path, (n % 2 == 0).then(|| format!("$.alerts[{n}].startsAt")));
        assert_eq!(result.alert_id.is_some(), n % 2 == 1);
    }
    let all_bad = scene.post(batch(&[bad.clone(), bad])).await.unwrap();
    assert_eq!((all_bad.status, outcomes(&all_bad)), (400, vec![Rejected, Rejected]));
}

#[tokio::test]
async fn nothing_in_a_batch_is_200_and_an_unknown_end_is_kept_as_202() {
    let scene = Scene::new(GatewayConfig::default()).await;
    assert_eq!(scene.post(batch(&[])).await.unwrap(), Received { status: 200, results: vec![] });
    let end = scene.post(batch(&[alert(POD, "resolved")])).await.unwrap();
    assert_eq!((end.status, outcomes(&end), end.results[0].incident_id), (202, vec![IntakeOutcome::Ignored], None));
    assert_eq!(scene.ledger.stats(ctx()).await.unwrap().alerts, 1);
}

#[tokio::test]
async fn with_the_alerts_name_in_the_fingerprint_each_name_is_an_incident() {
    for (strategy, incidents) in [(FingerprintStrategy::Owner, 1), (FingerprintStrategy::OwnerAndAlert, 2)] {
        let scene = Scene::new(GatewayConfig { fingerprint: strategy, ..GatewayConfig::default() }).await;
        let mut other = alert(POD, "firing");
        other["labels"]["alertname"] = json!("KubePodNotReady");
        other["fingerprint"] = json!("other");
        scene.post(batch(&[alert(POD, "firing"), other])).await.unwrap();
        assert_eq!(scene.ledger.stats(ctx()).await.unwrap().open_incidents, incidents);
    }
}

#[tokio::test]
async fn a_native_alert_names_its_target() {
    let scene = Scene::new(GatewayConfig::default()).await;
    let body = json!({"alerts": [{"name": "Slow", "target": {"kind": "Pod", "namespace": "shop", "name": POD}}]});
    let received = scene.gateway.receive(ctx(), "native", &HeaderMap::new(), Bytes::from(body.to_string())).await.unwrap();
    assert_eq!(received.status, 201);
    let incident = scene.incident(received.results[0].incident_id.unwrap()).await;
    assert_eq!((incident.alert_name.as_str(), incident.owner.to_string().as_str()), ("Slow", "Deployment/shop/web"));
    let values: NativeBatch = serde_json::from_value(body).unwrap();
    let again = scene.gateway.submit(ctx(), "host", values).await.unwrap();
    assert_eq!((again.status, outcomes(&again)), (202, vec![IntakeOutcome::Duplicate]));
}

#[tokio::test]
async fn a_request_that_may_not_or_cannot_be_read_leaves_nothing_behind() {
    let mut config = GatewayConfig { body_limit_bytes: 2_000, ..GatewayConfig::default() };
    let secret = SecretString::from("k3y".to_owned());
    config.sources.get_mut("alertmanager").unwrap().hmac_secret = Some(secret.clone());
    let scene = Scene::new(config).await;
    let good = Bytes::from(batch(&[alert(POD, "firing")]).to_string());
    let headers = |signature: &str, content: &'static str| {
        HeaderMap::from_iter([
            (http::HeaderName::from_static(SIGNATURE_HEADER), signature.parse().unwrap()),
            (http::header::CONTENT_TYPE, content.parse().unwrap()),
        ])
    };
    let signature = sign(&secret, &good);
    let huge = Bytes::from(vec![b' '; 2_001]);
    let broken = Bytes::from_static(b"{\"alerts\": 5}");
    for (source, headers, body, kind) in [
        ("nosuch", headers(&signature, "application/json"), &good, ErrorKind::NotFound),
        ("alertmanager", headers("sha256=00", "application/json"), &good, ErrorKind::Unauthorized),
        ("alertmanager", HeaderMap::new(), &good, ErrorKind::Unauthorized),
        ("alertmanager", headers(&signature, "text/plain"), &good, ErrorKind::UnsupportedMediaType),
        ("alertmanager", headers(&sign(&secret, &huge), "application/json"), &huge, ErrorKind::PayloadTooLarge),
        ("alertmanager", headers(&sign(&secret, &broken), "application/json"), &broken, ErrorKind::InvalidInput),
    ] {
        let error = scene.gateway.receive(ctx(), source, &headers, body.clone()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!format!("{error:?}").contains("k3y"));
    }
    assert_eq!(scene.ledger.stats(ctx()).await.unwrap().alerts, 0);
    let received = scene.gateway.receive(ctx(), "alertmanager", &headers(&signature, "application/json"), good).await.unwrap();
    assert_eq!(received.status, 201);
}

#[tokio::test]
async fn requests_at_the_same_time_open_one_incident() {
    let scene = Arc::new(Scene::new(GatewayConfig::default()).await);
    let requests = (0..40).map(|n| {
        let scene = scene.clone();
        tokio::spawn(async move { scene.post(batch(&[alert(if n % 2 == 0 { POD } else { SECOND }, "firing")])).await.unwrap() })
    });
    let mut created = 0;
    for request in requests.collect::<Vec<_>>() {
        created += outcomes(&request.await.unwrap()).iter().filter(|outcome| **outcome == IntakeOutcome::Created).count();
    }
    let stats = scene.ledger.stats(ctx()).await.unwrap();
    assert_eq!((created, stats.open_incidents, stats.alerts), (1, 1, 40));
}

/// Labels of any kind reach the ledger unchanged; what is refused is counted too.
#[test]
fn no_alert_is_dropped_on_the_way_to_the_ledger() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scene = runtime.block_on(Scene::new(GatewayConfig::default()));
    let keys =
        prop::sample::select(vec!["namespace", "pod", "deployment", "node", "instance", "job", "service", "service_name", "exported_namespace", "ü"]);
    let text = prop_oneof![".{0,30}", "[a-z0-9.-]{1,20}", Just("x".repeat(20_000)), Just(POD.to_owned()), Just("shop".to_owned())];
    let labels = prop::collection::btree_map(keys.prop_map(str::to_owned), text, 0..6);
    let statuses = prop::sample::select(vec![json!("firing"), json!("resolved"), json!("odd"), json!(1)]);
    let strategy = prop::collection::vec((labels, statuses), 0..5);
    let runner = &mut TestRunner::new(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&strategy, |alerts| {
            let named = |labels: &BTreeMap<String, String>| {
                labels.iter().map(|(k, v)| (k.clone(), v.clone())).chain([("alertname".to_owned(), "A".to_owned())]).collect()
            };
            let sent: Vec<(BTreeMap<String, String>, Value)> = alerts.iter().map(|(labels, status)| (named(labels), status.clone())).collect();
            let body = batch(&sent.iter().map(|(labels, status)| json!({"labels": labels, "status": status})).collect::<Vec<_>>());
            let before = runtime.block_on(scene.ledger.stats(ctx())).unwrap().alerts;
            let received = runtime.block_on(scene.post(body)).unwrap();
            prop_assert_eq!(received.results.len(), sent.len());
            let mut kept = 0;
            for ((labels, status), result) in sent.iter().zip(&received.results) {
                prop_assert_eq!(result.outcome != IntakeOutcome::Rejected, status == "firing" || status == "resolved");
                prop_assert_eq!(result.outcome == IntakeOutcome::Rejected, result.error.is_some());
                kept += u64::from(result.alert_id.is_some());
                if let (Some(incident), Some(alert_id)) = (result.incident_id, result.alert_id) {
                    let stored = runtime.block_on(scene.ledger.alerts(ctx(), incident)).unwrap();
                    let stored = stored.iter().find(|alert| alert.id == alert_id).expect("the alert is kept");
                    prop_assert_eq!(&stored.labels, labels);
                    prop_assert_eq!(stored.status == AlertStatus::Firing, status == "firing");
                }
            }
            prop_assert_eq!(runtime.block_on(scene.ledger.stats(ctx())).unwrap().alerts, before + kept);
            Ok(())
        })
        .unwrap();
}
