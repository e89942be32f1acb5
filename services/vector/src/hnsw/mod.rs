//! Follows a graph of neighbours.

mod build;
mod config;
mod graph;
mod plan;

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    port::{VectorHit, VectorIndex, VectorIndexInfo, VectorItem, VectorQuery},
    service::CallContext,
};
use tokio::sync::watch;

pub use config::HnswConfig;

use self::{
    graph::Graph,
    plan::{Counts, Plan},
};
use crate::{
    ask,
    rows::{Rows, Slot},
};

/// The default index: a graph of neighbours (HNSW), and a look at every vector where that is as fast.
///
/// - A vector can be found as soon as `upsert` returns: until the graph has it, it is looked at by itself.
/// - The graph is built and grows on threads of its own; searches go on meanwhile, exact where there is no graph yet.
/// - A removed vector is never returned. It stays in the graph until one is built without it, which happens when
///   [`HnswConfig::most_removed`] of all are such.
/// - Below [`HnswConfig::exact_up_to`] matches, and for narrow filters, every match is looked at: exact, and faster there than the graph.
#[derive(Debug, Clone)]
pub struct HnswIndex {
    shared: Arc<Shared>,
    breadth: usize,
}

#[derive(Debug)]
struct Shared {
    dimensions: usize,
    config: HnswConfig,
    state: RwLock<State>,
    building: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    rows: Rows,
    graph: Option<Arc<Graph>>,
    /// Rows from the first one that the graph knows.
    graphed: usize,
    /// Grows when everything is replaced.
    generation: u64,
    /// What changed since a builder copied the rows; `None` while none builds.
    touched: Option<HashSet<String>>,
}

impl State {
    fn counts(&self) -> Counts {
        Counts { rows: self.rows.len(), live: self.rows.live(), graphed: self.graphed }
    }

    fn touch(&mut self, id: &str) {
        if let Some(touched) = &mut self.touched {
            touched.insert(id.to_owned());
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HnswIndex {
    /// An empty index for vectors of so many numbers.
    ///
    /// # Errors
    /// `InvalidInput` for a configuration that [`HnswConfig::validate`] refuses.
    pub fn new(dimensions: usize, config: HnswConfig) -> Result<Self> {
        config.validate()?;
        let breadth = config.search_breadth;
        let shared = Shared { dimensions, config, state: RwLock::default(), building: watch::Sender::new(false) };
        Ok(Self { shared: Arc::new(shared), breadth })
    }

    /// The same index, searched with so many candidates instead of [`HnswConfig::search_breadth`].
    #[must_use]
    pub fn with_search_breadth(&self, breadth: usize) -> Self {
        Self { shared: self.shared.clone(), breadth: breadth.max(1) }
    }

    /// Waits until no graph is being built. Searches need not wait for it.
    pub async fn settled(&self) {
        // The sender is in `self`, so it is there as long as this waits.
        let _ = self.shared.building.subscribe().wait_for(|building| !building).await;
    }
}

#[async_trait]
impl VectorIndex for HnswIndex {
    async fn upsert(&self, _ctx: CallContext, items: Vec<VectorItem>) -> Result<()> {
        let items = ask::items("vector_index.upsert", items, self.shared.dimensions)?;
        let mut state = self.shared.write();
        for item in items {
            state.touch(&item.id);
            state.rows.put(item);
        }
        drop(state);
        build::wake(&self.shared);
        Ok(())
    }

    async fn delete(&self, _ctx: CallContext, ids: Vec<String>) -> Result<()> {
        let mut state = self.shared.write();
        for id in ids {
            if state.rows.remove(&id) {
                state.touch(&id);
            }
        }
        drop(state);
        build::wake(&self.shared);
        Ok(())
    }

    async fn search(&self, ctx: CallContext, query: VectorQuery) -> Result<Vec<VectorHit>> {
        let query = ask::query(query, self.shared.dimensions)?;
        let (shared, breadth) = (self.shared.clone(), self.breadth);
        let search = ask::off_thread("vector_index.search", move || Ok(search(&shared.config, breadth, &shared.read(), &query)));
        ctx.run("vector_index.search", search).await
    }

    async fn len(&self, _ctx: CallContext) -> Result<u64> {
        Ok(self.shared.read().rows.live() as u64)
    }

    async fn rebuild(&self, _ctx: CallContext, items: Vec<VectorItem>) -> Result<()> {
        let rows = Rows::from_items(ask::items("vector_index.rebuild", items, self.shared.dimensions)?);
        let mut state = self.shared.write();
        let old = std::mem::take(&mut *state);
        *state = State { rows, generation: old.generation + 1, ..State::default() };
        drop(state);
        build::discard(old);
        build::wake(&self.shared);
        Ok(())
    }

    fn describe(&self) -> VectorIndexInfo {
        let counts = self.shared.read().counts();
        let about = match counts.graphed {
            0 => format!("{} vectors, each looked at", counts.live),
            n => format!("{} vectors, a graph of {n}, each looked at where that is as fast", counts.live),
        };
        VectorIndexInfo { name: "hnsw".into(), dimensions: self.shared.dimensions, approximate: counts.graphed > 0, about }
    }
}

fn search(config: &HnswConfig, breadth: usize, state: &State, query: &VectorQuery) -> Vec<VectorHit> {
    let rows = &state.rows;
    let matcher = rows.matcher(&query.filter);
    let unfiltered = query.filter == kubernaut_core::port::VectorFilter::default();
    let matches = if unfiltered { rows.live() } else { rows.iter_live().filter(|slot| matcher.admits(*slot)).count() };
    if let (Plan::Graph { breadth }, Some(graph)) = (plan::search(config.exact_up_to, breadth, state.counts(), matches, query.limit), &state.graph) {
        let first_unknown = Slot::try_from(state.graphed).unwrap_or(Slot::MAX);
        let unknown = first_unknown..Slot::try_from(rows.len()).unwrap_or(Slot::MAX);
        let near = graph.near(&query.vector, breadth);
        // While it grows it may already know rows that are looked at anyway.
        let candidates = near.into_iter().filter(|slot| *slot < first_unknown).chain(unknown);
        let hits = rows.nearest(&query.vector, query.limit, candidates.filter(|slot| matcher.admits(*slot)));
        // What the filter admits may lie far from the query, where the graph was not followed to.
        if hits.len() >= query.limit.min(matches) {
            return hits;
        }
    }
    rows.nearest(&query.vector, query.limit, rows.iter_live().filter(|slot| matcher.admits(*slot)))
}
