//! The read port over the API.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, header};
use kubernaut_core::{
    Error, Result,
    model::{Object, ObjectRef, Timestamp},
    port::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText, MetricSeries},
    service::{CallContext, Capability},
};
use serde_json::Value;

use super::{
    Inner, KubeCluster, needs_namespace, object,
    resource::Resource,
    rest::{Ask, is_expired},
    selector,
};
use crate::{
    event,
    owners::{self, Step},
};

/// Objects a page: few enough that neither side holds much at once.
const PAGE: usize = 500;

#[async_trait]
impl ClusterRead for KubeCluster {
    async fn info(&self, ctx: CallContext) -> Result<ClusterInfo> {
        ctx.run("cluster.info", self.0.info()).await
    }

    async fn get(&self, ctx: CallContext, reference: ObjectRef) -> Result<Option<Object>> {
        ctx.run("cluster.get", self.0.get("cluster.get", &reference)).await
    }

    async fn list(&self, ctx: CallContext, query: ListQuery) -> Result<Vec<Object>> {
        ctx.run("cluster.list", self.0.list(&query)).await
    }

    async fn owners(&self, ctx: CallContext, reference: ObjectRef) -> Result<Vec<ObjectRef>> {
        let start = reference.clone();
        ctx.run("cluster.owners", owners::walk(&reference, |next| self.0.step(start.clone(), next))).await
    }

    async fn events(&self, ctx: CallContext, query: EventQuery) -> Result<Vec<KubeEvent>> {
        ctx.run("cluster.events", self.0.events(&query)).await
    }

    async fn logs(&self, ctx: CallContext, query: LogQuery) -> Result<Option<LogText>> {
        ctx.run("cluster.logs", self.0.logs(&query)).await
    }

    async fn metrics(&self, ctx: CallContext, name: String) -> Result<Vec<MetricSeries>> {
        let missing = || Error::unsupported("cluster.metrics", "no metrics source; set prometheus_url");
        let prometheus = self.0.prometheus.as_ref().ok_or_else(missing)?;
        ctx.run("cluster.metrics", prometheus.series(&name)).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.0.prometheus.iter().map(|_| Capability::Metrics).collect()
    }
}

impl Inner {
    async fn info(&self) -> Result<ClusterInfo> {
        let answer = self.rest.request(Ask::get("cluster.info", "/version", &[])).await?;
        let version = answer.json("cluster.info")?["gitVersion"].as_str().map(str::to_owned);
        Ok(ClusterInfo { id: self.id.clone(), now: server_time(&answer.headers, Timestamp::now()), recorded: false, version })
    }

    pub(super) async fn resource(&self, operation: &'static str, reference: &ObjectRef) -> Result<Resource> {
        self.discovery.resolve(&self.rest, operation, &reference.group, &reference.kind).await
    }

