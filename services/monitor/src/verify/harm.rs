//! Whether things are worse than before. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, State};

/// How one object stood before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
    healthy: bool,
    silent: bool,
}

pub(super) type Baseline = BTreeMap<String, Before>;

pub(super) fn baseline(findings: &BTreeMap<String, Finding>) -> Baseline {
    let readable = findings.iter().filter(|(_, f)| f.state != State::Unreadable);
    readable
        .map(|(name, f)| {
            (name.clone(), Before { available: f.available, healthy: f.state == State::Good, silent: matches!(f.state, State::Silent | State::Gone) })
        })
        .collect()
}

/// Whether everything that says anything looked healthy before.
pub(super) fn healthy(before: &Baseline) -> bool {
    before.values().any(|b| b.healthy) && before.values().all(|b| b.healthy || b.silent)
}

/// What became worse, if anything did. Fewer replicas because fewer are wanted now are no harm, and a rollout under way is none either:
/// `certain` tells that it had its time.
pub(super) fn harm(before: &Baseline, now: &BTreeMap<String, Finding>, certain: bool) -> Option<String> {
    now.iter().find_map(|(name, finding)| {
        let was = before.get(name)?;
        let wanted = finding.desired.unwrap_or(i64::MAX);
        let fewer = was.available.zip(finding.available).filter(|(then, now)| *now < (*then).min(wanted));
        let hard = finding.crashing || finding.state == State::Bad;
        match fewer {
            Some((then, left)) if certain && hard => Some(format!("{name} had {then} available replica(s) before, now {left}: {}", finding.text)),
            _ if was.healthy && finding.crashing && certain => Some(format!("{name} was healthy before: {}", finding.text)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(finding: Finding) -> BTreeMap<String, Finding> {
        BTreeMap::from([("Deployment/shop/web".to_owned(), finding)])
    }

    #[test]
    fn fewer_replicas_that_cannot_run_are_harm_but_a_rollout_or_a_wanted_reduction_is_none() {
        let before = baseline(&one(Finding::bad("stuck").replicas(2, 3)));
        let after = |available, desired| one(Finding::bad("crash").crashing().replicas(available, desired));
        assert!(harm(&before, &after(1, 3), true).is_some());
        assert!(harm(&before, &after(1, 3), false).is_none(), "it has not had its time");
        assert!(harm(&before, &after(2, 3), true).is_none(), "no worse than before");
        assert!(harm(&before, &after(1, 1), true).is_none(), "one is wanted now");
        assert!(harm(&before, &one(Finding::settling("rolling out").replicas(1, 3)), true).is_none(), "on its way");
    }

    #[test]
    fn what_was_healthy_and_crashes_now_is_harm() {
        let healthy = baseline(&one(Finding::good("fine").replicas(2, 2)));
        assert!(harm(&healthy, &one(Finding::bad("crash").crashing().replicas(2, 2)), true).is_some());
        let sick = baseline(&one(Finding::bad("crash").crashing().replicas(2, 2)));
        assert!(harm(&sick, &one(Finding::bad("crash").crashing().replicas(2, 2)), true).is_none());
    }
}
