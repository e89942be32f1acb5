//! The read port over a bundle.

use std::{
    fs::File,
    future::ready,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use async_trait::async_trait;
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef},
    port::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText, MetricSeries},
    service::{CallContext, Capability},
};

use super::{BundleCluster, metrics};
use crate::{
    log_tail,
    owners::{self, Step},
};

#[async_trait]
impl ClusterRead for BundleCluster {
    async fn info(&self, _ctx: CallContext) -> Result<ClusterInfo> {
        let manifest = &self.0.manifest;
        Ok(ClusterInfo { id: manifest.cluster.clone(), now: self.state().now(), recorded: true, version: manifest.version.clone() })
    }

    async fn get(&self, _ctx: CallContext, reference: ObjectRef) -> Result<Option<Object>> {
        Ok(self.state().store().get(&reference))
    }

    async fn list(&self, _ctx: CallContext, query: ListQuery) -> Result<Vec<Object>> {
        Ok(self.state().store().list(&query))
    }

    async fn owners(&self, _ctx: CallContext, reference: ObjectRef) -> Result<Vec<ObjectRef>> {
        owners::walk(&reference, |r| ready(Ok(Step::of(self.state().store().get(&r).as_ref())))).await
    }

    async fn events(&self, _ctx: CallContext, query: EventQuery) -> Result<Vec<KubeEvent>> {
        Ok(self.state().store().events(&query))
    }

    async fn logs(&self, ctx: CallContext, query: LogQuery) -> Result<Option<LogText>> {
        let Some(path) = self.state().store().log(&query) else { return Ok(None) };
        let work = async move {
            let read = tokio::task::spawn_blocking(move || read_tail(&path, &query)).await;
            let text = read.map_err(|e| Error::internal("cluster.logs", "the reading task ended early").source(e))?;
            text.map(Some).map_err(|e| Error::new(ErrorKind::Unavailable, "cluster.logs", "cannot read the recorded log").source(e))
        };
        ctx.run("cluster.logs", work).await
    }

    async fn metrics(&self, _ctx: CallContext, name: String) -> Result<Vec<MetricSeries>> {
        let recorded = self.0.metrics.as_deref();
        recorded.map(|series| metrics::named(series, &name)).ok_or_else(|| Error::unsupported("cluster.metrics", "the bundle has no metrics.json"))
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.0.metrics.iter().map(|_| Capability::Metrics).collect()
    }
}

/// Reads no more of the file than the limit, plus the byte before it that tells whether the first line is whole.
fn read_tail(path: &Path, query: &LogQuery) -> io::Result<LogText> {
    let mut file = File::open(path)?;
    let (size, wanted) = (file.metadata()?.len(), query.limit_bytes as u64 + 1);
    let start = size.saturating_sub(wanted);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(wanted).read_to_end(&mut bytes)?;
    Ok(log_tail::tail(&bytes, start > 0, query.tail_lines, query.limit_bytes))
}
