//! The memory of incidents.

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Capability, delegate};
use crate::{
    Error, Result,
    model::{Category, HistoryEntry, IncidentId, ObjectRef, Outcome, Timestamp},
};

/// Which incidents to recall. Filters that are given must all match; text ranks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecallQuery {
    /// Only this fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Words to look for in alert, cause and evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only this category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// At most this many; default 10, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One recalled incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recalled {
    /// What is remembered.
    pub entry: HistoryEntry,
    /// Similarity, 0 to 1; 1 for the same fingerprint.
    pub score: f64,
    /// Why it is similar, such as `same fingerprint` or the words that matched.
    pub why: String,
}

/// How an incident ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeUpdate {
    /// The incident.
    pub incident_id: IncidentId,
    /// How it ended.
    pub outcome: Outcome,
    /// 0 to 1, from verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effectiveness: Option<f64>,
    /// When.
    pub closed_at: Timestamp,
}

/// Remembers incidents and finds similar ones.
#[async_trait]
pub trait ContextStore: Debug + Send + Sync + 'static {
    /// Remembers an incident; the same incident id again replaces the entry.
    ///
    /// # Errors
    /// Errors of the store.
    async fn remember(&self, ctx: CallContext, entry: HistoryEntry) -> Result<()>;

    /// Finds similar incidents.
    ///
    /// Rules: sorted by score, then newest first; each within 0 and 1; filters that are given all match; an empty query returns the newest.
    ///
    /// # Errors
    /// Errors of the store.
    async fn recall(&self, ctx: CallContext, query: RecallQuery) -> Result<Vec<Recalled>>;

    /// What was done to a resource since a time, newest first.
    ///
    /// # Errors
    /// Errors of the store.
    async fn history(&self, ctx: CallContext, resource: ObjectRef, since: Timestamp) -> Result<Vec<HistoryEntry>>;

    /// Removes an incident from the memory; unknown ids are no error.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::Forget`].
    async fn forget(&self, _ctx: CallContext, _id: IncidentId) -> Result<()> {
        Err(Error::unsupported("context_store.forget", "this store cannot forget"))
    }

    /// Records how an incident ended.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::Outcome`], `NotFound` if it was never remembered.
    async fn outcome(&self, _ctx: CallContext, _update: OutcomeUpdate) -> Result<()> {
        Err(Error::unsupported("context_store.outcome", "this store does not keep outcomes"))
    }

    /// Optional operations offered.
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
}

delegate!(ContextStore {
    async fn remember(&self, ctx: CallContext, entry: HistoryEntry) -> Result<()>;
    async fn recall(&self, ctx: CallContext, query: RecallQuery) -> Result<Vec<Recalled>>;
    async fn history(&self, ctx: CallContext, resource: ObjectRef, since: Timestamp) -> Result<Vec<HistoryEntry>>;
    async fn forget(&self, ctx: CallContext, id: IncidentId) -> Result<()>;
    async fn outcome(&self, ctx: CallContext, update: OutcomeUpdate) -> Result<()>;
} sync { fn capabilities(&self) -> Vec<Capability>; });
