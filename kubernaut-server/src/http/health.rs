//! Liveness, readiness and metrics. Without authentication, and without anything worth hiding.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use kubernaut::service::CallContext;

use super::AppState;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/healthz", get(live)).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn live(State(state): State<AppState>) -> impl IntoResponse {
    let report = state.health.live().await;
    (status(report.ok), Json(report))
}

async fn ready(State(state): State<AppState>) -> impl IntoResponse {
    let report = state.health.ready().await;
    (status(report.ok && !state.shutdown.is_cancelled()), Json(report))
}

fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    if let Ok(stats) = state.kubernaut.stats(CallContext::system("metrics")).await {
        state.metrics.record_ledger(&stats);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render())
}
