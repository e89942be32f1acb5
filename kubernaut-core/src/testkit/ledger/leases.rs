use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{Bench, advance, ctx};
use crate::{
    ErrorKind,
    model::{IncidentId, ObjectRef, Phase, Severity},
    port::{Advance, Lease, Ledger, ManualClock, NewEvent},
};

const TTL: Duration = Duration::from_secs(30);

pub(super) async fn rules(make: &impl AsyncFn(ManualClock) -> Arc<dyn Ledger>) {
    claims_go_oldest_first_and_to_one_worker(&Bench::new(make).await).await;
    concurrent_workers_never_share_an_incident(&Bench::new(make).await).await;
    a_stale_epoch_writes_nothing(&Bench::new(make).await).await;
    a_renewed_lease_lasts_longer(&Bench::new(make).await).await;
    a_released_lease_is_over(&Bench::new(make).await).await;
    an_incident_sleeps_until_its_time_or_a_wake_up(&Bench::new(make).await).await;
    a_wake_up_during_work_is_not_lost(&Bench::new(make).await).await;
    a_wake_up_outlives_a_worker_that_vanishes(&Bench::new(make).await).await;
    a_transition_leaves_the_fields_of_others(&Bench::new(make).await).await;
    an_ended_incident_stays_ended(&Bench::new(make).await).await;
    a_request_to_cancel_wakes_the_worker(&Bench::new(make).await).await;
}

async fn claim(b: &Bench, worker: &str) -> Option<Lease> {
    b.ledger.claim(ctx(), worker.into(), TTL).await.unwrap()
}

async fn claims_go_oldest_first_and_to_one_worker(b: &Bench) {
    assert_eq!(claim(b, "w").await, None, "nothing to do");
    let mut ids = Vec::new();
    for fingerprint in ["c", "a", "b"] {
        ids.push(b.open(fingerprint).await);
        b.pass(1);
    }
    for id in &ids {
        let lease = claim(b, "w").await.unwrap();
        assert_eq!(lease.incident.id, *id, "oldest first");
        assert_eq!((lease.worker.as_str(), lease.until), ("w", b.now().checked_add(jiff::SignedDuration::from_secs(30)).unwrap()));
    }
    assert_eq!(claim(b, "other").await, None, "all are leased");
    b.pass(30);
    let again = claim(b, "other").await.unwrap();
    assert_eq!((again.incident.id, again.epoch), (ids[0], 2), "a lease that is over goes to the next, with a higher epoch");
}

async fn concurrent_workers_never_share_an_incident(b: &Bench) {
    for n in 0..8 {
        b.open(&format!("f{n}")).await;
    }
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let ledger = b.ledger.clone();
            tokio::spawn(async move { ledger.claim(ctx(), format!("w{n}"), TTL).await.unwrap().map(|lease| lease.incident.id) })
        })
        .collect();
    let mut claimed: Vec<IncidentId> = Vec::new();
    for task in tasks {
        claimed.extend(task.await.unwrap());
    }
    claimed.sort();
    claimed.dedup();
    assert_eq!(claimed.len(), 8, "32 workers take 8 incidents, each once");
}

