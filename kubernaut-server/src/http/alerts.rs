//! The door for alerts.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use kubernaut::{
    Error, ErrorKind,
    model::IntakeResult,
    service::{Actor, CallContext},
};
use schemars::JsonSchema;
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, auth::Scope, extract::Id, problem::Answer};

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(receive))
}

/// What became of each alert.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Accepted {
    /// One a alert, in the order of the request.
    pub alerts: Vec<IntakeResult>,
}

/// Takes the alerts of a webhook. Answered 2xx means: durable.
///
/// 201 if an incident was opened, else 202 if anything was counted or recorded, else 200. A partly bad batch keeps its good alerts and names the
/// bad ones.
#[utoipa::path(post, path = "/alerts/{source}", params(("source" = String, Path, description = "alertmanager or native")), tag = "alerts",
    request_body(content_type = "application/json", description = "the source's own webhook body"),
    responses(
        (status = 200, description = "nothing to record", body = ref("#/components/schemas/Accepted")),
        (status = 201, description = "an incident was opened", body = ref("#/components/schemas/Accepted")),
        (status = 202, description = "counted or recorded", body = ref("#/components/schemas/Accepted")),
        (status = 400, description = "not the source's format; names the JSON path", body = ref("#/components/schemas/Problem")),
        (status = 413, description = "body too large", body = ref("#/components/schemas/Problem")),
        (status = 415, description = "not JSON", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "overloaded; try again after Retry-After", body = ref("#/components/schemas/Problem"))))]
async fn receive(State(state): State<AppState>, Id(source): Id<String>, headers: HeaderMap, body: Body) -> Answer<(StatusCode, Json<Accepted>)> {
    let gateway = state.kubernaut.gateway();
    let name = sender(&state, &source, &headers)?;
    kubernaut::services::gateway::check_content_type(&headers)?;
    let body = kubernaut::services::gateway::read_limited(body.into_data_stream(), gateway.config().body_limit_bytes);
    let slow = |_| Error::new(ErrorKind::Timeout, "http.alerts", "the body did not arrive in time; send it again");
    let bytes = tokio::time::timeout(BODY_TIME, body).await.map_err(slow)??;
    let ctx = CallContext::new(Actor { kind: "service", name: name.as_str().into() });
    let received = gateway.receive(ctx, &source, &headers, bytes).await?;
    let status = StatusCode::from_u16(received.status).unwrap_or(StatusCode::ACCEPTED);
    Ok((status, Json(Accepted { alerts: received.results })))
}

/// A source with credentials of its own is checked by the gateway; any other needs a token.
fn sender(state: &AppState, source: &str, headers: &HeaderMap) -> Result<String, Error> {
    let own = state.kubernaut.gateway().config().sources.get(source);
    if own.is_some_and(|s| s.hmac_secret.is_some() || s.bearer_token.is_some()) {
        return Ok(source.to_owned());
    }
    let caller = state.tokens.caller(headers)?;
    if caller.scope == Scope::Read {
        return Err(Error::new(ErrorKind::Forbidden, "http.auth", "this token may only read; send alerts with one of scope alerts or operate")
            .with("name", caller.name));
    }
    Ok(caller.name)
}
