use kubernaut_core::model::ObjectRef;
use serde_json::Value;

use super::*;

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn entry(ago: i64, outcome: Outcome) -> HistoryEntry {
    HistoryEntry {
        incident_id: None,
        tenant: String::new(),
        fingerprint: String::new(),
        opened_at: at(NOW - ago - 10),
        closed_at: Some(at(NOW - ago)),
        alert_name: String::new(),
        resource: ObjectRef::new("Deployment", Some("shop"), "web"),
        environment: None,
        category: None,
        cause: None,
        action: Some("rollout_restart".into()),
        parameters: Value::Null,
        outcome: Some(outcome),
        effectiveness: None,
        text: String::new(),
    }
}

fn after_history(history: &[HistoryEntry]) -> Hold {
    let facts = BlockFacts { now: at(NOW), history, duplicate: None, busy: None, unmanaged: None };
    hold(&BlockPolicy::default(), &facts)
}

fn reason(hold: &Hold) -> Option<(BlockReason, i64)> {
    match hold {
        Hold::Until(block) => Some((block.reason, block.until.as_second() - NOW)),
        _ => None,
    }
}

#[test]
fn failures_back_off_twice_as_long_each_time_and_the_third_in_a_row_waits_an_hour() {
    let failed = |n: usize| vec![entry(10, Outcome::Failed); n];
    assert_eq!(reason(&after_history(&failed(1))), Some((BlockReason::Backoff, 50)));
    let mut escalated_between = failed(2);
    escalated_between.insert(1, entry(11, Outcome::Escalated));
    assert_eq!(reason(&after_history(&escalated_between)), Some((BlockReason::Backoff, 110)));
    assert_eq!(reason(&after_history(&failed(3))), Some((BlockReason::ConsecutiveFailures, 3590)));
    let broken_row = [entry(400, Outcome::Failed), entry(500, Outcome::Resolved), entry(600, Outcome::Failed), entry(700, Outcome::Failed)];
    assert_eq!(after_history(&broken_row), Hold::None, "a success ends the row, and its cooldown is over");
    assert_eq!(BlockPolicy::default().backoff_after(80), 600);
}

#[test]
fn a_resource_is_left_alone_for_a_while_after_it_was_acted_on() {
    assert_eq!(reason(&after_history(&[entry(100, Outcome::Resolved)])), Some((BlockReason::RecentlyRemediated, 200)));
    assert_eq!(after_history(&[entry(301, Outcome::Resolved)]), Hold::None);
    let untouched = HistoryEntry { action: None, ..entry(1, Outcome::Recovered) };
    assert_eq!(after_history(&[untouched]), Hold::None);
}

#[test]
fn three_actions_without_effect_call_for_a_person() {
    let chain =
        [entry(400, Outcome::Ineffective), entry(900, Outcome::Escalated), entry(2000, Outcome::Ineffective), entry(9000, Outcome::Ineffective)];
    assert!(matches!(after_history(&chain), Hold::Person(b) if b.reason == BlockReason::IneffectiveChain));
    let too_old = [entry(400, Outcome::Ineffective), entry(2000, Outcome::Ineffective), entry(14_500, Outcome::Ineffective)];
    assert_eq!(after_history(&too_old), Hold::None);
    let helped_since =
        [entry(400, Outcome::Resolved), entry(500, Outcome::Ineffective), entry(600, Outcome::Ineffective), entry(700, Outcome::Ineffective)];
    assert_eq!(after_history(&helped_since), Hold::None);
}

#[test]
fn others_at_work_are_waited_for_shortly() {
    let facts = BlockFacts { now: at(NOW), history: &[], duplicate: None, busy: Some("run".into()), unmanaged: None };
    assert_eq!(reason(&hold(&BlockPolicy::default(), &facts)), Some((BlockReason::ResourceBusy, 30)));
    let facts = BlockFacts { duplicate: Some("incident".into()), ..facts };
    assert_eq!(reason(&hold(&BlockPolicy::default(), &facts)), Some((BlockReason::DuplicateInProgress, 30)));
    let facts = BlockFacts { unmanaged: Some("not opted in".into()), ..facts };
    assert_eq!(reason(&hold(&BlockPolicy::default(), &facts)), Some((BlockReason::Unmanaged, 60)));
}
