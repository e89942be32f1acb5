//! Comparing two results: what got better, what got worse.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{CaseGrade, Scores};

/// A change below this is none.
const SAME: f64 = 1e-9;

/// One figure before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its name.
    pub figure: &'static str,
    /// Before; `None` where it does not exist.
    pub before: Option<f64>,
    /// After.
    pub after: Option<f64>,
    /// Whether a larger value is better.
    pub more_is_better: bool,
}

impl Change {
    fn worse(&self) -> bool {
        let Some((before, after)) = self.before.zip(self.after) else { return false };
        if self.more_is_better { after < before - SAME } else { after > before + SAME }
    }
}

/// What differs between two results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// All figures.
    pub changes: Vec<Change>,
    /// Cases answered better, each with what.
    pub better: BTreeMap<String, Vec<&'static str>>,
    /// Cases answered worse, each with what.
    pub worse: BTreeMap<String, Vec<&'static str>>,
    /// Cases that only one of the results has.
    pub only_in_one: Vec<String>,
}

impl Comparison {
    /// Whether anything that decides about trust got worse: causes, actions, decisions or violations. Times vary and do not count.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let counts = ["root cause", "action", "decision", "violations"];
        self.changes.iter().any(|c| counts.contains(&c.figure) && c.worse())
    }
}

/// Compares a result with an earlier one.
#[must_use]
pub fn compare(before: &Scores, after: &Scores) -> Comparison {
    let up = |figure, b: f64, a: f64| Change { figure, before: Some(b), after: Some(a), more_is_better: true };
    let down = |figure, before, after| Change { figure, before, after, more_is_better: false };
    let changes = vec![
        up("root cause", before.root_cause, after.root_cause),
        up("action", before.action, after.action),
        up("environment", before.environment, after.environment),
        up("target", before.target, after.target),
        up("decision", before.decision, after.decision),
        Change { figure: "skill", before: before.skill, after: after.skill, more_is_better: true },
        down("violations", Some(before.violations as f64), Some(after.violations as f64)),
        down("over-asking", Some(before.over_asking as f64), Some(after.over_asking as f64)),
        down("ece", before.ece, after.ece),
        down("brier", before.brier, after.brier),
        down("ms p50", before.latency_ms.p50, after.latency_ms.p50),
        down("ms p95", before.latency_ms.p95, after.latency_ms.p95),
    ];
    let old: BTreeMap<&str, &CaseGrade> = before.grades.iter().map(|g| (g.id.as_str(), g)).collect();
    let new: BTreeMap<&str, &CaseGrade> = after.grades.iter().map(|g| (g.id.as_str(), g)).collect();
    let only_in_one = old.keys().filter(|id| !new.contains_key(*id)).chain(new.keys().filter(|id| !old.contains_key(*id)));
    let pairs: Vec<_> = old.iter().filter_map(|(id, b)| Some((*id, *b, *new.get(id)?))).collect();
    let gained = |swap: bool| {
        let named = pairs.iter().map(|(id, b, a)| ((*id).to_owned(), if swap { gains(a, b) } else { gains(b, a) }));
        named.filter(|(_, what)| !what.is_empty()).collect()
    };
    Comparison { changes, better: gained(false), worse: gained(true), only_in_one: only_in_one.map(|id| (*id).to_owned()).collect() }
}

fn gains(from: &CaseGrade, to: &CaseGrade) -> Vec<&'static str> {
    let all = [
        ("cause", to.root_cause && !from.root_cause),
        ("action", to.action > from.action + SAME),
        ("environment", to.environment && !from.environment),
        ("target", to.target && !from.target),
        ("decision", to.decision && !from.decision),
        ("violation", to.violations.is_empty() && !from.violations.is_empty()),
    ];
    all.into_iter().filter(|(_, gained)| *gained).map(|(what, _)| what).collect()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.3}"));
        for c in &self.changes {
            let mark = if c.worse() { "  worse" } else { "" };
            writeln!(f, "{:<14} {:>9} {:>9}{mark}", c.figure, number(c.before), number(c.after))?;
        }
        for (title, cases) in [("better", &self.better), ("worse", &self.worse)] {
            for (id, what) in cases {
                writeln!(f, "{title:<7} {id}: {}", what.join(", "))?;
            }
        }
        for id in &self.only_in_one {
            writeln!(f, "only in one: {id}")?;
        }
        write!(f, "{} cases better, {} worse", self.better.len(), self.worse.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::score;

    fn grade(id: &str, right: bool) -> CaseGrade {
        CaseGrade {
            id: id.into(),
            family: "f".into(),
            difficulty: "easy".into(),
            expected_category: "a".into(),
            category: Some("a".into()),
            root_cause: right,
            action: f64::from(u8::from(right)),
            environment: true,
            target: true,
            decision: true,
            over_asking: false,
            escalated_rightly: false,
            abstained: false,
            params: None,
            sane: None,
            confidence: Some(0.9),
            violations: Vec::new(),
            latency_ms: Some(1.0),
            miss: None,
        }
    }

    #[test]
    fn a_case_that_got_worse_is_named_and_makes_the_result_worse() {
        let before = score(vec![grade("one", true), grade("two", false), grade("gone", true)]);
        let after = score(vec![grade("one", false), grade("two", false), grade("new", true)]);
        let comparison = compare(&before, &after);
        assert!(comparison.is_worse());
        assert_eq!(comparison.worse["one"], ["cause", "action"]);
        assert!(comparison.better.is_empty());
        assert_eq!(comparison.only_in_one, ["gone", "new"]);
        assert!(!compare(&after, &before).is_worse());
    }

    #[test]
    fn a_result_is_read_back_from_its_own_output() {
        let scores = score(vec![grade("one", true), grade("two", false)]);
        let text = serde_json::to_string(&scores).unwrap();
        let back: Scores = serde_json::from_str(&text).unwrap();
        assert_eq!(back, scores);
    }
}