async fn a_stale_epoch_writes_nothing(b: &Bench) {
    let id = b.open("a").await;
    let old = claim(b, "slow").await.unwrap();
    b.pass(31);
    let new = claim(b, "quick").await.unwrap();
    let mut incident = old.incident.clone();
    incident.phase = Phase::Failed;
    let events = vec![NewEvent::system("x", "test", json!({}))];
    let notifications = vec![b.notification(id, "late")];
    let late = Advance { events, notifications, ..advance(incident, old.epoch) };
    assert_eq!(b.ledger.advance(ctx(), late).await.unwrap_err().kind(), ErrorKind::StaleEpoch);
    assert_eq!(b.ledger.renew(ctx(), id, old.epoch, TTL).await.unwrap_err().kind(), ErrorKind::StaleEpoch);
    let rekey = b.ledger.rekey(ctx(), id, old.epoch, ObjectRef::new("Node", None, "n"), "z".into()).await;
    assert_eq!(rekey.unwrap_err().kind(), ErrorKind::StaleEpoch);
    assert_eq!(b.incident(id).await, new.incident, "nothing of it is there");
    assert_eq!(b.ledger.stats(ctx()).await.unwrap().outbox, 0);
    b.assert_audit(id, &["incident.received"]).await;
    let mut unknown = new.incident;
    unknown.id = IncidentId::new(b.now());
    assert_eq!(b.ledger.advance(ctx(), advance(unknown, 1)).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_renewed_lease_lasts_longer(b: &Bench) {
    let id = b.open("a").await;
    let lease = claim(b, "w").await.unwrap();
    b.pass(29);
    let until = b.ledger.renew(ctx(), id, lease.epoch, TTL).await.unwrap();
    b.pass(29);
    assert!(until > b.now() && claim(b, "other").await.is_none(), "a renewed lease still stands");
    b.pass(2);
    assert!(claim(b, "other").await.is_some());
}

async fn a_released_lease_is_over(b: &Bench) {
    b.open("a").await;
    let lease = claim(b, "w").await.unwrap();
    let given_back = Advance { release: true, ..advance(lease.incident.clone(), lease.epoch) };
    b.ledger.advance(ctx(), given_back).await.unwrap();
    let late = b.ledger.advance(ctx(), advance(lease.incident, lease.epoch)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::StaleEpoch, "after giving it back it may not be written");
    assert_eq!(claim(b, "other").await.unwrap().epoch, 2, "without a wake time it is due at once");
}

async fn an_incident_sleeps_until_its_time_or_a_wake_up(b: &Bench) {
    let id = b.open("a").await;
    let sleep = async |seconds: i64| {
        let lease = claim(b, "w").await.expect("it is due");
        let wake_at = Some(b.now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap());
        b.ledger.advance(ctx(), Advance { wake_at, release: true, ..advance(lease.incident, lease.epoch) }).await.unwrap();
    };
    sleep(100).await;
    b.pass(99);
    assert_eq!(claim(b, "w").await, None, "its time has not come");
    b.pass(1);
    sleep(1000).await;
    b.ledger.wake_incident(ctx(), id).await.unwrap();
    sleep(1000).await;
    assert_eq!(claim(b, "w").await, None, "one wake-up, one claim");
    b.take(b.alert("a", "web-1")).await;
    assert_eq!(claim(b, "w").await, None, "a repetition gives a worker nothing to do");
    b.take(b.alert("a", "web-2")).await;
    sleep(1000).await;
    b.take(b.resolved("a", "web-1")).await;
    sleep(1000).await;
    assert_eq!(b.ledger.wake_incident(ctx(), IncidentId::new(b.now())).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_wake_up_during_work_is_not_lost(b: &Bench) {
    b.open("a").await;
    let lease = claim(b, "w").await.unwrap();
    b.take(b.resolved("a", "web-1")).await;
    let wake_at = Some(b.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap());
    b.ledger.advance(ctx(), Advance { wake_at, release: true, ..advance(lease.incident, lease.epoch) }).await.unwrap();
    assert!(claim(b, "w").await.is_some(), "the worker decided to sleep before it knew; it must look again");
}

async fn a_wake_up_outlives_a_worker_that_vanishes(b: &Bench) {
    let id = b.open("a").await;
    let lease = claim(b, "w").await.unwrap();
    let wake_at = Some(b.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap());
    b.ledger.advance(ctx(), Advance { wake_at, release: true, ..advance(lease.incident, lease.epoch) }).await.unwrap();
    b.ledger.wake_incident(ctx(), id).await.unwrap();
    claim(b, "vanishes").await.expect("it was woken");
    b.pass(30);
    assert!(claim(b, "next").await.is_some(), "what it was woken for is still to be done");
}

async fn a_transition_leaves_the_fields_of_others(b: &Bench) {
    let id = b.open("a").await;
    let lease = claim(b, "w").await.unwrap();
    let mut louder = b.alert("a", "web-2");
    louder.severity = Severity::Critical;
    b.take(louder).await;
    b.pass(5);
    let mut incident = lease.incident;
    incident.phase = Phase::Processing;
    incident.message = "classifying".into();
    incident.fingerprint = "mine".into();
    let events = vec![NewEvent::system("incident.phase_changed", "test", json!({"to": "processing", "score": 0.1}))];
    let notifications = vec![b.notification(id, "hello")];
    let stored = b.ledger.advance(ctx(), Advance { events, notifications, ..advance(incident, lease.epoch) }).await.unwrap();
    assert_eq!((stored.occurrences, stored.firing, stored.severity), (2, 2, Severity::Critical), "intake's fields are as intake left them");
    assert_eq!((stored.fingerprint.as_str(), stored.cluster.as_str()), ("a", ""), "identity changes by rekeying only");
    assert_eq!((stored.phase, stored.phase_since, stored.updated_at), (Phase::Processing, b.now(), b.now()));
    assert_eq!(stored, b.incident(id).await, "the answer is what is stored");
    assert_eq!(b.ledger.stats(ctx()).await.unwrap().outbox, 1);
    b.assert_audit(id, &["incident.received", "incident.phase_changed"]).await;
}

async fn an_ended_incident_stays_ended(b: &Bench) {
    let id = b.open("a").await;
    let lease = claim(b, "w").await.unwrap();
    let mut incident = lease.incident;
    incident.phase = Phase::Recovered;
    let stored = b.ledger.advance(ctx(), advance(incident.clone(), lease.epoch)).await.unwrap();
    assert_eq!(stored.closed_at, Some(b.now()));
    incident.phase = Phase::Processing;
    let again = b.ledger.advance(ctx(), advance(incident, lease.epoch)).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    b.ledger.wake_incident(ctx(), id).await.unwrap();
    b.pass(60);
    assert_eq!(claim(b, "w").await, None, "an ended incident needs no work");
    assert_eq!(b.ledger.cancel_incident(ctx(), id).await.unwrap_err().kind(), ErrorKind::Conflict);
}

async fn a_request_to_cancel_wakes_the_worker(b: &Bench) {
    let id = b.open("a").await;
    let lease = claim(b, "w").await.unwrap();
    let wake_at = Some(b.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap());
    b.ledger.advance(ctx(), Advance { wake_at, release: true, ..advance(lease.incident, lease.epoch) }).await.unwrap();
    assert!(!b.ledger.cancel_requested(ctx(), id).await.unwrap());
    b.ledger.cancel_incident(ctx(), id).await.unwrap();
    b.ledger.cancel_incident(ctx(), id).await.unwrap();
    assert!(b.ledger.cancel_requested(ctx(), id).await.unwrap());
    assert_eq!(claim(b, "w").await.unwrap().incident.phase, Phase::Received, "the worker honours it, not the ledger");
    let unknown = IncidentId::new(b.now());
    assert_eq!(b.ledger.cancel_incident(ctx(), unknown).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.cancel_requested(ctx(), unknown).await.unwrap_err().kind(), ErrorKind::NotFound);
}
