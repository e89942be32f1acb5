//! A cluster made of the objects that a test puts into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    Error, ErrorKind, Result,
    model::{Object, ObjectRef, Timestamp},
    port::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText},
    service::CallContext,
};

/// Serves what was put into it. Clones share one state, so that a test can change the cluster under the service it tests.
#[derive(Debug, Clone)]
pub struct ObjectsCluster(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    info: ClusterInfo,
    objects: BTreeMap<String, Object>,
    events: Vec<KubeEvent>,
    unreadable: BTreeSet<String>,
}

impl ObjectsCluster {
    /// An empty live cluster whose time is `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        let info = ClusterInfo { id: "test".into(), now, recorded: false, version: None };
        Self(Arc::new(Mutex::new(State { info, objects: BTreeMap::new(), events: Vec::new(), unreadable: BTreeSet::new() })))
    }

    /// The same cluster, marked as a recording.
    #[must_use]
    pub fn recorded(self) -> Self {
        self.state().info.recorded = true;
        self
    }

    /// Moves the cluster's time.
    pub fn set_now(&self, now: Timestamp) {
        self.state().info.now = now;
    }

    /// Adds or replaces an object; it needs `apiVersion`, `kind` and `metadata.name`.
    pub fn put(&self, object: Value) {
        let object = Object::new(object);
        self.state().objects.insert(object.reference().to_string(), object);
    }

    /// Removes an object.
    pub fn remove(&self, reference: &ObjectRef) {
        self.state().objects.remove(&reference.to_string());
    }

    /// Makes reads of a kind fail as `Forbidden`.
    pub fn forbid(&self, kind: &str) {
        self.state().unreadable.insert(kind.to_owned());
    }

    /// Adds an event.
    pub fn event(&self, event: KubeEvent) {
        self.state().events.push(event);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readable(&self, kind: &str) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.unreadable.contains(kind) {
            return Err(Error::new(ErrorKind::Forbidden, "cluster.get", "reading this kind is forbidden").with("kind", kind));
        }
        Ok(state)
    }

    fn find(&self, reference: &ObjectRef) -> Result<Option<Object>> {
        let found = self.readable(&reference.kind)?.objects.get(&reference.to_string()).cloned();
        Ok(found.filter(|o| reference.uid.is_none() || o.uid() == reference.uid.as_deref()))
    }
}

#[async_trait]
impl ClusterRead for ObjectsCluster {
    async fn info(&self, _ctx: CallContext) -> Result<ClusterInfo> {
        Ok(self.state().info.clone())
    }

    async fn get(&self, _ctx: CallContext, reference: ObjectRef) -> Result<Option<Object>> {
        self.find(&reference)
    }

    async fn list(&self, _ctx: CallContext, query: ListQuery) -> Result<Vec<Object>> {
        let state = self.readable(&query.kind)?;
        Ok(state.objects.values().filter(|o| query.matches(o)).take(query.limit.unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn owners(&self, _ctx: CallContext, reference: ObjectRef) -> Result<Vec<ObjectRef>> {
        let missing = || Error::not_found("cluster.owners", "the object does not exist").with("object", &reference);
        let mut owners = Vec::new();
        let mut next = self.find(&reference)?.ok_or_else(missing)?.controller();
        while let Some(owner) = next.take().filter(|_| owners.len() < 5) {
            next = self.find(&owner)?.and_then(|o| o.controller());
            owners.push(owner);
        }
        Ok(owners)
    }

    async fn events(&self, _ctx: CallContext, query: EventQuery) -> Result<Vec<KubeEvent>> {
        let wanted = |e: &&KubeEvent| {
            query.namespace.as_ref().is_none_or(|n| e.object.namespace.as_ref() == Some(n))
                && query.object.as_ref().is_none_or(|o| o.same_object(&e.object))
        };
        Ok(self.readable("Event")?.events.iter().filter(wanted).cloned().collect())
    }

    async fn logs(&self, _ctx: CallContext, _query: LogQuery) -> Result<Option<LogText>> {
        Ok(None)
    }
}
