use std::{sync::Arc, time::Duration};

use super::{
    Bench, ctx,
    fixtures::{change, yes},
};
use crate::{
    ErrorKind,
    model::{Approval, ApprovalDecision, ApprovalId, ApprovalState, Run, RunState},
    port::{Ledger, ManualClock, RunChange},
};

const TTL: Duration = Duration::from_secs(30);

pub(super) async fn rules(make: &impl AsyncFn(ManualClock) -> Arc<dyn Ledger>) {
    an_answer_counts_once_and_wakes_the_run(&Bench::new(make).await).await;
    concurrent_answers_count_once(&Bench::new(make).await).await;
    an_answer_to_another_effect_is_refused(&Bench::new(make).await).await;
    nobody_in_time_is_no(&Bench::new(make).await).await;
    an_engine_does_not_overwrite_an_answer(&Bench::new(make).await).await;
}

/// A run that waits for an approval, asleep.
async fn asked(b: &Bench) -> (Run, Approval) {
    let incident = b.open("a").await;
    let run = b.ledger.create_run(ctx(), b.new_run(incident)).await.unwrap();
    let lease = b.ledger.claim_run(ctx(), "e".into(), TTL).await.unwrap().unwrap();
    let approval = b.new_approval(&run, 900);
    let waiting = Run { state: RunState::AwaitingApproval, ..lease.run };
    let wake_at = Some(approval.expires_at);
    let asked = RunChange { approval: Some(approval.clone()), wake_at, release: true, ..change(waiting, lease.epoch) };
    let run = b.ledger.advance_run(ctx(), asked).await.unwrap();
    assert_eq!(b.ledger.approval(ctx(), approval.id).await.unwrap(), approval);
    assert_eq!(b.ledger.claim_run(ctx(), "e".into(), TTL).await.unwrap(), None, "it waits");
    (run, approval)
}

async fn an_answer_counts_once_and_wakes_the_run(b: &Bench) {
    let (run, approval) = asked(b).await;
    assert_eq!(b.ledger.approvals(ctx(), true).await.unwrap(), std::slice::from_ref(&approval));
    b.pass(60);
    let decided = b.ledger.decide_approval(ctx(), approval.id, yes(Some("d1"))).await.unwrap();
    assert_eq!((decided.state, decided.decided_by.as_deref(), decided.decided_at), (ApprovalState::Approved, Some("ana"), Some(b.now())));
    let no = ApprovalDecision { approve: false, by: "bo".into(), digest: None, comment: None, groups: Vec::new() };
    let second = b.ledger.decide_approval(ctx(), approval.id, no).await;
    assert_eq!(second.unwrap_err().kind(), ErrorKind::Conflict, "the first answer counts");
    assert_eq!(b.ledger.approval(ctx(), approval.id).await.unwrap(), decided);
    assert!(b.ledger.approvals(ctx(), true).await.unwrap().is_empty());
    assert_eq!(b.ledger.approvals(ctx(), false).await.unwrap(), [decided]);
    assert_eq!(b.ledger.claim_run(ctx(), "e".into(), TTL).await.unwrap().unwrap().run.id, run.id, "the answer wakes the run");
    b.pass(30);
    assert!(b.ledger.claim_run(ctx(), "e".into(), TTL).await.unwrap().is_some(), "also after an engine that vanished with it");
    b.assert_audit(run.incident_id, &["incident.received", "approval.decided"]).await;
    let row = b.ledger.audit(ctx(), run.incident_id).await.unwrap().remove(1);
    assert!(row.actor.contains("ana"), "the audit row says who");
    let unknown = b.ledger.decide_approval(ctx(), ApprovalId::new(b.now()), yes(None)).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(b.ledger.approval(ctx(), ApprovalId::new(b.now())).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn concurrent_answers_count_once(b: &Bench) {
    let (_, approval) = asked(b).await;
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let ledger = b.ledger.clone();
            let decision = ApprovalDecision { approve: n % 2 == 0, by: format!("p{n}"), digest: None, comment: None, groups: Vec::new() };
            tokio::spawn(async move { ledger.decide_approval(ctx(), approval.id, decision).await.is_ok() })
        })
        .collect();
    let mut counted = 0;
    for task in tasks {
        counted += u32::from(task.await.unwrap());
    }
    assert_eq!(counted, 1);
}

async fn an_answer_to_another_effect_is_refused(b: &Bench) {
    let (run, approval) = asked(b).await;
    let other = b.ledger.decide_approval(ctx(), approval.id, yes(Some("d2"))).await;
    assert_eq!(other.unwrap_err().kind(), ErrorKind::DigestChanged);
    assert_eq!(b.ledger.approval(ctx(), approval.id).await.unwrap().state, ApprovalState::Pending, "it stays open");
    b.assert_audit(run.incident_id, &["incident.received"]).await;
    b.ledger.decide_approval(ctx(), approval.id, yes(None)).await.expect("without a digest the one that was asked for counts");
}

async fn nobody_in_time_is_no(b: &Bench) {
    let (run, approval) = asked(b).await;
    b.pass(900);
    assert_eq!(b.ledger.approval(ctx(), approval.id).await.unwrap().state, ApprovalState::Expired);
    assert!(b.ledger.approvals(ctx(), true).await.unwrap().is_empty());
    let late = b.ledger.decide_approval(ctx(), approval.id, yes(Some("d1"))).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(b.ledger.approval(ctx(), approval.id).await.unwrap().state, ApprovalState::Expired, "a late yes is not a yes");
    let lease = b.ledger.claim_run(ctx(), "e".into(), TTL).await.unwrap().expect("the run looks at its time");
    let expired = Approval { state: ApprovalState::Expired, ..approval.clone() };
    let ended = Run { state: RunState::Rejected, ..lease.run };
    b.ledger.advance_run(ctx(), RunChange { approval: Some(expired.clone()), ..change(ended, lease.epoch) }).await.unwrap();
    assert_eq!(b.ledger.approval(ctx(), approval.id).await.unwrap(), expired);
    b.assert_audit(run.incident_id, &["incident.received"]).await;
}

async fn an_engine_does_not_overwrite_an_answer(b: &Bench) {
    let (_, approval) = asked(b).await;
    b.ledger.decide_approval(ctx(), approval.id, yes(None)).await.unwrap();
    let lease = b.ledger.claim_run(ctx(), "e".into(), TTL).await.unwrap().unwrap();
    let expired = Approval { state: ApprovalState::Expired, ..approval.clone() };
    let ended = Run { state: RunState::Rejected, ..lease.run.clone() };
    let wrong = RunChange { approval: Some(expired), ..change(ended, lease.epoch) };
    assert_eq!(b.ledger.advance_run(ctx(), wrong).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(b.ledger.run(ctx(), lease.run.id).await.unwrap(), lease.run, "nothing of it is there");
    assert_eq!(b.ledger.approval(ctx(), approval.id).await.unwrap().state, ApprovalState::Approved);
}
