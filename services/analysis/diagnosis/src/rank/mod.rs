//! Ranking: the root explains the alert and is itself unexplained. Pure.

use kubernaut_core::model::{Candidate, Category, ObjectRef, Question};

use crate::graph::{Finding, Graph};

/// Most candidates in an answer.
const MAX_CANDIDATES: usize = 4;

/// A finding with its place in the graph.
#[derive(Debug, Clone)]
pub(crate) struct Ranked {
    pub(crate) finding: Finding,
    pub(crate) node: usize,
    pub(crate) confidence: f64,
}

/// Findings, the root first.
///
/// A symptom is left out if a cause was found beyond it. Among causes the likelier one leads; the one closer to the alert breaks ties.
///
/// `doubt` scales all confidences down: what could not be read might say otherwise.
pub(crate) fn rank(graph: &Graph, doubt: f64) -> Vec<Ranked> {
    let mut all: Vec<Ranked> = Vec::new();
    for (node, n) in graph.nodes.iter().enumerate() {
        for finding in &n.report.findings {
            if finding.symptom && explained(graph, node) {
                continue;
            }
            let finding = if graph.is_needed_by_a_workload(node) { as_dependency(finding) } else { finding.clone() };
            let confidence = (finding.confidence * n.strength * doubt).clamp(0.0, 0.99);
            all.push(Ranked { finding, node, confidence });
        }
    }
    all.sort_by(|a, b| {
        let symptom = a.finding.symptom.cmp(&b.finding.symptom);
        symptom.then(b.confidence.total_cmp(&a.confidence)).then(graph.nodes[a.node].depth.cmp(&graph.nodes[b.node].depth))
    });
    let mut seen: Vec<(Category, ObjectRef)> = Vec::new();
    all.retain(|r| {
        let known = seen.iter().any(|(c, o)| *c == r.finding.category && o.same_object(&r.finding.object));
        if !known {
            seen.push((r.finding.category, r.finding.object.clone()));
        }
        !known
    });
    all.truncate(MAX_CANDIDATES);
    relabel(graph, &mut all);
    spread(&mut all);
    all
}

/// A workload that fails because a peer is switched off fails by its dependency; the peer is what is to be changed.
fn relabel(graph: &Graph, all: &mut [Ranked]) {
    let Some(first) = all.first_mut().filter(|r| r.finding.category == Category::ScaledToZero) else { return };
    let fails = graph.nodes.iter().filter(|n| n.is_target).any(|n| n.report.findings.iter().any(is_failure));
    if graph.is_needed_by_a_workload(first.node) && fails {
        first.finding.category = Category::DependencyFailure;
    }
}

/// Whether a cause was found at a node or beyond it, or a peer beyond it fails itself.
fn explained(graph: &Graph, node: usize) -> bool {
    // Seen from the node: how it was reached itself does not matter here.
    let own = graph.nodes[node].strength.max(f64::MIN_POSITIVE);
    let likely = |i: usize, f: &Finding, share: f64| f.confidence.max(share) * graph.nodes[i].strength / own >= 0.5;
    (0..graph.nodes.len()).any(|i| {
        let beyond = graph.leads_to(node, i);
        let findings = &graph.nodes[i].report.findings;
        let cause = (i == node || beyond) && findings.iter().any(|f| !f.symptom && likely(i, f, 0.0));
        cause || (beyond && findings.iter().any(|f| is_failure(f) && likely(i, f, PEER)))
    })
}

/// Confidence that a failing peer is where the fault is, although its own cause is not known.
const PEER: f64 = 0.86;

/// A symptom of something that does fail.
fn is_failure(finding: &Finding) -> bool {
    finding.symptom && finding.category != Category::NoFault
}

/// A peer that fails for a reason of its own is, seen from the alert, the dependency that failed.
fn as_dependency(finding: &Finding) -> Finding {
    if !is_failure(finding) {
        return finding.clone();
    }
    Finding { category: Category::DependencyFailure, confidence: finding.confidence.max(PEER), symptom: false, ..finding.clone() }
}

/// Alternatives share what the first one leaves.
fn spread(all: &mut [Ranked]) {
    let Some((first, rest)) = all.split_first_mut() else { return };
    let left = 1.0 - first.confidence;
    let total: f64 = rest.iter().map(|r| r.confidence).sum();
    for r in rest.iter_mut() {
        let share = if total > 0.0 { r.confidence / total } else { 0.0 };
        r.confidence = (share * left).min(first.confidence);
    }
}

