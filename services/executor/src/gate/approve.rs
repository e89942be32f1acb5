//! Whether those who must agree agreed to exactly this effect.

use kubernaut_core::{
    model::{Agreement, Approval, ApprovalState, CheckOutcome, DryRun},
    service::ExecuteRequest,
};

use super::pass::{Pass, Verdict};

/// Records the check `approval`; says what is missing, if anything. Pure: `approval` is the request that was answered, as the ledger has it.
pub(super) fn missing(pass: &mut Pass, request: &ExecuteRequest, dry: &DryRun, approval: Option<&Approval>) -> Option<String> {
    let verdict = verdict(pass, request, dry, approval);
    let text = (verdict.outcome == CheckOutcome::Ask).then(|| verdict.text.clone());
    pass.add("approval", verdict);
    pass.tell_terms();
    text
}

fn verdict(pass: &Pass, request: &ExecuteRequest, dry: &DryRun, approval: Option<&Approval>) -> Verdict {
    let reasons: Vec<String> = pass.report.asks().map(|c| format!("{}: {}", c.name, c.text)).collect();
    if let Some(agreed) = request.approved_digest.as_ref().filter(|agreed| **agreed != dry.digest) {
        return Verdict::ask(format!("the effect is not the one agreed to: digest {}, not {agreed}", dry.digest));
    }
    if reasons.is_empty() {
        return Verdict::pass("no check asks for a person");
    }
    if request.approved_digest.is_none() || !request.approved_by_person {
        return Verdict::ask(format!("a person must agree: {}", reasons.join("; ")));
    }
    match (approval, request.approval_id) {
        (Some(approval), _) => answered(pass, dry, approval),
        (None, Some(id)) => Verdict::ask(format!("the ledger has no request for approval {id}")),
        (None, None) => word(pass),
    }
}

/// Without a request in the ledger one person's word counts, where that is enough.
fn word(pass: &Pass) -> Verdict {
    let terms = &pass.terms;
    if terms.approvers > 1 || !terms.groups.is_empty() {
        return Verdict::ask(format!("{}; that takes a request for approval, not the caller's word", wanted(pass)));
    }
    Verdict::pass("a person agreed to this digest")
}

fn answered(pass: &Pass, dry: &DryRun, approval: &Approval) -> Verdict {
    if approval.state != ApprovalState::Approved || approval.digest != dry.digest {
        return Verdict::ask(format!("request {} does not agree to digest {}", approval.id, dry.digest));
    }
    let mut people = people(approval);
    if pass.terms.four_eyes {
        people.retain(|a| approval.requested_by.as_ref() != Some(&a.by));
    }
    if !pass.terms.met_by(&people) {
        return Verdict::ask(format!("{}, by now; asked for were fewer", wanted(pass)));
    }
    let names: Vec<&str> = people.iter().map(|a| a.by.as_str()).collect();
    Verdict::pass(format!("agreed to this digest: {}", names.join(", ")))
}

/// Those who agreed. A ledger of an earlier release names only the last one.
fn people(approval: &Approval) -> Vec<Agreement> {
    let last = || Some(Agreement { by: approval.decided_by.clone()?, groups: Vec::new(), at: approval.decided_at?, comment: None });
    if approval.agreed.is_empty() { last().into_iter().collect() } else { approval.agreed.clone() }
}

