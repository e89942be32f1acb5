use std::{sync::Arc, time::Duration};

use super::{Bench, advance, ctx};
use crate::{
    ErrorKind,
    model::{Alert, Incident, IncidentId, IntakeOutcome, ObjectRef, Phase, Severity},
    port::{Ledger, ManualClock},
};

pub(super) async fn rules(make: &impl AsyncFn(ManualClock) -> Arc<dyn Ledger>) {
    a_new_fingerprint_takes_the_place_of_the_old(&Bench::new(make).await).await;
    an_incident_of_a_known_fingerprint_merges_there(&Bench::new(make).await).await;
    an_ended_incident_does_not_take_a_merge(&Bench::new(make).await).await;
    incidents_are_absorbed_unless_something_was_begun(&Bench::new(make).await).await;
}

async fn incidents_are_absorbed_unless_something_was_begun(b: &Bench) {
    let first = b.open("a").await;
    let lease = b.ledger.claim(ctx(), "w".into(), Duration::from_secs(30)).await.unwrap().unwrap();
    b.take(b.alert("b", "web-2")).await;
    let second = b.take(b.alert("b", "web-3")).await.incident_id.unwrap();
    let begun = b.open("c").await;
    let run = b.new_run(begun);
    b.ledger.create_run(ctx(), run).await.unwrap();
    let (third, epoch) = loop {
        let lease = b.ledger.claim(ctx(), "w".into(), Duration::from_secs(30)).await.unwrap().unwrap();
        if lease.incident.id == begun {
            break (lease.incident, lease.epoch);
        }
    };
    let acting = Incident { phase: Phase::Executing, ..third };
    b.ledger.advance(ctx(), advance(acting, epoch)).await.unwrap();
    let into = b.open("storm").await;
    let nobody = IncidentId::new(b.now());
    let mut moved = b.ledger.absorb(ctx(), into, vec![first, second, begun, into, nobody]).await.unwrap();
    let mut unbegun = [first, second];
    moved.sort_unstable();
    unbegun.sort_unstable();
    assert_eq!(moved, unbegun, "what has begun, what is not there and the incident itself stay");
    let storm = b.incident(into).await;
    assert_eq!((storm.occurrences, b.ledger.alerts(ctx(), into).await.unwrap().len()), (4, 4), "nothing is dropped");
    assert_eq!((b.incident(first).await.phase, b.incident(begun).await.phase), (Phase::Cancelled, Phase::Executing));
    let late = b.ledger.advance(ctx(), advance(lease.incident, lease.epoch)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::StaleEpoch, "a worker that held one finds its lease gone");
    assert_eq!(b.ledger.absorb(ctx(), first, vec![into]).await.unwrap_err().kind(), ErrorKind::Conflict, "one that has ended takes none");
    assert_eq!(b.ledger.absorb(ctx(), nobody, vec![into]).await.unwrap_err().kind(), ErrorKind::NotFound);
}

fn owner() -> ObjectRef {
    ObjectRef::new("StatefulSet", Some("shop"), "db")
}

async fn claimed(b: &Bench, id: IncidentId) -> u64 {
    let lease = b.ledger.claim(ctx(), "w".into(), Duration::from_secs(30)).await.unwrap().unwrap();
    assert_eq!(lease.incident.id, id);
    lease.epoch
}

async fn a_new_fingerprint_takes_the_place_of_the_old(b: &Bench) {
    let mut alert = b.alert("pod", "db-0");
    alert.owner_resolved = false;
    let id = b.take(alert).await.incident_id.unwrap();
    assert!(!b.incident(id).await.owner_resolved);
    let epoch = claimed(b, id).await;
    assert_eq!(b.ledger.rekey(ctx(), id, epoch, owner(), "top".into()).await.unwrap(), None);
    let incident = b.incident(id).await;
    assert_eq!((incident.owner, incident.fingerprint.as_str(), incident.owner_resolved), (owner(), "top", true));
    assert_eq!(b.take(b.alert("top", "db-1")).await.incident_id, Some(id), "alerts of the true fingerprint are counted here");
    assert_eq!(b.take(b.alert("pod", "db-1")).await.outcome, IntakeOutcome::Created, "the old fingerprint is free again");
    b.ledger.renew(ctx(), id, epoch, Duration::from_secs(30)).await.expect("the lease still stands");
    b.assert_audit(id, &["incident.received", "incident.rekeyed"]).await;
    let unknown = b.ledger.rekey(ctx(), IncidentId::new(b.now()), 1, owner(), "x".into()).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn an_incident_of_a_known_fingerprint_merges_there(b: &Bench) {
    let id = b.take(Alert { severity: Severity::Critical, ..b.alert("pod", "db-0") }).await.incident_id.unwrap();
    b.take(b.alert("pod", "db-1")).await;
    let epoch = claimed(b, id).await;
    b.pass(1);
    // The same alert was counted on both; its last word is the later one.
    let other = b.take(b.alert("top", "db-0")).await.incident_id.unwrap();
    b.pass(1);
    b.take(b.resolved("pod", "db-0")).await;
    b.take(b.resolved("pod", "db-1")).await;

    assert_eq!(b.ledger.rekey(ctx(), id, epoch, owner(), "top".into()).await.unwrap(), Some(other));
    let merged = b.incident(other).await;
    assert_eq!((merged.occurrences, merged.firing, merged.severity), (3, 0, Severity::Critical), "alerts and counts move there");
    assert_eq!(merged.alert_resolved_at, Some(b.now()), "no alert fires any more");
    assert_eq!(b.ledger.alerts(ctx(), other).await.unwrap().len(), 5);
    assert_eq!(b.ledger.alerts(ctx(), id).await.unwrap().len(), 0);
    let ended = b.incident(id).await;
    assert_eq!((ended.phase, ended.closed_at), (Phase::Cancelled, Some(b.now())));
    assert!(ended.message.contains(&other.to_string()), "it says where it went");
    assert_eq!(b.ledger.renew(ctx(), id, epoch, Duration::from_secs(9)).await.unwrap_err().kind(), ErrorKind::StaleEpoch, "its lease is over");
    b.assert_audit(id, &["incident.received", "incident.merged"]).await;
    b.assert_audit(other, &["incident.received", "incident.merged"]).await;
    let next = b.ledger.claim(ctx(), "w".into(), Duration::from_secs(30)).await.unwrap().unwrap();
    assert_eq!(next.incident.id, other, "the other one is awake");
    b.take(b.alert("top", "db-0")).await;
    assert_eq!(b.incident(other).await.firing, 1, "its last words moved with it");
}

async fn an_ended_incident_does_not_take_a_merge(b: &Bench) {
    let ended = b.open("top").await;
    let lease = b.ledger.claim(ctx(), "w".into(), Duration::from_secs(30)).await.unwrap().unwrap();
    let mut incident = lease.incident;
    incident.phase = Phase::Resolved;
    b.ledger.advance(ctx(), super::advance(incident, lease.epoch)).await.unwrap();
    b.pass(1);
    let id = b.open("pod").await;
    let epoch = claimed(b, id).await;
    assert_eq!(b.ledger.rekey(ctx(), id, epoch, owner(), "top".into()).await.unwrap(), None);
    assert_eq!(b.incident(ended).await.occurrences, 1);
}
