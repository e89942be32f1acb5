//! Keeps one kind current: a list, then watches that continue each other.
//!
//! kube's own watcher says neither when an interrupted watch goes on nor when the server marks that all is told, so that a quiet kind could
//! not be told from a dead connection. The proof here that nothing is missing is the server's mark, which comes shortly before the end of a watch
//! if anything happened in the cluster, or that the server ends the watch when it was told to.

use std::time::Duration;

use futures::StreamExt;
use kubernaut_core::{Error, ErrorKind, model::KnownKind};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{Inner, entry::Entry, shelf::State};
use crate::kube::watch::{Change, Lost};

/// A kind that does not fit, or may not be read, is tried again after this long.
const LATER: Duration = Duration::from_secs(600);
/// Shortest time between two watches, for servers that end them at once.
const SPACING: Duration = Duration::from_secs(1);
/// By how much a watch may seem shorter than the server made it. One that ends earlier was cut off and proves nothing.
const SLACK: Duration = Duration::from_millis(500);
/// What a watch may take beyond its period, and its opening at all.
const PATIENCE: Duration = Duration::from_secs(5);

enum End {
    Full,
    Lost(Lost),
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

pub(super) struct Follower<'a> {
    cache: &'a Inner,
    kind: &'static KnownKind,
    pause: Pause,
    /// Whether it was said why the kind is not kept.
    said: bool,
}

impl<'a> Follower<'a> {
    pub(super) fn new(cache: &'a Inner, kind: &'static KnownKind) -> Self {
        Self { cache, kind, pause: Pause::default(), said: false }
    }

    /// Does not end by itself.
    pub(super) async fn run(mut self) {
        loop {
            let wait = match self.once().await {
                Ok(()) => self.give_up(State::Filling, Duration::ZERO),
                Err(End::Full) => self.too_large(),
                Err(End::Lost(Lost::Failed(e))) if is_refusal(&e) => self.refused(&e),
                Err(End::Lost(why)) => {
                    tracing::debug!(kind = self.kind.kind, ?why, "the kind is listed anew");
                    let wait = self.pause.next();
                    self.give_up(State::Filling, wait)
                }
            };
            sleep(wait).await;
        }
    }

    fn give_up(&self, state: State, wait: Duration) -> Duration {
        self.cache.change(self.kind, |shelves| shelves.clear(self.kind, state));
        wait
    }

    fn too_large(&mut self) -> Duration {
        super::measure::dropped(self.kind);
        if !std::mem::replace(&mut self.said, true) {
            tracing::warn!(kind = self.kind.kind, "does not fit in the cache and is read from the API server; raise max_objects or max_bytes");
        }
        self.give_up(State::Full, LATER)
    }

    fn refused(&mut self, error: &Error) -> Duration {
        if !std::mem::replace(&mut self.said, true) {
            tracing::warn!(kind = self.kind.kind, %error, "may not be listed and watched in all namespaces, so it is not kept");
        }
        self.give_up(State::Refused, LATER)
    }

    /// Lists and follows until the kind has to be listed anew.
    async fn once(&mut self) -> Result<(), End> {
        let began = Instant::now();
        let version = self.fill().await?;
        self.cache.change(self.kind, |shelves| shelves.prove(self.kind, began));
        self.said = false;
        self.follow(version).await
    }

    /// Reads all objects, page by page, and gives up as soon as they cannot fit.
    async fn fill(&self) -> Result<String, End> {
        self.give_up(State::Filling, Duration::ZERO);
        let mut token = String::new();
        loop {
            let page = self.cache.live.page(self.kind, &token).await?;
            if !self.cache.shelves().has_room_for(page.objects.len() + page.remaining) {
                return Err(End::Full);
            }
            for object in page.objects {
                self.put(object)?;
            }
            if page.token.is_empty() {
                return Ok(page.version);
            }
            token = page.token;
        }
    }

    fn put(&self, object: Value) -> Result<(), End> {
        let (namespace, name) = (text(&object, "namespace").to_owned(), text(&object, "name").to_owned());
        // Packing takes longer than placing, so readers do not wait for it.
        let entry = Entry::pack(object);
        self.cache.shelves_mut().put(self.kind, (&namespace, &name), entry).map_err(|_| End::Full)
    }

    /// Watch after watch; `Ok` if it can no longer be told that nothing is missing.
    async fn follow(&mut self, mut version: String) -> Result<(), End> {
        loop {
            let began = Instant::now();
            match self.watch(&mut version).await {
                Ok(()) => sleep_until(began + SPACING).await,
                Err(End::Lost(Lost::Failed(e))) if !is_refusal(&e) => {
                    tracing::debug!(kind = self.kind.kind, error = %e, "a watch was interrupted");
                    self.cache.change(self.kind, |shelves| shelves.set_state(self.kind, State::Broken));
                    sleep(self.pause.next()).await;
                }
                Err(end) => return Err(end),
            }
            if self.cache.shelves().is_stale(self.kind, Instant::now()) {
                return Ok(());
            }
        }
    }

    /// One watch, until the server ends it.
    async fn watch(&mut self, version: &mut String) -> Result<(), End> {
        let period = self.cache.watch_period;
        let mut changes = self.cache.live.watch(self.kind, version, period, PATIENCE).await?;
        let end = Instant::now() + period;
        loop {
            let next = timeout_at(end + PATIENCE, changes.next()).await;
            let silent = || Error::new(ErrorKind::Timeout, "cluster.watch", "the watch went on after its end; the connection may be dead");
            let Some(change) = next.map_err(|_| End::Lost(Lost::Failed(silent())))? else {
                if Instant::now() + SLACK >= end {
                    self.prove();
                }
                return Ok(());
            };
            match change? {
                Change::Put(object) => {
                    text(&object, "resourceVersion").clone_into(version);
                    self.put(object)?;
                }
                Change::Gone(object) => {
                    text(&object, "resourceVersion").clone_into(version);
                    self.cache.shelves_mut().remove(self.kind, (text(&object, "namespace"), text(&object, "name")));
                }
                Change::Mark(at) => {
                    *version = at;
                    self.prove();
                }
            }
        }
    }

    fn prove(&mut self) {
        self.pause = Pause::default();
        self.cache.change(self.kind, |shelves| shelves.prove(self.kind, Instant::now()));
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Unsupported)
}

/// Half a second at first, twice as long each time, at most eight.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(500))
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(Duration::from_secs(8));
        now
    }
}
