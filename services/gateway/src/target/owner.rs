//! From an object to the top owner.

use std::sync::Arc;

use kubernaut_core::{
    model::{Object, ObjectRef, top_owner},
    service::CallContext,
};
use moka::future::Cache;

use super::{
    lookup::{Looked, Lookup},
    names::parents_by_name,
    ttl_of,
};
use crate::TargetConfig;

/// As many as `ClusterRead::owners` gives, so that the worker's walk ends at the same object.
const MAX_OWNERS: usize = 5;

/// Cluster and object.
type Key = (Arc<str>, ObjectRef);

/// Finds top owners and remembers them.
#[derive(Debug)]
pub(super) struct Owners {
    /// Top owners of controllers that are there; all pods of a ReplicaSet share one entry.
    fresh: Cache<Key, ObjectRef>,
    /// The last owner seen of an object, for the time after it is gone.
    last: Cache<Key, ObjectRef>,
}

impl Owners {
    pub(super) fn new(config: &TargetConfig) -> Self {
        let cache = |ttl: u64| Cache::builder().max_capacity(config.cache_entries).time_to_live(ttl_of(ttl)).build();
        Self { fresh: cache(config.cache_ttl_s), last: cache(config.gone_owner_ttl_s) }
    }

    /// The top owner of an object that is there; `None` if it cannot be told now.
    pub(super) async fn of(&self, lookup: &Lookup, ctx: &CallContext, reference: &ObjectRef, object: &Object) -> Option<ObjectRef> {
        let Some(controller) = object.controller() else {
            return Some(top_owner(reference, &[]));
        };
        let owner = if controller.kind == "Node" { top_owner(reference, &[controller]) } else { self.above(lookup, ctx, controller).await? };
        self.last.insert(key(ctx, reference), owner.clone()).await;
        Some(owner)
    }

    /// The owner of an object that is gone, from memory or by its name.
    pub(super) async fn of_gone(&self, lookup: &Lookup, ctx: &CallContext, reference: &ObjectRef) -> Option<ObjectRef> {
        if let Some(owner) = self.remembered(ctx, reference).await {
            return Some(owner);
        }
        for (kind, name) in parents_by_name(&reference.kind, &reference.name) {
            let parent = ObjectRef::new(kind, reference.namespace.as_deref(), name);
            match lookup.get(ctx, &parent).await {
                Looked::Found(object) => return self.of(lookup, ctx, &parent, &object).await,
                Looked::Absent => {}
                Looked::Unknown => return None,
            }
        }
        None
    }

    /// The owner that was last seen.
    pub(super) async fn remembered(&self, ctx: &CallContext, reference: &ObjectRef) -> Option<ObjectRef> {
        self.last.get(&key(ctx, reference)).await
    }

    async fn above(&self, lookup: &Lookup, ctx: &CallContext, controller: ObjectRef) -> Option<ObjectRef> {
        let key = key(ctx, &controller);
        let walk = async {
            let mut owners = vec![controller.clone()];
            owners.extend(lookup.owners(ctx, &controller).await?.unwrap_or_default().into_iter().take(MAX_OWNERS - 1));
            Ok::<_, kubernaut_core::Error>(top_owner(&controller, &owners))
        };
        self.fresh.try_get_with(key, walk).await.ok()
    }
}

fn key(ctx: &CallContext, reference: &ObjectRef) -> Key {
    let mut reference = reference.clone();
    reference.uid = None;
    (ctx.cluster.clone(), reference)
}
