//! The memory of incidents.

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Capability, delegate};
use crate::{
    Error, Result,
    model::{Category, Environment, HistoryEntry, IncidentId, ObjectRef, Outcome, Timestamp},
    port::{EmbedderInfo, VectorIndexInfo},
};

/// Which incidents to recall. Filters that are given must all match; text and likeness rank.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecallQuery {
    /// Only this fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Words to look for in alert, cause and evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What a similar incident is like. Only ranks what is found.
    #[serde(skip_serializing_if = "Likeness::is_empty")]
    pub like: Likeness,
    /// Only this category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Only resources of this cluster; those that name none are not of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Only resources of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only this kind of environment; incidents whose environment is not known are not of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Only incidents opened at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only incidents opened before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// At most this many; default 10, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl RecallQuery {
    /// Whether all filters hold for an entry of the caller's tenant. An empty fingerprint is unknown, so it is no other entry's.
    #[must_use]
    pub fn admits(&self, entry: &HistoryEntry) -> bool {
        self.fingerprint.as_ref().is_none_or(|f| !f.is_empty() && *f == entry.fingerprint)
            && self.category.is_none_or(|c| entry.category == Some(c))
            && (self.cluster.is_none() || self.cluster == entry.resource.cluster)
            && (self.namespace.is_none() || self.namespace == entry.resource.namespace)
            && self.environment.is_none_or(|e| entry.environment == Some(e))
            && self.since.is_none_or(|since| entry.opened_at >= since)
            && self.until.is_none_or(|until| entry.opened_at < until)
    }
}

/// What a similar incident is like. What is given raises the score of incidents that share it; a store may ignore it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Likeness {
    /// The alert's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_name: Option<String>,
    /// The kind of cause that is suspected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// The alerted object or its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
}

impl Likeness {
    /// Whether nothing is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One part of a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScorePart {
    /// What was compared, such as `words` or `alert`.
    pub name: String,
    /// How alike, 0 to 1.
    pub score: f64,
    /// What it counts for, 0 to 1; the weights of all parts make 1.
    pub weight: f64,
    /// What they share, such as the words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
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
    /// What the score is made of; empty where it is one thing alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ScorePart>,
}

/// Some of all that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPage {
    /// The entries of all tenants, in the order in which they were written last.
    pub entries: Vec<HistoryEntry>,
    /// Where to go on, also later, when more has been written; the same as asked for if there was nothing.
    pub next: u64,
}

/// How the memory stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryStatus {
    /// Why recall finds less than it could for now, such as an index that is being rebuilt; `None` if all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
    /// How many entries can be found by their vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<u64>,
    /// What turns texts into vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<EmbedderInfo>,
    /// What finds the nearest vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<VectorIndexInfo>,
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
    /// Rules: it belongs to the tenant of the context, whatever the entry says; recall, history, fetch and outcome of another tenant never see
    /// it.
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

    /// Goes through everything that is remembered, for whoever derives something from it.
    ///
    /// Rules: from the beginning with 0, then with the `next` of the page before; an entry that is written again comes again; at most `limit`.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::Scan`].
    async fn scan(&self, _ctx: CallContext, _after: u64, _limit: u32) -> Result<HistoryPage> {
        Err(Error::unsupported("context_store.scan", "this store cannot be gone through"))
    }

    /// Entries of the context's tenant by their [`HistoryEntry::key`], in no particular order; unknown keys are left out.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::Scan`].
    async fn fetch(&self, _ctx: CallContext, _keys: Vec<String>) -> Result<Vec<HistoryEntry>> {
        Err(Error::unsupported("context_store.fetch", "this store does not find entries by key"))
    }

    /// How the memory stands.
    ///
    /// # Errors
    /// Errors of the store.
    async fn status(&self, _ctx: CallContext) -> Result<MemoryStatus> {
        Ok(MemoryStatus::default())
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
    async fn scan(&self, ctx: CallContext, after: u64, limit: u32) -> Result<HistoryPage>;
    async fn fetch(&self, ctx: CallContext, keys: Vec<String>) -> Result<Vec<HistoryEntry>>;
    async fn status(&self, ctx: CallContext) -> Result<MemoryStatus>;
} sync { fn capabilities(&self) -> Vec<Capability>; });
