//! Actions: what is offered, what one would do, and doing one.

use axum::{Json, extract::State};
use kubernaut::{
    Error,
    model::{ActionRequest, ActionSpec, DryRun, Execution, ObjectRef},
    service::ExecuteRequest,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, auth::Caller, extract::Body, problem::Answer};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(dry_run)).routes(routes!(execute))
}

/// Lists the actions offered.
#[utoipa::path(get, path = "/actions", tag = "actions", responses((status = 200, description = "actions", body = ref("#/components/schemas/ActionList"))))]
async fn list(State(state): State<AppState>, caller: Caller) -> Answer<Json<ActionList>> {
    Ok(Json(ActionList { actions: state.kubernaut.actions(state.context(&caller)).await? }))
}

/// A list of actions.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ActionList {
    /// In the order of the registry.
    pub actions: Vec<ActionSpec>,
}

/// An action and its target.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionBody {
    /// Canonical name or alias.
    pub action: String,
    /// `Kind/namespace/name`, or `Kind/name` where cluster-scoped.
    pub target: String,
    /// Parameters after the action's schema.
    #[serde(default)]
    pub params: Value,
    /// Idempotency key; made up if absent.
    #[serde(default)]
    pub key: Option<String>,
    /// The digest of a dry-run that the caller has seen and agrees to; needed to execute.
    #[serde(default)]
    pub approved_digest: Option<String>,
}

impl ActionBody {
    fn request(&self) -> kubernaut::Result<ActionRequest> {
        let key = self.key.clone().unwrap_or_else(|| format!("adhoc-{}", uuid::Uuid::now_v7()));
        Ok(ActionRequest { action: self.action.clone(), target: self.target.parse::<ObjectRef>()?, params: self.params.clone(), key })
    }
}

/// Shows what an action would do now, and what the gate says to it.
#[utoipa::path(post, path = "/actions/dry-run", request_body = ref("#/components/schemas/ActionBody"), tag = "actions", responses((status = 200, description = "checks and diff", body = ref("#/components/schemas/DryRun"))))]
async fn dry_run(State(state): State<AppState>, caller: Caller, Body(body): Body<ActionBody>) -> Answer<Json<DryRun>> {
    Ok(Json(state.kubernaut.dry_run(state.context(&caller), body.request()?).await?))
}

/// Carries out one action; the gate stands around it as around any other.
#[utoipa::path(post, path = "/actions/execute", request_body = ref("#/components/schemas/ActionBody"), tag = "actions", responses((status = 200, description = "checks and outcome", body = ref("#/components/schemas/Execution"))))]
async fn execute(State(state): State<AppState>, caller: Caller, Body(body): Body<ActionBody>) -> Answer<Json<Execution>> {
    let approved_by_person = body.approved_digest.is_some();
    let request =
        ExecuteRequest { request: body.request()?, incident_id: None, approved_digest: body.approved_digest, approved_by_person, approval_id: None };
    let ctx = state.context(&caller);
    // A client that goes away must not cut an action off between its promise and its result.
    let done = tokio::spawn(async move { state.kubernaut.execute(ctx, request).await }).await;
    Ok(Json(done.map_err(|e| Error::internal("http.execute", "the action broke off; ask again under the same key").source(e))??))
}
