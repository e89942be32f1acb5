//! Texts as vectors.

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    service::{CallContext, delegate},
};

/// What makes two vectors of an embedder alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingBasis {
    /// The same words and parts of words; no model, no weights.
    Wording,
    /// What the texts mean, as a trained model sees it.
    Meaning,
}

impl EmbeddingBasis {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wording => "wording",
            Self::Meaning => "meaning",
        }
    }
}

/// What an embedder is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmbedderInfo {
    /// Its name, such as `lexical`.
    pub name: String,
    /// Differs whenever the same text would get another vector: vectors of two versions are never compared.
    pub version: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// What makes two vectors alike.
    pub basis: EmbeddingBasis,
    /// The cosine from which two texts count as related at all.
    pub related: f32,
    /// One line for people.
    pub about: String,
}

/// Turns texts into vectors.
#[async_trait]
pub trait Embedder: Debug + Send + Sync + 'static {
    /// One vector a text, in the order of the texts.
    ///
    /// Rules: each has [`EmbedderInfo::dimensions`] finite numbers and length 1, or is all zeros for a text that holds nothing to embed; the
    /// same text gives the same vector, whatever else is in the call; no texts give no vectors; any text is accepted, one that is too long is
    /// cut at its end.
    ///
    /// # Errors
    /// Errors of the implementation, such as weights that cannot be read.
    async fn embed(&self, ctx: CallContext, texts: Vec<String>) -> Result<Vec<Vec<f32>>>;

    /// What it is. Needs no weights.
    fn describe(&self) -> EmbedderInfo;
}

delegate!(Embedder {
    async fn embed(&self, ctx: CallContext, texts: Vec<String>) -> Result<Vec<Vec<f32>>>;
} sync { fn describe(&self) -> EmbedderInfo; });
