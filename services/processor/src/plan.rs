//! From proposals to a plan. Restraint never becomes one.

use kubernaut_core::model::{ActionSpec, Decision, Mode, PLAN_VERSION, Plan, PlanId, ProposedAction, RetryPolicy, Step};

use crate::decide::is_restraint;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// The plan's identifier.
    pub id: PlanId,
    /// Steps to carry out one after the other.
    pub proposals: &'a [ProposedAction],
    /// The actions that the executor offers.
    pub specs: &'a [ActionSpec],
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: &'a str,
    /// How far actions may go.
    pub mode: Mode,
    /// Seconds an approval stays open.
    pub approval_timeout_s: u64,
}

/// The plan: each step after the one before; `None` if nothing would be changed.
///
/// A person is asked for every step where the decision or the mode says so; the gate may ask for more.
#[must_use]
pub fn plan(input: &PlanInput<'_>) -> Option<Plan> {
    if !matches!(input.decision, Decision::Act | Decision::Approve) {
        return None;
    }
    let asks = input.decision == Decision::Approve || input.mode == Mode::Approve;
    let mut steps: Vec<Step> = Vec::new();
    for (number, proposal) in (1..).zip(input.proposals.iter().filter(|p| !is_restraint(&p.action))) {
        let spec = input.specs.iter().find(|s| s.name == proposal.action || s.aliases.contains(&proposal.action));
        let before = steps.last().map(|s| s.id.clone());
        steps.push(Step {
            id: format!("{number}-{}", proposal.action),
            action: spec.map_or_else(|| proposal.action.clone(), |s| s.name.clone()),
            action_version: spec.map_or(1, |s| s.version),
            target: proposal.target.clone(),
            params: proposal.params.clone(),
            depends_on: before.into_iter().collect(),
            retry: RetryPolicy::default(),
            timeout_s: 300,
            critical: true,
            requires_approval: asks,
        });
    }
    let plan = Plan { id: input.id, version: PLAN_VERSION, reason: input.reason.to_owned(), steps, approval_timeout_s: input.approval_timeout_s };
    (!plan.steps.is_empty()).then_some(plan)
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::{Risk, Timestamp};
    use serde_json::json;

    use super::*;

    fn proposal(action: &str) -> ProposedAction {
        ProposedAction {
            action: action.into(),
            target: "Deployment/shop/web".parse().unwrap(),
            params: json!({"to_revision": 1}),
            preconditions: vec![],
            risk: Risk::Medium,
            reversible: true,
            expected_effect: String::new(),
            manual_steps: vec![],
        }
    }

    fn planned(actions: &[&str], decision: Decision, mode: Mode) -> Option<Plan> {
        let proposals: Vec<_> = actions.iter().map(|a| proposal(a)).collect();
        let id = PlanId::new(Timestamp::UNIX_EPOCH);
        plan(&PlanInput { id, proposals: &proposals, specs: &[], decision, reason: "r", mode, approval_timeout_s: 900 })
    }

    #[test]
    fn restraint_never_becomes_a_plan() {
        for action in ["no_action", "escalate", "notify_only"] {
            assert_eq!(planned(&[action], Decision::Act, Mode::Auto), None);
        }
        for decision in [Decision::Escalate, Decision::NoAction] {
            assert_eq!(planned(&["rollback_deployment"], decision, Mode::Auto), None);
        }
    }

    #[test]
    fn steps_follow_one_another_and_the_stricter_of_decision_and_mode_asks() {
        let plan = planned(&["cordon_node", "escalate", "rollout_restart"], Decision::Act, Mode::Auto).unwrap();
        assert_eq!(plan.steps.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["1-cordon_node", "2-rollout_restart"]);
        assert_eq!(plan.steps[1].depends_on, ["1-cordon_node"]);
        let asks = |decision, mode| planned(&["x"], decision, mode).unwrap().steps[0].requires_approval;
        assert!(!asks(Decision::Act, Mode::Auto));
        assert!(asks(Decision::Approve, Mode::Auto));
        assert!(asks(Decision::Act, Mode::Approve));
    }
}
