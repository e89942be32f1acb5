//! Keeping the index what the store says.

use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
};

use kubernaut_core::{
    Error, Result,
    model::HistoryEntry,
    port::VectorItem,
    service::{CallContext, Capability},
};

use super::{
    Inner,
    cache::{Cache, TextHash, text_hash},
    text,
};

const PAGE: u32 = 256;
/// Texts embedded in one call: few, so that a deadline or the end of the program is noticed between.
const BATCH: usize = 16;

/// How far the index follows the store.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Where to go on in the store.
    cursor: u64,
    /// What the index holds, by key, as a hash of all that it knows of an entry.
    known: HashMap<String, u64>,
    cache: Option<Cache>,
    opened: bool,
}

/// One entry on its way into the index.
struct Wanted {
    entry: HistoryEntry,
    key: String,
    text: String,
    hash: TextHash,
    state: u64,
}

impl Inner {
    /// Goes through the store, from the beginning or from where it ended last, and brings the index to what is found.
    pub(super) async fn follow(&self, ctx: &CallContext, everything: bool) -> Result<()> {
        if !self.store.capabilities().contains(&Capability::Scan) {
            return Err(Error::unsupported("context_store.vectors", "the store behind cannot be gone through; incidents are found by words only"));
        }
        // One at a time; writers only note what they changed meanwhile.
        let mut followed = self.followed.lock().await;
        *self.touched.lock().await = Some(HashSet::new());
        let done = self.pass(ctx, &mut followed, everything).await;
        *self.touched.lock().await = None;
        done
    }

    async fn pass(&self, ctx: &CallContext, followed: &mut Followed, everything: bool) -> Result<()> {
        self.open_cache(followed).await;
        let mut live: HashSet<TextHash> = HashSet::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut after = if everything { 0 } else { followed.cursor };
        loop {
            let page = self.store.scan(ctx.clone(), after, PAGE).await?;
            if page.entries.is_empty() {
                break;
            }
            after = page.next;
            let wanted: Vec<Wanted> = page.entries.into_iter().map(wanted).collect();
            live.extend(wanted.iter().map(|w| w.hash));
            seen.extend(wanted.iter().map(|w| w.key.clone()));
            let new: Vec<Wanted> = wanted.into_iter().filter(|w| followed.known.get(&w.key) != Some(&w.state)).collect();
            for batch in new.chunks(BATCH) {
                self.bring_in(ctx, followed, batch).await?;
            }
        }
        followed.cursor = after.max(followed.cursor);
        if everything {
            self.drop_gone(ctx, followed, &seen).await?;
        }
        self.tidy_cache(followed, everything.then_some(&live));
        Ok(())
    }

    async fn bring_in(&self, ctx: &CallContext, followed: &mut Followed, batch: &[Wanted]) -> Result<()> {
        let cached = |w: &Wanted| followed.cache.as_ref().and_then(|cache| cache.get(&w.hash)).map(<[f32]>::to_vec);
        let mut vectors: Vec<Option<Vec<f32>>> = batch.iter().map(cached).collect();
        let missing: Vec<String> = batch.iter().zip(&vectors).filter(|(_, v)| v.is_none()).map(|(w, _)| w.text.clone()).collect();
        let mut computed = self.embed(ctx, missing).await?.into_iter();
        for (wanted, vector) in batch.iter().zip(&mut vectors).filter(|(_, v)| v.is_none()) {
            *vector = computed.next();
            let written = followed.cache.as_mut().zip(vector.as_ref()).map(|(cache, v)| cache.append(&wanted.hash, v));
            if let Some(Err(error)) = written {
                tracing::warn!(%error, "the file of vectors cannot be written; it is no longer used");
                followed.cache = None;
            }
        }
        let touched = self.touched.lock().await;
        let changed = |w: &Wanted| touched.as_ref().is_some_and(|touched| touched.contains(&w.key));
        let fresh: Vec<(&Wanted, Vec<f32>)> = batch.iter().zip(vectors).filter_map(|(w, v)| Some((w, v?))).filter(|(w, _)| !changed(w)).collect();
        let (items, empty) = split(fresh.iter().map(|(w, v)| text::item(&w.entry, v.clone())));
        self.index.upsert(ctx.clone(), items).await?;
        self.index.delete(ctx.clone(), empty).await?;
        followed.known.extend(fresh.into_iter().map(|(w, _)| (w.key.clone(), w.state)));
        Ok(())
    }

