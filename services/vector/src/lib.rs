//! Nearest vectors, a lexical embedder, and a memory of incidents that is searched by words and by vectors.
//!
//! - [`HnswIndex`] (default) and [`ExactIndex`] implement [`VectorIndex`](kubernaut_core::port::VectorIndex).
//! - [`LexicalEmbedder`] implements [`Embedder`](kubernaut_core::port::Embedder) without weights, by wording alone.
//! - [`VectorContextStore`] implements [`ContextStore`](kubernaut_core::service::ContextStore) over any other one, an embedder and an index.
//!
//! Indexes are derived: they are filled from the store at every start, and nothing on disk is believed that has no checksum. This crate is
//! optimised in development builds too, for its loops are over numbers.
//!
//! ```
//! use kubernaut_core::{
//!     model::Timestamp,
//!     port::{Embedder, VectorIndex, VectorItem, VectorQuery},
//!     service::CallContext,
//! };
//! use kubernaut_vector::{HnswConfig, HnswIndex, LexicalEmbedder};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> kubernaut_core::Result<()> {
//! let ctx = || CallContext::system("doc");
//! let index = HnswIndex::new(LexicalEmbedder.describe().dimensions, HnswConfig::default())?;
//! let texts = vec!["container OOMKilled, exit code 137".to_owned(), "certificate has expired".to_owned()];
//! let vectors = LexicalEmbedder.embed(ctx(), texts).await?;
//! let items = vectors.into_iter().zip(["oom", "tls"]).map(|(vector, id)| VectorItem {
//!     id: id.into(),
//!     vector,
//!     labels: Default::default(),
//!     at: Timestamp::UNIX_EPOCH,
//! });
//! index.upsert(ctx(), items.collect()).await?;
//! let query = LexicalEmbedder.embed(ctx(), vec!["it was OOMKilled".into()]).await?.remove(0);
//! let hits = index.search(ctx(), VectorQuery { vector: query, limit: 1, filter: Default::default() }).await?;
//! assert_eq!(hits[0].id, "oom");
//! # Ok(())
//! # }
//! ```

mod ask;
mod dot;
mod exact;
mod hnsw;
mod lexical;
mod memory;
mod rows;

pub use exact::ExactIndex;
pub use hnsw::{HnswConfig, HnswIndex};
pub use lexical::LexicalEmbedder;
pub use memory::{RecallConfig, VectorContextStore};
