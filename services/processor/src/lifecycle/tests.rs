use kubernaut_core::model::{INCIDENT_SCHEMA, IncidentId, ObjectRef, RunId};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn incident(phase: Phase, opened: i64, since: i64) -> Incident {
    let target = ObjectRef::new("Deployment", Some("shop"), "web");
    serde_json::from_value(json!({
        "schema": INCIDENT_SCHEMA, "id": IncidentId::new(at(opened)), "cluster": "c", "fingerprint": "f", "phase": phase, "attempt": 1, "alert_name": "A",
        "severity": "warning", "target": target, "owner": target, "opened_at": at(opened), "updated_at": at(since), "phase_since": at(since),
        "occurrences": 1, "firing": 1, "run_id": RunId::new(at(since)),
    }))
    .unwrap()
}

fn input() -> impl Strategy<Value = Input> {
    prop::sample::select(Input::ALL)
}

fn phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(Phase::ALL)
}

proptest! {
    #[test]
    fn nothing_leaves_a_terminal_phase(inputs in prop::collection::vec(input(), 0..60)) {
        let mut current = Phase::Received;
        for input in inputs {
            let following = next(current, input);
            if current.is_terminal() {
                prop_assert!(following.is_err(), "{current} left by {input:?}");
            }
            current = following.unwrap_or(current);
        }
    }

    /// Whatever happens, waiting for the deadline again and again ends every incident within its greatest age.
    #[test]
    fn time_ends_everything(start in phase(), inputs in prop::collection::vec((input(), 0i64..4000), 0..80)) {
        let timeouts = Timeouts::default();
        let verifying = Duration::from_secs(900);
        let mut one = incident(start, 1_000_000, 1_000_000);
        let mut now = 1_000_000;
        for (input, wait) in inputs {
            now += wait;
            let input = if at(now) >= deadline(&one, &timeouts, verifying) { Input::TimedOut } else { input };
            if let Ok(following) = next(one.phase, input) {
                one.phase = following;
                one.phase_since = at(now);
            }
        }
        let end = deadline(&one, &timeouts, verifying);
        prop_assert!(end <= after(one.opened_at, timeouts.max_age_s));
        prop_assert!(one.phase.is_terminal() || next(one.phase, Input::TimedOut).unwrap().is_terminal());
    }
}

#[test]
fn every_phase_is_reached_and_every_open_phase_reaches_an_end_without_a_timeout() {
    let mut seen = vec![Phase::Received];
    let mut queue = seen.clone();
    while let Some(from) = queue.pop() {
        let followers: Vec<Phase> = Input::ALL.iter().filter_map(|i| next(from, *i).ok()).collect();
        assert_eq!(followers.is_empty(), from.is_terminal(), "{from}");
        for to in followers {
            if !seen.contains(&to) {
                seen.push(to);
                queue.push(to);
            }
        }
    }
    assert_eq!(seen.len(), Phase::ALL.len(), "reached {seen:?}");
    let forced = [Input::TimedOut, Input::CancelRequested, Input::Broken];
    let mut ending: Vec<Phase> = Phase::ALL.iter().copied().filter(|p| p.is_terminal()).collect();
    for _ in Phase::ALL {
        let more = Phase::ALL
            .iter()
            .copied()
            .filter(|p| Input::ALL.iter().filter(|i| !forced.contains(i)).any(|i| next(*p, *i).is_ok_and(|t| ending.contains(&t))));
        ending = ending.iter().copied().chain(more).collect();
        ending.sort();
        ending.dedup();
    }
    assert_eq!(ending, Phase::ALL, "every phase ends by ordinary events too");
}

#[test]
fn only_what_was_done_is_verified_and_only_what_was_not_done_recovers() {
    for from in [Phase::Received, Phase::Processing, Phase::Investigating, Phase::Blocked] {
        assert!(next(from, Input::RunSucceeded).is_err(), "{from} has done nothing that could be verified");
        assert_eq!(next(from, Input::AlertEnded).unwrap(), Phase::Recovered);
    }
    for from in [Phase::Executing, Phase::Verifying] {
        assert!(next(from, Input::AlertEnded).is_err(), "in {from} the action may be why the alert ended: that is for verification to say");
    }
    assert!(next(Phase::Executing, Input::FoundEffective).is_err(), "resolved only by verification");
}

#[test]
fn phases_last_as_long_as_configured_and_a_run_with_its_approvals_has_one_limit() {
    let timeouts = Timeouts::default();
    let limit = |phase, since| deadline(&incident(phase, 1_000_000, since), &timeouts, Duration::from_secs(300)).as_second() - since;
    assert_eq!(limit(Phase::Processing, 1_000_100), 300);
    assert_eq!(limit(Phase::Investigating, 1_000_100), 600);
    assert_eq!(limit(Phase::Executing, 1_000_100), 1800);
    assert_eq!(limit(Phase::AwaitingApproval, 1_000_100), 960);
    assert_eq!(limit(Phase::Verifying, 1_000_100), 360);
    let mut late = incident(Phase::AwaitingApproval, 1_000_000, 1_000_100);
    late.phase_since = at(1_003_600);
    assert_eq!(deadline(&late, &timeouts, Duration::ZERO), at(1_003_700), "an hour after planning");
}
