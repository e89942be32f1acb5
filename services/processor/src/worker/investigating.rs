//! Phase `investigating`: context, analysis, decision, plan, and what the mode lets follow.

use std::time::Duration;

use jiff::SignedDuration;
use kubernaut_core::{
    model::{Analysis, Decision, HistoryEntry, Incident, Mode, Plan, PlanId, RunId, veil},
    port::NewEvent,
    service::{AnalysisRequest, Likeness, RecallQuery, StartRequest},
};
use serde_json::{Value, json};

use super::{
    PART, close,
    session::{Flow, Session, Step, Stop, tolerate},
    text,
};
use crate::{
    decide::decide,
    lifecycle::Input,
    plan::{PlanInput, plan},
    scope,
};

const READ: Duration = Duration::from_secs(10);
/// The event that holds plan, dry-runs and how things stood before.
pub(super) const PLANNED: &str = "incident.planned";

impl Session<'_> {
    pub(super) async fn investigate(&mut self) -> Step<Flow> {
        if self.incident.decision.is_none() {
            self.analyse().await?;
            // The alert may have ended meanwhile.
            return Ok(Flow::Next);
        }
        match (self.incident.decision, self.incident.plan.clone()) {
            (Some(Decision::NoAction), _) => self.end(Input::NothingToDo, text::no_action(&self.incident)).await,
            (Some(Decision::Act | Decision::Approve), Some(plan)) => self.carry_out(plan).await,
            _ => self.end(Input::HandedOver, text::handed_over(&self.incident)).await,
        }
    }

    async fn analyse(&mut self) -> Step<()> {
        let alerts = self.inner.parts.ledger.alerts(self.ctx(), self.incident.id).await.map_err(Stop::Ledger)?;
        let request = AnalysisRequest {
            incident_id: Some(self.incident.id),
            target: self.incident.target.clone(),
            alerts,
            classification: self.incident.classification.clone(),
            history: self.recall().await?,
        };
        let limit = Duration::from_secs(self.inner.config.timeouts.investigating_s.max(1));
        let (began, analyzer) = (tokio::time::Instant::now(), &self.inner.parts.analyzer);
        let analysis = self.call("analyzer.analyze", limit, |ctx| analyzer.analyze(ctx, request)).await?;
        metrics::histogram!("kubernaut_processor_analysis_seconds", "engine" => analysis.engine.clone()).record(began.elapsed());
        self.conclude(analysis).await
    }

    /// Decision and plan are stored before anything follows from them, the run's id with them: starting it again is then harmless.
    async fn conclude(&mut self, analysis: Analysis) -> Step<()> {
        let (config, executor) = (&self.inner.config, &self.inner.parts.executor);
        let specs = self.call("executor.actions", READ, |ctx| executor.actions(ctx)).await?;
        let verdict = decide(&analysis, self.incident.classification.as_ref(), &specs, &config.decision);
        metrics::counter!("kubernaut_processor_decisions_total", "decision" => verdict.decision.as_str()).increment(1);
        let now = self.now();
        let plan = plan(&PlanInput {
            id: PlanId::new(now),
            proposals: analysis.actions.get(..1).unwrap_or_default(),
            specs: &specs,
            decision: verdict.decision,
            reason: &verdict.reason,
            mode: config.mode,
            approval_timeout_s: config.timeouts.awaiting_approval_s,
        });
        // The plan knows the values that the proposals name; nobody else needs them.
        let analysis = veil::analysis(analysis);
        let decided = json!({"decision": verdict.decision, "reason": verdict.reason, "mode": config.mode, "actions": analysis.actions});
        let events = vec![NewEvent::system("incident.diagnosed", PART, json!(analysis)), NewEvent::system("incident.decided", PART, decided)];
        let incident = Incident {
            analysis: Some(analysis),
            decision: Some(verdict.decision),
            decision_reason: verdict.reason,
            run_id: plan.as_ref().map(|_| RunId::new(now)),
            plan,
            message: "decided".into(),
            ..self.incident.clone()
        };
        self.note(incident, events).await?;
        let seconds = now.duration_since(self.incident.opened_at).as_secs_f64();
        metrics::histogram!("kubernaut_processor_decision_seconds").record(seconds);
        Ok(())
    }

    /// Earlier incidents: of the same resource, then similar ones. A memory that does not answer only makes the picture poorer.
    async fn recall(&self) -> Step<Vec<HistoryEntry>> {
        let (config, context) = (&self.inner.config, &self.inner.parts.context);
        let mut entries = self.history_since(SignedDuration::from_hours(i64::from(config.history_days) * 24)).await?;
        let most = config.recall_limit;
        let queries = [
            RecallQuery { fingerprint: Some(self.incident.fingerprint.clone()), limit: Some(most), ..RecallQuery::default() },
            RecallQuery {
                text: Some(format!("{} {}", self.incident.alert_name, self.incident.target)),
                like: Likeness { alert_name: Some(self.incident.alert_name.clone()), category: None, object: Some(self.incident.owner.clone()) },
                limit: Some(most),
                ..RecallQuery::default()
            },
        ];
        for query in queries {
            match tolerate(self.call("context_store.recall", READ, |ctx| context.recall(ctx, query)).await)? {
                Ok(found) => entries.extend(found.into_iter().map(|r| r.entry)),
                Err(error) => tracing::warn!(incident = %self.incident.id, %error, "similar incidents cannot be recalled"),
            }
        }
        let mut distinct: Vec<HistoryEntry> = Vec::new();
        for entry in entries {
            if entry.incident_id != Some(self.incident.id) && !distinct.contains(&entry) {
                distinct.push(entry);
            }
        }
        distinct.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(distinct)
    }

    async fn carry_out(&mut self, mut plan: Plan) -> Step<Flow> {
        let mode = self.inner.config.mode;
        if mode == Mode::Observe {
            return self.end(Input::HandedOver, text::would_do(&self.incident, &plan, mode)).await;
        }
        // A run that was started before a crash is not looked at as if it had not.
        if self.fetch_run().await?.is_some() {
            return self.go(Input::RunStarted, text::steps(&plan), Vec::new()).await;
        }
        let previews = self.previews(&plan).await?;
        let planned = |baseline: Value| {
            NewEvent::system(PLANNED, PART, json!({"plan": veil::plan(plan.clone()), "mode": mode, "dry_runs": previews, "baseline": baseline}))
        };
        if mode == Mode::DryRun {
            let (event, message) = (planned(Value::Null), text::would_do(&self.incident, &plan, mode));
            return self.end_with(Input::HandedOver, message, vec![event], &close::Extra { previews }).await;
        }
        let event = planned(self.baseline_now(&plan).await?);
        self.note(self.incident.clone(), vec![event]).await?;
        // The mode may have become stricter since the plan was stored.
        for step in &mut plan.steps {
            step.requires_approval |= mode == Mode::Approve;
        }
        let message = self.start_message(&plan).await;
        self.start(plan).await?;
        self.go(Input::RunStarted, message, Vec::new()).await
    }

    /// How things stand before the run; without it harm cannot be told, and nothing else changes.
    async fn baseline_now(&self, plan: &Plan) -> Step<Value> {
        let (verifier, incident, plan) = (&self.inner.parts.verifier, self.incident.clone(), plan.clone());
        let read = self.call("verifier.baseline", READ, |ctx| verifier.baseline(ctx, incident, plan)).await;
        Ok(tolerate(read)?.unwrap_or_else(|error| {
            tracing::warn!(incident = %self.incident.id, %error, "how things stand before the run is not known");
            Value::Null
        }))
    }

    async fn start(&self, plan: Plan) -> Step<()> {
        let run_id = self.incident.run_id.unwrap_or(RunId(plan.id.0));
        let request = StartRequest { run_id, incident_id: self.incident.id, attempt: self.incident.attempt, plan, mode: self.inner.config.mode };
        let engine = &self.inner.parts.engine;
        self.call("workflow_engine.start", READ, |ctx| engine.start(ctx, request)).await.map(|_| ())
    }

    async fn start_message(&self, plan: &Plan) -> String {
        let mut obstacles = Vec::new();
        for step in &plan.steps {
            obstacles.extend(scope::reason_for(&*self.inner.parts.cluster, &self.ctx(), &self.inner.config.scope, &step.target).await);
        }
        let steps = text::steps(plan);
        if obstacles.is_empty() { steps } else { format!("{steps}; {}", obstacles.join("; ")) }
    }
}
