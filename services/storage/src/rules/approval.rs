//! Whether a person's answer counts.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Agreement, Approval, ApprovalDecision, ApprovalState, Timestamp},
};

const OPERATION: &str = "ledger.decide_approval";

/// The approval as it reads at `now`: an unanswered one is over at its time, whether or not an engine has written that yet.
pub(crate) fn as_of(mut approval: Approval, now: Timestamp) -> Approval {
    if approval.state == ApprovalState::Pending && now >= approval.expires_at {
        approval.state = ApprovalState::Expired;
    }
    approval
}

/// The approval with its answer.
pub(crate) fn decide(approval: Approval, decision: &ApprovalDecision, now: Timestamp) -> Result<Approval> {
    let approval = as_of(approval, now);
    match approval.state {
        ApprovalState::Pending => {}
        ApprovalState::Expired => {
            return Err(Error::conflict(OPERATION, "nobody answered in time; wait for a new request")
                .with("id", approval.id)
                .with("expired_at", approval.expires_at));
        }
        ApprovalState::Approved | ApprovalState::Rejected => {
            let by = approval.decided_by.unwrap_or_default();
            return Err(Error::conflict(OPERATION, "the request is answered already").with("id", approval.id).with("by", by));
        }
    }
    if decision.digest.as_ref().is_some_and(|seen| *seen != approval.digest) {
        return Err(Error::new(ErrorKind::DigestChanged, OPERATION, "the effect differs from the one that was seen; look at it again")
            .with("id", approval.id)
            .with("digest", &approval.digest));
    }
    may_answer(&approval, decision)?;
    Ok(if decision.approve { agreed(approval, decision, now) } else { answered(approval, ApprovalState::Rejected, decision, now) })
}

/// Whether this person may give this answer.
fn may_answer(approval: &Approval, decision: &ApprovalDecision) -> Result<()> {
    let refuse = |text: &str| Err(Error::new(ErrorKind::Forbidden, OPERATION, text.to_owned()).with("id", approval.id).with("by", &decision.by));
    let terms = &approval.terms;
    if !terms.admits(&decision.groups) {
        let groups = terms.groups.join(", ");
        return refuse(&format!("an answer must come from somebody in one of these groups: {groups}"));
    }
    if decision.approve && terms.four_eyes && approval.requested_by.as_ref() == Some(&decision.by) {
        return refuse("who asked for it, or changed it, cannot agree to it; somebody else must");
    }
    if decision.approve && approval.agreed.iter().any(|a| a.by == decision.by) {
        return Err(Error::conflict(OPERATION, "this person agreed already; another one must")
            .with("id", approval.id)
            .with("by", &decision.by)
            .with("asked_for", terms.approvers));
    }
    Ok(())
}

/// One more yes, which decides if it is the last one that is needed.
fn agreed(mut approval: Approval, decision: &ApprovalDecision, now: Timestamp) -> Approval {
    let (by, groups, comment) = (decision.by.clone(), decision.groups.clone(), decision.comment.clone());
    approval.agreed.push(Agreement { by, groups, at: now, comment });
    if !approval.terms.met_by(&approval.agreed) {
        return approval;
    }
    answered(approval, ApprovalState::Approved, decision, now)
}

fn answered(approval: Approval, state: ApprovalState, decision: &ApprovalDecision, now: Timestamp) -> Approval {
    Approval { state, decided_by: Some(decision.by.clone()), decided_at: Some(now), comment: decision.comment.clone(), ..approval }
}

/// Whether an engine may write `next` over `stored`: an answer that was given meanwhile must not be lost.
pub(crate) fn may_replace(stored: &Approval, next: &Approval) -> bool {
    stored.state == ApprovalState::Pending || stored.state == next.state
}

/// The stable name of a state.
pub(crate) fn state_name(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Pending => "pending",
        ApprovalState::Approved => "approved",
        ApprovalState::Rejected => "rejected",
        ApprovalState::Expired => "expired",
    }
}
