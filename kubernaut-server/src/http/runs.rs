//! Runs of plans.

use axum::{Json, extract::State};
use kubernaut::{
    model::{IncidentId, JournalEntry, Run, RunId, veil},
    service::{RunFilter, Signal},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    extract::{Body, Id, Params},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).routes(routes!(journal)).routes(routes!(signal)).routes(routes!(cancel))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only of this incident.
    incident: Option<uuid::Uuid>,
    /// At most this many, newest first; default 100.
    limit: Option<u32>,
}

/// Lists runs, newest first.
#[utoipa::path(get, path = "/runs", params(ListParams), tag = "runs", responses((status = 200, description = "runs", body = ref("#/components/schemas/RunList"))))]
async fn list(State(state): State<AppState>, caller: Caller, Params(params): Params<ListParams>) -> Answer<Json<RunList>> {
    let filter = RunFilter { incident_id: params.incident.map(IncidentId), state: None, limit: params.limit };
    let found = state.kubernaut.runs(state.context(&caller), filter).await?;
    Ok(Json(RunList { runs: found.into_iter().map(veil::run).collect() }))
}

/// A list of runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RunList {
    /// Newest first.
    pub runs: Vec<Run>,
}

/// One run.
#[utoipa::path(get, path = "/runs/{id}", params(("id" = uuid::Uuid, Path, description = "run id")), tag = "runs", responses((status = 200, description = "the run", body = ref("#/components/schemas/Run")), (status = 404, description = "no such run", body = ref("#/components/schemas/Problem"))))]
async fn one(State(state): State<AppState>, caller: Caller, Id(id): Id<RunId>) -> Answer<Json<Run>> {
    Ok(Json(veil::run(state.kubernaut.run(state.context(&caller), id).await?)))
}

/// The journal of a run, oldest first.
#[utoipa::path(get, path = "/runs/{id}/journal", params(("id" = uuid::Uuid, Path, description = "run id")), tag = "runs", responses((status = 200, description = "journal", body = ref("#/components/schemas/Journal"))))]
async fn journal(State(state): State<AppState>, caller: Caller, Id(id): Id<RunId>) -> Answer<Json<Journal>> {
    Ok(Json(Journal { entries: state.kubernaut.journal(state.context(&caller), id).await? }))
}

/// The journal of one run.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Journal {
    /// Oldest first.
    pub entries: Vec<JournalEntry>,
}

/// What a person can tell a run; approvals are answered at their own address.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignalBody {
    /// `pause`, `resume` or `rollback`.
    pub signal: SignalName,
}

/// Name of a signal.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SignalName {
    /// Begin no further step.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Take completed steps back.
    Rollback,
}

/// Pauses, resumes or takes back a run.
#[utoipa::path(post, path = "/runs/{id}/signal", params(("id" = uuid::Uuid, Path, description = "run id")), request_body = ref("#/components/schemas/SignalBody"), tag = "runs", responses((status = 200, description = "the run", body = ref("#/components/schemas/Run"))))]
async fn signal(State(state): State<AppState>, caller: Caller, Id(id): Id<RunId>, Body(body): Body<SignalBody>) -> Answer<Json<Run>> {
    let signal = match body.signal {
        SignalName::Pause => Signal::Pause,
        SignalName::Resume => Signal::Resume,
        SignalName::Rollback => Signal::Rollback,
    };
    Ok(Json(veil::run(state.kubernaut.signal(state.context(&caller), id, signal).await?)))
}

/// Asks a run to end at its next safe point.
#[utoipa::path(post, path = "/runs/{id}/cancel", params(("id" = uuid::Uuid, Path, description = "run id")), tag = "runs", responses((status = 200, description = "the run", body = ref("#/components/schemas/Run"))))]
async fn cancel(State(state): State<AppState>, caller: Caller, Id(id): Id<RunId>) -> Answer<Json<Run>> {
    Ok(Json(veil::run(state.kubernaut.cancel_run(state.context(&caller), id).await?)))
}
