//! Reads everything before anything is written.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef, well_known_kinds},
    port::{ClusterInfo, ClusterRead, ListQuery, MetricSeries},
    service::{CallContext, Capability},
};
use serde_json::json;

use super::{
    RecordOptions,
    logs::{self, Log},
    relevant::{self, Backend},
};

/// What was read.
pub(super) struct Collected {
    pub(super) info: ClusterInfo,
    pub(super) objects: Vec<Object>,
    pub(super) events: Vec<Object>,
    pub(super) logs: Vec<Log>,
    pub(super) metrics: Vec<MetricSeries>,
    pub(super) left_out: Vec<(String, String)>,
}

/// Cluster-scoped kinds that are recorded whole.
const WHOLE: &[&str] =
    &["Node", "StorageClass", "PriorityClass", "IngressClass", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService"];

struct Collector<'a> {
    ctx: &'a CallContext,
    read: &'a dyn ClusterRead,
    objects: Vec<Object>,
    left_out: Vec<(String, String)>,
}

pub(super) async fn collect(ctx: &CallContext, read: &dyn ClusterRead, namespace: &str, options: &RecordOptions) -> Result<Collected> {
    let found = read.get(ctx.clone(), ObjectRef::new("Namespace", None, namespace)).await?;
    let found = found.ok_or_else(|| Error::not_found("record.namespace", "there is no such namespace").with("namespace", namespace))?;
    let mut collector = Collector { ctx, read, objects: vec![found], left_out: Vec::new() };
    let built_in = well_known_kinds().iter().filter(|k| k.namespaced && k.kind != "Event").map(|k| (k.group.to_owned(), k.kind.to_owned()));
    for (group, kind) in built_in.chain(options.extra_kinds.iter().cloned()) {
        let listed = collector.list(&group, &kind, Some(namespace)).await?;
        collector.objects.extend(listed);
    }
    collector.cluster_scoped(namespace).await?;
    collector.backends().await?;
    collector.foreign_owners().await?;
    collector.writers().await;
    let events = collector.events(namespace).await?;
    let logs = logs::collect(ctx, read, &collector.objects, options).await?;
    let metrics = collector.metrics(options).await?;
    // Last, so that nothing in the recording is younger than it.
    let info = read.info(ctx.clone()).await?;
    let Collector { mut objects, left_out, .. } = collector;
    objects.sort_by(|a, b| order(a).cmp(&order(b)));
    objects.dedup_by(|a, b| order(a) == order(b));
    Ok(Collected { info, objects, events, logs, metrics, left_out })
}

fn order(object: &Object) -> (&str, &str, Option<&str>, &str) {
    (object.kind(), object.group(), object.namespace(), object.name())
}

/// Kinds of which it matters who wrote what.
const WRITTEN: &[&str] = &[
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "ConfigMap",
    "Secret",
    "Service",
    "NetworkPolicy",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "ResourceQuota",
    "Ingress",
    "Node",
];

/// Objects that are read once more for it.
const MOST_WRITTEN: usize = 500;

