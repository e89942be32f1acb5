//! What the rules for an environment say.

use kubernaut_core::model::{ActionSpec, ApprovalTerms, Environment};

use super::super::{
    config::{GateConfig, SourceRule},
    pass::{Purpose, Verdict},
};

/// The strictest of the rules that are about this action there, and what agreement takes by all of them that ask.
pub(in super::super) fn rules(config: &GateConfig, spec: &ActionSpec, environment: Environment, purpose: Purpose) -> (Verdict, ApprovalTerms) {
    let mut terms = config.approval.clone();
    if purpose == Purpose::Undo {
        return (Verdict::pass("taking a change back follows the rules that let it through"), terms);
    }
    let about: Vec<_> = config.rules.iter().enumerate().filter(|(_, rule)| rule.is_about(spec, environment)).collect();
    let which = |wanted: SourceRule| about.iter().find(|(_, rule)| rule.rule == wanted).map(|(at, _)| at);
    let text = |at: &usize, what: &str| format!("rules[{at}] {what} {} in {environment}", spec.name);
    if let Some(at) = which(SourceRule::Refuse) {
        return (Verdict::fail(text(at, "refuses")), terms);
    }
    for (_, rule) in about.iter().filter(|(_, rule)| rule.rule == SourceRule::Ask) {
        terms = terms.and(&rule.approval);
    }
    match which(SourceRule::Ask) {
        Some(at) => (Verdict::ask(text(at, "asks about")), terms),
        None => (Verdict::pass(format!("no rule restricts {} in {environment}", spec.name)), terms),
    }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::{
        CheckOutcome::{self, Ask, Fail, Pass},
        Environment::{Development, Production},
        Risk,
    };

    use super::*;
    use crate::{
        gate::config::EnvironmentRule,
        registry::{find_spec, registry},
    };

    fn say(rules_: Vec<EnvironmentRule>, environment: Environment) -> (CheckOutcome, ApprovalTerms) {
        let config = GateConfig { rules: rules_, ..GateConfig::default() };
        let (verdict, terms) = rules(&config, find_spec(registry(), "rollback_deployment").unwrap(), environment, Purpose::Act);
        (verdict.outcome, terms)
    }

    fn ask(approvers: u32, groups: &[&str]) -> EnvironmentRule {
        let groups = groups.iter().map(|g| (*g).to_owned()).collect();
        EnvironmentRule { approval: ApprovalTerms { approvers, groups, ..ApprovalTerms::default() }, ..EnvironmentRule::default() }
    }

    #[test]
    fn the_strictest_rule_counts_wherever_it_stands() {
        let allow = || EnvironmentRule { rule: SourceRule::Allow, ..EnvironmentRule::default() };
        let refuse = || EnvironmentRule { rule: SourceRule::Refuse, environments: vec![Production], ..EnvironmentRule::default() };
        assert_eq!(say(vec![allow(), ask(1, &[]), refuse()], Production).0, Fail);
        assert_eq!(say(vec![allow(), ask(1, &[]), refuse()], Development).0, Ask);
        assert_eq!(say(vec![allow()], Production).0, Pass);
        assert_eq!(say(vec![EnvironmentRule { from_risk: Risk::Critical, ..refuse() }], Production).0, Pass);
        assert_eq!(say(vec![EnvironmentRule { actions: vec!["scale_*".into()], ..refuse() }], Production).0, Pass);
        assert_eq!(say(vec![EnvironmentRule { actions: vec!["rollback_*".into()], ..refuse() }], Production).0, Fail);
    }

    #[test]
    fn agreement_takes_what_all_rules_that_ask_want() {
        let (_, terms) = say(vec![ask(2, &["ops", "admins"]), ask(1, &["admins"])], Production);
        assert_eq!((terms.approvers, terms.groups.as_slice()), (2, ["admins".to_owned()].as_slice()));
        let (_, nobody) = say(vec![ask(1, &["ops"]), ask(1, &["admins"])], Production);
        assert!(!nobody.admits(&["ops".into()]) && !nobody.admits(&[]), "groups that exclude each other leave nobody");
    }
}
