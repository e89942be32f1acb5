//! From a request to committed alerts.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::HeaderMap;
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Alert, IntakeOutcome, IntakeResult},
    port::{Clock, ClusterRead, Intake, IntakePolicy, Ledger},
    service::CallContext,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    GatewayConfig, NativeBatch, SourceConfig, SourceKind, assemble, body, measure, signature,
    sources::{self, Batch},
    storm::{Member, Storms},
    target::Targets,
};

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// HTTP status: 201, 202, 200 or 400, see the crate's documentation.
    pub status: u16,
    /// One entry for each alert of the request, in its order.
    pub results: Vec<IntakeResult>,
}

impl Received {
    fn of(results: Vec<IntakeResult>) -> Self {
        let any = |outcome: IntakeOutcome| results.iter().any(|result| result.outcome == outcome);
        let status = match results.as_slice() {
            [] => 200,
            _ if any(IntakeOutcome::Created) => 201,
            all if all.iter().all(|result| result.outcome == IntakeOutcome::Rejected) => 400,
            _ => 202,
        };
        Self { status, results }
    }
}

/// The door for alerts. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Gateway {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    targets: Targets,
    storms: Option<Storms>,
    config: GatewayConfig,
}

impl Gateway {
    /// A gateway that commits to `ledger` and finds targets in `cluster`. Check the configuration with [`GatewayConfig::validate`] before.
    pub fn new(ledger: Arc<dyn Ledger>, cluster: Arc<dyn ClusterRead>, clock: Arc<dyn Clock>, config: GatewayConfig) -> Self {
        let targets = Targets::new(cluster, &config.target);
        let storms = (!config.storms.is_empty()).then(|| Storms::new(ledger.clone(), &config.storms));
        Self { ledger, clock, targets, storms, config }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// Checks who sends, as far as the source asks for it: bearer token and signature.
    ///
    /// # Errors
    /// `NotFound` for a source that is not configured, `Unauthorized`.
    pub fn authorize(&self, source: &str, headers: &HeaderMap, body: &[u8]) -> Result<()> {
        signature::authorize(self.source(source)?, headers, body)
    }

    /// Takes one request: credentials, content type, size, parsing, targets, and the commit of all alerts together.
    ///
    /// # Errors
    /// `NotFound` for a source that is not configured, `Unauthorized`, `UnsupportedMediaType`, `PayloadTooLarge`, `InvalidInput` for a body
    /// that is no batch (with its JSON path), and errors of the ledger (`Overloaded`, `Unavailable`): then nothing was committed.
    pub async fn receive(&self, ctx: CallContext, source: &str, headers: &HeaderMap, body: Bytes) -> Result<Received> {
        // Only names that exist become labels of metrics.
        let settings = self.source(source)?;
        let started = Instant::now();
        let result = self.receive_from(ctx, source, settings, headers, body).await;
        Self::report(source, started, &result);
        result
    }

    /// Takes a body that the host vouches for: as [`Gateway::receive`], but no credentials are asked for.
    ///
    /// # Errors
    /// `NotFound` for a source that is not configured, `PayloadTooLarge`, `InvalidInput` for a body that is no batch (with its JSON path), and
    /// errors of the ledger: then nothing was committed.
    pub async fn receive_trusted(&self, ctx: CallContext, source: &str, body: Bytes) -> Result<Received> {
        let kind = self.source(source)?.kind;
        let started = Instant::now();
        let result = self.receive_body(ctx, source, kind, body).await;
        Self::report(source, started, &result);
        result
    }

    /// Takes alerts that a host has as values; the same as a request to a native source of that name, which need not be configured.
    ///
    /// # Errors
    /// Errors of the ledger: then nothing was committed.
    pub async fn submit(&self, ctx: CallContext, source: &str, batch: NativeBatch) -> Result<Received> {
        let started = Instant::now();
        let result = self.commit(ctx, source, sources::from_values(batch)).await;
        Self::report("submit", started, &result);
        result
    }

    fn source(&self, name: &str) -> Result<&SourceConfig> {
        self.config.sources.get(name).ok_or_else(|| {
            let available = self.config.sources.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let shown: String = name.chars().take(100).collect();
            Error::not_found("gateway.receive", "no such source; configure it under gateway.sources")
                .with("source", shown)
                .with("available", available)
        })
    }

    async fn receive_from(&self, ctx: CallContext, name: &str, source: &SourceConfig, headers: &HeaderMap, bytes: Bytes) -> Result<Received> {
        if bytes.len() > self.config.body_limit_bytes {
            return Err(body::too_large(self.config.body_limit_bytes));
        }
        signature::authorize(source, headers, &bytes)?;
        body::check_content_type(headers)?;
        self.receive_body(ctx, name, source.kind, bytes).await
    }

    async fn receive_body(&self, ctx: CallContext, name: &str, kind: SourceKind, bytes: Bytes) -> Result<Received> {
        if bytes.len() > self.config.body_limit_bytes {
            return Err(body::too_large(self.config.body_limit_bytes));
        }
        let batch = sources::parse(kind, &bytes)?;
        if batch.truncated > 0 {
            measure::truncated(name, batch.truncated);
            tracing::warn!(source = name, truncated = batch.truncated, "the sender left alerts out of its batch; raise its limit (max_alerts)");
        }
        self.commit(ctx, name, batch).await
    }

    /// Finds the targets and commits all good alerts in one transaction.
    async fn commit(&self, ctx: CallContext, source: &str, batch: Batch) -> Result<Received> {
        let lookups = ctx.clone().with_timeout(Duration::from_millis(self.config.target.resolve_timeout_ms));
        let alerts: Vec<Result<Alert, String>> = stream::iter(batch.alerts)
            .map(|entry| async {
                match entry {
                    Ok(incoming) => Ok(assemble::alert(&self.targets, &*self.clock, self.config.fingerprint, &lookups, source, incoming).await),
                    Err(reason) => Err(reason),
                }
            })
            .buffered(self.config.batch_concurrency.max(1))
            .collect()
            .await;
        let mut good = Vec::with_capacity(alerts.len());
        let places: Vec<Option<String>> = alerts.into_iter().map(|alert| alert.map(|alert| good.push(alert)).err()).collect();
        let mut committed = if good.is_empty() { Vec::new() } else { self.intake(ctx, good).await? }.into_iter();
        let results = places.into_iter().map(|refused| match refused {
            Some(reason) => Ok(rejected(source, reason)),
            None => committed.next().ok_or_else(|| Error::internal("gateway.receive", "the ledger answered with fewer results than alerts")),
        });
        Ok(Received::of(results.collect::<Result<_>>()?))
    }

    async fn intake(&self, ctx: CallContext, mut alerts: Vec<Alert>) -> Result<Vec<IntakeResult>> {
        let Some(storms) = &self.storms else { return self.take_in(ctx, alerts).await };
        let mut members: Vec<Option<Member>> = Vec::with_capacity(alerts.len());
        for alert in &mut alerts {
            members.push(storms.join(&ctx, alert).await);
        }
        let results = self.take_in(ctx.clone(), alerts).await?;
        storms.learn(&ctx, &members, &results).await;
        Ok(results)
    }

    async fn take_in(&self, ctx: CallContext, alerts: Vec<Alert>) -> Result<Vec<IntakeResult>> {
        let policy = IntakePolicy {
            quiet_after_no_action: Duration::from_secs(self.config.quiet_after_no_action_s),
            quiet_after_handover: Duration::from_secs(self.config.quiet_after_handover_s),
        };
        self.ledger.intake(ctx, Intake { alerts, policy }).await
    }

    fn report(source: &str, started: Instant, result: &Result<Received>) {
        let status = match result {
            Ok(received) => {
                measure::alerts(source, &received.results);
                match received.status {
                    200 => "200",
                    201 => "201",
                    400 => "400",
                    _ => "202",
                }
            }
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::Cancelled) {
                    tracing::info!(source, error = %error, "request refused");
                }
                error.kind().as_str()
            }
        };
        measure::request(source, status, started.elapsed());
    }
}

fn rejected(source: &str, reason: String) -> IntakeResult {
    tracing::warn!(source, reason, "alert refused");
    IntakeResult { alert_id: None, incident_id: None, outcome: IntakeOutcome::Rejected, error: Some(reason) }
}
