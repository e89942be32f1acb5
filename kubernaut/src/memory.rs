//! The memory of incidents, put together: the ledger's history, an embedder, an index of vectors.

use std::sync::Arc;

use kubernaut_core::{
    Result,
    port::{Embedder, VectorIndex},
    service::ContextStore,
};
use kubernaut_embed::MiniLmConfig;
use kubernaut_vector::{ExactIndex, HnswConfig, HnswIndex, LexicalEmbedder, RecallConfig, VectorContextStore};
use serde::{Deserialize, Serialize};

/// How similar incidents are found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MemoryConfig {
    /// Whether vectors are used beside words. Default true.
    pub vectors: bool,
    /// What turns texts into vectors: `{kind: lexical}` (default) or `{kind: minilm, folder: …}`, which needs the feature `embed`.
    pub embedder: EmbedderConfig,
    /// What finds the nearest vectors: `{kind: hnsw}` (default) or `{kind: exact}`.
    pub index: IndexConfig,
    /// How the vectors follow the history.
    pub follow: RecallConfig,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { vectors: true, embedder: EmbedderConfig::Lexical {}, index: IndexConfig::Hnsw(HnswConfig::default()), follow: RecallConfig::default() }
    }
}

/// What turns texts into vectors.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum EmbedderConfig {
    /// By wording alone, without weights.
    Lexical {},
    /// By the sentence model all-MiniLM-L6-v2, from files.
    Minilm(MiniLmConfig),
}

/// What finds the nearest vectors.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum IndexConfig {
    /// By a graph of neighbours.
    Hnsw(HnswConfig),
    /// By looking at every vector.
    Exact {},
}

/// The memory over a history; `None` if vectors are off.
pub(crate) fn over(history: Arc<dyn ContextStore>, config: &MemoryConfig) -> Result<Option<VectorContextStore>> {
    if !config.vectors {
        return Ok(None);
    }
    let embedder: Arc<dyn Embedder> = match &config.embedder {
        EmbedderConfig::Lexical {} => Arc::new(LexicalEmbedder),
        EmbedderConfig::Minilm(config) => minilm(config)?,
    };
    let dimensions = embedder.describe().dimensions;
    let index: Arc<dyn VectorIndex> = match &config.index {
        IndexConfig::Hnsw(config) => Arc::new(HnswIndex::new(dimensions, config.clone())?),
        IndexConfig::Exact {} => Arc::new(ExactIndex::new(dimensions)),
    };
    Ok(Some(VectorContextStore::new(history, embedder, index, config.follow.clone())))
}

#[cfg(feature = "embed")]
fn minilm(config: &MiniLmConfig) -> Result<Arc<dyn Embedder>> {
    Ok(Arc::new(kubernaut_embed::MiniLm::new(config.clone())?))
}

#[cfg(not(feature = "embed"))]
fn minilm(_config: &MiniLmConfig) -> Result<Arc<dyn Embedder>> {
    use kubernaut_core::Error;
    Err(Error::unsupported("memory.embedder", "this build has no sentence model; build with the feature `embed`, or configure `{kind: lexical}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_memory_is_configured_by_kind() {
        let config: MemoryConfig = serde_json::from_value(json!({
            "embedder": {"kind": "minilm", "folder": "/m", "max_tokens": 64},
            "index": {"kind": "hnsw", "connections": 24},
        }))
        .unwrap();
        assert!(matches!(config.embedder, EmbedderConfig::Minilm(m) if m.max_tokens == 64));
        assert!(matches!(config.index, IndexConfig::Hnsw(h) if h.connections == 24));
        for wrong in [
            json!({"embedder": {"kind": "minilm", "fodler": "/m"}}),
            json!({"embedder": {"kind": "oracle"}}),
            json!({"index": {"kind": "exact", "x": 1}}),
        ] {
            assert!(serde_json::from_value::<MemoryConfig>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
