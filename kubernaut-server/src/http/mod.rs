//! The HTTP interface.

mod actions;
mod alerts;
mod approvals;
mod auth;
mod control;
mod events;
mod extract;
mod health;
mod incidents;
mod openapi;
mod problem;
mod runs;
mod state;

use axum::{Router, middleware};
use serde_json::Value;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use auth::{Caller, Scope, TokenConfig, Tokens};
pub use problem::{Problem, status_of};
pub use state::AppState;

/// All routes.
pub fn app(state: AppState) -> Router {
    let (router, document) = routes(&state);
    let swagger = utoipa_swagger_ui::SwaggerUi::new("/docs").external_url_unchecked("/api/v1/openapi.json", document);
    Router::new()
        .merge(router)
        .merge(health::router())
        .merge(swagger)
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http())
        .with_state(state)
}

/// The OpenAPI 3.1 document.
#[must_use]
pub fn openapi_document() -> Value {
    openapi::complete(&documented().split_for_parts().1)
}

fn documented() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::ApiDoc::openapi()).nest("/api/v1", alerts::router().merge(guarded()))
}

fn guarded() -> OpenApiRouter<AppState> {
    incidents::router().merge(approvals::router()).merge(runs::router()).merge(actions::router()).merge(control::router()).merge(events::router())
}

/// Alerts have their own authentication, everything else needs a token where tokens are configured.
fn routes(state: &AppState) -> (Router<AppState>, Value) {
    let guard = middleware::from_fn_with_state(state.clone(), auth::authenticate);
    let api = alerts::router().merge(guarded().layer(guard));
    let (router, document) = OpenApiRouter::with_openapi(openapi::ApiDoc::openapi()).nest("/api/v1", api).split_for_parts();
    let document = openapi::complete(&document);
    (router, document)
}
