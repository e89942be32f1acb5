//! A storm of alerts becomes few incidents, and none of its alerts is dropped.

#![expect(clippy::unwrap_used, reason = "tests report by panicking")]

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use kubernaut_core::{
    model::{Incident, IntakeOutcome, Phase},
    port::{IncidentFilter, Ledger, ManualClock},
    service::CallContext,
    testkit::ObjectsCluster,
};
use kubernaut_gateway::{Gateway, GatewayConfig, Received, StormConfig};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use serde_json::{Value, json};

const OWNERS: usize = 200;
const ALERTS: usize = 10_000;
const BATCH: usize = 50;

struct Scene {
    gateway: Gateway,
    ledger: Arc<SqliteLedger>,
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

impl Scene {
    async fn new(storms: Vec<StormConfig>) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let ledger = Arc::new(SqliteLedger::open(SqliteConfig::memory(), clock.clone()).await.unwrap());
        Self::on(ledger, clock, storms)
    }

    fn on(ledger: Arc<SqliteLedger>, clock: Arc<ManualClock>, storms: Vec<StormConfig>) -> Self {
        let config = GatewayConfig { storms, ..GatewayConfig::default() };
        let cluster = ObjectsCluster::at("2026-01-01T00:00:00Z".parse().unwrap());
        Self { gateway: Gateway::new(ledger.clone(), Arc::new(cluster), clock, config), ledger }
    }

    async fn post(&self, alerts: Vec<Value>) -> Received {
        let body = json!({ "version": "4", "alerts": alerts }).to_string();
        self.gateway.receive(ctx(), "alertmanager", &HeaderMap::new(), Bytes::from(body)).await.unwrap()
    }

    /// Sends them in batches, many at once.
    async fn send(&self, alerts: Vec<Value>) -> Vec<Received> {
        let mut answers = Vec::new();
        for some in alerts.chunks(BATCH * 8) {
            answers.extend(futures::future::join_all(some.chunks(BATCH).map(|batch| self.post(batch.to_vec()))).await);
        }
        answers
    }

    async fn incidents(&self, open: bool) -> Vec<Incident> {
        let filter = IncidentFilter { open: Some(open), limit: Some(1000), ..IncidentFilter::default() };
        self.ledger.incidents(ctx(), filter).await.unwrap()
    }
}

fn alert(number: usize, status: &str) -> Value {
    let owner = number % OWNERS;
    json!({
        "status": status, "fingerprint": format!("{owner:016x}-{}", number / OWNERS % 5), "startsAt": "2025-12-31T23:59:00Z",
        "labels": { "alertname": "KubePodNotReady", "severity": "warning", "namespace": "shop", "deployment": format!("service-{owner}"), "node": "n1" }
    })
}

/// Half of them end again.
fn storm() -> Vec<Value> {
    let half = ALERTS / 2;
    (0..half).map(|n| alert(n, "firing")).chain((0..half).map(|n| alert(n, "resolved"))).collect()
}

fn all_taken_in(answers: &[Received]) {
    let results: Vec<_> = answers.iter().flat_map(|answer| &answer.results).collect();
    assert_eq!(results.len(), ALERTS);
    assert!(results.iter().all(|r| r.alert_id.is_some() && r.outcome != IntakeOutcome::Rejected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_alerts_of_two_hundred_owners_are_two_hundred_incidents() {
    let scene = Scene::new(Vec::new()).await;
    all_taken_in(&scene.send(storm()).await);
    let open = scene.incidents(true).await;
    assert_eq!(open.len(), OWNERS, "without a rule each owner has its incident");
    assert!(open.iter().all(|i| i.occurrences == (ALERTS / 2 / OWNERS) as u64 && i.firing == 0 && i.alert_resolved_at.is_some()));
    assert_eq!(scene.ledger.stats(ctx()).await.unwrap().alerts, ALERTS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_with_a_shared_cause_is_one_incident_that_holds_its_targets() {
    let scene = Scene::new(vec![StormConfig { owners: 20, ..StormConfig::default() }]).await;
    all_taken_in(&scene.send(storm()).await);
    let open = scene.incidents(true).await;
    assert_eq!(open.len(), 1, "{open:#?}");
    let storm = &open[0];
    assert_eq!((storm.target.to_string().as_str(), storm.occurrences), ("Namespace/shop", ALERTS as u64 / 2));
    assert_eq!((storm.firing, storm.alert_resolved_at.is_some()), (0, true), "resolved ones are counted there too");
    let alerts = scene.ledger.alerts(ctx(), storm.id).await.unwrap();
    assert_eq!(alerts.len(), ALERTS, "nothing is dropped");
    let targets: BTreeSet<&str> = alerts.iter().map(|a| a.labels["deployment"].as_str()).collect();
    assert_eq!(targets.len(), OWNERS);
    assert!(alerts.iter().filter(|a| a.annotations.contains_key("kubernaut.ai/target")).count() > ALERTS * 9 / 10);
    assert!(scene.incidents(false).await.iter().all(|i| i.phase == Phase::Cancelled && i.occurrences == 0), "what was opened before went there");
}

#[tokio::test(start_paused = true)]
async fn what_is_spread_over_time_or_scopes_is_no_storm() {
    let scene = Scene::new(vec![StormConfig { owners: 3, window_s: 60, ..StormConfig::default() }]).await;
    for n in 0..6 {
        scene.post(vec![alert(n, "firing")]).await;
        tokio::time::advance(std::time::Duration::from_secs(31)).await;
    }
    let mut elsewhere: Vec<Value> = (10..14).map(|n| alert(n, "firing")).collect();
    elsewhere.iter_mut().enumerate().for_each(|(n, alert)| alert["labels"]["namespace"] = json!(format!("team-{n}")));
    scene.post(elsewhere).await;
    assert_eq!(scene.incidents(true).await.len(), 10);
    scene.post((20..23).map(|n| alert(n, "firing")).collect()).await;
    assert!(scene.incidents(true).await.iter().any(|i| i.target.kind == "Namespace"), "three at once are one");
}

#[tokio::test]
async fn a_storm_goes_on_after_a_restart() {
    let rules = || vec![StormConfig { owners: 3, ..StormConfig::default() }];
    let first = Scene::new(rules()).await;
    first.post((0..5).map(|n| alert(n, "firing")).collect()).await;
    let before = first.incidents(true).await;
    assert_eq!(before.len(), 1);
    let clock = Arc::new(ManualClock::at("2026-01-01T00:01:00Z".parse().unwrap()));
    let second = Scene::on(first.ledger.clone(), clock, rules());
    second.post((0..5).map(|n| alert(n, "resolved")).chain([alert(7, "firing")]).collect()).await;
    let after = second.incidents(true).await;
    assert_eq!((after.len(), after[0].id, after[0].firing), (1, before[0].id, 1), "its end is counted where it began");
}
