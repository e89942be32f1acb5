//! Analysis outside of an incident: of a recorded bundle, or of an object of the cluster.

use std::{path::Path, sync::Arc, time::Instant};

use kubernaut_cluster::BundleCluster;
use kubernaut_core::{
    Error, Result,
    model::{ActionSpec, Alert, HistoryEntry, ObjectRef, Severity},
    port::{Clock, ClusterRead, SystemClock},
    service::{AnalysisRequest, Analyzer, CallContext, Classifier, ClassifyRequest},
};
use kubernaut_diagnosis::Diagnosis;
use kubernaut_gateway::{AlertReader, SourceKind};
use kubernaut_processor::{DecisionPolicy, LabelClassifier, decide};

use crate::{Config, Kubernaut, Report, language_model};

/// Analyses a recorded incident with the default services: its alert's target, its environment, causes, proposals and the decision.
/// Nothing is stored and nothing is changed.
///
/// # Errors
/// `InvalidInput` for a bundle that cannot be read or has no firing alert.
pub async fn analyze_bundle(ctx: CallContext, dir: &Path, config: &Config) -> Result<Report> {
    let bundle = Arc::new(BundleCluster::open(dir)?);
    let body = bundle.alert_json().ok_or_else(|| Error::invalid("analyze.bundle", "the bundle has no alert.json").with("path", dir.display()))?;
    let began = Instant::now();
    let cluster: Arc<dyn ClusterRead> = bundle.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let reader = AlertReader::new(cluster.clone(), clock, config.gateway.clone());
    let alerts = reader.read(ctx.clone(), SourceKind::Alertmanager, body).await?;
    let question = Question { id: bundle.id().to_owned(), target: target_of(&alerts)?, alerts, history: bundle.history(), began };
    let specs = kubernaut_executor::registry().to_vec();
    let diagnosis: Arc<dyn Analyzer> = Arc::new(Diagnosis::new(cluster.clone(), config.diagnosis.clone()));
    let analyzer = match &config.model {
        Some(model) => language_model::behind(diagnosis, model, cluster.clone(), specs.clone())?,
        None => diagnosis,
    };
    let analysts = Analysts {
        classifier: Arc::new(LabelClassifier::new(cluster, config.classification.clone())),
        analyzer,
        specs,
        policy: config.processor.decision.clone(),
    };
    analysts.answer(ctx, question).await
}

fn target_of(alerts: &[Alert]) -> Result<ObjectRef> {
    use kubernaut_core::model::AlertStatus::Firing;
    let alert = alerts.iter().find(|a| a.status == Firing).or_else(|| alerts.first());
    alert.map(|a| a.target.clone()).ok_or_else(|| Error::invalid("analyze.bundle", "no alert in alert.json can be read"))
}

impl Kubernaut {
    /// Analyses one object of the cluster with the services in force. Nothing is stored and nothing is changed.
    ///
    /// # Errors
    /// `NotFound` if the object does not exist, errors of the services.
    pub async fn analyze(&self, ctx: CallContext, target: ObjectRef) -> Result<Report> {
        let began = Instant::now();
        let parts = self.parts();
        if parts.cluster.get(ctx.clone(), target.clone()).await?.is_none() {
            return Err(Error::not_found("analyze", "no such object in the cluster").with("object", &target));
        }
        let since = parts.clock.now() - jiff::SignedDuration::from_hours(24);
        let owner = parts.cluster.owners(ctx.clone(), target.clone()).await?.pop().unwrap_or_else(|| target.clone());
        let history = parts.context.history(ctx.clone(), owner, since).await?;
        let analysts = Analysts {
            classifier: parts.classifier.clone(),
            analyzer: parts.analyzer.clone(),
            specs: parts.executor.actions(ctx.clone()).await?,
            policy: parts.config.processor.decision.clone(),
        };
        analysts.answer(ctx, Question { id: target.to_string(), target, alerts: Vec::new(), history, began }).await
    }
}

struct Question {
    id: String,
    target: ObjectRef,
    alerts: Vec<Alert>,
    history: Vec<HistoryEntry>,
    began: Instant,
}

struct Analysts {
    classifier: Arc<dyn Classifier>,
    analyzer: Arc<dyn Analyzer>,
    specs: Vec<ActionSpec>,
    policy: DecisionPolicy,
}

impl Analysts {
    fn offers(&self, action: &str) -> bool {
        self.specs.iter().any(|s| s.name == action || s.aliases.iter().any(|a| a == action))
    }

    async fn answer(&self, ctx: CallContext, question: Question) -> Result<Report> {
        let severity = question.alerts.iter().map(|a| a.severity).max().unwrap_or(Severity::Warning);
        let labels = question.alerts.first().map(|a| a.labels.clone()).unwrap_or_default();
        let classify = ClassifyRequest { target: question.target.clone(), severity, labels };
        let classification = self.classifier.classify(ctx.clone(), classify).await?;
        let request = AnalysisRequest {
            incident_id: None,
            target: question.target,
            alerts: question.alerts,
            classification: Some(classification.clone()),
            history: question.history,
        };
        let analysis = self.analyzer.analyze(ctx, request).await?;
        // The decision is about the incident. Whether this executor can carry it out is the gate's question; here it is only said.
        let mut verdict = decide(&analysis, Some(&classification), &[], &self.policy);
        if let Some(action) = analysis.actions.first().map(|a| &a.action).filter(|a| !self.offers(a)) {
            verdict.reason = format!("{}; {action} is not offered by the executor, so a person has to carry it out", verdict.reason);
        }
        let latency_ms = question.began.elapsed().as_secs_f64() * 1000.0;
        Ok(Report::new(&question.id, &classification.environment, &analysis, verdict.decision, verdict.reason, latency_ms))
    }
}
