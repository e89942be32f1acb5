//! Whether somebody agreed to exactly this effect.

use kubernaut_core::{model::DryRun, service::ExecuteRequest};

use super::pass::{Pass, Verdict};

/// Records the check `approval`; says what is missing, if anything. Pure.
pub(super) fn missing(pass: &mut Pass, request: &ExecuteRequest, dry: &DryRun) -> Option<String> {
    let reasons: Vec<String> = pass.report.asks().map(|c| format!("{}: {}", c.name, c.text)).collect();
    let verdict = match (&request.approved_digest, reasons.is_empty()) {
        (Some(agreed), _) if *agreed != dry.digest => {
            Verdict::ask(format!("the effect is not the one agreed to: digest {}, not {agreed}", dry.digest))
        }
        (_, true) => Verdict::pass("no check asks for a person"),
        (Some(_), false) if request.approved_by_person => Verdict::pass("a person agreed to this digest"),
        _ => Verdict::ask(format!("a person must agree: {}", reasons.join("; "))),
    };
    let text = (verdict.outcome == kubernaut_core::model::CheckOutcome::Ask).then(|| verdict.text.clone());
    pass.add("approval", verdict);
    text
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::{ActionRequest, CheckOutcome, ObjectRef};
    use serde_json::Value;

    use super::*;
    use crate::{gate::pass::Purpose, registry::registry};

    fn outcome(ask: bool, digest: Option<&str>, person: bool) -> Option<String> {
        let request = ActionRequest { action: "x".into(), target: ObjectRef::new("Pod", Some("s"), "p"), params: Value::Null, key: "k".into() };
        let mut pass = Pass {
            purpose: Purpose::Act,
            request: request.clone(),
            spec: registry().first().cloned(),
            effect: crate::action::Effect::Evict,
            report: Default::default(),
            invalid: None,
        };
        if ask {
            pass.report.push("policy", CheckOutcome::Ask, "mode approve");
        }
        let dry =
            DryRun { report: Default::default(), changes: vec![], digest: "d".into(), pre_state: Value::Null, server_side: true, warnings: vec![] };
        missing(&mut pass, &ExecuteRequest { request, incident_id: None, approved_digest: digest.map(Into::into), approved_by_person: person, approval_id: None }, &dry)
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
}
