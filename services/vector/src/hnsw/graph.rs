//! The graph itself, by `hnsw_rs`.

use std::sync::Arc;

use hnsw_rs::prelude::{Distance, Hnsw};

use super::HnswConfig;
use crate::{dot::dot, rows::Slot};

/// What the graph keeps of a vector: a reference to the rows' own, so that each is in memory once.
#[derive(Debug, Clone)]
struct Cell(Arc<[f32]>);

/// 1 minus the cosine; the graph wants it to be 0 or more.
#[derive(Debug, Default)]
struct Angle;

impl Distance<Cell> for Angle {
    fn eval(&self, a: &[Cell], b: &[Cell]) -> f32 {
        match (a, b) {
            ([a], [b]) => (1.0 - dot(&a.0, &b.0)).max(0.0),
            _ => f32::MAX,
        }
    }
}

/// A graph of neighbours over rows. It can be searched while it grows.
pub(super) struct Graph {
    inner: Hnsw<'static, Cell, Angle>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("points", &self.inner.get_nb_point()).finish()
    }
}

impl Graph {
    pub(super) fn new(config: &HnswConfig, expected: usize) -> Self {
        const LAYERS: usize = 16;
        Self { inner: Hnsw::new(config.connections, expected, LAYERS, config.build_breadth, Angle) }
    }

    pub(super) fn add(&self, slot: Slot, vector: &Arc<[f32]>) {
        self.inner.insert((&[Cell(vector.clone())], slot as usize));
    }

    /// Adds many; `threads` at once.
    pub(super) fn add_all(&self, rows: &[(Slot, Arc<[f32]>)], threads: usize) {
        let share = rows.len().div_ceil(threads.max(1)).max(1);
        std::thread::scope(|scope| {
            for part in rows.chunks(share) {
                scope.spawn(move || part.iter().for_each(|(slot, vector)| self.add(*slot, vector)));
            }
        });
    }

    /// The nearest rows it finds, `breadth` at most, dead ones among them. No filter is given to it: there it would look for matches without
    /// end, and ends the thread if there are none.
    pub(super) fn near(&self, query: &[f32], breadth: usize) -> Vec<Slot> {
        let found = self.inner.search(&[Cell(query.into())], breadth, breadth);
        found.into_iter().filter_map(|n| Slot::try_from(n.d_id).ok()).collect()
    }
}
