//! Reading alerts without taking them in: for analysis outside of an incident.

use std::sync::Arc;

use kubernaut_core::{
    Result,
    model::Alert,
    port::{Clock, ClusterRead},
    service::CallContext,
};

use crate::{GatewayConfig, SourceKind, assemble, sources, target::Targets};

/// Parses a webhook body and finds targets and owners, as [`Gateway`](crate::Gateway) does, but stores nothing.
#[derive(Debug)]
pub struct AlertReader {
    clock: Arc<dyn Clock>,
    targets: Targets,
    config: GatewayConfig,
}

impl AlertReader {
    /// A reader that finds targets in `cluster`.
    pub fn new(cluster: Arc<dyn ClusterRead>, clock: Arc<dyn Clock>, config: GatewayConfig) -> Self {
        Self { clock, targets: Targets::new(cluster, &config.target), config }
    }

    /// The alerts of a body that can be read, in its order; those that cannot are left out with a warning.
    ///
    /// # Errors
    /// `InvalidInput` with the JSON path if the body as a whole is not of that format.
    pub async fn read(&self, ctx: CallContext, kind: SourceKind, body: &[u8]) -> Result<Vec<Alert>> {
        let mut alerts = Vec::new();
        for entry in sources::parse(kind, body)?.alerts {
            match entry {
                Ok(incoming) => alerts.push(assemble::alert(&self.targets, &*self.clock, self.config.fingerprint, &ctx, "reader", incoming).await),
                Err(reason) => tracing::warn!(reason, "alert left out"),
            }
        }
        Ok(alerts)
    }
}