fn wanted(pass: &Pass) -> String {
    let terms = &pass.terms;
    let groups = if terms.groups.is_empty() { String::new() } else { format!(" of {}", terms.groups.join(", ")) };
    format!("{} people{groups} must agree", terms.approvers.max(1))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::{ActionRequest, ApprovalId, ApprovalTerms, CheckOutcome, IncidentId, ObjectRef, RunId, Timestamp};
    use serde_json::Value;

    use super::*;
    use crate::{gate::pass::Purpose, registry::registry};

    fn request() -> ActionRequest {
        ActionRequest { action: "x".into(), target: ObjectRef::new("Pod", Some("s"), "p"), params: Value::Null, key: "k".into() }
    }

    fn ask_with(terms: ApprovalTerms, ask: bool, digest: Option<&str>, person: bool, approval: Option<&Approval>) -> Option<String> {
        let mut pass = Pass {
            purpose: Purpose::Act,
            request: request(),
            spec: registry().first().cloned(),
            effect: crate::action::Effect::Evict,
            report: Default::default(),
            terms,
            reserve: Vec::new(),
            invalid: None,
        };
        if ask {
            pass.report.push("policy", CheckOutcome::Ask, "mode approve");
        }
        let dry =
            DryRun { report: Default::default(), changes: vec![], digest: "d".into(), pre_state: Value::Null, server_side: true, warnings: vec![] };
        let execute = ExecuteRequest {
            request: request(),
            incident_id: None,
            approved_digest: digest.map(Into::into),
            approved_by_person: person,
            approval_id: approval.map(|a| a.id),
        };
        missing(&mut pass, &execute, &dry, approval)
    }

    fn outcome(ask: bool, digest: Option<&str>, person: bool) -> Option<String> {
        ask_with(ApprovalTerms::default(), ask, digest, person, None)
    }

    fn two_admins() -> ApprovalTerms {
        ApprovalTerms { approvers: 2, groups: vec!["admins".into()], ..ApprovalTerms::default() }
    }

    fn agreed_by(people: &[(&str, &str)], digest: &str, asker: Option<&str>) -> Approval {
        let at = Timestamp::UNIX_EPOCH;
        let agreement = |(by, group): &(&str, &str)| Agreement { by: (*by).into(), groups: vec![(*group).into()], at, comment: None };
        Approval {
            id: ApprovalId::new(at),
            incident_id: IncidentId::new(at),
            run_id: RunId::new(at),
            step_id: "s".into(),
            request: request(),
            changes: Vec::new(),
            digest: digest.into(),
            reasons: Vec::new(),
            state: ApprovalState::Approved,
            requested_at: at,
            expires_at: at,
            decided_by: people.last().map(|p| p.0.into()),
            decided_at: Some(at),
            comment: None,
            terms: ApprovalTerms::default(),
            requested_by: asker.map(Into::into),
            agreed: people.iter().map(agreement).collect(),
        }
    }

    #[test]
    fn an_ask_needs_a_person_who_saw_this_digest() {
        assert!(outcome(true, Some("d"), true).is_none());
        assert!(outcome(true, Some("d"), false).is_some());
        assert!(outcome(true, None, true).is_some());
        assert!(outcome(true, Some("other"), true).is_some());
    }

    #[test]
    fn without_an_ask_only_another_digest_stops() {
        assert!(outcome(false, None, false).is_none());
        assert!(outcome(false, Some("d"), false).is_none());
        assert!(outcome(false, Some("other"), true).is_some());
    }

    #[test]
    fn terms_are_checked_against_what_the_ledger_has_whatever_the_caller_says() {
        let asked = |approval: Option<&Approval>| ask_with(two_admins(), true, Some("d"), true, approval);
        assert!(asked(None).is_some(), "the caller's word is not two admins'");
        assert!(asked(Some(&agreed_by(&[("ann", "admins"), ("bob", "admins")], "d", None))).is_none());
        assert!(asked(Some(&agreed_by(&[("ann", "admins")], "d", None))).is_some(), "one is not two");
        assert!(asked(Some(&agreed_by(&[("ann", "admins"), ("ann", "admins")], "d", None))).is_some(), "twice the same is one");
        assert!(asked(Some(&agreed_by(&[("ann", "admins"), ("bob", "devs")], "d", None))).is_some(), "of the wrong group");
        assert!(asked(Some(&agreed_by(&[("ann", "admins"), ("bob", "admins")], "other", None))).is_some(), "to another effect");
        assert!(asked(Some(&agreed_by(&[("ann", "admins"), ("bob", "admins")], "d", Some("bob")))).is_some(), "who asked does not count");
        let pending = Approval { state: ApprovalState::Pending, ..agreed_by(&[("ann", "admins"), ("bob", "admins")], "d", None) };
        assert!(asked(Some(&pending)).is_some());
    }
}
