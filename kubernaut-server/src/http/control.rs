//! The global stop.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, auth::Caller, extract::Body, problem::Answer};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// Whether all acting is stopped.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StopState {
    /// Whether it is.
    pub stopped: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Tells whether all acting is stopped.
#[utoipa::path(get, path = "/stop", tag = "control", responses((status = 200, description = "state", body = ref("#/components/schemas/StopState"))))]
async fn get(State(state): State<AppState>, caller: Caller) -> Answer<Json<StopState>> {
    let reason = state.kubernaut.stopped(state.context(&caller)).await?;
    Ok(Json(StopState { stopped: reason.is_some(), reason }))
}

/// Stops all acting, or allows it again. What is running reaches a safe point; nothing new begins.
#[utoipa::path(put, path = "/stop", request_body = ref("#/components/schemas/StopState"), tag = "control", responses((status = 200, description = "state", body = ref("#/components/schemas/StopState"))))]
async fn put(State(state): State<AppState>, caller: Caller, Body(body): Body<StopState>) -> Answer<Json<StopState>> {
    let reason = body.stopped.then(|| format!("{} (by {})", body.reason.as_deref().unwrap_or("stopped"), caller.name));
    state.kubernaut.set_stopped(state.context(&caller), reason.clone()).await?;
    Ok(Json(StopState { stopped: reason.is_some(), reason }))
}
