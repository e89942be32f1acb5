//! All objects of a kind in all namespaces, and what becomes of them.

use std::time::Duration;

use ::kube::core::WatchEvent;
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderMap, Request, StatusCode, header};
use kubernaut_core::{Error, ErrorKind, Result, model::KnownKind};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::{
    KubeCluster, complete,
    error::{Failure, transport},
    resource::Resource,
    rest::{Ask, is_expired},
};

const OPERATION: &str = "cluster.watch";
/// Objects a page. As read, one takes a hundred kilobytes or more, and what a page took stays with the process.
const PAGE: usize = 100;

/// A part of a list.
pub(crate) struct Page {
    pub(crate) objects: Vec<Value>,
    /// Version of the whole list, from which a watch goes on.
    pub(crate) version: String,
    /// Asks for the next part; empty at the end.
    pub(crate) token: String,
    /// How many objects are still to come, where the server says so.
    pub(crate) remaining: usize,
}

/// What a watch tells.
pub(crate) enum Change {
    /// The object is there, new or changed.
    Put(Value),
    /// The object is gone.
    Gone(Value),
    /// Everything until this version has been told.
    Mark(String),
}

/// Why a list or a watch ended.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The server no longer knows that version: list anew.
    Expired,
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl KubeCluster {
    /// One page of all objects of a kind, field managers included.
    pub(crate) async fn page(&self, kind: &KnownKind, token: &str) -> Result<Page, Lost> {
        let resource = Resource::from(kind);
        let Some(path) = resource.collection(None) else { return Err(unlistable(kind).into()) };
        let limit = PAGE.to_string();
        let all = [("limit", limit.as_str()), ("continue", token)];
        let query: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut page = match self.0.rest.send(Ask::get(OPERATION, &path, &query)).await? {
            Ok(answer) => answer.json(OPERATION)?,
            Err(failure) => return Err(lost(failure)),
        };
        let items = if let Value::Array(items) = page["items"].take() { items } else { Vec::new() };
        let text = |key: &str| page["metadata"][key].as_str().unwrap_or_default().to_owned();
        Ok(Page {
            objects: items.into_iter().map(|item| complete(item, &resource)).collect(),
            version: text("resourceVersion"),
            token: text("continue"),
            remaining: page["metadata"]["remainingItemCount"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
        })
    }

    /// Changes after a version, until the server ends the watch after `period`. Opening it takes no longer than `patience`.
    pub(crate) async fn watch(
        &self,
        kind: &KnownKind,
        version: &str,
        period: Duration,
        patience: Duration,
    ) -> Result<BoxStream<'static, Result<Change, Lost>>, Lost> {
        let resource = Resource::from(kind);
        let Some(path) = resource.collection(None) else { return Err(unlistable(kind).into()) };
        let seconds = period.as_secs().max(1).to_string();
        let pairs = [("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", seconds.as_str()), ("resourceVersion", version)];
        let uri = format!("{path}?{}", Serializer::new(String::new()).extend_pairs(pairs).finish());
        let request = Request::get(uri).header(header::ACCEPT, "application/json").body(Vec::new());
        let request = request.map_err(|e| Error::invalid(OPERATION, "the request could not be built").source(e))?;
        let opening = tokio::time::timeout(patience, self.0.rest.client().request_events::<Value>(request)).await;
        let opened = opening.map_err(|_| Error::new(ErrorKind::Timeout, OPERATION, "the API server did not answer in time"))?.map_err(refused)?;
        let changes = opened.map(move |event| change(event.map_err(refused)?, &resource));
        Ok(changes.boxed())
    }
}

fn change(event: WatchEvent<Value>, resource: &Resource) -> Result<Change, Lost> {
    match event {
        WatchEvent::Added(value) | WatchEvent::Modified(value) => Ok(Change::Put(complete(value, resource))),
        WatchEvent::Deleted(value) => Ok(Change::Gone(complete(value, resource))),
        WatchEvent::Bookmark(mark) => Ok(Change::Mark(mark.metadata.resource_version)),
        WatchEvent::Error(status) => Err(refused(::kube::Error::Api(status))),
    }
}

fn refused(error: ::kube::Error) -> Lost {
    let ::kube::Error::Api(status) = error else { return Lost::Failed(transport(OPERATION, error)) };
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"kind": "Status", "message": status.message, "reason": status.reason}).to_string();
    lost(Failure::new(code, &HeaderMap::new(), body.as_bytes()))
}

fn lost(failure: Failure) -> Lost {
    if is_expired(&failure) { Lost::Expired } else { Lost::Failed(failure.into_error(OPERATION)) }
}

fn unlistable(kind: &KnownKind) -> Error {
    Error::unsupported(OPERATION, "objects of this kind cannot be listed").with("kind", kind.kind)
}
