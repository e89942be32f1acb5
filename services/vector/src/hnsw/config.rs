//! How the graph is built and searched.

use kubernaut_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Configuration of the [`HnswIndex`](super::HnswIndex).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HnswConfig {
    /// Neighbours a vector is connected with, twice as many on the lowest layer. 2 to 64. More finds more and takes more memory. Default 16.
    pub connections: usize,
    /// Candidates looked at where a vector is added. More makes a better graph, slower. Default 200.
    pub build_breadth: usize,
    /// Candidates looked at in a search. More finds more, slower. Default 192.
    pub search_breadth: usize,
    /// Up to this many vectors a search looks at all of them, which is as fast there and misses none. Default 32,000.
    pub exact_up_to: usize,
    /// Share of removed vectors from which the graph is built anew, 0 to 1. Default 0.2.
    pub most_removed: f64,
    /// Threads that build a graph. 0 for half of the processors, at least one. Default 0.
    pub build_threads: usize,
}

impl Default for HnswConfig {
    fn default() -> Self {
        Self { connections: 16, build_breadth: 200, search_breadth: 192, exact_up_to: 32_000, most_removed: 0.2, build_threads: 0 }
    }
}

impl HnswConfig {
    /// Refuses what no graph can be built with.
    ///
    /// # Errors
    /// `InvalidInput` naming the value.
    pub fn validate(&self) -> Result<()> {
        let refuse = |why, value: &dyn std::fmt::Display| Err(Error::invalid("vector_index.hnsw", why).with("value", value));
        if !(2..=64).contains(&self.connections) {
            return refuse("connections must be 2 to 64", &self.connections);
        }
        if self.build_breadth < self.connections || self.search_breadth == 0 {
            return refuse("build_breadth must be at least connections, search_breadth at least 1", &self.build_breadth);
        }
        if !(0.01..=1.0).contains(&self.most_removed) {
            return refuse("most_removed must be 0.01 to 1", &self.most_removed);
        }
        Ok(())
    }

    pub(super) fn threads(&self) -> usize {
        match self.build_threads {
            0 => (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1),
            n => n,
        }
    }
}
