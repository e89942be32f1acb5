use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{Bench, ctx};
use crate::{
    ErrorKind,
    model::{EVENT_SCHEMA, IncidentId, NotificationId},
    port::{Ledger, ManualClock, NewEvent},
    service::CallContext,
};

const TTL: Duration = Duration::from_secs(30);

pub(super) async fn rules(make: &impl AsyncFn(ManualClock) -> Arc<dyn Ledger>) {
    events_are_resumable(&Bench::new(make).await).await;
    what_is_audited_reads_back_as_it_was_hashed(&Bench::new(make).await).await;
    a_notification_comes_again_until_it_is_settled(&Bench::new(make).await).await;
    a_notification_that_is_given_up_is_kept(&Bench::new(make).await).await;
    a_stop_holds_until_it_is_lifted(&Bench::new(make).await).await;
    waiters_hear_of_every_commit_and_of_nothing_else(&Bench::new(make).await).await;
    a_call_without_time_writes_nothing(&Bench::new(make).await).await;
}

async fn events_are_resumable(b: &Bench) {
    let (first, second) = (b.open("a").await, b.open("b").await);
    let event = |n: u32| NewEvent::system("x", "test", json!({ "n": n }));
    b.ledger.append_events(ctx(), first, vec![event(1), event(2)]).await.unwrap();
    b.ledger.append_events(ctx(), second, vec![event(3)]).await.unwrap();
    let all = b.ledger.events(ctx(), 0, None, None).await.unwrap();
    assert_eq!(all.len(), 5);
    assert!(all.windows(2).all(|w| w[0].seq < w[1].seq), "in order");
    assert!(all.iter().all(|e| e.schema == EVENT_SCHEMA && e.at == b.now() && e.attempt == 1));
    for at in 0..all.len() {
        assert_eq!(b.ledger.events(ctx(), all[at].seq, None, None).await.unwrap(), all[at + 1..], "resumes after any number");
    }
    let of_first = b.ledger.events(ctx(), 0, Some(first), Some(2)).await.unwrap();
    assert_eq!(of_first.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["incident.received", "x"]);
    assert!(of_first.iter().all(|e| e.incident_id == first));
    assert_eq!(b.ledger.stats(ctx()).await.unwrap().last_event, all[4].seq);
    let unknown = IncidentId::new(b.now());
    assert_eq!(b.ledger.append_events(ctx(), unknown, vec![event(1)]).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.audit(ctx(), unknown).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn what_is_audited_reads_back_as_it_was_hashed(b: &Bench) {
    let id = b.open("a").await;
    let data = json!({"z": 1, "a": {"ü": "✓ \"quoted\" \\ \n", "list": [1.1, 0.1, 1e-7, 5e-324, 1.797_693_134_862_315_7e308, -0.0, 0.30000000000000004]},
        "big": u64::MAX, "small": i64::MIN, "null": null});
    let event = NewEvent { kind: "x", actor: "user:ana".into(), data: data.clone() };
    b.ledger.append_events(ctx(), id, vec![event]).await.unwrap();
    b.assert_audit(id, &["incident.received", "x"]).await;
    let row = b.ledger.audit(ctx(), id).await.unwrap().remove(1);
    assert_eq!((row.actor.as_str(), row.at, row.data), ("user:ana", b.now(), data));
}

async fn a_notification_comes_again_until_it_is_settled(b: &Bench) {
    let id = b.open("a").await;
    let take = async |limit: u32| b.ledger.claim_outbox(ctx(), limit, TTL).await.unwrap();
    assert!(take(10).await.is_empty());
    let all = [b.notification(id, "one"), b.notification(id, "two"), b.notification(id, "three")];
    for notification in &all {
        b.ledger.enqueue(ctx(), notification.clone()).await.unwrap();
    }
    b.ledger.enqueue(ctx(), all[0].clone()).await.expect("the same notification again is no error");
    let titles = |items: &[crate::port::OutboxItem]| items.iter().map(|i| (i.notification.title.clone(), i.attempts)).collect::<Vec<_>>();
    assert_eq!(titles(&take(2).await), [("one".to_owned(), 0), ("two".to_owned(), 0)], "oldest first, at most so many");
    assert_eq!(titles(&take(2).await), [("three".to_owned(), 0)], "what is claimed is not claimed twice");
    b.ledger.settle_outbox(ctx(), all[0].id, None, None).await.unwrap();
    b.pass(30);
    assert_eq!(titles(&take(9).await), [("two".to_owned(), 1), ("three".to_owned(), 1)], "unless settled they come again");
    let later = b.now().checked_add(jiff::SignedDuration::from_secs(300)).unwrap();
    b.ledger.settle_outbox(ctx(), all[1].id, Some("503".into()), Some(later)).await.unwrap();
    b.ledger.settle_outbox(ctx(), all[2].id, None, None).await.unwrap();
    b.pass(299);
    assert!(take(9).await.is_empty());
    b.pass(1);
    assert_eq!(titles(&take(9).await), [("two".to_owned(), 2)], "at its time it is tried again");
    b.ledger.settle_outbox(ctx(), all[1].id, None, None).await.unwrap();
    assert_eq!(b.ledger.stats(ctx()).await.unwrap().outbox, 0);
    let orphan = b.notification(IncidentId::new(b.now()), "x");
    assert_eq!(b.ledger.enqueue(ctx(), orphan).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_notification_that_is_given_up_is_kept(b: &Bench) {
    let id = b.open("a").await;
    let notification = b.notification(id, "one");
    b.ledger.enqueue(ctx(), notification.clone()).await.unwrap();
    b.ledger.claim_outbox(ctx(), 1, TTL).await.unwrap();
    b.ledger.settle_outbox(ctx(), notification.id, Some("gone".into()), None).await.unwrap();
    b.pass(3600);
    assert!(b.ledger.claim_outbox(ctx(), 1, TTL).await.unwrap().is_empty(), "it is not tried again");
    let stats = b.ledger.stats(ctx()).await.unwrap();
    assert_eq!((stats.outbox, stats.outbox_dead), (0, 1), "but it is not forgotten");
    let unknown = b.ledger.settle_outbox(ctx(), NotificationId::new(b.now()), None, None).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_stop_holds_until_it_is_lifted(b: &Bench) {
    assert_eq!(b.ledger.stopped(ctx()).await.unwrap(), None);
    let ana = CallContext::new(crate::service::Actor::user("ana"));
    b.ledger.set_stopped(ana, Some("maintenance".into())).await.unwrap();
    let stopped = b.ledger.stopped(ctx()).await.unwrap().unwrap();
    assert!(stopped.contains("ana") && stopped.contains("maintenance"), "it says who and why: {stopped}");
    b.ledger.set_stopped(ctx(), None).await.unwrap();
    assert_eq!(b.ledger.stopped(ctx()).await.unwrap(), None);
}

async fn waiters_hear_of_every_commit_and_of_nothing_else(b: &Bench) {
    let mut changes = b.ledger.changes();
    changes.borrow_and_update();
    assert!(b.ledger.claim(ctx(), "w".into(), TTL).await.unwrap().is_none());
    assert!(b.ledger.claim_run(ctx(), "w".into(), TTL).await.unwrap().is_none());
    b.ledger.incidents(ctx(), Default::default()).await.unwrap();
    assert!(!changes.has_changed().unwrap(), "looking for work is no change, else idle workers would wake each other for ever");
    b.open("a").await;
    assert!(changes.has_changed().unwrap(), "when a call returns, waiters know");
    changes.borrow_and_update();
    b.ledger.set_stopped(ctx(), Some("x".into())).await.unwrap();
    assert!(changes.has_changed().unwrap());
}

async fn a_call_without_time_writes_nothing(b: &Bench) {
    let id = b.open("a").await;
    let cancelled = ctx();
    cancelled.cancellation.cancel();
    let event = vec![NewEvent::system("x", "test", json!({}))];
    assert_eq!(b.ledger.append_events(cancelled, id, event).await.unwrap_err().kind(), ErrorKind::Cancelled);
    b.assert_audit(id, &["incident.received"]).await;
}
