//! Reading what an action decides on.

use std::collections::BTreeMap;

use kubernaut_core::{
    ErrorKind, Result,
    model::{ActionRequest, Object, ObjectRef},
    port::{ListQuery, MetricSeries},
    service::{CallContext, Capability},
};
use serde_json::{Value, json};

use super::KubeExecutor;
use crate::action::{Action, Current, Read, placeholder};

/// What a container held in memory, as the kubelet tells it.
const MEMORY: &str = "container_memory_working_set_bytes";

impl KubeExecutor {
    /// The target and what the action needs beside it, read now; `None` if the target is gone or another object.
    pub(super) async fn load(&self, ctx: &CallContext, action: &Action, request: &ActionRequest) -> Result<Option<Current>> {
        let target = match self.read.get(ctx.clone(), request.target.clone()).await? {
            Some(target) => target,
            None if action.extra().creates => {
                // The object of that uid may be gone by this very request.
                let by_name = ObjectRef { uid: None, ..request.target.clone() };
                self.read.get(ctx.clone(), by_name.clone()).await?.unwrap_or_else(|| placeholder(&by_name))
            }
            None => return Ok(None),
        };
        let mut related = BTreeMap::new();
        for read in action.reads {
            related.insert(read.kind(), self.related(ctx, *read, &target, &request.params).await?);
        }
        Ok(Some(Current { target, related }))
    }

    async fn related(&self, ctx: &CallContext, read: Read, target: &Object, params: &Value) -> Result<Vec<Object>> {
        if read == Read::Usage {
            return self.usage(ctx, target.namespace()).await;
        }
        let mut objects = match self.read.list(ctx.clone(), query(read, target, params)).await {
            // A cluster without that extension has none of its objects.
            Err(error) if error.kind() == ErrorKind::Unsupported && read.foreign_group().is_some() => Vec::new(),
            other => other?,
        };
        let owned = |object: &Object| object.controller().is_some_and(|c| c.uid.as_deref() == target.uid());
        match read {
            Read::ReplicaSets | Read::Revisions => objects.retain(owned),
            Read::PodsOnNode => objects.retain(|pod| pod.str_at("/spec/nodeName") == Some(target.name())),
            _ => {}
        }
        Ok(objects)
    }

    async fn usage(&self, ctx: &CallContext, namespace: Option<&str>) -> Result<Vec<Object>> {
        if !self.read.capabilities().contains(&Capability::Metrics) {
            return Ok(Vec::new());
        }
        let of_namespace = |s: &&MetricSeries| s.labels.get("namespace").map(String::as_str) == namespace;
        let series = self.read.metrics(ctx.clone(), MEMORY.into()).await?;
        Ok(series.iter().filter(of_namespace).filter_map(used).collect())
    }
}

fn used(series: &MetricSeries) -> Option<Object> {
    let label = |key: &str| series.labels.get(key).filter(|v| !v.is_empty());
    let peak = series.values.iter().map(|(_, v)| *v).fold(f64::NAN, f64::max);
    let (first, last) = (series.values.first()?, series.values.last()?);
    let span = last.0.as_second() - first.0.as_second();
    Some(Object::new(json!({"kind": "Usage", "pod": label("pod")?, "container": label("container")?, "peak": peak, "last": last.1, "span_s": span})))
}

fn query(read: Read, target: &Object, params: &Value) -> ListQuery {
    let peer = params["to"].as_str().and_then(|to| to.parse().ok()).and_then(|to: ObjectRef| to.namespace);
    let namespace = match read {
        Read::PeerServices => peer.as_deref().or(target.namespace()),
        Read::PodsOnNode => None,
        _ => target.namespace(),
    };
    let mut query = ListQuery::of(read.kind(), namespace);
    if let Some(group) = read.foreign_group() {
        query.group = group.into();
    }
    match (read, target.at("/spec/selector")) {
        // The selector keeps the answer small; ownership is what decides.
        (Read::ReplicaSets, Some(selector)) => query.with_selector(selector.clone()),
        (Read::Kept, _) => query.with_selector(json!({"matchLabels": {"kubernaut.ai/kept": "true"}})),
        _ => query,
    }
}
