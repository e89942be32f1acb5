//! Events: what subscribers see.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EventId, IncidentId, Timestamp};

/// Version of the shape of [`Event`].
pub const EVENT_SCHEMA: u32 = 1;

/// One thing that happened. Subscribers resume after `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Version of this shape.
    pub schema: u32,
    /// Position in the ledger's stream; grows, may have gaps.
    pub seq: u64,
    /// Its identifier.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Tenant; empty for the only one.
    #[serde(default)]
    pub tenant: String,
    /// Cluster id.
    pub cluster: String,
    /// The incident.
    pub incident_id: IncidentId,
    /// Attempt of the incident.
    pub attempt: u32,
    /// What happened: `incident.received`, `incident.classified`, `incident.diagnosed`, `incident.planned`, `approval.requested`,
    /// `approval.decided`, `step.started`, `step.ended`, `incident.verified`, `incident.phase_changed` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Details; never a secret.
    pub data: Value,
}
