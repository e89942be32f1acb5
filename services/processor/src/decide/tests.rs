use kubernaut_core::model::{Attributed, Basis, Candidate, Category, ObjectRef, Precondition, Priority, TokenUsage};
use serde_json::json;

use super::*;

fn environment(value: Environment) -> Classification {
    let treated_as = if value == Environment::Unknown { Environment::Production } else { value };
    let environment = Attributed { value, treated_as, basis: Basis::NamespaceLabel, detail: String::new(), confidence: 1.0 };
    Classification { environment, priority: Priority::P2, business: Default::default() }
}

fn proposal(action: &str, target: &str) -> ProposedAction {
    ProposedAction {
        action: action.into(),
        target: target.parse().unwrap(),
        params: json!({}),
        preconditions: vec![Precondition { text: "revision 1 was healthy".into(), holds: true }],
        risk: Risk::Medium,
        reversible: true,
        expected_effect: String::new(),
        manual_steps: Vec::new(),
    }
}

fn analysis(actions: Vec<ProposedAction>) -> Analysis {
    let target: ObjectRef = "Deployment/shop/web".parse().unwrap();
    let cause = Candidate {
        category: Category::BadReleaseCommand,
        object: target.clone(),
        confidence: 0.9,
        summary: String::new(),
        evidence: vec![],
        chain: vec![],
    };
    Analysis {
        target,
        candidates: vec![cause],
        actions,
        no_action: false,
        questions: vec![],
        gaps: vec![],
        engine: "test".into(),
        latency_ms: 1.0,
        tokens: TokenUsage::default(),
        model_derived: false,
    }
}

fn rollback() -> ProposedAction {
    proposal("rollback_deployment", "Deployment/shop/web")
}

fn spec(name: &str, kinds: &[&str], reversibility: Reversibility) -> ActionSpec {
    ActionSpec {
        name: name.into(),
        aliases: vec![],
        family: "workload".into(),
        summary: String::new(),
        version: 1,
        parameters: json!({}),
        target_kinds: kinds.iter().map(|k| (*k).to_owned()).collect(),
        risk: Risk::Medium,
        reversibility,
        preconditions: vec![],
        rbac: vec![],
    }
}

fn decision(analysis: &Analysis, value: Environment, specs: &[ActionSpec]) -> Decision {
    decide(analysis, Some(&environment(value)), specs, &DecisionPolicy::default()).decision
}

#[test]
fn a_sure_reversible_step_on_one_workload_outside_production_is_done_without_asking() {
    for value in [Environment::Staging, Environment::Testing, Environment::Development] {
        assert_eq!(decision(&analysis(vec![rollback()]), value, &[]), Decision::Act);
    }
}

#[test]
fn production_and_unknown_environments_ask() {
    for value in [Environment::Production, Environment::Unknown] {
        assert_eq!(decision(&analysis(vec![rollback()]), value, &[]), Decision::Approve);
    }
    assert_eq!(decide(&analysis(vec![rollback()]), None, &[], &DecisionPolicy::default()).decision, Decision::Approve);
}

#[test]
fn nodes_shared_and_foreign_objects_ask() {
    for target in ["Node/n1", "StorageClass/fast", "ResourceQuota/shop/q", "Deployment/kube-system/coredns", "Deployment/other/db"] {
        let found = decide(&analysis(vec![proposal("x", target)]), Some(&environment(Environment::Staging)), &[], &DecisionPolicy::default());
        assert_eq!(found.decision, Decision::Approve, "{target}: {}", found.reason);
    }
    let mut about_a_node = analysis(vec![rollback()]);
    about_a_node.target = "Node/n1".parse().unwrap();
    assert_eq!(decision(&about_a_node, Environment::Staging, &[]), Decision::Approve);
    assert_eq!(decision(&analysis(vec![proposal("x", "NetworkPolicy/shop/deny")]), Environment::Staging, &[]), Decision::Act);
}

#[test]
fn irreversible_risky_model_derived_and_unsure_steps_ask() {
    let with = |change: fn(&mut Analysis)| {
        let mut changed = analysis(vec![rollback()]);
        change(&mut changed);
        decision(&changed, Environment::Staging, &[])
    };
    assert_eq!(with(|a| a.actions[0].reversible = false), Decision::Approve);
    assert_eq!(with(|a| a.actions[0].risk = Risk::High), Decision::Approve);
    assert_eq!(with(|a| a.model_derived = true), Decision::Approve);
    assert_eq!(with(|a| a.candidates[0].confidence = 0.79), Decision::Approve);
    assert_eq!(with(|a| a.candidates[0].confidence = f64::NAN), Decision::Approve);
    assert_eq!(with(|a| a.candidates.clear()), Decision::Approve);
    let irreversible = [spec("rollback_deployment", &["Deployment"], Reversibility::Irreversible)];
    assert_eq!(decision(&analysis(vec![rollback()]), Environment::Staging, &irreversible), Decision::Approve);
}

#[test]
fn what_cannot_be_done_safely_goes_to_a_person() {
    let mut unmet = rollback();
    unmet.preconditions[0].holds = false;
    assert_eq!(decision(&analysis(vec![unmet, proposal("x", "Deployment/shop/web")]), Environment::Staging, &[]), Decision::Escalate);
    assert_eq!(decision(&analysis(vec![]), Environment::Staging, &[]), Decision::Escalate);
    assert_eq!(decision(&analysis(vec![proposal("escalate", "Deployment/shop/web")]), Environment::Staging, &[]), Decision::Escalate);
    assert_eq!(decision(&analysis(vec![proposal("notify_only", "Deployment/shop/web")]), Environment::Staging, &[]), Decision::Escalate);
    let others = [spec("scale_deployment", &["Deployment"], Reversibility::Undo)];
    assert_eq!(decision(&analysis(vec![rollback()]), Environment::Staging, &others), Decision::Escalate);
    let for_nodes = [spec("rollback_deployment", &["Node"], Reversibility::Undo)];
    assert_eq!(decision(&analysis(vec![rollback()]), Environment::Staging, &for_nodes), Decision::Escalate);
}

#[test]
fn restraint_needs_no_agreement_and_wins_over_proposals() {
    let mut restraint = analysis(vec![rollback()]);
    restraint.no_action = true;
    assert_eq!(decision(&restraint, Environment::Production, &[]), Decision::NoAction);
    assert_eq!(decision(&analysis(vec![proposal("no_action", "Deployment/shop/web")]), Environment::Production, &[]), Decision::NoAction);
}
