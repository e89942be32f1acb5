//! The in-memory copy: objects by group, kind, namespace and name; events; where logs are.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use kubernaut_core::{
    model::{Object, ObjectRef, well_known},
    port::{EventQuery, KubeEvent, ListQuery, LogQuery},
};
use serde_json::Value;

use crate::{event, secrets};

/// Group, kind, namespace (empty where cluster-scoped), name.
type Key = (String, String, String, String);

/// Namespace, pod, container, whether of the previous run.
pub(super) type LogKey = (String, String, String, bool);

/// What the bundle holds now.
#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<Key, Object>,
    events: Vec<KubeEvent>,
    logs: HashMap<LogKey, PathBuf>,
    /// The highest resource version so far.
    version: u64,
}

impl Store {
    /// Takes an object in, in place of one of the same name.
    pub(super) fn put(&mut self, mut value: Value) -> Object {
        secrets::blank(&mut value);
        default_namespace(&mut value);
        let object = Object::new(value);
        self.version = self.version.max(object.resource_version().and_then(|v| v.parse().ok()).unwrap_or(0));
        if object.kind() == "Event"
            && let Some(event) = event::parse(object.value())
        {
            self.events.push(event);
        }
        self.objects.insert(key_of(&object), object.clone());
        object
    }

    /// Stores a changed object with a new resource version and, where its spec changed, the next generation; nothing if it did not change.
    pub(super) fn update(&mut self, before: &Object, mut after: Value) -> Object {
        secrets::blank(&mut after);
        if after == *before.value() {
            return before.clone();
        }
        advance_generation(before, &mut after);
        if let Some(metadata) = after["metadata"].as_object_mut() {
            metadata.insert("resourceVersion".into(), self.next_version().into());
        }
        let after = Object::new(after);
        self.objects.insert(key_of(&after), after.clone());
        after
    }

    /// Removes an object; a pod's logs go with it.
    pub(super) fn remove(&mut self, object: &Object) {
        self.objects.remove(&key_of(object));
        if object.kind() == "Pod" {
            let namespace = object.namespace().unwrap_or_default();
            self.logs.retain(|(ns, pod, ..), _| ns != namespace || pod != object.name());
        }
    }

    /// A resource version that no object has had.
    pub(super) fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// Adds where a log is.
    pub(super) fn put_log(&mut self, key: LogKey, path: PathBuf) {
        self.logs.insert(key, path);
    }

    /// The object itself; `None` if it is not there or has another uid.
    pub(super) fn get(&self, reference: &ObjectRef) -> Option<Object> {
        let namespace = reference.namespace.clone().unwrap_or_default();
        let key = (reference.group.clone(), reference.kind.clone(), namespace, reference.name.clone());
        let found = self.objects.get(&key).or_else(|| self.in_any_group(reference));
        found.filter(|o| reference.uid.as_deref().is_none_or(|uid| o.uid() == Some(uid))).cloned()
    }

    /// A reference written as `Kind/namespace/name` has no group if the kind is not built-in.
    fn in_any_group(&self, reference: &ObjectRef) -> Option<&Object> {
        if !is_any_group(&reference.group, &reference.kind) {
            return None;
        }
        let namespace = reference.namespace.as_deref();
        self.objects.values().find(|o| o.kind() == reference.kind && o.name() == reference.name && o.namespace() == namespace)
    }

    /// The objects that match, sorted by namespace and name.
    pub(super) fn list(&self, query: &ListQuery) -> Vec<Object> {
        let limit = query.limit.unwrap_or(usize::MAX);
        if is_any_group(&query.group, &query.kind) {
            let of_kind = self.objects.values().filter(|o| o.kind() == query.kind);
            let mut found: Vec<Object> = of_kind.filter(|o| ListQuery { group: o.group().to_owned(), ..query.clone() }.matches(o)).cloned().collect();
            found.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
            found.truncate(limit);
            return found;
        }
        let start: Key = (query.group.clone(), query.kind.clone(), query.namespace.clone().unwrap_or_default(), String::new());
        let of_kind = self.objects.range(start..).take_while(|((group, kind, ..), _)| *group == query.group && *kind == query.kind);
        let wanted = of_kind.take_while(|((_, _, namespace, _), _)| query.namespace.as_ref().is_none_or(|n| n == namespace));
        wanted.map(|(_, o)| o).filter(|o| query.matches(o)).take(limit).cloned().collect()
    }

    /// All objects, in no order that matters.
    pub(super) fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// The events that match, oldest last time first.
    pub(super) fn events(&self, query: &EventQuery) -> Vec<KubeEvent> {
        let mut found: Vec<_> = self.events.iter().filter(|e| event::matches(e, query)).cloned().collect();
        event::sort(&mut found);
        found
    }

    /// Where a log is.
    pub(super) fn log(&self, query: &LogQuery) -> Option<PathBuf> {
        self.logs.get(&(query.namespace.clone(), query.pod.clone(), query.container.clone(), query.previous)).cloned()
    }
}

/// The server counts changes of the wanted state, for kinds that it counts at all.
pub(super) fn advance_generation(before: &Object, after: &mut Value) {
    if let Some(generation) = before.i64_at("/metadata/generation").filter(|_| before.at("/spec") != after.pointer("/spec"))
        && let Some(metadata) = after["metadata"].as_object_mut()
    {
        metadata.insert("generation".into(), (generation + 1).into());
    }
}

fn is_any_group(group: &str, kind: &str) -> bool {
    group.is_empty() && well_known(kind).is_none()
}

fn key_of(object: &Object) -> Key {
    (object.group().to_owned(), object.kind().to_owned(), object.namespace().unwrap_or_default().to_owned(), object.name().to_owned())
}

/// A hand-made object of a namespaced kind without a namespace is in `default`, as `kubectl apply` would have it.
fn default_namespace(value: &mut Value) {
    let namespaced = value["kind"].as_str().and_then(well_known).is_some_and(|k| k.namespaced);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut).filter(|m| namespaced && !m.contains_key("namespace")) {
        metadata.insert("namespace".into(), "default".into());
    }
}
