//! What holds an incident back, and what merges it.

use kubernaut_core::{
    model::{BlockReason, FingerprintStrategy, Mode, Phase},
    port::Ledger,
};
use serde_json::json;

use super::house::{House, alert, ctx, done};

#[tokio::test]
async fn a_resource_that_was_acted_on_is_left_alone_and_then_looked_at_again() {
    let house = House::new(Mode::Auto).await;
    house.fires().await;
    house.work().await;
    house.engine.change(done);
    house.work_for(10).await;
    assert_eq!(house.open().await, 0);
    let again = house.fires().await;
    house.work().await;
    let held = house.incident(again).await;
    assert_eq!((held.phase, held.block.map(|b| b.reason)), (Phase::Blocked, Some(BlockReason::RecentlyRemediated)));
    house.work_for(301).await;
    assert_eq!(house.phase(again).await, Phase::Executing);
    let history = &house.analyzer.last.lock().unwrap().as_ref().unwrap().history.clone();
    assert_eq!(history.len(), 1, "the analyzer is told what was done before, once");
}

#[tokio::test]
async fn a_held_incident_whose_alert_ends_recovers() {
    let house = House::new(Mode::Auto).await;
    house.fires().await;
    house.work().await;
    house.engine.change(done);
    house.work_for(10).await;
    let again = house.fires().await;
    house.work().await;
    house.ends().await;
    house.work().await;
    assert_eq!(house.phase(again).await, Phase::Recovered);
}

#[tokio::test]
async fn of_two_incidents_of_one_owner_the_older_goes_first() {
    let house = House::new(Mode::Auto).await;
    let keyed = |name: &str| {
        let mut alert = alert(name, "firing", house.now());
        alert.fingerprint = FingerprintStrategy::OwnerAndAlert.fingerprint("", &alert.owner, name);
        alert
    };
    let first = house.alert(keyed("Crashes")).await;
    house.clock.advance(std::time::Duration::from_secs(1));
    let second = house.alert(keyed("Unavailable")).await;
    house.work().await;
    assert_eq!(house.phase(first).await, Phase::Executing);
    let held = house.incident(second).await;
    assert_eq!((held.phase, held.block.map(|b| b.reason)), (Phase::Blocked, Some(BlockReason::DuplicateInProgress)));
}

#[tokio::test]
async fn an_incident_without_its_owner_gets_it_before_analysis_or_goes_into_the_other() {
    let house = House::new(Mode::Auto).await;
    house.cluster.put(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": true}]}}));
    house.cluster.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1-a", "namespace": "shop", "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "controller": true}]}}));
    let unresolved = |name: &str| {
        let mut alert = alert(name, "firing", house.now());
        alert.target = "Pod/shop/web-1-a".parse().unwrap();
        alert.owner = alert.target.clone();
        alert.owner_resolved = false;
        alert.fingerprint = FingerprintStrategy::Owner.fingerprint("", &alert.owner, name);
        alert
    };
    let id = house.alert(unresolved("Crashes")).await;
    house.work().await;
    let rekeyed = house.incident(id).await;
    assert_eq!(rekeyed.owner.to_string(), "Deployment/shop/web");
    assert_eq!(rekeyed.fingerprint, FingerprintStrategy::Owner.fingerprint("", &rekeyed.owner, ""));
    assert_eq!(rekeyed.phase, Phase::Executing);
    let late = house.alert(unresolved("Crashes again")).await;
    assert_ne!(late, id);
    house.work().await;
    assert_eq!(house.phase(late).await, Phase::Cancelled, "merged");
    assert_eq!(house.incident(id).await.occurrences, 2);
    assert_eq!(house.analyzer.calls.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_gone_target_is_its_own_owner() {
    let house = House::new(Mode::Auto).await;
    let mut gone = alert("Crashes", "firing", house.now());
    gone.target = "Pod/shop/gone".parse().unwrap();
    gone.owner = gone.target.clone();
    gone.owner_resolved = false;
    gone.fingerprint = FingerprintStrategy::Owner.fingerprint("", &gone.owner, "Crashes");
    let id = house.alert(gone).await;
    house.work().await;
    let incident = house.incident(id).await;
    assert!(incident.owner_resolved);
    assert_eq!(incident.owner.to_string(), "Pod/shop/gone");
}

#[tokio::test]
async fn an_unmanaged_namespace_waits_for_its_opt_in_where_configured() {
    let mut house = House::new(Mode::Auto).await;
    house.config.blocks.unmanaged = true;
    house.cluster.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"env": "staging"}}}));
    let id = house.fires().await;
    house.work().await;
    assert_eq!(house.incident(id).await.block.map(|b| b.reason), Some(BlockReason::Unmanaged));
    house.cluster.put(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"env": "staging", "kubernaut.ai/managed": "true"}}}),
    );
    house.work_for(61).await;
    assert_eq!(house.phase(id).await, Phase::Executing);
    assert!(house.ledger.audit(ctx(), id).await.unwrap().len() > 3);
}