impl Collector<'_> {
    /// Lists leave out who wrote which field: objects of which it matters are read one by one. Without it a recording is as good as a list.
    async fn writers(&mut self) {
        let wanted = |o: &Object| WRITTEN.contains(&o.kind()) && o.at("/metadata/managedFields").is_none();
        let which: Vec<usize> = (0..self.objects.len()).filter(|i| wanted(&self.objects[*i])).take(MOST_WRITTEN).collect();
        for chunk in which.chunks(16) {
            let reads = chunk.iter().map(|i| self.read.get(self.ctx.clone(), ObjectRef { uid: None, ..self.objects[*i].reference() }));
            let found = futures::future::join_all(reads).await;
            for (i, whole) in chunk.iter().zip(found) {
                if let Ok(Some(whole)) = whole
                    && whole.uid() == self.objects[*i].uid()
                {
                    self.objects[*i] = whole;
                }
            }
        }
    }

    /// The objects of a kind; none, with a note, if they cannot be had.
    async fn list(&mut self, group: &str, kind: &str, namespace: Option<&str>) -> Result<Vec<Object>> {
        let query = ListQuery { group: group.to_owned(), ..ListQuery::of(kind, namespace) };
        match self.read.list(self.ctx.clone(), query).await {
            Ok(objects) => Ok(objects),
            Err(e) if matches!(e.kind(), ErrorKind::Forbidden | ErrorKind::Unsupported) => {
                if !self.left_out.iter().any(|(left, _)| left == kind) {
                    self.left_out.push((kind.to_owned(), e.message().to_owned()));
                }
                Ok(Vec::new())
            }
            Err(e) => Err(e),
        }
    }

    async fn list_known(&mut self, kind: &str) -> Result<Vec<Object>> {
        let group = ObjectRef::new(kind, None, "").group;
        self.list(&group, kind, None).await
    }

    async fn cluster_scoped(&mut self, namespace: &str) -> Result<()> {
        for kind in WHOLE {
            let listed = self.list_known(kind).await?;
            self.objects.extend(listed);
        }
        let volumes: Vec<Object> = self.list_known("PersistentVolume").await?.into_iter().filter(|v| relevant::volume(v, namespace)).collect();
        let attachments = self.list_known("VolumeAttachment").await?;
        self.objects
            .extend(attachments.into_iter().filter(|a| volumes.iter().any(|v| a.str_at("/spec/source/persistentVolumeName") == Some(v.name()))));
        self.objects.extend(volumes);
        let bindings: Vec<Object> = self.list_known("ClusterRoleBinding").await?.into_iter().filter(|b| relevant::binding(b, namespace)).collect();
        let roles = self.list_known("ClusterRole").await?;
        let named: Vec<&Object> = bindings.iter().chain(self.objects.iter().filter(|o| o.kind() == "RoleBinding")).collect();
        let roles: Vec<Object> = roles.into_iter().filter(|r| named.iter().any(|b| relevant::names_role(b, r))).collect();
        self.objects.extend(roles);
        self.objects.extend(bindings);
        Ok(())
    }

    /// The Services behind webhooks and aggregated APIs, with their endpoints: their loss is felt in every namespace.
    async fn backends(&mut self) -> Result<()> {
        let mut backends: Vec<Backend> = self.objects.iter().flat_map(relevant::backends).collect();
        backends.sort();
        backends.dedup();
        for (namespace, name) in backends {
            let service = self.read.get(self.ctx.clone(), ObjectRef::new("Service", Some(&namespace), &name)).await;
            self.objects.extend(service.ok().flatten());
            let label = json!({"matchLabels": {"kubernetes.io/service-name": name}});
            let slices = ListQuery::of("EndpointSlice", Some(&namespace)).with_selector(label);
            self.objects.extend(self.read.list(self.ctx.clone(), slices).await.unwrap_or_default());
        }
        Ok(())
    }

    /// Controllers of recorded objects that are not recorded yet, such as custom resources.
    async fn foreign_owners(&mut self) -> Result<()> {
        let mut wanted: Vec<ObjectRef> = self.objects.iter().filter_map(Object::controller).collect();
        wanted.retain(|w| !self.objects.iter().any(|o| o.reference().same_object(w)));
        wanted.sort();
        wanted.dedup();
        for owner in wanted {
            match self.read.get(self.ctx.clone(), owner).await {
                Ok(found) => self.objects.extend(found),
                Err(e) if e.is_transient() => return Err(e),
                Err(e) => tracing::debug!(error = %e, "an owner cannot be recorded"),
            }
        }
        Ok(())
    }

    /// Events of the namespace, and those about nodes, which are in another one.
    async fn events(&mut self, namespace: &str) -> Result<Vec<Object>> {
        let mut events = self.list("", "Event", Some(namespace)).await?;
        if namespace != "default" {
            let elsewhere = self.list("", "Event", Some("default")).await?;
            events.extend(elsewhere.into_iter().filter(|e| e.str_at("/involvedObject/kind") == Some("Node")));
        }
        Ok(events)
    }

    async fn metrics(&mut self, options: &RecordOptions) -> Result<Vec<MetricSeries>> {
        let mut series = Vec::new();
        if self.read.capabilities().contains(&Capability::Metrics) {
            for query in &options.metrics {
                series.extend(self.read.metrics(self.ctx.clone(), query.clone()).await?);
            }
        }
        Ok(series)
    }
}
