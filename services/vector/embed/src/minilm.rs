//! The embedder: files, tokenizer, network.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use kubernaut_core::{
    Error, ErrorKind, Result,
    port::{Embedder, EmbedderInfo, EmbeddingBasis},
    service::CallContext,
};
use tokenizers::{Tokenizer, TruncationParams};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::Instant,
};

use crate::{
    MiniLmConfig,
    files::pinned,
    network::{HIDDEN, LONGEST, Network},
};

const OPERATION: &str = "embedder.embed";
/// Characters that can matter: no text has more pieces of words than the model takes in its first ones.
const CHARACTERS_A_TOKEN: usize = 24;
/// How long files that could not be loaded are not tried again.
const PAUSE: Duration = Duration::from_secs(60);

/// The sentence model all-MiniLM-L6-v2. The files are read when the first text is embedded.
///
/// One text is computed at a time, on the threads that tokio has for blocking work, and by as many threads as `RAYON_NUM_THREADS` says (all
/// processors by default).
#[derive(Debug)]
pub struct MiniLm {
    config: MiniLmConfig,
    loaded: OnceCell<Arc<Loaded>>,
    failed: Mutex<Option<(Instant, ErrorKind, String)>>,
    one: Semaphore,
}

struct Loaded {
    tokenizer: Tokenizer,
    network: Network,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loaded")
    }
}

impl MiniLm {
    /// An embedder over files that are not read yet.
    ///
    /// # Errors
    /// `InvalidInput` for a bound that the model cannot have.
    pub fn new(config: MiniLmConfig) -> Result<Self> {
        if !(8..=LONGEST).contains(&config.max_tokens) {
            return Err(Error::invalid("embedder.config", "max_tokens must be 8 to 512").with("max_tokens", config.max_tokens));
        }
        Ok(Self { config, loaded: OnceCell::new(), failed: Mutex::default(), one: Semaphore::new(1) })
    }

    /// Reads and checks the files now, if they are not loaded yet.
    ///
    /// # Errors
    /// `NotFound` for a missing file, `Corrupt` for one that is not the pinned one.
    pub async fn load(&self) -> Result<()> {
        self.loaded().await.map(drop)
    }

    async fn loaded(&self) -> Result<Arc<Loaded>> {
        if let Some((at, kind, message)) = &*self.failed.lock().unwrap_or_else(PoisonError::into_inner)
            && at.elapsed() < PAUSE
        {
            return Err(Error::new(*kind, OPERATION, message.clone()));
        }
        let config = self.config.clone();
        let load = async move || blocking(move || Loaded::read(&config)).await.map(Arc::new);
        let loaded = self.loaded.get_or_try_init(load).await.cloned();
        let failed = loaded.as_ref().err().map(|error| (Instant::now(), error.kind(), error.to_string()));
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        loaded
    }
}

#[async_trait]
impl Embedder for MiniLm {
    async fn embed(&self, ctx: CallContext, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let most = self.config.max_tokens * CHARACTERS_A_TOKEN;
        let work = async {
            let loaded = self.loaded().await?;
            let mut vectors = Vec::with_capacity(texts.len());
            for text in texts {
                // One by one: a text's vector must not depend on what stands beside it, and the caller may give up between two.
                let _turn = self.one.acquire().await.map_err(|e| Error::internal(OPERATION, "the model was ended").source(e))?;
                let (loaded, text): (_, String) = (loaded.clone(), text.chars().take(most).collect());
                vectors.push(blocking(move || loaded.embed(&text)).await?);
            }
            Ok(vectors)
        };
        ctx.run(OPERATION, work).await
    }

    fn describe(&self) -> EmbedderInfo {
        let pin: String = self.config.weights_sha256.chars().take(12).collect();
        EmbedderInfo {
            name: "all-minilm-l6-v2".into(),
            version: format!("{pin}-{}", self.config.max_tokens),
            dimensions: HIDDEN,
            basis: EmbeddingBasis::Meaning,
            related: 0.25,
            about: format!(
                "compares meaning, by a sentence model of 22 million weights on the processor; {} pieces of words count",
                self.config.max_tokens
            ),
        }
    }
}

impl Loaded {
    fn read(config: &MiniLmConfig) -> Result<Self> {
        let started = std::time::Instant::now();
        let tokenizer = pinned(&config.folder, "tokenizer.json", "tokenizer_sha256", &config.tokenizer_sha256)?;
        let weights = pinned(&config.folder, "model.safetensors", "weights_sha256", &config.weights_sha256)?;
        let loaded = Self { tokenizer: cutting(&tokenizer, config.max_tokens)?, network: Network::new(weights).map_err(foreign)? };
        tracing::info!(folder = %config.folder.display(), seconds = started.elapsed().as_secs_f64(), "the sentence model is loaded");
        Ok(loaded)
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let encoded = self.tokenizer.encode(text, true).map_err(|e| Error::internal(OPERATION, "the text cannot be cut into pieces").source(e))?;
        // Only the marks of beginning and end.
        if encoded.len() <= 2 {
            return Ok(vec![0.0; HIDDEN]);
        }
        self.network.embed(encoded.get_ids()).map_err(|e| Error::internal(OPERATION, "the model failed").source(e))
    }
}

fn cutting(bytes: &[u8], max_tokens: usize) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(foreign)?;
    let params = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
    tokenizer.with_padding(None).with_truncation(Some(params)).map_err(foreign)?;
    Ok(tokenizer)
}

/// The file is the pinned one, so it was pinned for another model.
fn foreign(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Corrupt, "embedder.load", "the files are not those of all-minilm-l6-v2; pin that model's").source(error)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(OPERATION, "the computation ended unexpectedly").source(e))?
}
