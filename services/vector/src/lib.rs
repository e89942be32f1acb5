//! Nearest vectors, a lexical embedder, and a memory of incidents that is searched by words and by vectors.

mod ask;
mod dot;
mod exact;
mod hnsw;
mod rows;

pub use exact::ExactIndex;
pub use hnsw::{HnswConfig, HnswIndex};