/// The ranked findings as candidates, each with its chain from the alert.
pub(crate) fn candidates(graph: &Graph, ranked: &[Ranked]) -> Vec<Candidate> {
    let candidate = |r: &Ranked| {
        let path = graph.path(r.node);
        let mut evidence = r.finding.evidence.clone();
        evidence.extend(path.iter().flat_map(|i| graph.nodes[*i].evidence.iter().cloned()));
        let mut chain: Vec<String> = path.iter().map(|i| format!("{}: {}", graph.nodes[*i].subject, graph.nodes[*i].why)).collect();
        chain.push(format!("{}: {}", r.finding.object, r.finding.summary));
        Candidate {
            category: r.finding.category,
            object: r.finding.object.clone(),
            confidence: round(calibrated(r.confidence)),
            summary: r.finding.summary.clone(),
            evidence,
            chain,
        }
    };
    let mut found: Vec<Candidate> = ranked.iter().map(candidate).collect();
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    found
}

/// What a rule's own confidence turned out to mean.
///
/// On recorded incidents that no rule had been written for, answers with a confidence of 0.95 were right more often than that, those with one
/// of 0.5 less often; at 0.8, where a person is asked, the two agreed. The odds are stretched around that point. Monotone, so that the order
/// stays.
fn calibrated(confidence: f64) -> f64 {
    const FIXED: f64 = 0.8;
    const STRETCH: f64 = 1.25;
    let log_odds = |p: f64| (p / (1.0 - p)).ln();
    let p = confidence.clamp(0.01, 0.985);
    let stretched = log_odds(FIXED) + STRETCH * (log_odds(p) - log_odds(FIXED));
    (1.0 / (1.0 + (-stretched).exp())).clamp(0.01, 0.99)
}

fn round(confidence: f64) -> f64 {
    (confidence * 1000.0).round() / 1000.0
}

/// An alternative from which on the answer says what would tell it from the first.
const CLOSE: f64 = 0.1;

/// What would tell the first candidates apart.
pub(crate) fn questions(candidates: &[Candidate]) -> Vec<Question> {
    let unsure = candidates.first().is_some_and(|c| c.confidence < 0.8) || candidates.get(1).is_some_and(|c| c.confidence >= CLOSE);
    if !unsure {
        return Vec::new();
    }
    let ask =
        |c: &Candidate| Question { text: format!("is it {} at {}? {}", c.category, c.object, check(c.category)), object: Some(c.object.clone()) };
    candidates.iter().take(3).map(ask).collect()
}

/// What a person would look at to confirm a category, or to rule it out.
fn check(category: Category) -> &'static str {
    use Category as C;
    match category {
        C::BadReleaseCommand | C::BadReleaseEnv | C::BadReleaseConfig => {
            "then the trouble began with the last change of the template, and pods of the revision before are well"
        }
        C::ConfigError | C::MissingConfigmap | C::MissingSecret => "then its content changed just before, and pods that started earlier still run",
        C::BadCredentials => "then the same login is refused by hand as well",
        C::DependencyFailure | C::ScaledToZero => "then others that use it fail too, and it went down first",
        C::NetworkPolicyBlock => "then the connection works from a pod that the policy does not select",
        C::ServiceMissing | C::ServiceSelectorMismatch | C::ServicePortMismatch => {
            "then a pod behind it answers at its own address, and the Service does not"
        }
        C::OomLimitTooLow => "then its memory levels out once it has more",
        C::MemoryLeak => "then its memory grows however much it has",
        C::CpuThrottling => "then it answers in time while it is not throttled",
        C::LivenessProbeMisconfig | C::ReadinessProbeMisconfig => "then it answers the same request by hand",
        C::NodeNotReady | C::EphemeralStorageHog | C::ClusterComponentDown => "then other pods of the node are hit as well",
        C::VolumeUnavailable | C::PvcFull | C::PvcFilling | C::PvcStorageclassMissing => "then events of the claim say the same",
        C::RbacDenied => "then the same request is refused when it is made in the account's name",
        C::NoFault => "then nothing new appears in events and logs within the next minutes",
        C::ApplicationError => "then the log of the last run names the reason",
        _ => "the evidence says what to look at",
    }
}

#[cfg(test)]
mod tests {
    use super::calibrated;

    #[test]
    fn calibration_keeps_the_order_and_the_point_at_which_a_person_is_asked() {
        let steps: Vec<f64> = (0..=100).map(|i| calibrated(f64::from(i) / 100.0)).collect();
        assert!(steps.windows(2).all(|w| w[0] <= w[1]));
        assert!((calibrated(0.8) - 0.8).abs() < 1e-9);
        assert!(calibrated(0.95) > 0.95 && calibrated(0.5) < 0.5);
    }
}
