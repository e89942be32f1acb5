//! Whether a person's answer counts.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Approval, ApprovalDecision, ApprovalState, Timestamp},
};

/// The approval as it reads at `now`: an unanswered one is over at its time, whether or not an engine has written that yet.
pub(crate) fn as_of(mut approval: Approval, now: Timestamp) -> Approval {
    if approval.state == ApprovalState::Pending && now >= approval.expires_at {
        approval.state = ApprovalState::Expired;
    }
    approval
}

/// The approval with its answer.
pub(crate) fn decide(approval: Approval, decision: &ApprovalDecision, now: Timestamp) -> Result<Approval> {
    const OPERATION: &str = "ledger.decide_approval";
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
    Ok(Approval {
        state: if decision.approve { ApprovalState::Approved } else { ApprovalState::Rejected },
        decided_by: Some(decision.by.clone()),
        decided_at: Some(now),
        comment: decision.comment.clone(),
        ..approval
    })
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
