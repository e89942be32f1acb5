//! Telling people and systems.

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Capability, delegate};
use crate::{Result, model::Notification};

/// What became of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// The channels that took it.
    pub channels: Vec<String>,
}

/// Delivers notifications. The outbox calls it until it succeeds, so a notification may arrive more than once; its id tells.
#[async_trait]
pub trait Notifier: Debug + Send + Sync + 'static {
    /// Delivers one notification.
    ///
    /// Rules: success means every channel it is routed to has accepted it; no secret appears in an error.
    ///
    /// # Errors
    /// A transient error is tried again later; any other ends the attempts.
    async fn notify(&self, ctx: CallContext, notification: Notification) -> Result<Delivery>;

    /// Optional operations offered.
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
}

delegate!(Notifier {
    async fn notify(&self, ctx: CallContext, notification: Notification) -> Result<Delivery>;
} sync { fn capabilities(&self) -> Vec<Capability>; });
