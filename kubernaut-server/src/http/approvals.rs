//! Requests for approval.

use axum::{Json, extract::State};
use http::StatusCode;
use kubernaut::model::{Approval, ApprovalDecision, ApprovalId, Run};
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
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one, decide, edit))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only those that nobody answered yet. Default false.
    pending: bool,
}

/// Lists requests for approval, newest first.
#[utoipa::path(get, path = "/approvals", params(ListParams), tag = "approvals", responses((status = 200, description = "approvals", body = ref("#/components/schemas/ApprovalList"))))]
async fn list(State(state): State<AppState>, caller: Caller, Params(params): Params<ListParams>) -> Answer<Json<ApprovalList>> {
    Ok(Json(ApprovalList { approvals: state.kubernaut.approvals(state.context(&caller), params.pending).await? }))
}

/// A list of requests for approval.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ApprovalList {
    /// Newest first.
    pub approvals: Vec<Approval>,
}

/// One request for approval, with the diff it is about.
#[utoipa::path(get, path = "/approvals/{id}", params(("id" = uuid::Uuid, Path, description = "approval id")), tag = "approvals", responses((status = 200, description = "the request", body = ref("#/components/schemas/Approval")), (status = 404, description = "no such request", body = ref("#/components/schemas/Problem"))))]
async fn one(State(state): State<AppState>, caller: Caller, Id(id): Id<ApprovalId>) -> Answer<Json<Approval>> {
    Ok(Json(state.kubernaut.approval(state.context(&caller), id).await?))
}

/// A person's answer. With authentication the token's name is taken for `by`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecideBody {
    /// Yes or no.
    pub approve: bool,
    /// Who answers; used only where there is no authentication.
    #[serde(default)]
    pub by: Option<String>,
    /// The digest that was seen; if given it must be the one asked for.
    #[serde(default)]
    pub digest: Option<String>,
    /// What they say.
    #[serde(default)]
    pub comment: Option<String>,
}

/// Answers a request for approval. The first answer counts.
#[utoipa::path(post, path = "/approvals/{id}", params(("id" = uuid::Uuid, Path, description = "approval id")), request_body = ref("#/components/schemas/DecideBody"), tag = "approvals", responses((status = 200, description = "the request as answered", body = ref("#/components/schemas/Approval")), (status = 409, description = "answered before, expired, or about another effect", body = ref("#/components/schemas/Problem"))))]
async fn decide(State(state): State<AppState>, caller: Caller, Id(id): Id<ApprovalId>, Body(body): Body<DecideBody>) -> Answer<Json<Approval>> {
    let by = if caller.authenticated { caller.name.clone() } else { body.by.unwrap_or_else(|| caller.name.clone()) };
    let decision = ApprovalDecision { approve: body.approve, by, digest: body.digest, comment: body.comment, groups: caller.groups.clone() };
    Ok(Json(state.kubernaut.decide(state.context(&caller), id, decision).await?))
}

/// Other parameters for a step that waits for an answer. With authentication the token's name is taken for `by`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditBody {
    /// Parameters after the action's schema.
    pub params: serde_json::Value,
    /// Who changes them; used only where there is no authentication.
    #[serde(default)]
    pub by: Option<String>,
}

/// Changes the parameters of what is asked about. They are checked as the gate would; then the request is void, and a new one is made for the new
/// effect. Who changes them cannot agree to them where two people are asked for.
#[utoipa::path(patch, path = "/approvals/{id}", params(("id" = uuid::Uuid, Path, description = "approval id")), request_body = ref("#/components/schemas/EditBody"), tag = "approvals", responses((status = 202, description = "the run, which makes a new request", body = ref("#/components/schemas/Run")), (status = 400, description = "the parameters are refused", body = ref("#/components/schemas/Problem")), (status = 409, description = "nothing waits for an answer to it", body = ref("#/components/schemas/Problem"))))]
async fn edit(State(state): State<AppState>, caller: Caller, Id(id): Id<ApprovalId>, Body(body): Body<EditBody>) -> Answer<(StatusCode, Json<Run>)> {
    let by = if caller.authenticated { caller.name.clone() } else { body.by.unwrap_or_else(|| caller.name.clone()) };
    let run = state.kubernaut.edit_approval(state.context(&caller), id, body.params, by).await?;
    Ok((StatusCode::ACCEPTED, Json(run)))
}
