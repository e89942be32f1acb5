//! The facts behind a claim.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ObjectRef;

/// Where a fact was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EvidenceSource {
    /// A field of `spec` or metadata.
    Spec,
    /// A field of `status`.
    Status,
    /// A Kubernetes event.
    Event,
    /// A container's log.
    Log,
    /// The difference between two revisions.
    Revision,
    /// A metric.
    Metric,
    /// Earlier incidents.
    History,
    /// The alert itself.
    Alert,
    /// A model's answer.
    Model,
}

/// One fact and the object it was read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The object; `Kind/namespace/name` in outputs.
    pub object: ObjectRef,
    /// Where it was read.
    pub source: EvidenceSource,
    /// One line that says it, with the values.
    pub text: String,
}

impl Evidence {
    /// A fact. What looks like a credential in the text, as lines of logs may have it, is taken out.
    pub fn new(object: ObjectRef, source: EvidenceSource, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { object, source, text: crate::redact::redact(&text).into_owned() }
    }
}
