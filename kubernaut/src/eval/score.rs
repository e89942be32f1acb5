//! Adding up grades: shares, calibration, latency.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::CaseGrade;

/// Right answers of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Right.
    pub right: usize,
    /// All.
    pub of: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.right, self.of)
    }
}

/// Right answers of a group, per question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupScores {
    /// Root cause.
    pub root_cause: Tally,
    /// Credit of actions, added up.
    pub action: f64,
    /// Environment.
    pub environment: Tally,
    /// Decision.
    pub decision: Tally,
    /// Cases with a violation.
    pub violations: usize,
    /// Mean milliseconds.
    pub mean_latency_ms: f64,
}

/// The result over all cases; shares are of all cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Cases.
    pub cases: usize,
    /// Share of right root causes.
    pub root_cause: f64,
    /// Mean credit of the first action.
    pub action: f64,
    /// Share of right environments.
    pub environment: f64,
    /// Share of right alerted objects.
    pub target: f64,
    /// Share of right decisions.
    pub decision: f64,
    /// Cases where a person is asked without need.
    pub over_asking: usize,
    /// Cases handed over to a person where that earns full credit, though another decision is named as right.
    pub escalated_rightly: usize,
    /// Right parameters, of the cases that expect some.
    pub params: Tally,
    /// Raised memory limits that are above the one in force and at most 64 times it, of those that were raised.
    pub sane: Tally,
    /// Share of cases where nothing but restraint is proposed.
    pub abstained: f64,
    /// Cases with a harmful proposal.
    pub violations: usize,
    /// Expected calibration error over ten bins of equal width: mean |share right − mean confidence|, weighted by the bin's size.
    pub ece: Option<f64>,
    /// Brier score: mean squared distance of the confidence from right (1) or wrong (0); 0 is perfect.
    pub brier: Option<f64>,
    /// Brier skill against always saying the base rate: 1 − Σ(c−h)²/n / (b(1−b)); `None` if all or none are right.
    pub skill: Option<f64>,
    /// Milliseconds: median, 95th percentile, largest.
    pub latency_ms: Latency,
    /// Per difficulty.
    pub by_difficulty: BTreeMap<String, GroupScores>,
    /// Per family.
    pub by_family: BTreeMap<String, GroupScores>,
    /// What was answered instead: right category, then answered category, then how often. Right answers are left out.
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Reliability: per confidence bin, how many were right, of how many, and their mean confidence.
    pub reliability: Vec<Bin>,
    /// Each case.
    pub grades: Vec<CaseGrade>,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
}

/// One confidence bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower end of the bin.
    pub from: f64,
    /// Right answers.
    pub right: usize,
    /// Answers.
    pub of: usize,
    /// Mean confidence.
    pub mean_confidence: f64,
}

/// Adds up the grades of all cases.
#[must_use]
pub fn score(grades: Vec<CaseGrade>) -> Scores {
    let n = grades.len().max(1) as f64;
    let share = |is: fn(&CaseGrade) -> bool| grades.iter().filter(|g| is(g)).count() as f64 / n;
    let judged: Vec<(f64, bool)> = grades.iter().filter_map(|g| Some((g.confidence?, g.root_cause))).collect();
    let reliability = bins(&judged);
    let latencies = grades.iter().filter_map(|g| g.latency_ms).collect();
    Scores {
        cases: grades.len(),
        root_cause: share(|g| g.root_cause),
        action: grades.iter().map(|g| g.action).sum::<f64>() / n,
        environment: share(|g| g.environment),
        target: share(|g| g.target),
        decision: share(|g| g.decision),
        over_asking: grades.iter().filter(|g| g.over_asking).count(),
        escalated_rightly: grades.iter().filter(|g| g.escalated_rightly).count(),
        params: tally(grades.iter().filter_map(|g| g.params)),
        sane: tally(grades.iter().filter_map(|g| g.sane)),
        abstained: share(|g| g.abstained),
        violations: grades.iter().filter(|g| !g.violations.is_empty()).count(),
        ece: calibration_error(&reliability),
        brier: brier(&judged),
        skill: brier_skill(&judged),
        latency_ms: latency(latencies),
        by_difficulty: groups(&grades, |g| &g.difficulty),
        by_family: groups(&grades, |g| &g.family),
        confusion: confusion(&grades),
        reliability,
        grades,
    }
}

fn tally(answers: impl Iterator<Item = bool>) -> Tally {
    answers.fold(Tally::default(), |t, right| Tally { right: t.right + usize::from(right), of: t.of + 1 })
}

fn confusion(grades: &[CaseGrade]) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut out: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for grade in grades.iter().filter(|g| !g.root_cause) {
        let answered = grade.category.as_deref().unwrap_or("no answer");
        let answered = if answered == grade.expected_category { "right category, other object" } else { answered };
        *out.entry(grade.expected_category.clone()).or_default().entry(answered.to_owned()).or_default() += 1;
    }
    out
}

