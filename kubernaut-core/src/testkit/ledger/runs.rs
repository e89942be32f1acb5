use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{Bench, advance, ctx, fixtures::change};
use crate::{
    ErrorKind,
    model::{IncidentId, JournalEntry, JournalKind, Run, RunId, RunState},
    port::{Advance, Ledger, ManualClock, NewEvent, RunChange, RunLease},
    service::{RunFilter, Signal},
};

const TTL: Duration = Duration::from_secs(30);

pub(super) async fn rules(make: &impl AsyncFn(ManualClock) -> Arc<dyn Ledger>) {
    a_run_is_stored_once(&Bench::new(make).await).await;
    a_run_advances_under_its_lease_only(&Bench::new(make).await).await;
    a_change_of_state_wakes_the_incident(&Bench::new(make).await).await;
    signals_make_a_run_claimable_until_they_are_read(&Bench::new(make).await).await;
    runs_are_listed_newest_first(&Bench::new(make).await).await;
    a_target_has_one_holder(&Bench::new(make).await).await;
    an_intent_is_opened_once(&Bench::new(make).await).await;
}

async fn claim(b: &Bench) -> Option<RunLease> {
    b.ledger.claim_run(ctx(), "e".into(), TTL).await.unwrap()
}

async fn started(b: &Bench) -> Run {
    let incident = b.open("a").await;
    b.ledger.create_run(ctx(), b.new_run(incident)).await.unwrap()
}

