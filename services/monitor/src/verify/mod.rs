//! Whether an action helped: the objects are healthy, the alert is gone, what was applied still stands, metrics are no worse.

mod alert;
mod alertmanager;
mod config;
mod drift;
mod finding;
mod harm;
mod inspect;
mod metric;
mod pods;
mod score;
mod workload;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{CheckOutcome, Incident, Plan, Timestamp, Verdict, Verification, VerificationCheck},
    port::{ClusterInfo, ClusterRead, Verifier, VerifyRequest},
    service::CallContext,
};
use serde_json::Value;

pub use config::{Better, MetricRule, VerifyConfig};

use alertmanager::Alertmanager;
use finding::{Finding, State};
use inspect::Inspector;
use pods::Stability;

/// The default [`Verifier`]: reads the cluster and, where configured, Alertmanager.
///
/// It keeps nothing between looks. A pod that was just started always looks fine, so a look is effective only if every container has run for a
/// while and the alert is gone; the caller asks for two such looks.
#[derive(Debug, Clone)]
pub struct EffectivenessVerifier {
    cluster: Arc<dyn ClusterRead>,
    alertmanager: Option<Alertmanager>,
    config: VerifyConfig,
}

impl EffectivenessVerifier {
    /// A verifier over a cluster.
    #[must_use]
    pub fn new(cluster: Arc<dyn ClusterRead>, config: VerifyConfig) -> Self {
        let timeout = Duration::from_secs(config.alertmanager_timeout_s.max(1));
        let alertmanager = config.alertmanager_url.clone().map(|url| Alertmanager::new(url, timeout));
        Self { cluster, alertmanager, config }
    }

    async fn findings(&self, ctx: &CallContext, incident: &Incident, plan: &Plan, info: &ClusterInfo, since: Timestamp) -> BTreeMap<String, Finding> {
        let stability = Stability {
            now: info.now,
            since,
            stable_s: self.config.stable_s,
            restart_stable_s: self.config.restart_stable_s,
            recorded: info.recorded,
        };
        let inspector = Inspector {
            cluster: &*self.cluster,
            ctx: ctx.clone(),
            stability,
            cordoned: inspect::cordoned_by(plan),
            owner_stands_for_pods: inspect::stands_for_pods(&incident.owner.kind),
        };
        inspector.findings(&inspect::concerned(incident, plan)).await
    }
}

#[async_trait]
impl Verifier for EffectivenessVerifier {
    async fn verify(&self, ctx: CallContext, request: VerifyRequest) -> Result<Verification> {
        let VerifyRequest { incident, run, last_look, baseline } = request;
        let info = self.cluster.info(ctx.clone()).await?;
        let findings = self.findings(&ctx, &incident, &run.plan, &info, run.created_at).await;
        let health = findings.values().map(|f| f.state).max().unwrap_or(State::Silent);
        let checks = vec![
            health_check(&findings, health),
            alert::check(&self.config, self.alertmanager.as_ref(), &incident, info.recorded).await,
            drift::check(&*self.cluster, &ctx, &run).await,
            metric::check(&*self.cluster, &ctx, &self.config.metrics, run.created_at).await,
        ];
        let had_time = last_look || (!info.recorded && seconds(run.updated_at, info.now) >= self.config.harm_after_s);
        let before = serde_json::from_value::<harm::Baseline>(baseline).unwrap_or_default();
        let harm = harm::harm(&before, &findings, had_time);
        let facts = score::Facts { health, healthy_before: harm::healthy(&before), harmed: harm.is_some(), last: last_look };
        let verdict = score::verdict(&checks, facts);
        let simulated = info.recorded;
        Ok(finished(verdict, checks, harm, info.now, simulated))
    }

    async fn baseline(&self, ctx: CallContext, incident: Incident, plan: Plan) -> Result<Value> {
        let info = self.cluster.info(ctx.clone()).await?;
        let findings = self.findings(&ctx, &incident, &plan, &info, info.now).await;
        let invalid = |e| Error::new(ErrorKind::Internal, "verifier.baseline", "the baseline is no json").source(e);
        serde_json::to_value(harm::baseline(&findings)).map_err(invalid)
    }
}

fn finished(verdict: Verdict, mut checks: Vec<VerificationCheck>, harm: Option<String>, at: Timestamp, simulated: bool) -> Verification {
    let score = if harm.is_some() { 0.0 } else { score::score(&checks) };
    if let (Some(harm), Some(health)) = (harm, checks.first_mut()) {
        (health.outcome, health.text) = (CheckOutcome::Fail, harm);
    }
    metrics::counter!("kubernaut_monitor_verifications_total", "verdict" => format!("{verdict:?}").to_lowercase()).increment(1);
    Verification { verdict, score, checks, at, simulated }
}

/// What is worst is said; if all is well, all is said.
fn health_check(findings: &BTreeMap<String, Finding>, health: State) -> VerificationCheck {
    let worst: Vec<&Finding> = findings.values().filter(|f| f.state == health).collect();
    let outcome = worst.first().map_or(CheckOutcome::Skip, |f| f.outcome());
    let text = worst.iter().map(|f| f.text.as_str()).collect::<Vec<_>>().join("; ");
    VerificationCheck { name: score::HEALTH.into(), outcome, text }
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
