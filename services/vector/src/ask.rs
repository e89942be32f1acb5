//! What every index checks, and how its work is kept off the threads that serve.

use kubernaut_core::{
    Error, Result,
    port::{VectorItem, VectorQuery},
};

use crate::dot::checked;

/// Most neighbours of one search.
const MOST: usize = 1_000;

/// Items with vectors of length 1, or the first reason against one of them.
pub(crate) fn items(operation: &'static str, items: Vec<VectorItem>, dimensions: usize) -> Result<Vec<VectorItem>> {
    items
        .into_iter()
        .map(|item| {
            let vector = checked(operation, &item.id, item.vector, dimensions)?;
            Ok(VectorItem { vector, ..item })
        })
        .collect()
}

/// A query with a vector of length 1.
pub(crate) fn query(query: VectorQuery, dimensions: usize) -> Result<VectorQuery> {
    const OPERATION: &str = "vector_index.search";
    if query.limit > MOST {
        return Err(Error::invalid(OPERATION, "too many neighbours are asked for").with("limit", query.limit).with("most", MOST));
    }
    let vector = checked(OPERATION, "query", query.vector, dimensions)?;
    Ok(VectorQuery { vector, ..query })
}

/// Runs work that computes for longer than a serving thread should.
pub(crate) async fn off_thread<T: Send + 'static>(operation: &'static str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(operation, "the computation ended unexpectedly").source(e))?
}
