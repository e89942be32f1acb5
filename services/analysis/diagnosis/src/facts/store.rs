//! The objects that were read, with the indexes that rules need.

use std::collections::{BTreeMap, BTreeSet};

use kubernaut_core::model::{Object, ObjectRef};

type Key = (String, Option<String>, String);

/// Objects by kind, namespace and name. Knows which lists are complete, so that absence means something.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Object>,
    complete: BTreeSet<(String, Option<String>)>,
    children: BTreeMap<String, Vec<Key>>,
}

fn key(kind: &str, namespace: Option<&str>, name: &str) -> Key {
    (kind.to_owned(), namespace.map(str::to_owned), name.to_owned())
}

impl Store {
    /// Adds objects; one that is known stays as it is.
    pub(crate) fn add(&mut self, objects: impl IntoIterator<Item = Object>) {
        for object in objects {
            let at = key(object.kind(), object.namespace(), object.name());
            if at.0.is_empty() || at.2.is_empty() || self.objects.contains_key(&at) {
                continue;
            }
            if let Some(owner) = object.controller() {
                self.children.entry(owner.to_string()).or_default().push(at.clone());
            }
            self.objects.insert(at, object);
        }
    }

    /// Puts the whole of a known object in the place of what a list gave.
    pub(crate) fn replace(&mut self, object: Object) {
        if let Some(known) = self.objects.get_mut(&key(object.kind(), object.namespace(), object.name()))
            && known.uid() == object.uid()
        {
            *known = object;
        }
    }

    /// Notes that all objects of a kind in a namespace (`None`: in the cluster) were read.
    pub(crate) fn mark_complete(&mut self, kind: &str, namespace: Option<&str>) {
        self.complete.insert((kind.to_owned(), namespace.map(str::to_owned)));
    }

    /// Whether a list was read completely.
    pub(crate) fn is_complete(&self, kind: &str, namespace: Option<&str>) -> bool {
        self.complete.contains(&(kind.to_owned(), namespace.map(str::to_owned))) || self.complete.contains(&(kind.to_owned(), None))
    }

    /// How many objects were read.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// One object.
    pub(crate) fn get(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<&Object> {
        self.objects.get(&key(kind, namespace, name))
    }

    /// The object of a reference; one with another uid is a successor and not meant.
    pub(crate) fn find(&self, reference: &ObjectRef) -> Option<&Object> {
        let found = self.get(&reference.kind, reference.namespace.as_deref(), &reference.name)?;
        (reference.uid.is_none() || found.uid() == reference.uid.as_deref()).then_some(found)
    }

    /// Whether it is certain that an object does not exist.
    pub(crate) fn is_absent(&self, kind: &str, namespace: Option<&str>, name: &str) -> bool {
        self.is_complete(kind, namespace) && self.get(kind, namespace, name).is_none()
    }

    /// All objects of a kind in a namespace, by name.
    pub(crate) fn list<'a>(&'a self, kind: &str, namespace: Option<&str>) -> impl Iterator<Item = &'a Object> + use<'a> {
        let from = key(kind, namespace, "");
        let (kind, namespace) = (from.0.clone(), from.1.clone());
        self.objects.range(from..).take_while(move |((k, n, _), _)| *k == kind && *n == namespace).map(|(_, o)| o)
    }

    /// All objects of a kind in every namespace that was read.
    pub(crate) fn all<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
        let from = key(kind, None, "");
        let kind = from.0.clone();
        self.objects.range(from..).take_while(move |((k, _, _), _)| *k == kind).map(|(_, o)| o)
    }

    /// Objects that a controller owns directly.
    pub(crate) fn children<'a>(&'a self, owner: &ObjectRef) -> impl Iterator<Item = &'a Object> + use<'a> {
        let keys = self.children.get(&owner.to_string()).map_or(&[][..], Vec::as_slice);
        keys.iter().filter_map(|k| self.objects.get(k))
    }

    /// The top owner, or the object itself. An owner that no longer exists is named all the same.
    pub(crate) fn top_owner(&self, object: &Object) -> ObjectRef {
        let mut top = object.reference();
        let mut next = object.controller();
        for _ in 0..5 {
            let Some(owner) = next.take() else { break };
            next = self.get(&owner.kind, owner.namespace.as_deref(), &owner.name).and_then(Object::controller);
            top = owner;
        }
        top
    }

    /// Namespaces of which anything was read.
    pub(crate) fn namespaces(&self) -> BTreeSet<&str> {
        self.complete.iter().filter_map(|(_, n)| n.as_deref()).collect()
    }
}
