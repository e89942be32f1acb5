//! What may be kept, and how much of it.

use kubernaut_core::{
    Error, Result,
    model::{KnownKind, well_known},
};
use serde::{Deserialize, Serialize};

/// Kinds that must be read anew: rights hang on the labels of a Namespace, values of a Secret stay out of memory, and the newest Event is the
/// one that matters, while Events alone would fill the cache.
const NEVER: &[&str] = &["Namespace", "Secret", "Event"];

/// A watch proves itself every half of `stale_after_s`, and the API server's mark comes two seconds before the end of a watch.
const SHORTEST_STALE_AFTER_S: u64 = 10;

/// Which kinds are kept in memory, and the bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Whether reads for evidence are served from memory. Default false: it needs the right to list and watch the kinds in all namespaces,
    /// and pays off where alerts come in storms or namespaces are large. Commands that end after one answer never fill it.
    pub enabled: bool,
    /// Kinds kept. Default: Pod, ReplicaSet, Deployment, StatefulSet, DaemonSet, Job, Service, Node. Namespace, Secret and Event are refused.
    pub kinds: Vec<String>,
    /// Most objects, over all kinds. Default 20,000. A kind that does not fit is read from the API server.
    pub max_objects: usize,
    /// Most bytes, over all kinds, as estimated. Default 128 MiB. While a kind is first read, one page of 100 objects comes on top.
    pub max_bytes: usize,
    /// A kind whose watch has not proven itself for this many seconds is read from the API server. Default 20, at least 10. A watch is renewed
    /// twice in that time.
    pub stale_after_s: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        let kinds = ["Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "Service", "Node"];
        Self { enabled: false, kinds: kinds.map(str::to_owned).to_vec(), max_objects: 20_000, max_bytes: 128 * 1024 * 1024, stale_after_s: 20 }
    }
}

impl CacheConfig {
    /// The kinds, each once.
    ///
    /// # Errors
    /// `InvalidInput` for a kind that cannot be kept and for a bound that cannot be.
    pub(super) fn checked(&self) -> Result<Vec<&'static KnownKind>> {
        let refuse = |message: &'static str| Err(Error::invalid("cluster.cache", message));
        if self.stale_after_s < SHORTEST_STALE_AFTER_S {
            return refuse("stale_after_s is too short for a watch to prove itself; use 10 or more");
        }
        if self.max_objects == 0 || self.max_bytes == 0 {
            return refuse("a cache without room keeps nothing; set enabled to false instead");
        }
        let mut kinds: Vec<&'static KnownKind> = Vec::new();
        for name in &self.kinds {
            let Some(kind) = well_known(name).filter(|k| !NEVER.contains(&k.kind)) else {
                let never = "this kind is not kept in memory; use built-in kinds other than Namespace, Secret and Event";
                return Err(Error::invalid("cluster.cache", never).with("kind", name));
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_must_be_read_anew_are_refused() {
        let with = |kind: &str| CacheConfig { kinds: vec![kind.into()], ..CacheConfig::default() }.checked();
        for kind in ["Namespace", "Secret", "Event", "Gate"] {
            assert!(with(kind).unwrap_err().to_string().contains("not kept"), "{kind}");
        }
        assert_eq!(with("ConfigMap").unwrap()[0].plural, "configmaps");
        assert_eq!(CacheConfig::default().checked().unwrap().len(), 8);
    }

    #[test]
    fn bounds_that_cannot_hold_are_refused() {
        assert!(CacheConfig { stale_after_s: 9, ..CacheConfig::default() }.checked().is_err());
        assert!(CacheConfig { max_objects: 0, ..CacheConfig::default() }.checked().is_err());
        assert!(CacheConfig { max_bytes: 0, ..CacheConfig::default() }.checked().is_err());
    }
}
