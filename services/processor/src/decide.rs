//! What should happen with an analysis, before the mode is applied. Pure.

use kubernaut_core::{
    glob,
    model::{ActionSpec, Analysis, Classification, Decision, Environment, ProposedAction, Reversibility, Risk},
};
use serde::{Deserialize, Serialize};

/// When a person is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionPolicy {
    /// Below this confidence in the cause a person is asked. Default 0.8.
    pub min_confidence: f64,
    /// Environments in which a person is always asked. Default: production.
    pub ask_in: Vec<Environment>,
    /// From this risk on a person is asked. Default `high`.
    pub ask_from_risk: Risk,
    /// Namespaced kinds that many workloads depend on; a person is asked. Default: ResourceQuota, ServiceAccount, Role, RoleBinding.
    pub shared_kinds: Vec<String>,
    /// Namespaces that the whole cluster depends on; `*` stands for any characters. Default: `kube-*`.
    pub shared_namespaces: Vec<String>,
}

impl Default for DecisionPolicy {
    fn default() -> Self {
        Self {
            min_confidence: 0.8,
            ask_in: vec![Environment::Production],
            ask_from_risk: Risk::High,
            shared_kinds: ["ResourceQuota", "ServiceAccount", "Role", "RoleBinding"].map(str::to_owned).to_vec(),
            shared_namespaces: vec!["kube-*".into()],
        }
    }
}

/// A decision with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What should happen.
    pub decision: Decision,
    /// Why; one line.
    pub reason: String,
}

impl Verdict {
    fn new(decision: Decision, reason: impl Into<String>) -> Self {
        Self { decision, reason: reason.into() }
    }
}

/// Actions that change nothing.
const RESTRAINT: &[&str] = &["no_action", "escalate", "notify_only"];

/// Whether an action, by its canonical name, leaves everything as it is.
#[must_use]
pub fn is_restraint(action: &str) -> bool {
    RESTRAINT.contains(&action)
}

/// The decision over an analysis.
///
/// - restraint is right: `no_action`;
/// - there is no proposal, the best one hands over, a precondition does not hold, or the executor does not offer it: `escalate`;
/// - production or unknown environment, node scope, cluster-wide or shared objects, another namespace than the alert's, irreversible, risky or
///   model-derived steps, low confidence: `approve`, with all reasons named;
/// - else `act`.
///
/// `specs` are the actions that the executor offers; empty if that is not known.
#[must_use]
pub fn decide(analysis: &Analysis, classification: Option<&Classification>, specs: &[ActionSpec], policy: &DecisionPolicy) -> Verdict {
    let best = analysis.actions.first();
    if analysis.no_action || best.is_some_and(|a| a.action == "no_action") {
        return Verdict::new(Decision::NoAction, "nothing to fix");
    }
    let Some(best) = best else {
        return Verdict::new(Decision::Escalate, "no safe action is known");
    };
    let spec = specs.iter().find(|s| s.name == best.action || s.aliases.contains(&best.action));
    if let Some(obstacle) = obstacle(best, spec, !specs.is_empty()) {
        return Verdict::new(Decision::Escalate, obstacle);
    }
    let reasons = reasons_to_ask(analysis, best, classification, spec, policy);
    match reasons.is_empty() {
        true => Verdict::new(Decision::Act, format!("{} on {} is safe to do without asking", best.action, best.target)),
        false => Verdict::new(Decision::Approve, reasons.join("; ")),
    }
}

/// Why the proposal cannot become a plan.
fn obstacle(best: &ProposedAction, spec: Option<&ActionSpec>, specs_known: bool) -> Option<String> {
    if is_restraint(&best.action) {
        return Some("the cause is for a person to fix".into());
    }
    if let Some(unmet) = best.preconditions.iter().find(|p| !p.holds) {
        return Some(format!("a precondition of {} does not hold: {}", best.action, unmet.text));
    }
    let Some(spec) = spec else {
        return specs_known.then(|| format!("the executor does not offer {}", best.action));
    };
    let fits = spec.target_kinds.is_empty() || spec.target_kinds.contains(&best.target.kind);
    (!fits).then(|| format!("{} cannot be aimed at a {}", best.action, best.target.kind))
}

fn reasons_to_ask(
    analysis: &Analysis,
    best: &ProposedAction,
    classification: Option<&Classification>,
    spec: Option<&ActionSpec>,
    policy: &DecisionPolicy,
) -> Vec<String> {
    let risk = spec.map_or(best.risk, |s| s.risk.max(best.risk));
    let irreversible = !best.reversible || spec.is_some_and(|s| s.reversibility == Reversibility::Irreversible);
    let confidence = analysis.candidates.first().map_or(0.0, |c| c.confidence);
    [
        environment_reason(classification, policy),
        scope_reason(analysis, best, policy),
        irreversible.then(|| format!("{} cannot be taken back", best.action)),
        (risk >= policy.ask_from_risk).then(|| format!("risk is {}", name_of(risk))),
        analysis.model_derived.then(|| "the action was derived by a model".into()),
        // A confidence that is no number asks too.
        (confidence.is_nan() || confidence < policy.min_confidence)
            .then(|| format!("confidence {confidence:.2} is below {:.2}", policy.min_confidence)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn environment_reason(classification: Option<&Classification>, policy: &DecisionPolicy) -> Option<String> {
    let Some(env) = classification.map(|c| &c.environment) else {
        return Some("the environment is unknown".into());
    };
    let asks = env.treated_as == Environment::Unknown || policy.ask_in.contains(&env.treated_as);
    asks.then(|| match env.value == env.treated_as {
        true => format!("environment is {}", env.value),
        false => format!("environment is {}, treated as {}", env.value, env.treated_as),
    })
}

fn scope_reason(analysis: &Analysis, best: &ProposedAction, policy: &DecisionPolicy) -> Option<String> {
    let target = &best.target;
    if target.kind == "Node" || analysis.target.kind == "Node" {
        return Some("a node is concerned".into());
    }
    let Some(namespace) = &target.namespace else {
        return Some(format!("{target} is cluster-wide"));
    };
    if policy.shared_kinds.contains(&target.kind) || policy.shared_namespaces.iter().any(|p| glob::matches(p, namespace)) {
        return Some(format!("{target} is shared"));
    }
    let elsewhere = analysis.target.namespace.as_ref().is_some_and(|n| n != namespace);
    elsewhere.then(|| format!("{target} is in another namespace than the alert"))
}

fn name_of(risk: Risk) -> &'static str {
    match risk {
        Risk::None => "none",
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}

#[cfg(test)]
mod tests;
