//! The analyzer: collect, explore, rank, propose.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    model::{Analysis, Candidate, Category, Evidence, EvidenceSource, ObjectRef, TokenUsage},
    port::ClusterRead,
    service::{AnalysisRequest, Analyzer, CallContext},
};

use crate::{
    config::DiagnosisConfig,
    facts::{Facts, collect::collect},
    graph, propose, rank,
};

/// The engine's name in answers.
const ENGINE: &str = "diagnosis";

/// Factor on all confidences where something could not be read.
const DOUBT: f64 = 0.95;

/// Deterministic diagnosis over a cluster, live or recorded.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    cluster: Arc<dyn ClusterRead>,
    config: DiagnosisConfig,
}

impl Diagnosis {
    /// A diagnosis that reads from `cluster` within the bounds of `config`.
    #[must_use]
    pub fn new(cluster: Arc<dyn ClusterRead>, config: DiagnosisConfig) -> Self {
        Self { cluster, config }
    }
}

#[async_trait]
impl Analyzer for Diagnosis {
    async fn analyze(&self, ctx: CallContext, request: AnalysisRequest) -> Result<Analysis> {
        let started = Instant::now();
        let facts = collect(Arc::clone(&self.cluster), &ctx, &request, &self.config).await?;
        let mut analysis = judge(&facts, &self.config);
        analysis.latency_ms = (started.elapsed().as_secs_f64() * 1e5).round() / 100.0;
        tracing::debug!(target = %request.target, latency_ms = analysis.latency_ms, candidates = analysis.candidates.len(), "diagnosed");
        Ok(analysis)
    }
}

/// The answer that follows from facts. Pure.
pub(crate) fn judge(facts: &Facts, config: &DiagnosisConfig) -> Analysis {
    let graph = graph::explore(facts, config.max_depth * 2);
    let ranked = rank::rank(&graph, if facts.gaps.is_empty() { 1.0 } else { DOUBT });
    let mut candidates = rank::candidates(&graph, &ranked);
    let actions = match (ranked.first(), candidates.first()) {
        (Some(first), Some(top)) => {
            propose::settle(facts, top.category, &top.object, first.confidence, config.act_above, first.finding.actions.clone())
        }
        _ => {
            candidates = vec![nothing_found(&facts.target)];
            propose::settle(facts, Category::Unknown, &facts.target, 0.0, config.act_above, Vec::new())
        }
    };
    let no_action = actions.first().is_some_and(|a| a.action == "no_action");
    Analysis {
        target: facts.target.clone(),
        questions: rank::questions(&candidates),
        candidates,
        actions,
        no_action,
        gaps: facts.gaps.clone(),
        engine: ENGINE.to_owned(),
        latency_ms: 0.0,
        tokens: TokenUsage::default(),
        model_derived: false,
    }
}

fn nothing_found(target: &ObjectRef) -> Candidate {
    let text = "the facts that could be read do not point to a cause";
    Candidate {
        category: Category::Unknown,
        object: target.clone(),
        confidence: 0.1,
        summary: text.to_owned(),
        evidence: vec![Evidence::new(target.clone(), EvidenceSource::Alert, text)],
        chain: Vec::new(),
    }
}