    /// Removes what the store no longer has, except what was written since.
    async fn drop_gone(&self, ctx: &CallContext, followed: &mut Followed, seen: &HashSet<String>) -> Result<()> {
        let touched = self.touched.lock().await;
        let since = |key: &String| touched.as_ref().is_some_and(|touched| touched.contains(key));
        let gone: Vec<String> = followed.known.keys().filter(|key| !seen.contains(*key) && !since(key)).cloned().collect();
        self.index.delete(ctx.clone(), gone).await?;
        followed.known.retain(|key, _| seen.contains(key) || since(key));
        Ok(())
    }

    async fn open_cache(&self, followed: &mut Followed) {
        let Some(path) = self.config.cache.clone().filter(|_| !followed.opened) else { return };
        followed.opened = true;
        let info = self.info.clone();
        let opened = tokio::task::spawn_blocking(move || Cache::open(&path, &info)).await;
        match opened {
            Ok(Ok(cache)) => followed.cache = Some(cache),
            Ok(Err(error)) => tracing::warn!(%error, "the file of vectors cannot be used; they are computed at every start"),
            Err(error) => tracing::warn!(%error, "the file of vectors could not be read"),
        }
    }

    fn tidy_cache(&self, followed: &mut Followed, live: Option<&HashSet<TextHash>>) {
        let Some(cache) = &mut followed.cache else { return };
        let tidied = cache.flush().and_then(|()| live.map_or(Ok(()), |live| cache.keep_only(live)));
        if let Err(error) = tidied {
            tracing::warn!(%error, "the file of vectors cannot be written; it is no longer used");
            followed.cache = None;
        }
    }

    /// One entry that was just written to the store.
    pub(super) async fn bring_in_now(&self, ctx: &CallContext, entry: HistoryEntry) -> Result<()> {
        let wanted = wanted(entry);
        let vector = self.embed(ctx, vec![wanted.text]).await?.into_iter().next().unwrap_or_default();
        self.touch(wanted.key.clone()).await;
        let (items, empty) = split(std::iter::once(text::item(&wanted.entry, vector.clone())));
        self.index.upsert(ctx.clone(), items).await?;
        self.index.delete(ctx.clone(), empty).await?;
        // Spares the next pass the same work; one that is at work now only does it once more.
        if let Ok(mut followed) = self.followed.try_lock() {
            let written = followed.cache.as_mut().map(|cache| cache.append(&wanted.hash, &vector));
            if let Some(Err(error)) = written {
                tracing::warn!(%error, "the file of vectors cannot be written");
            }
            followed.known.insert(wanted.key, wanted.state);
        }
        Ok(())
    }

    /// Notes that a key was changed by someone else than a pass.
    pub(super) async fn touch(&self, key: String) {
        if let Some(touched) = &mut *self.touched.lock().await {
            touched.insert(key);
        }
    }

    pub(super) async fn embed(&self, ctx: &CallContext, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let asked = texts.len();
        let vectors = self.embedder.embed(ctx.clone(), texts).await?;
        if vectors.len() != asked {
            return Err(
                Error::internal("context_store.vectors", "the embedder gave another number of vectors than texts").with("vectors", vectors.len())
            );
        }
        Ok(vectors)
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn wanted(entry: HistoryEntry) -> Wanted {
    let text = text::of_entry(&entry);
    let item = text::item(&entry, Vec::new());
    let hash = text_hash(&text);
    let all = text_hash(&format!("{:?} {:?} {:?}", hash, item.labels, item.at));
    let state = all.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Wanted { key: item.id, entry, text, hash, state }
}

/// Items, and ids of those whose text holds nothing to compare.
fn split(items: impl Iterator<Item = VectorItem>) -> (Vec<VectorItem>, Vec<String>) {
    let (items, empty): (Vec<_>, Vec<_>) = items.partition(|item| item.vector.iter().any(|x| *x != 0.0));
    (items, empty.into_iter().map(|item| item.id).collect())
}
