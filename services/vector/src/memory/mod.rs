//! A memory of incidents that is searched by words and by vectors.

mod cache;
mod config;
mod score;
mod sync;
mod text;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    model::{HistoryEntry, IncidentId, ObjectRef, Timestamp},
    port::{Embedder, EmbedderInfo, VectorHit, VectorIndex, VectorQuery},
    service::{CallContext, Capability, ContextStore, HistoryPage, MemoryStatus, OutcomeUpdate, RecallQuery, Recalled},
};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

pub use config::RecallConfig;

use self::{
    score::{BEST, Found, Scale},
    sync::Followed,
};

/// Neighbours that are looked at for one recall.
const NEIGHBOURS: usize = 64;
/// Entries found by words that are looked at for one recall.
const BY_WORDS: u32 = 100;
const BUILDING: &str = "vectors are being built from the history";

/// Finds similar incidents by words and by vectors. The store behind it, which keeps the entries, is the truth; the index follows it.
///
/// # How similar
///
/// An entry of the same fingerprint scores 1. Any other scores 0.99 times the weighted mean of these parts, each 0 to 1, over the parts that the
/// query gives something to compare with:
///
/// | part | weight | what |
/// |---|---|---|
/// | `wording` or `meaning` | 0.35 | (cosine − related) / (1 − related), with the embedder's bound for "related at all" |
/// | `words` | 0.30 | the score of the store behind: the share of the query's words, rare ones counting more |
/// | `evidence` | 0.15 | share of the query's marks of failure (reasons such as `OOMKilled`, exit codes, known phrases) that the entry has |
/// | `alert` | 0.10 | the same name |
/// | `category` | 0.10 | the same |
/// | `object` | 0.10 | the same object 1, same kind and namespace 0.6, same kind 0.3 |
///
/// An entry that neither words nor vectors connect with the query is not returned. [`Recalled::parts`] holds the parts with their final weights.
///
/// # What it does beside
///
/// [`run`](Self::run) fills the index from the store, follows what other processes remember, and compares everything now and then. Until the
/// index is filled, and while vectors cannot be computed, recall answers with what it has and says so, in [`Recalled::why`] and in
/// [`status`](ContextStore::status).
#[derive(Debug, Clone)]
pub struct VectorContextStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ContextStore>,
    embedder: Arc<dyn Embedder>,
    info: EmbedderInfo,
    index: Arc<dyn VectorIndex>,
    config: RecallConfig,
    followed: Mutex<Followed>,
    /// What others changed while a pass is at work; `None` while none is.
    touched: Mutex<Option<HashSet<String>>>,
    /// Why recall finds less than it could.
    trouble: RwLock<Option<String>>,
    /// Whether something was forgotten that the file of vectors may still hold.
    forgotten: AtomicBool,
}

impl VectorContextStore {
    /// Puts a memory together. The index must be empty and for vectors of the embedder's dimensions.
    #[must_use]
    pub fn new(store: Arc<dyn ContextStore>, embedder: Arc<dyn Embedder>, index: Arc<dyn VectorIndex>, config: RecallConfig) -> Self {
        let info = embedder.describe();
        let inner = Inner {
            store,
            embedder,
            info,
            index,
            config,
            followed: Mutex::default(),
            touched: Mutex::default(),
            trouble: RwLock::new(Some(BUILDING.to_owned())),
            forgotten: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Brings the index to what the store has; `everything` compares all of it, else only what was written since the last time.
    ///
    /// # Errors
    /// Errors of store, embedder and index; `Unsupported` if the store cannot be gone through.
    pub async fn follow(&self, ctx: CallContext, everything: bool) -> Result<()> {
        let done = self.inner.follow(&ctx, everything).await;
        let told = done.as_ref().err().map(|error| format!("vectors are not complete: {error}"));
        if let Some(trouble) = &told {
            tracing::warn!(%trouble, "similar incidents are found by words only where vectors are missing");
        }
        self.inner.set_trouble(told);
        done
    }

    /// Follows the store until shutdown.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut compared: Option<Instant> = None;
        loop {
            let all = compared.is_none_or(|at| at.elapsed() >= Duration::from_secs(self.inner.config.compare_s))
                || self.inner.forgotten.swap(false, Ordering::Relaxed);
            let ctx = CallContext::system("vectors").with_cancellation(shutdown.clone());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                done = self.follow(ctx, all) => if done.is_ok() && all { compared = Some(Instant::now()) },
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(self.inner.config.refresh_s.max(1))) => {}
            }
        }
    }

    async fn neighbours(&self, ctx: &CallContext, query: &RecallQuery, wanted: String) -> Result<Vec<VectorHit>> {
        let inner = &self.inner;
        let vector = inner.embed(ctx, vec![wanted]).await?.into_iter().next().unwrap_or_default();
        if vector.iter().all(|x| *x == 0.0) {
            return Ok(Vec::new());
        }
        let filter = text::filter(&ctx.tenant, query);
        let hits = inner.index.search(ctx.clone(), VectorQuery { vector, limit: NEIGHBOURS, filter }).await?;
        Ok(hits.into_iter().filter(|hit| hit.similarity >= inner.info.related).collect())
    }

    /// The entries of hits that the search by words did not find. What the store no longer has, or has changed, is not among them.
    async fn entries(&self, ctx: &CallContext, query: &RecallQuery, keys: Vec<String>) -> Result<Vec<HistoryEntry>> {
        let found = if keys.is_empty() { Vec::new() } else { self.inner.store.fetch(ctx.clone(), keys).await? };
        Ok(found.into_iter().filter(|entry| query.admits(entry)).collect())
    }

    async fn similar(&self, ctx: CallContext, query: RecallQuery, wanted: String) -> Result<Vec<Recalled>> {
        let most = query.limit.unwrap_or(10).min(100);
        let by_words = RecallQuery { text: Some(wanted.clone()), limit: Some(BY_WORDS), ..query.clone() };
        let by_words = self.inner.store.recall(ctx.clone(), by_words).await?;
        let (hits, failed) = match self.neighbours(&ctx, &query, wanted).await {
            Ok(hits) => (hits, None),
            Err(error) => {
                tracing::warn!(%error, "similar incidents are found by words only");
                (Vec::new(), Some(format!("vectors failed: {error}")))
            }
        };
        let mut near: HashMap<String, f32> = hits.into_iter().map(|hit| (hit.id, hit.similarity)).collect();
        let mut candidates = Vec::new();
        for recalled in by_words {
            let similarity = near.remove(&recalled.entry.key());
            candidates.push((recalled.entry, Found { similarity, words: Some((recalled.score / BEST, recalled.why)) }));
        }
        for entry in self.entries(&ctx, &query, near.keys().cloned().collect()).await? {
            let similarity = near.get(&entry.key()).copied();
            candidates.push((entry, Found { similarity, words: None }));
        }
        let scale = Scale::new(&query, failed.is_none().then_some(&self.inner.info));
        let mut found: Vec<Recalled> = candidates.into_iter().filter_map(|(entry, found)| scale.weigh(entry, &found)).collect();
        found.sort_by(score::order);
        found.truncate(usize::try_from(most).unwrap_or(0));
        if let Some(trouble) = failed.or_else(|| self.inner.trouble()) {
            found.iter_mut().for_each(|recalled| recalled.why = format!("{} (degraded: {trouble})", recalled.why));
        }
        Ok(found)
    }
}