async fn a_run_is_stored_once(b: &Bench) {
    let run = started(b).await;
    let again = Run { message: "another".into(), ..run.clone() };
    assert_eq!(b.ledger.create_run(ctx(), again).await.unwrap(), run, "an id that exists is returned as it is");
    assert_eq!(b.ledger.run(ctx(), run.id).await.unwrap(), run);
    let orphan = b.new_run(IncidentId::new(b.now()));
    assert_eq!(b.ledger.create_run(ctx(), orphan.clone()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.run(ctx(), orphan.id).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.journal(ctx(), orphan.id).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.signals(ctx(), orphan.id).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.push_signal(ctx(), orphan.id, Signal::Pause).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_run_advances_under_its_lease_only(b: &Bench) {
    let run = started(b).await;
    let old = claim(b).await.unwrap();
    assert_eq!((&old.run, old.epoch), (&run, 1));
    assert!(claim(b).await.is_none(), "it is leased");
    b.pass(20);
    b.ledger.renew_run(ctx(), run.id, old.epoch, TTL).await.unwrap();
    b.pass(29);
    assert!(claim(b).await.is_none(), "a renewed lease still stands");
    b.pass(2);
    let new = claim(b).await.unwrap();
    assert_eq!(new.epoch, 2);

    let line = |n: u32| JournalEntry { kind: JournalKind::StepStarted, step: Some(format!("s{n}")), at: b.now(), data: json!({ "n": n }) };
    let events = || vec![NewEvent::system("step.started", "test", json!({}))];
    let notifications = vec![b.notification(run.incident_id, "late")];
    let late = RunChange { journal: vec![line(9)], events: events(), notifications, ..change(run.clone(), old.epoch) };
    assert_eq!(b.ledger.advance_run(ctx(), late).await.unwrap_err().kind(), ErrorKind::StaleEpoch);
    assert_eq!(b.ledger.renew_run(ctx(), run.id, old.epoch, TTL).await.unwrap_err().kind(), ErrorKind::StaleEpoch);
    assert!(b.ledger.journal(ctx(), run.id).await.unwrap().is_empty(), "a stale engine leaves nothing behind");

    let mut next = new.run;
    next.message = "step 1".into();
    let notifications = vec![b.notification(run.incident_id, "hello")];
    let good = RunChange { journal: vec![line(1), line(2)], events: events(), notifications, ..change(next, new.epoch) };
    let stored = b.ledger.advance_run(ctx(), good).await.unwrap();
    assert_eq!(stored.message, "step 1");
    b.ledger.advance_run(ctx(), RunChange { journal: vec![line(3)], release: true, ..change(stored, new.epoch) }).await.unwrap();
    assert_eq!(b.ledger.journal(ctx(), run.id).await.unwrap(), [line(1), line(2), line(3)], "the journal keeps its order");
    assert_eq!(b.ledger.stats(ctx()).await.unwrap().outbox, 1);
    b.assert_audit(run.incident_id, &["incident.received", "step.started"]).await;
    let unknown = Run { id: RunId::new(b.now()), ..run };
    assert_eq!(b.ledger.advance_run(ctx(), change(unknown, 1)).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_change_of_state_wakes_the_incident(b: &Bench) {
    let run = started(b).await;
    let claim_incident = async || b.ledger.claim(ctx(), "w".into(), TTL).await.unwrap();
    let lease = claim_incident().await.unwrap();
    let wake_at = Some(b.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap());
    b.ledger.advance(ctx(), Advance { wake_at, release: true, ..advance(lease.incident, lease.epoch) }).await.unwrap();
    let lease = claim(b).await.unwrap();
    let stored = b.ledger.advance_run(ctx(), change(run, lease.epoch)).await.unwrap();
    assert!(claim_incident().await.is_none(), "the same state wakes nobody");
    let ended = Run { state: RunState::Succeeded, ..stored };
    b.ledger.advance_run(ctx(), RunChange { release: true, ..change(ended, lease.epoch) }).await.unwrap();
    assert!(claim_incident().await.is_some());
    b.pass(60);
    assert!(claim(b).await.is_none(), "an ended run without signals needs no work");
}

async fn signals_make_a_run_claimable_until_they_are_read(b: &Bench) {
    let run = started(b).await;
    let lease = claim(b).await.unwrap();
    let wake_at = Some(b.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap());
    b.ledger.advance_run(ctx(), RunChange { wake_at, release: true, ..change(run.clone(), lease.epoch) }).await.unwrap();
    assert!(claim(b).await.is_none(), "its time has not come");
    let first = b.ledger.push_signal(ctx(), run.id, Signal::Pause).await.unwrap();
    let second = b.ledger.push_signal(ctx(), run.id, Signal::Resume).await.unwrap();
    let unread = b.ledger.signals(ctx(), run.id).await.unwrap();
    assert_eq!(unread, [(first, Signal::Pause), (second, Signal::Resume)], "oldest first");
    let lease = claim(b).await.expect("a signal wakes the run");
    let ended = Run { state: RunState::Succeeded, ..lease.run };
    let part = RunChange { consumed_signals: Some(first), release: true, ..change(ended, lease.epoch) };
    b.ledger.advance_run(ctx(), part).await.unwrap();
    assert_eq!(b.ledger.signals(ctx(), run.id).await.unwrap(), [(second, Signal::Resume)]);
    let lease = claim(b).await.expect("an ended run with an unread signal needs work");
    let rest = RunChange { consumed_signals: Some(second), release: true, ..change(lease.run, lease.epoch) };
    b.ledger.advance_run(ctx(), rest).await.unwrap();
    assert!(claim(b).await.is_none(), "all signals are read");
    b.ledger.push_signal(ctx(), run.id, Signal::Rollback).await.unwrap();
    assert_eq!(claim(b).await.unwrap().run.id, run.id);
}

async fn runs_are_listed_newest_first(b: &Bench) {
    let first = started(b).await;
    b.pass(1);
    let second = b.ledger.create_run(ctx(), Run { state: RunState::Paused, ..b.new_run(first.incident_id) }).await.unwrap();
    b.pass(1);
    let other = b.open("b").await;
    let third = b.ledger.create_run(ctx(), b.new_run(other)).await.unwrap();
    let list = async |filter: RunFilter| -> Vec<RunId> { b.ledger.runs(ctx(), filter).await.unwrap().iter().map(|r| r.id).collect() };
    assert_eq!(list(RunFilter::default()).await, [third.id, second.id, first.id]);
    assert_eq!(list(RunFilter { incident_id: Some(first.incident_id), ..Default::default() }).await, [second.id, first.id]);
    assert_eq!(list(RunFilter { state: Some(RunState::Paused), ..Default::default() }).await, [second.id]);
    assert_eq!(list(RunFilter { limit: Some(1), ..Default::default() }).await, [third.id]);
    assert_eq!(claim(b).await.unwrap().run.id, first.id, "claims go oldest first");
}

async fn a_target_has_one_holder(b: &Bench) {
    let lock = async |holder: &str| b.ledger.lock_target(ctx(), "Deployment/shop/web".into(), holder.into(), TTL).await.unwrap();
    assert!(lock("r1").await);
    assert!(!lock("r2").await, "another holds it");
    b.pass(29);
    assert!(lock("r1").await, "its holder may extend it");
    b.pass(29);
    assert!(!lock("r2").await);
    b.ledger.unlock_target(ctx(), "Deployment/shop/web".into(), "r2".into()).await.expect("no error if it is not held");
    assert!(!lock("r2").await, "only its holder gives it back");
    b.ledger.unlock_target(ctx(), "Deployment/shop/web".into(), "r1".into()).await.unwrap();
    assert!(lock("r2").await);
    b.pass(30);
    assert!(lock("r3").await, "a time that is over frees it");
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let ledger = b.ledger.clone();
            tokio::spawn(async move { ledger.lock_target(ctx(), "Node/n1".into(), format!("r{n}"), TTL).await.unwrap() })
        })
        .collect();
    let mut held = 0;
    for task in tasks {
        held += u32::from(task.await.unwrap());
    }
    assert_eq!(held, 1, "of 16 at once, one gets it");
}

async fn an_intent_is_opened_once(b: &Bench) {
    use crate::model::{Execution, ExecutionOutcome, Intent, IntentState};
    assert_eq!(b.ledger.intent(ctx(), "k".into()).await.unwrap(), None);
    let intent = b.ledger.open_intent(ctx(), b.new_intent("k")).await.unwrap();
    assert_eq!(intent, b.new_intent("k"));
    let execution = Execution {
        outcome: ExecutionOutcome::Applied,
        report: Default::default(),
        changes: Vec::new(),
        digest: "d1".into(),
        pre_state: json!({}),
        message: "done".into(),
        simulated: false,
    };
    let closed = b.ledger.close_intent(ctx(), "k".into(), IntentState::Applied, Some(execution.clone())).await.unwrap();
    assert_eq!(closed, Intent { state: IntentState::Applied, execution: Some(execution.clone()), ..intent.clone() });
    let again = b.ledger.open_intent(ctx(), Intent { digest: "other".into(), ..intent }).await.unwrap();
    assert_eq!(again, closed, "a key that exists is returned as it is, so that nothing is done twice");
    let undone = b.ledger.close_intent(ctx(), "k".into(), IntentState::Undone, None).await.unwrap();
    assert_eq!((undone.state, undone.execution), (IntentState::Undone, Some(execution)), "what was done is kept");
    let unknown = b.ledger.close_intent(ctx(), "nobody".into(), IntentState::Abandoned, None).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
}
