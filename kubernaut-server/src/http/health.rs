//! Liveness, readiness and metrics. Without authentication, and without anything worth hiding.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use kubernaut::{
    service::CallContext,
    services::monitor::{health::Probe, metrics::CONTENT_TYPE},
};

use super::AppState;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/healthz", get(live)).route("/readyz", get(ready)).route("/metrics", get(scrape))
}

async fn live(State(state): State<AppState>) -> impl IntoResponse {
    let report = state.health.report(Probe::Liveness).await;
    (status(report.is_ok()), Json(report))
}

async fn ready(State(state): State<AppState>) -> impl IntoResponse {
    let report = state.health.report(Probe::Readiness).await;
    (status(report.is_ok() && !state.shutdown.is_cancelled()), Json(report))
}

fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn scrape(State(state): State<AppState>) -> impl IntoResponse {
    if let Ok(stats) = state.kubernaut.stats(CallContext::system("metrics")).await {
        for (what, count) in [("open", stats.open_incidents), ("awaiting_approval", stats.awaiting_approval)] {
            metrics::gauge!("kubernaut_ledger_incidents", "state" => what).set(count as f64);
        }
        metrics::gauge!("kubernaut_ledger_alerts").set(stats.alerts as f64);
        for (what, count) in [("waiting", stats.outbox), ("dead", stats.outbox_dead)] {
            metrics::gauge!("kubernaut_ledger_outbox", "state" => what).set(count as f64);
        }
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], state.metrics.render())
}