#[async_trait]
impl ContextStore for VectorContextStore {
    async fn remember(&self, ctx: CallContext, entry: HistoryEntry) -> Result<()> {
        let entry = HistoryEntry { tenant: ctx.tenant.to_string(), ..entry };
        self.inner.store.remember(ctx.clone(), entry.clone()).await?;
        // It is remembered; that its vector is late only makes it harder to find for a while.
        if let Err(error) = self.inner.bring_in_now(&ctx, entry).await {
            tracing::warn!(%error, "an incident is not found by its vector yet");
            self.inner.set_trouble(Some(format!("vectors are not complete: {error}")));
        }
        Ok(())
    }

    async fn recall(&self, ctx: CallContext, query: RecallQuery) -> Result<Vec<Recalled>> {
        let started = Instant::now();
        let (kind, found) = match text::of_query(&query).filter(|_| query.fingerprint.is_none()) {
            Some(wanted) => ("similar", self.similar(ctx, query, wanted).await),
            None => ("filtered", self.inner.store.recall(ctx, query).await),
        };
        metrics::histogram!("kubernaut_vector_recall_seconds", "kind" => kind).record(started.elapsed().as_secs_f64());
        found
    }

    async fn history(&self, ctx: CallContext, resource: ObjectRef, since: Timestamp) -> Result<Vec<HistoryEntry>> {
        self.inner.store.history(ctx, resource, since).await
    }

    async fn forget(&self, ctx: CallContext, id: IncidentId) -> Result<()> {
        let key = format!("i:{id}");
        // Another tenant's incident stays, and its vector with it.
        let scan = self.inner.store.capabilities().contains(&Capability::Scan);
        let owned = !scan || !self.inner.store.fetch(ctx.clone(), vec![key.clone()]).await?.is_empty();
        self.inner.store.forget(ctx.clone(), id).await?;
        if !owned {
            return Ok(());
        }
        self.inner.touch(key.clone()).await;
        self.inner.index.delete(ctx, vec![key]).await?;
        self.inner.forgotten.store(self.inner.config.cache.is_some(), Ordering::Relaxed);
        Ok(())
    }

    async fn outcome(&self, ctx: CallContext, update: OutcomeUpdate) -> Result<()> {
        self.inner.store.outcome(ctx, update).await
    }

    async fn scan(&self, ctx: CallContext, after: u64, limit: u32) -> Result<HistoryPage> {
        self.inner.store.scan(ctx, after, limit).await
    }

    async fn fetch(&self, ctx: CallContext, keys: Vec<String>) -> Result<Vec<HistoryEntry>> {
        self.inner.store.fetch(ctx, keys).await
    }

    async fn status(&self, ctx: CallContext) -> Result<MemoryStatus> {
        let inner = &self.inner;
        let vectors = inner.index.len(ctx).await?;
        let (embedder, index) = (Some(inner.info.clone()), Some(inner.index.describe()));
        Ok(MemoryStatus { degraded: inner.trouble(), vectors: Some(vectors), embedder, index })
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.inner.store.capabilities()
    }
}
