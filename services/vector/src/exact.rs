//! Looks at every vector.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    port::{VectorHit, VectorIndex, VectorIndexInfo, VectorItem, VectorQuery},
    service::CallContext,
};

use crate::{ask, rows::Rows};

/// An index that misses nothing: it compares the query with every vector that the filter admits.
///
/// Its time grows with their number; see `bench/README.md`. Best for some ten thousand vectors, or as the measure of other indexes.
#[derive(Debug, Clone)]
pub struct ExactIndex {
    dimensions: usize,
    rows: Arc<RwLock<Rows>>,
}

impl ExactIndex {
    /// An empty index for vectors of so many numbers.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self { dimensions, rows: Arc::default() }
    }
}

#[async_trait]
impl VectorIndex for ExactIndex {
    async fn upsert(&self, _ctx: CallContext, items: Vec<VectorItem>) -> Result<()> {
        let items = ask::items("vector_index.upsert", items, self.dimensions)?;
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        items.into_iter().for_each(|item| rows.put(item));
        // Nothing leads through dead rows here, so few are kept.
        if rows.len() > 64 + 2 * rows.live() {
            *rows = rows.copy_live();
        }
        Ok(())
    }

    async fn delete(&self, _ctx: CallContext, ids: Vec<String>) -> Result<()> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            rows.remove(&id);
        }
        Ok(())
    }

    async fn search(&self, ctx: CallContext, query: VectorQuery) -> Result<Vec<VectorHit>> {
        let query = ask::query(query, self.dimensions)?;
        let rows = self.rows.clone();
        let search = ask::off_thread("vector_index.search", move || {
            let rows = rows.read().unwrap_or_else(PoisonError::into_inner);
            let matcher = rows.matcher(&query.filter);
            Ok(rows.nearest(&query.vector, query.limit, rows.iter_live().filter(|slot| matcher.admits(*slot))))
        });
        ctx.run("vector_index.search", search).await
    }

    async fn len(&self, _ctx: CallContext) -> Result<u64> {
        Ok(self.rows.read().unwrap_or_else(PoisonError::into_inner).live() as u64)
    }

    async fn rebuild(&self, _ctx: CallContext, items: Vec<VectorItem>) -> Result<()> {
        let new = Rows::from_items(ask::items("vector_index.rebuild", items, self.dimensions)?);
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn describe(&self) -> VectorIndexInfo {
        VectorIndexInfo {
            name: "exact".into(),
            dimensions: self.dimensions,
            approximate: false,
            about: "compares with every vector, so it misses none".into(),
        }
    }
}
