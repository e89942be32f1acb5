//! The read port: from memory where that is allowed, else from the cluster.

use std::{future::ready, sync::Arc};

use async_trait::async_trait;
use kubernaut_core::{
    Error, Result,
    model::{Object, ObjectRef},
    port::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText, MetricSeries},
    service::{CallContext, Capability},
};
use tokio::time::Instant;

use super::{CachedCluster, Inner, entry::Entry, measure};
use crate::{
    kube::selector,
    owners::{self, Step},
};

#[async_trait]
impl ClusterRead for CachedCluster {
    async fn info(&self, ctx: CallContext) -> Result<ClusterInfo> {
        self.0.live.info(ctx).await
    }

    async fn get(&self, ctx: CallContext, reference: ObjectRef) -> Result<Option<Object>> {
        match self.0.kept(&reference)? {
            Some(object) => ctx.run("cluster.get", async { Ok(Some(object)) }).await,
            None => self.0.live.get(ctx, reference).await,
        }
    }

    async fn list(&self, ctx: CallContext, query: ListQuery) -> Result<Vec<Object>> {
        match self.0.selected(&query) {
            Some(entries) => ctx.run("cluster.list", async { entries.iter().map(|e| e.listed()).collect() }).await,
            None => self.0.live.list(ctx, query).await,
        }
    }

    async fn owners(&self, ctx: CallContext, reference: ObjectRef) -> Result<Vec<ObjectRef>> {
        // The live walk remembers owners and forgives what may not be read, so only a walk that memory answers alone is made here.
        let known = owners::walk(&reference, |next| ready(self.0.step(&next)));
        match known.await {
            Ok(owners) => ctx.run("cluster.owners", async { Ok(owners) }).await,
            Err(_) => self.0.live.owners(ctx, reference).await,
        }
    }

    async fn events(&self, ctx: CallContext, query: EventQuery) -> Result<Vec<KubeEvent>> {
        self.0.live.events(ctx, query).await
    }

    async fn logs(&self, ctx: CallContext, query: LogQuery) -> Result<Option<LogText>> {
        self.0.live.logs(ctx, query).await
    }

    async fn metrics(&self, ctx: CallContext, name: String) -> Result<Vec<MetricSeries>> {
        self.0.live.metrics(ctx, name).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.0.live.capabilities()
    }
}

impl Inner {
    /// The object, if memory has it and no other uid is asked for.
    fn kept(&self, reference: &ObjectRef) -> Result<Option<Object>> {
        let (known, entry) = {
            let shelves = self.shelves();
            (shelves.knows(&reference.group, &reference.kind), shelves.get(reference, Instant::now()))
        };
        let whole = entry.map(|e| e.whole()).transpose()?;
        let found = whole.filter(|o| reference.uid.as_deref().is_none_or(|uid| o.uid() == Some(uid)));
        self.count(known, &reference.kind, found.is_some());
        Ok(found)
    }

    fn step(&self, reference: &ObjectRef) -> Result<Step> {
        let object = self.kept(reference)?.ok_or_else(|| Error::not_found("cluster.owners", "not kept in memory"))?;
        Ok(Step::of(Some(&object)))
    }

    fn selected(&self, query: &ListQuery) -> Option<Vec<Arc<Entry>>> {
        let (known, found) = {
            let shelves = self.shelves();
            let kind = (query.group.as_str(), query.kind.as_str());
            let limit = query.limit.unwrap_or(usize::MAX);
            // A selector that the API cannot express matches nothing there.
            let sound = selector::text(&query.selector).is_some();
            let found = shelves.select(kind, query.namespace.as_deref(), &query.selector, if sound { limit } else { 0 }, Instant::now());
            (shelves.knows(kind.0, kind.1), found)
        };
        self.count(known, &query.kind, found.is_some());
        found
    }

    fn count(&self, known: bool, kind: &str, kept: bool) {
        if known {
            measure::read(kind, if kept { "memory" } else { "cluster" });
        }
    }
}
