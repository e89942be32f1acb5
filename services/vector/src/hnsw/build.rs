//! Building the graph, beside the searches.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
};

use super::{
    Graph, Shared, State,
    plan::{self, Work},
};
use crate::rows::{Rows, Slot};

/// Rows that are added between two looks at whether everything was replaced meanwhile.
const PART: usize = 512;

/// Starts a builder if there is work and none is at it.
pub(super) fn wake(shared: &Arc<Shared>) {
    if plan::work(&shared.config, shared.read().counts()) == Work::None {
        return;
    }
    let first = shared.building.send_if_modified(|building| !std::mem::replace(building, true));
    if !first {
        return;
    }
    let weak = Arc::downgrade(shared);
    let started = std::thread::Builder::new().name("vector-graph".into()).spawn(move || run(&weak));
    if let Err(error) = started {
        tracing::warn!(%error, "no thread for the vector graph; searches look at every vector");
        shared.building.send_replace(false);
    }
}

/// Works until there is nothing to do or the index is gone.
fn run(weak: &Weak<Shared>) {
    while let Some(shared) = weak.upgrade() {
        // Bound first, for a lock taken in the head of a `match` is held to its end.
        let work = plan::work(&shared.config, shared.read().counts());
        match work {
            Work::None => {
                shared.building.send_replace(false);
                // What came between the look and the sign found a builder at work.
                return wake(&shared);
            }
            Work::Grow => grow(&shared),
            Work::Build => build(&shared, weak),
        }
    }
}

/// Adds rows to the graph while it is searched.
fn grow(shared: &Shared) {
    let (graph, generation, part) = {
        let state = shared.read();
        let Some(graph) = state.graph.clone() else { return };
        (graph, state.generation, part_of(&state.rows, state.graphed))
    };
    graph.add_all(&part, shared.config.threads());
    let mut state = shared.write();
    if state.generation == generation && state.graph.as_ref().is_some_and(|g| Arc::ptr_eq(g, &graph)) {
        state.graphed += part.len();
    }
}

/// Builds a graph of copied rows, then brings rows and graph in together.
fn build(shared: &Shared, weak: &Weak<Shared>) {
    let started = std::time::Instant::now();
    // Noted from before the copy on, which itself need not keep searches waiting.
    shared.write().touched = Some(HashSet::new());
    let (mut rows, generation) = {
        let state = shared.read();
        (state.rows.copy_live(), state.generation)
    };
    let wanted = rows.len() > shared.config.exact_up_to;
    let graph = Graph::new(&shared.config, rows.len());
    let mut graphed = 0;
    while wanted && graphed < rows.len() {
        // One owner is this thread; without another nobody will search.
        if weak.strong_count() < 2 || shared.read().generation != generation {
            return;
        }
        let part = part_of(&rows, graphed);
        graph.add_all(&part, shared.config.threads());
        graphed += part.len();
    }
    let mut state = shared.write();
    // All was replaced meanwhile, or between noting and copying.
    let Some(touched) = state.touched.take().filter(|_| state.generation == generation) else { return };
    for id in touched {
        rows.follow(&state.rows, &id);
    }
    let new = State { rows, graph: wanted.then(|| Arc::new(graph)), graphed, generation, touched: None };
    let old = std::mem::replace(&mut *state, new);
    drop(state);
    tracing::debug!(vectors = graphed, seconds = started.elapsed().as_secs_f64(), "vector graph built");
    metrics::histogram!("kubernaut_vector_build_seconds").record(started.elapsed().as_secs_f64());
    drop(old);
}

fn part_of(rows: &Rows, from: usize) -> Vec<(Slot, Arc<[f32]>)> {
    let to = rows.len().min(from + PART);
    let slots = Slot::try_from(from).unwrap_or(Slot::MAX)..Slot::try_from(to).unwrap_or(Slot::MAX);
    slots.filter_map(|slot| Some((slot, rows.vector(slot)?.clone()))).collect()
}

/// Frees a graph beside the caller, for that takes a while.
pub(super) fn discard(old: State) {
    if old.graph.is_some() {
        // If no thread can be had it is freed here, with the closure.
        let _ = std::thread::Builder::new().name("vector-free".into()).spawn(move || drop(old));
    }
}
