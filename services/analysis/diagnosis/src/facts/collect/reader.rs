//! Reads with a time budget; what fails is a gap, not an error.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef},
    port::{ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText, MetricSeries},
    service::{CallContext, Capability},
};
use tokio::time::Instant;

use super::super::store::Store;
use crate::config::DiagnosisConfig;

/// Objects that were read, with the lists that are complete.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    objects: Vec<Object>,
    complete: Vec<(String, Option<String>)>,
}

impl Batch {
    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Puts the batch into a store.
    pub(crate) fn into_store(self, store: &mut Store) {
        store.add(self.objects);
        for (kind, namespace) in self.complete {
            store.mark_complete(&kind, namespace.as_deref());
        }
    }
}

/// The cluster port with a budget.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    read: Arc<dyn ClusterRead>,
    ctx: CallContext,
    config: &'a DiagnosisConfig,
    until: Instant,
    recorded: bool,
    gaps: Mutex<BTreeSet<String>>,
    any: AtomicBool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(read: Arc<dyn ClusterRead>, ctx: CallContext, config: &'a DiagnosisConfig) -> Self {
        let until = Instant::now() + Duration::from_millis(config.budget_ms);
        Self { read, ctx, config, until, recorded: false, gaps: Mutex::new(BTreeSet::new()), any: AtomicBool::new(false) }
    }

    /// Tells whether the cluster is a recording.
    pub(crate) fn of(self, recorded: bool) -> Self {
        Self { recorded, ..self }
    }

    /// Whether the cluster is a recording.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// Whether the budget is used up.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether any read worked.
    pub(crate) fn read_anything(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(crate) fn has(&self, capability: Capability) -> bool {
        self.read.capabilities().contains(&capability)
    }

    /// What could not be read, sorted.
    pub(crate) fn gaps(&self) -> Vec<String> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Ends the collection if the caller gave up or the deadline passed.
    pub(crate) fn check(&self) -> Result<()> {
        if self.ctx.cancellation.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "diagnosis.collect", "the caller cancelled"));
        }
        if self.ctx.remaining().is_some_and(|r| r.is_zero()) {
            return Err(Error::new(ErrorKind::Timeout, "diagnosis.collect", "the deadline passed; raise the timeout or lower the bounds"));
        }
        Ok(())
    }

    async fn run<T>(&self, what: impl FnOnce() -> String, work: impl Future<Output = Result<T>> + Send) -> Option<T> {
        if self.is_over() {
            self.gap("the time budget ended before everything was read".to_owned());
            return None;
        }
        let error = match self.ctx.run("diagnosis.read", work).await {
            Ok(value) => {
                self.any.store(true, Ordering::Relaxed);
                return Some(value);
            }
            Err(error) => error,
        };
        // A kind that the cluster does not have cannot hold a cause.
        if !matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Cancelled) {
            self.gap(format!("{}: {}", what(), error.kind().as_str()));
        }
        None
    }

    fn gap(&self, text: String) {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).insert(text);
    }

    /// Lists of several kinds, in one namespace or in the cluster.
    pub(crate) async fn lists(&self, kinds: &[&str], namespace: Option<&str>) -> Batch {
        let reads: Vec<_> = kinds.iter().map(|kind| self.list(ListQuery::of(kind, namespace), namespace)).collect();
        let all: Vec<Batch> = stream::iter(reads).buffered(self.config.concurrency.max(1)).collect().await;
        all.into_iter().fold(Batch::default(), |mut sum, batch| {
            sum.objects.extend(batch.objects);
            sum.complete.extend(batch.complete);
            sum
        })
    }

    async fn list(&self, query: ListQuery, namespace: Option<&str>) -> Batch {
        let kind = query.kind.clone();
        let what = || format!("list {kind} in {}", namespace.unwrap_or("the cluster"));
        match self.run(what, self.read.list(self.ctx.clone(), query)).await {
            None => Batch::default(),
            Some(objects) => Batch { objects, complete: vec![(kind, namespace.map(str::to_owned))] },
        }
    }

    /// A list of a kind that need not exist.
    pub(crate) async fn list_optional(&self, query: ListQuery) -> Batch {
        match self.ctx.run("diagnosis.read", self.read.list(self.ctx.clone(), query)).await {
            Ok(objects) => Batch { objects, complete: Vec::new() },
            Err(_) => Batch::default(),
        }
    }

    /// Pull secrets of all namespaces, as possible templates.
    pub(crate) async fn pull_secrets(&self) -> Batch {
        let query = ListQuery::of("Secret", None);
        let found = self.run(|| "list Secret in the cluster".to_owned(), self.read.list(self.ctx.clone(), query)).await.unwrap_or_default();
        let is_pull = |o: &Object| o.str_at("/type").is_some_and(|t| t == "kubernetes.io/dockerconfigjson" || t == "kubernetes.io/dockercfg");
        Batch { objects: found.into_iter().filter(is_pull).collect(), complete: Vec::new() }
    }

    /// One object.
    pub(crate) async fn one(&self, reference: &ObjectRef) -> Batch {
        let found = self.run(|| format!("get {reference}"), self.read.get(self.ctx.clone(), reference.clone())).await.flatten();
        Batch { objects: found.into_iter().collect(), complete: Vec::new() }
    }

    /// One object as a whole. Without it a diagnosis knows less about who wrote what; that is no gap. Lists of a recording leave nothing out.
    pub(crate) async fn whole(&self, reference: &ObjectRef) -> Option<Object> {
        if self.recorded || self.is_over() {
            return None;
        }
        self.ctx.run("diagnosis.read", self.read.get(self.ctx.clone(), reference.clone())).await.ok().flatten()
    }

    pub(crate) async fn events(&self, query: EventQuery) -> Vec<KubeEvent> {
        self.run(|| "read events".to_owned(), self.read.events(self.ctx.clone(), query)).await.unwrap_or_default()
    }

    /// The end of a log. A log that is not there is no gap.
    pub(crate) async fn log(&self, namespace: &str, pod: &str, container: &str, previous: bool) -> Option<LogText> {
        let mut query = LogQuery::of(namespace, pod, container, previous);
        query.tail_lines = self.config.log_lines;
        query.limit_bytes = self.config.log_bytes;
        self.run(|| format!("read logs in {namespace}"), self.read.logs(self.ctx.clone(), query)).await.flatten()
    }

    pub(crate) async fn metrics(&self, name: &str) -> Vec<MetricSeries> {
        self.run(|| format!("read metric {name}"), self.read.metrics(self.ctx.clone(), name.to_owned())).await.unwrap_or_default()
    }
}
