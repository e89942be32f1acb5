//! The answer of an ad-hoc analysis: a contract that other programs read.

use kubernaut_core::model::{Analysis, Attributed, Candidate, Decision, Environment, Evidence, Precondition, ProposedAction, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One analysis, objects in their short form `Kind/namespace/name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The bundle's or incident's id, else the target.
    pub id: String,
    /// The alerted object.
    pub target: String,
    /// Kind of environment with its basis.
    pub environment: ReportEnvironment,
    /// Possible causes, most likely first.
    pub candidates: Vec<ReportCandidate>,
    /// What should happen.
    pub decision: Decision,
    /// Why it was decided so.
    pub reason: String,
    /// Proposals, best first.
    pub actions: Vec<ReportAction>,
    /// What would tell alternatives apart.
    pub questions: Vec<String>,
    /// Facts that could not be read.
    pub gaps: Vec<String>,
    /// Milliseconds from request to answer, reading included.
    pub latency_ms: f64,
    /// Tokens used by models; 0 without one.
    pub tokens: u64,
}

/// Kind of environment with its basis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportEnvironment {
    /// What is believed.
    pub value: Environment,
    /// What policy uses.
    pub treated_as: Environment,
    /// What it rests on.
    pub basis: String,
    /// 0 to 1.
    pub confidence: f64,
}

impl From<&Attributed<Environment>> for ReportEnvironment {
    fn from(e: &Attributed<Environment>) -> Self {
        Self { value: e.value, treated_as: e.treated_as, basis: e.detail.clone(), confidence: e.confidence }
    }
}

/// One possible cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportCandidate {
    /// Kind of cause.
    pub category: String,
    /// The object to change.
    pub object: String,
    /// 0 to 1.
    pub confidence: f64,
    /// One sentence that says why.
    pub summary: String,
    /// From the symptom to the cause.
    pub chain: Vec<String>,
    /// The facts behind it.
    pub evidence: Vec<ReportEvidence>,
}

impl From<&Candidate> for ReportCandidate {
    fn from(c: &Candidate) -> Self {
        Self {
            category: c.category.as_str().to_owned(),
            object: c.object.to_string(),
            confidence: c.confidence,
            summary: c.summary.clone(),
            chain: c.chain.clone(),
            evidence: c.evidence.iter().map(ReportEvidence::from).collect(),
        }
    }
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportEvidence {
    /// The object it was read from.
    pub object: String,
    /// Where it was read.
    pub source: Value,
    /// One line with the values.
    pub text: String,
}

impl From<&Evidence> for ReportEvidence {
    fn from(e: &Evidence) -> Self {
        Self { object: e.object.to_string(), source: serde_json::to_value(e.source).unwrap_or_default(), text: e.text.clone() }
    }
}

/// One proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportAction {
    /// Canonical name.
    pub action: String,
    /// The object to change.
    pub target: String,
    /// Parameters.
    pub params: Value,
    /// What must hold, and whether it does.
    pub preconditions: Vec<Precondition>,
    /// How much harm a wrong use can do.
    pub risk: Risk,
    /// Whether it can be taken back.
    pub reversible: bool,
    /// What should be true afterwards.
    #[serde(default)]
    pub expected_effect: String,
    /// Manual steps, where it hands over to a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manual_steps: Vec<String>,
}

impl From<&ProposedAction> for ReportAction {
    fn from(a: &ProposedAction) -> Self {
        Self {
            action: a.action.clone(),
            target: a.target.to_string(),
            params: a.params.clone(),
            preconditions: a.preconditions.clone(),
            risk: a.risk,
            reversible: a.reversible,
            expected_effect: a.expected_effect.clone(),
            manual_steps: a.manual_steps.clone(),
        }
    }
}

impl Report {
    /// Puts an analysis, its environment and the decision together.
    #[must_use]
    pub fn new(id: &str, environment: &Attributed<Environment>, analysis: &Analysis, decision: Decision, reason: String, latency_ms: f64) -> Self {
        Self {
            id: id.to_owned(),
            target: analysis.target.to_string(),
            environment: environment.into(),
            candidates: analysis.candidates.iter().map(ReportCandidate::from).collect(),
            decision,
            reason,
            actions: analysis.actions.iter().map(ReportAction::from).collect(),
            questions: analysis.questions.iter().map(|q| q.text.clone()).collect(),
            gaps: analysis.gaps.clone(),
            latency_ms,
            tokens: analysis.tokens.input + analysis.tokens.output,
        }
    }
}

/// Any answer as YAML.
///
/// # Errors
/// `Internal` if it cannot be written.
pub fn yaml<T: Serialize>(answer: &T) -> kubernaut_core::Result<String> {
    serde_yaml_ng::to_string(answer).map_err(|e| kubernaut_core::Error::internal("report.yaml", "cannot print the answer as YAML").source(e))
}

impl std::fmt::Display for Report {
    /// The text form: cause chain with evidence, proposal, alternatives.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}  target {}", self.id, self.target)?;
        writeln!(f, "environment  {} ({}, treated as {})", self.environment.value, self.environment.basis, self.environment.treated_as)?;
        match self.candidates.split_first() {
            Some((first, rest)) => {
                write_cause(f, first)?;
                for other in rest {
                    writeln!(f, "alternative  {} {} ({:.2}): {}", other.category, other.object, other.confidence, other.summary)?;
                }
            }
            None => writeln!(f, "cause        none found")?,
        }
        writeln!(f, "decision     {} ({})", self.decision.as_str(), self.reason)?;
        for action in &self.actions {
            write_action(f, action)?;
        }
        for question in &self.questions {
            writeln!(f, "question     {question}")?;
        }
        for gap in &self.gaps {
            writeln!(f, "not read     {gap}")?;
        }
        write!(f, "took         {:.1} ms, {} tokens", self.latency_ms, self.tokens)
    }
}

fn write_cause(f: &mut std::fmt::Formatter<'_>, cause: &ReportCandidate) -> std::fmt::Result {
    writeln!(f, "cause        {} {} ({:.2})", cause.category, cause.object, cause.confidence)?;
    writeln!(f, "             {}", cause.summary)?;
    if !cause.chain.is_empty() {
        writeln!(f, "             {}", cause.chain.join(" \u{2190} "))?;
    }
    for fact in &cause.evidence {
        writeln!(f, "  evidence   {}: {} [{}]", fact.object, fact.text, fact.source.as_str().unwrap_or_default())?;
    }
    Ok(())
}

fn write_action(f: &mut std::fmt::Formatter<'_>, action: &ReportAction) -> std::fmt::Result {
    let undo = if action.reversible { "reversible" } else { "not reversible" };
    let risk = serde_json::to_value(action.risk).unwrap_or_default();
    let params = if action.params.is_null() { String::new() } else { format!(" {}", action.params) };
    writeln!(f, "proposal     {} {}{params} (risk {}, {undo})", action.action, action.target, risk.as_str().unwrap_or_default())?;
    if !action.expected_effect.is_empty() {
        writeln!(f, "  expected   {}", action.expected_effect)?;
    }
    for p in &action.preconditions {
        writeln!(f, "  {} {}", if p.holds { "holds     " } else { "HOLDS NOT " }, p.text)?;
    }
    for step in &action.manual_steps {
        writeln!(f, "  by hand    {step}")?;
    }
    Ok(())
}