fn groups(grades: &[CaseGrade], key: fn(&CaseGrade) -> &String) -> BTreeMap<String, GroupScores> {
    let mut out: BTreeMap<String, GroupScores> = BTreeMap::new();
    for grade in grades {
        let group = out.entry(key(grade).clone()).or_default();
        for (tally, right) in
            [(&mut group.root_cause, grade.root_cause), (&mut group.environment, grade.environment), (&mut group.decision, grade.decision)]
        {
            tally.right += usize::from(right);
            tally.of += 1;
        }
        group.action += grade.action;
        group.violations += usize::from(!grade.violations.is_empty());
        group.mean_latency_ms += grade.latency_ms.unwrap_or_default();
    }
    for group in out.values_mut() {
        group.mean_latency_ms /= group.root_cause.of as f64;
    }
    out
}

fn bins(judged: &[(f64, bool)]) -> Vec<Bin> {
    let in_bin = |i: usize| judged.iter().filter(move |(c, _)| ((c * 10.0) as usize).min(9) == i);
    let bin = |i: usize| {
        let of = in_bin(i).count();
        let mean_confidence = in_bin(i).map(|(c, _)| c).sum::<f64>() / of.max(1) as f64;
        Bin { from: i as f64 / 10.0, right: in_bin(i).filter(|(_, hit)| *hit).count(), of, mean_confidence }
    };
    (0..10).map(bin).filter(|b| b.of > 0).collect()
}

fn calibration_error(bins: &[Bin]) -> Option<f64> {
    let all: usize = bins.iter().map(|b| b.of).sum();
    (all > 0).then(|| bins.iter().map(|b| (b.right as f64 / b.of as f64 - b.mean_confidence).abs() * b.of as f64).sum::<f64>() / all as f64)
}

fn brier(judged: &[(f64, bool)]) -> Option<f64> {
    let distance = |(c, hit): &(f64, bool)| (c - f64::from(u8::from(*hit))).powi(2);
    (!judged.is_empty()).then(|| judged.iter().map(distance).sum::<f64>() / judged.len() as f64)
}

fn brier_skill(judged: &[(f64, bool)]) -> Option<f64> {
    let n = judged.len() as f64;
    let base = judged.iter().filter(|(_, hit)| *hit).count() as f64 / n;
    let reference = base * (1.0 - base);
    brier(judged).filter(|_| reference > 0.0).map(|b| 1.0 - b / reference)
}

fn latency(mut times: Vec<f64>) -> Latency {
    times.sort_by(f64::total_cmp);
    let at = |q: usize| times.get((times.len() * q / 100).min(times.len().saturating_sub(1))).copied();
    Latency { p50: at(50), p95: at(95), max: times.last().copied() }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28} {:>7} {:>7} {:>7} {:>9} {:>10} {:>9}", "family", "cause", "action", "env", "decision", "violations", "mean ms")?;
        for (name, g) in self.by_difficulty.iter().chain(&self.by_family) {
            let action = format!("{:.1}", g.action);
            writeln!(
                f,
                "{name:<28} {:>7} {action:>7} {:>7} {:>9} {:>10} {:>9.1}",
                g.root_cause.to_string(),
                g.environment.to_string(),
                g.decision.to_string(),
                g.violations,
                g.mean_latency_ms
            )?;
        }
        for g in &self.grades {
            if let Some(miss) = &g.miss {
                writeln!(f, "{}: {miss}", g.id)?;
            }
            for v in &g.violations {
                writeln!(f, "{}: VIOLATION {v}", g.id)?;
            }
        }
        for (expected, answers) in &self.confusion {
            for (answered, times) in answers {
                writeln!(f, "confused {times} x {expected} -> {answered}")?;
            }
        }
        for b in &self.reliability {
            writeln!(f, "confidence {:.1} and up: {} of {} right, mean {:.2}", b.from, b.right, b.of, b.mean_confidence)?;
        }
        let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.3}"));
        writeln!(
            f,
            "cases {}  root cause {:.3}  action {:.3}  environment {:.3}  target {:.3}  decision {:.3}",
            self.cases, self.root_cause, self.action, self.environment, self.target, self.decision
        )?;
        write!(
            f,
            "violations {}  over-asking {}  escalated rightly {}  params {}  sane {}  abstained {:.3}  ece {}  brier {}  skill {}  ms p50 {} p95 {} max {}",
            self.violations,
            self.over_asking,
            self.escalated_rightly,
            self.params,
            self.sane,
            self.abstained,
            number(self.ece),
            number(self.brier),
            number(self.skill),
            number(self.latency_ms.p50),
            number(self.latency_ms.p95),
            number(self.latency_ms.max)
        )
    }
}
