//! Nearest vectors.

use std::{collections::BTreeMap, fmt::Debug};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    model::Timestamp,
    service::{CallContext, delegate},
};

/// One vector with what it can be filtered by.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorItem {
    /// Tells it apart.
    pub id: String,
    /// The vector; its length does not matter, only its direction.
    pub vector: Vec<f32>,
    /// Labels, such as `namespace`.
    pub labels: BTreeMap<String, String>,
    /// Its time.
    pub at: Timestamp,
}

/// Which vectors may be found. What is given must all match.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VectorFilter {
    /// Labels with exactly these values.
    pub labels: BTreeMap<String, String>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl VectorFilter {
    /// Whether an item may be found.
    #[must_use]
    pub fn admits(&self, item: &VectorItem) -> bool {
        self.labels.iter().all(|(key, value)| item.labels.get(key) == Some(value))
            && self.since.is_none_or(|since| item.at >= since)
            && self.until.is_none_or(|until| item.at < until)
    }
}

/// A search for neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorQuery {
    /// Near to this.
    pub vector: Vec<f32>,
    /// At most this many; 1,000 at most.
    pub limit: usize,
    /// Only these.
    pub filter: VectorFilter,
}

/// One neighbour.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorHit {
    /// Which.
    pub id: String,
    /// Cosine of the angle between query and vector, −1 to 1.
    pub similarity: f32,
}

/// What an index is, and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VectorIndexInfo {
    /// Its name, such as `hnsw`.
    pub name: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Whether a search may miss a neighbour.
    pub approximate: bool,
    /// One line for people.
    pub about: String,
}

/// Finds the nearest vectors. It is derived: whoever fills it can fill it again, so nothing in it has to survive.
#[async_trait]
pub trait VectorIndex: Debug + Send + Sync + 'static {
    /// Adds vectors; an id that is there already is replaced, labels and time included.
    ///
    /// Rules: all or nothing; they can be found as soon as the call returns; of an id given twice the last one stays.
    ///
    /// # Errors
    /// `InvalidInput` naming the id, for another number of dimensions, for a number that is not finite, for a vector of zeros.
    async fn upsert(&self, ctx: CallContext, items: Vec<VectorItem>) -> Result<()>;

    /// Removes vectors; unknown ids are no error. Once the call returns they are never found again.
    ///
    /// # Errors
    /// Errors of the index.
    async fn delete(&self, ctx: CallContext, ids: Vec<String>) -> Result<()>;

    /// The nearest vectors.
    ///
    /// Rules: sorted by similarity, then id; at most `limit`; the filter holds for each; each id once.
    ///
    /// # Errors
    /// `InvalidInput` for a query vector that `upsert` would refuse, or a limit above 1,000.
    async fn search(&self, ctx: CallContext, query: VectorQuery) -> Result<Vec<VectorHit>>;

    /// How many vectors can be found.
    ///
    /// # Errors
    /// Errors of the index.
    async fn len(&self, ctx: CallContext) -> Result<u64>;

    /// Replaces everything. Until it returns, searches see the old content or the new one, never a part.
    ///
    /// # Errors
    /// As [`VectorIndex::upsert`]; then the old content stays.
    async fn rebuild(&self, ctx: CallContext, items: Vec<VectorItem>) -> Result<()>;

    /// What it is, and how it stands.
    fn describe(&self) -> VectorIndexInfo;
}

delegate!(VectorIndex {
    async fn upsert(&self, ctx: CallContext, items: Vec<VectorItem>) -> Result<()>;
    async fn delete(&self, ctx: CallContext, ids: Vec<String>) -> Result<()>;
    async fn search(&self, ctx: CallContext, query: VectorQuery) -> Result<Vec<VectorHit>>;
    async fn len(&self, ctx: CallContext) -> Result<u64>;
    async fn rebuild(&self, ctx: CallContext, items: Vec<VectorItem>) -> Result<()>;
} sync { fn describe(&self) -> VectorIndexInfo; });
