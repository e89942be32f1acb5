//! Environment, priority and business context of an alert.

use std::{collections::BTreeMap, fmt::Debug};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Capability, delegate};
use crate::{
    Result,
    model::{Classification, ObjectRef, Severity},
};

/// What is to be classified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassifyRequest {
    /// The alerted object.
    pub target: ObjectRef,
    /// Severity of the alert.
    pub severity: Severity,
    /// The alert's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Gives environment, priority and business context.
#[async_trait]
pub trait Classifier: Debug + Send + Sync + 'static {
    /// Classifies one alert.
    ///
    /// Rules:
    /// 1. The same request against the same cluster state gives the same answer.
    /// 2. Confidence is within 0 and 1; below 0.8 `treated_as` is the strictest plausible environment, never a laxer one than `value`.
    /// 3. A namespace that cannot be read is no error: the environment is `unknown` and treated as production.
    ///
    /// # Errors
    /// `InvalidInput` for a target without a name; otherwise errors of the implementation.
    async fn classify(&self, ctx: CallContext, request: ClassifyRequest) -> Result<Classification>;

    /// Classifies several alerts; the default asks one after the other.
    ///
    /// Rules: as many answers as requests, in their order.
    ///
    /// # Errors
    /// The first error of [`Classifier::classify`].
    async fn classify_batch(&self, ctx: CallContext, requests: Vec<ClassifyRequest>) -> Result<Vec<Classification>> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(self.classify(ctx.clone(), request).await?);
        }
        Ok(answers)
    }

    /// Optional operations offered.
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
}

delegate!(Classifier {
    async fn classify(&self, ctx: CallContext, request: ClassifyRequest) -> Result<Classification>;
    async fn classify_batch(&self, ctx: CallContext, requests: Vec<ClassifyRequest>) -> Result<Vec<Classification>>;
} sync { fn capabilities(&self) -> Vec<Capability>; });
