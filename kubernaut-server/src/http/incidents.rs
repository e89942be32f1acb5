//! Incidents: list, one, its timeline, alerts and audit chain.

use axum::{Json, extract::State, http::StatusCode};
use kubernaut::{
    Error,
    model::{Alert, AuditRow, Event, Incident, IncidentId, Phase, first_broken_row, veil},
    port::IncidentFilter,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    auth::Caller,
    extract::{Id, Params},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(timeline))
        .routes(routes!(alerts))
        .routes(routes!(audit))
        .routes(routes!(cancel))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only in this phase, such as `awaiting_approval`; several with commas.
    phase: Option<String>,
    /// Only open (`true`) or ended (`false`) ones.
    open: Option<bool>,
    /// Only of this namespace.
    namespace: Option<String>,
    /// Only of this fingerprint.
    fingerprint: Option<String>,
    /// Only opened before this incident, for paging.
    before: Option<uuid::Uuid>,
    /// At most this many, newest first; default 100, at most 1000.
    limit: Option<u32>,
}

fn phases(text: Option<&str>) -> Result<Vec<Phase>, Error> {
    let words = text.into_iter().flat_map(|t| t.split(',')).map(str::trim).filter(|w| !w.is_empty());
    words
        .map(|word| {
            Phase::ALL.iter().find(|p| p.as_str() == word).copied().ok_or_else(|| Error::invalid("http.query", "not a phase").with("phase", word))
        })
        .collect()
}

/// Lists incidents, newest first.
#[utoipa::path(get, path = "/incidents", params(ListParams), tag = "incidents", responses((status = 200, description = "incidents", body = ref("#/components/schemas/IncidentList"))))]
async fn list(State(state): State<AppState>, caller: Caller, Params(params): Params<ListParams>) -> Answer<Json<IncidentList>> {
    let filter = IncidentFilter {
        phases: phases(params.phase.as_deref())?,
        open: params.open,
        namespace: params.namespace,
        fingerprint: params.fingerprint,
        before: params.before.map(IncidentId),
        limit: params.limit,
    };
    let found = state.kubernaut.incidents(state.context(&caller), filter).await?;
    Ok(Json(IncidentList { incidents: found.into_iter().map(veil::incident).collect() }))
}

/// A list of incidents.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct IncidentList {
    /// Newest first.
    pub incidents: Vec<Incident>,
}

/// One incident.
#[utoipa::path(get, path = "/incidents/{id}", params(("id" = uuid::Uuid, Path, description = "incident id")), tag = "incidents", responses((status = 200, description = "the incident", body = ref("#/components/schemas/Incident")), (status = 404, description = "no such incident", body = ref("#/components/schemas/Problem"))))]
async fn one(State(state): State<AppState>, caller: Caller, Id(id): Id<IncidentId>) -> Answer<Json<Incident>> {
    Ok(Json(veil::incident(state.kubernaut.incident(state.context(&caller), id).await?)))
}

/// Everything that happened to an incident, in order.
#[utoipa::path(get, path = "/incidents/{id}/timeline", params(("id" = uuid::Uuid, Path, description = "incident id")), tag = "incidents", responses((status = 200, description = "events", body = ref("#/components/schemas/Timeline")), (status = 404, description = "no such incident", body = ref("#/components/schemas/Problem"))))]
async fn timeline(State(state): State<AppState>, caller: Caller, Id(id): Id<IncidentId>) -> Answer<Json<Timeline>> {
    Ok(Json(Timeline { events: state.kubernaut.timeline(state.context(&caller), id).await? }))
}

/// The events of one incident.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Timeline {
    /// Oldest first.
    pub events: Vec<Event>,
}

/// The alerts counted on an incident, oldest first.
#[utoipa::path(get, path = "/incidents/{id}/alerts", params(("id" = uuid::Uuid, Path, description = "incident id")), tag = "incidents", responses((status = 200, description = "alerts", body = ref("#/components/schemas/AlertList"))))]
async fn alerts(State(state): State<AppState>, caller: Caller, Id(id): Id<IncidentId>) -> Answer<Json<AlertList>> {
    Ok(Json(AlertList { alerts: state.kubernaut.alerts(state.context(&caller), id).await? }))
}

/// The alerts of one incident.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AlertList {
    /// Oldest first.
    pub alerts: Vec<Alert>,
}

/// The audit chain of an incident, and whether it verifies.
#[utoipa::path(get, path = "/incidents/{id}/audit", params(("id" = uuid::Uuid, Path, description = "incident id")), tag = "incidents", responses((status = 200, description = "audit rows", body = ref("#/components/schemas/AuditChain"))))]
async fn audit(State(state): State<AppState>, caller: Caller, Id(id): Id<IncidentId>) -> Answer<Json<AuditChain>> {
    let rows = state.kubernaut.audit(state.context(&caller), id).await?;
    let broken_at = first_broken_row(&rows);
    Ok(Json(AuditChain { verified: broken_at.is_none(), broken_at, rows }))
}

/// The audit rows of one incident.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AuditChain {
    /// Whether every row holds the hash of the one before.
    pub verified: bool,
    /// Position of the first row that does not.
    pub broken_at: Option<u64>,
    /// In order.
    pub rows: Vec<AuditRow>,
}

/// Asks to end an incident at its next safe point.
#[utoipa::path(post, path = "/incidents/{id}/cancel", params(("id" = uuid::Uuid, Path, description = "incident id")), tag = "incidents", responses((status = 202, description = "asked"), (status = 409, description = "it has ended", body = ref("#/components/schemas/Problem"))))]
async fn cancel(State(state): State<AppState>, caller: Caller, Id(id): Id<IncidentId>) -> Answer<StatusCode> {
    state.kubernaut.cancel_incident(state.context(&caller), id).await?;
    Ok(StatusCode::ACCEPTED)
}