    /// The object; `None` if it does not exist or has another uid.
    pub(super) async fn get(&self, operation: &'static str, reference: &ObjectRef) -> Result<Option<Object>> {
        let resource = self.resource(operation, reference).await?;
        if resource.namespaced && reference.namespace.is_none() {
            return Err(needs_namespace(operation, reference));
        }
        let Some(path) = resource.object(reference.namespace.as_deref(), &reference.name) else { return Ok(None) };
        match self.rest.send(Ask::get(operation, &path, &[])).await? {
            Ok(answer) => {
                let found = object(answer.json(operation)?, &resource);
                Ok(Some(found).filter(|o| reference.uid.as_deref().is_none_or(|uid| o.uid() == Some(uid))))
            }
            Err(failure) if failure.is_missing_object() => Ok(None),
            Err(failure) if failure.code == http::StatusCode::NOT_FOUND => Err(not_served(operation, &resource)),
            Err(failure) => Err(failure.into_error(operation)),
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Object>> {
        let resource = self.discovery.resolve(&self.rest, "cluster.list", &query.group, &query.kind).await?;
        let Some(path) = resource.collection(query.namespace.as_deref()) else { return Ok(Vec::new()) };
        let Some(selector) = selector::text(&query.selector) else { return Ok(Vec::new()) };
        let limit = query.limit.unwrap_or(usize::MAX);
        let items =
            self.pages("cluster.list", &path, ("labelSelector", &selector), limit).await?.ok_or_else(|| not_served("cluster.list", &resource))?;
        let mut objects: Vec<Object> = items.into_iter().map(|item| object(without_managers(item), &resource)).collect();
        objects.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(objects)
    }

    /// All items of a list, page by page; `None` if there is no such list.
    async fn pages(&self, operation: &'static str, path: &str, selector: (&str, &str), limit: usize) -> Result<Option<Vec<Value>>> {
        let mut items: Vec<Value> = Vec::new();
        let mut token = String::new();
        let mut restarted = false;
        while items.len() < limit {
            let size = PAGE.min(limit - items.len()).to_string();
            let all = [("limit", size.as_str()), selector, ("continue", &token)];
            let query: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            let answer = match self.rest.send(Ask::get(operation, path, &query)).await? {
                Ok(answer) => answer,
                Err(failure) if failure.code == http::StatusCode::NOT_FOUND => return Ok(None),
                // The snapshot that the token stands for is gone: start over, once.
                Err(failure) if is_expired(&failure) && !restarted => {
                    (restarted, token) = (true, String::new());
                    items.clear();
                    continue;
                }
                Err(failure) => return Err(failure.into_error(operation)),
            };
            let mut page = answer.json(operation)?;
            if let Value::Array(more) = page["items"].take() {
                items.extend(more);
            }
            token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
        }
        items.truncate(limit);
        Ok(Some(items))
    }

    /// One step of the owner walk. The object it starts from is read anew, its owners may be remembered.
    async fn step(&self, start: ObjectRef, next: ObjectRef) -> Result<Step> {
        let remembered = match next.uid.as_deref().filter(|_| next != start) {
            Some(uid) => self.owners.get(uid).await,
            None => None,
        };
        if let Some(step) = remembered {
            return Ok((*step).clone());
        }
        let step = match self.get("cluster.owners", &next).await {
            Ok(found) => Step::of(found.as_ref()),
            // An owner that these credentials may not read, or of a kind that is gone, ends the walk as an absent one does.
            Err(e) if next != start && matches!(e.kind(), kubernaut_core::ErrorKind::Forbidden | kubernaut_core::ErrorKind::Unsupported) => {
                Step::Missing
            }
            Err(e) => return Err(e),
        };
        if let (Some(uid), Step::Top | Step::OwnedBy(_)) = (next.uid, &step) {
            self.owners.insert(uid, Arc::new(step.clone())).await;
        }
        Ok(step)
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<KubeEvent>> {
        let about = query.object.as_ref();
        let namespace = query.namespace.as_deref().or_else(|| about.and_then(|o| o.namespace.as_deref()));
        let path = match namespace {
            Some(namespace) => super::resource::segment(namespace).map(|n| format!("/api/v1/namespaces/{n}/events")),
            None => Some("/api/v1/events".to_owned()),
        };
        let (Some(path), Some(fields)) = (path, about.map_or(Some(String::new()), field_selector)) else { return Ok(Vec::new()) };
        let items = self.pages("cluster.events", &path, ("fieldSelector", &fields), usize::MAX).await?.unwrap_or_default();
        let mut events: Vec<KubeEvent> = items.iter().filter_map(event::parse).filter(|e| event::matches(e, query)).collect();
        event::sort(&mut events);
        Ok(events)
    }
}

/// `None` if no object can have that name.
fn field_selector(about: &ObjectRef) -> Option<String> {
    let clean = |text: &str| !text.is_empty() && !text.contains([',', '=', '\\', '!']);
    (clean(&about.name) && clean(&about.kind)).then(|| format!("involvedObject.kind={},involvedObject.name={}", about.kind, about.name))
}

fn not_served(operation: &'static str, resource: &Resource) -> Error {
    Error::unsupported(operation, "the cluster does not serve this kind").with("kind", &resource.kind).with("version", &resource.api_version)
}

/// Which manager owns which field is large and nobody lists objects for it.
fn without_managers(mut item: Value) -> Value {
    if let Some(metadata) = item.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    item
}

/// The server's `Date`, which has whole seconds. The local time is kept where it falls within that second, and where there is no date.
fn server_time(headers: &HeaderMap, local: Timestamp) -> Timestamp {
    let date = headers.get(header::DATE).and_then(|v| v.to_str().ok());
    let served = date.and_then(|d| jiff::fmt::rfc2822::parse(d).ok()).map(|zoned| zoned.timestamp());
    let micros = Timestamp::from_microsecond(local.as_microsecond()).unwrap_or(local);
    served.filter(|s| s.as_second() != local.as_second()).unwrap_or(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_the_servers_and_only_without_one_the_local() {
        let local: Timestamp = "2026-01-01T00:00:00.123456Z".parse().unwrap();
        let with = |date: &'static str| HeaderMap::from_iter([(header::DATE, date.parse().unwrap())]);
        assert_eq!(server_time(&with("Thu, 01 Jan 2026 00:00:07 GMT"), local), "2026-01-01T00:00:07Z".parse().unwrap());
        assert_eq!(server_time(&with("Thu, 01 Jan 2026 00:00:00 GMT"), local), local);
        assert_eq!(server_time(&HeaderMap::new(), local), local);
    }

    #[test]
    fn a_field_selector_cannot_be_widened_by_a_name() {
        assert_eq!(field_selector(&ObjectRef::new("Pod", Some("s"), "p")).unwrap(), "involvedObject.kind=Pod,involvedObject.name=p");
        assert_eq!(field_selector(&ObjectRef::new("Pod", Some("s"), "p,involvedObject.kind=Secret")), None);
    }
}
