//! From checks to a verdict. Pure.

use kubernaut_core::model::{CheckOutcome, Verdict, VerificationCheck};

use super::{alert, drift, finding::State, metric};

/// Name of the check of the objects themselves.
pub(super) const HEALTH: &str = "workload_healthy";

/// How much each check weighs.
const WEIGHTS: &[(&str, f64)] = &[(HEALTH, 0.40), (alert::NAME, 0.30), (metric::NAME, 0.15), (drift::NAME, 0.15)];

/// Weighted share of the checks that pass among those that say something; 0 if none does or if what was applied no longer stands.
pub(super) fn score(checks: &[VerificationCheck]) -> f64 {
    if outcome(checks, drift::NAME) == CheckOutcome::Fail {
        return 0.0;
    }
    let sum = |passed: bool| {
        let counts = |name: &str| match outcome(checks, name) {
            CheckOutcome::Pass => true,
            CheckOutcome::Skip => false,
            _ => !passed,
        };
        WEIGHTS.iter().filter(|(name, _)| counts(name)).map(|(_, weight)| weight).sum::<f64>()
    };
    let (passed, told) = (sum(true), sum(false));
    // An empty sum of floats is -0.0.
    if told > 0.0 { passed / told + 0.0 } else { 0.0 }
}

/// What the verdict rests on, apart from the checks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The worst state of the objects.
    pub(super) health: State,
    /// Whether the objects looked healthy before the run already: then that they do now proves nothing.
    pub(super) healthy_before: bool,
    /// Whether something is worse than before.
    pub(super) harmed: bool,
    /// Whether the time for recovery is over.
    pub(super) last: bool,
}

/// The verdict.
///
/// Healthy objects and a resolved alert are effective; metrics only weigh. What cannot be read, or was changed by somebody else, is never
/// effective and never ineffective: a person is asked.
pub(super) fn verdict(checks: &[VerificationCheck], facts: Facts) -> Verdict {
    let Facts { health, healthy_before, harmed, last } = facts;
    let alert = outcome(checks, alert::NAME);
    let drifted = outcome(checks, drift::NAME) == CheckOutcome::Fail;
    let healthy = matches!(health, State::Good | State::Silent);
    let told = (health == State::Good && !healthy_before) || alert == CheckOutcome::Pass;
    if harmed {
        return Verdict::Harmful;
    }
    if healthy && told && alert != CheckOutcome::Fail && !drifted {
        return Verdict::Effective;
    }
    match (last, health) {
        (false, _) => Verdict::Pending,
        (true, State::Settling | State::Bad) => Verdict::Ineffective,
        (true, _) if alert == CheckOutcome::Fail => Verdict::Ineffective,
        (true, _) => Verdict::Unknown,
    }
}

fn outcome(checks: &[VerificationCheck], name: &str) -> CheckOutcome {
    checks.iter().find(|c| c.name == name).map_or(CheckOutcome::Skip, |c| c.outcome)
}
