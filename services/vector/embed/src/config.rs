//! Where the weights are, and which.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Configuration of the sentence model all-MiniLM-L6-v2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MiniLmConfig {
    /// Folder with `model.safetensors` and `tokenizer.json`. Default: `minilm` of the working directory.
    pub folder: PathBuf,
    /// SHA-256 that `model.safetensors` must have. Default: that of the published weights.
    pub weights_sha256: String,
    /// SHA-256 that `tokenizer.json` must have. Default: that of the published one.
    pub tokenizer_sha256: String,
    /// Pieces of words of a text that count, 8 to 512; time grows with them. Default 128, which is what the model was trained with.
    pub max_tokens: usize,
}

impl Default for MiniLmConfig {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("minilm"),
            weights_sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db".into(),
            tokenizer_sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037".into(),
            max_tokens: 128,
        }
    }
}
