//! What every route needs.

use std::sync::Arc;

use kubernaut::{
    Kubernaut,
    service::{Actor, CallContext},
    services::monitor::{Health, metrics::Metrics},
};
use tokio_util::sync::CancellationToken;

use super::auth::{Caller, Tokens};

/// Shared state of the routes.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The engine.
    pub kubernaut: Kubernaut,
    /// Who may call.
    pub tokens: Arc<Tokens>,
    /// Health checks.
    pub health: Arc<Health>,
    /// Metrics.
    pub metrics: Metrics,
    /// Fires when the server shuts down; long streams end then.
    pub shutdown: CancellationToken,
}

impl AppState {
    /// A context for a call of `caller`.
    #[must_use]
    pub fn context(&self, caller: &Caller) -> CallContext {
        CallContext::new(Actor::user(&caller.name)).with_mode(self.kubernaut.config().mode)
    }
}
