//! What is kept, kind by kind. No I/O: times come with the call.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kubernaut_core::model::{KnownKind, ObjectRef};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    budget::{Amount, Budget, Full},
    entry::Entry,
};

/// How a kind is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing follows the kind.
    Off,
    /// The first list is not complete.
    Filling,
    /// Served from memory while its watch proves itself.
    Following,
    /// The watch is interrupted; served from memory until that is too long ago.
    Broken,
    /// It did not fit.
    Full,
    /// These credentials may not list or watch it.
    Refused,
}

impl State {
    pub(super) const ALL: [Self; 6] = [Self::Off, Self::Filling, Self::Following, Self::Broken, Self::Full, Self::Refused];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Filling => "filling",
            Self::Following => "following",
            Self::Broken => "broken",
            Self::Full => "full",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug)]
struct Shelf {
    kind: &'static KnownKind,
    state: State,
    /// When all changes until then were surely known.
    proven: Option<Instant>,
    held: Amount,
    /// By namespace (empty for kinds of the cluster) and name.
    objects: BTreeMap<Box<str>, BTreeMap<Box<str>, Arc<Entry>>>,
}

impl Shelf {
    fn find(&self, namespace: &str, name: &str) -> Option<&Arc<Entry>> {
        self.objects.get(namespace)?.get(name)
    }
}

/// All kinds within one budget.
#[derive(Debug)]
pub(super) struct Shelves {
    budget: Budget,
    stale_after: Duration,
    shelves: Vec<Shelf>,
}

impl Shelves {
    pub(super) fn new(kinds: &[&'static KnownKind], limit: Amount, stale_after: Duration) -> Self {
        let shelf = |kind: &&'static KnownKind| Shelf { kind, state: State::Off, proven: None, held: Amount::default(), objects: BTreeMap::new() };
        Self { budget: Budget::new(limit), stale_after, shelves: kinds.iter().map(shelf).collect() }
    }

    fn shelf(&self, group: &str, kind: &str) -> Option<&Shelf> {
        self.shelves.iter().find(|s| s.kind.kind == kind && s.kind.group == group)
    }

    fn shelf_mut(&mut self, kind: &KnownKind) -> Option<&mut Shelf> {
        self.shelves.iter_mut().find(|s| s.kind == kind)
    }

    /// Whether the kind is one of those kept, served now or not.
    pub(super) fn knows(&self, group: &str, kind: &str) -> bool {
        self.shelf(group, kind).is_some()
    }

    fn served(&self, group: &str, kind: &str, now: Instant) -> Option<&Shelf> {
        self.shelf(group, kind).filter(|s| {
            let current = s.proven.is_some_and(|at| now.saturating_duration_since(at) < self.stale_after);
            matches!(s.state, State::Following | State::Broken) && current
        })
    }

    /// The object where it is known. That it is not known does not mean that it does not exist.
    pub(super) fn get(&self, reference: &ObjectRef, now: Instant) -> Option<Arc<Entry>> {
        let shelf = self.served(&reference.group, &reference.kind, now)?;
        let namespace = if shelf.kind.namespaced { reference.namespace.as_deref()? } else { "" };
        shelf.find(namespace, &reference.name).cloned()
    }

    /// All objects of the kind that match, by namespace and name; `None` if the API server has to be asked.
    pub(super) fn select(
        &self,
        (group, kind): (&str, &str),
        namespace: Option<&str>,
        selector: &Value,
        limit: usize,
        now: Instant,
    ) -> Option<Vec<Arc<Entry>>> {
        let shelf = self.served(group, kind, now)?;
        let namespaces: Vec<_> = match namespace.filter(|_| shelf.kind.namespaced) {
            Some(one) => shelf.objects.get(one).into_iter().collect(),
            None => shelf.objects.values().collect(),
        };
        Some(namespaces.into_iter().flat_map(BTreeMap::values).filter(|e| e.matches(selector)).take(limit).cloned().collect())
    }

    /// Empties a kind.
    pub(super) fn clear(&mut self, kind: &KnownKind, state: State) {
        let Some(shelf) = self.shelf_mut(kind) else { return };
        let held = std::mem::take(&mut shelf.held);
        (shelf.state, shelf.proven, shelf.objects) = (state, None, BTreeMap::new());
        self.budget.release(held);
    }

    /// Sets the state of a kind that keeps its objects.
    pub(super) fn set_state(&mut self, kind: &KnownKind, state: State) {
        if let Some(shelf) = self.shelf_mut(kind) {
            shelf.state = state;
        }
    }

    /// All changes of the kind until `at` are in.
    pub(super) fn prove(&mut self, kind: &KnownKind, at: Instant) {
        if let Some(shelf) = self.shelf_mut(kind) {
            (shelf.state, shelf.proven) = (State::Following, Some(at));
        }
    }

    /// Whether the kind has not been proven current for too long.
    pub(super) fn is_stale(&self, kind: &KnownKind, now: Instant) -> bool {
        self.served(kind.group, kind.kind, now).is_none()
    }

    /// Whether that many more objects fit.
    pub(super) fn has_room_for(&self, objects: usize) -> bool {
        self.budget.has_room_for(Amount { objects, bytes: 0 })
    }

    /// Keeps an object, in the place of what had its name.
    pub(super) fn put(&mut self, kind: &KnownKind, (namespace, name): (&str, &str), entry: Entry) -> Result<(), Full> {
        let new = Amount::one(entry.bytes());
        let Some(shelf) = self.shelves.iter_mut().find(|s| s.kind == kind) else { return Ok(()) };
        let old = shelf.find(namespace, name).map_or(Amount::default(), |old| Amount::one(old.bytes()));
        self.budget.exchange(old, new)?;
        shelf.held.take(old);
        shelf.held.add(new);
        if !shelf.objects.contains_key(namespace) {
            shelf.objects.insert(namespace.into(), BTreeMap::new());
        }
        if let Some(names) = shelf.objects.get_mut(namespace) {
            names.insert(name.into(), Arc::new(entry));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, kind: &KnownKind, (namespace, name): (&str, &str)) {
        let Some(shelf) = self.shelf_mut(kind) else { return };
        let Some(names) = shelf.objects.get_mut(namespace) else { return };
        let Some(entry) = names.remove(name) else { return };
        if names.is_empty() {
            shelf.objects.remove(namespace);
        }
        let gone = Amount::one(entry.bytes());
        shelf.held.take(gone);
        self.budget.release(gone);
    }

    /// State and contents of a kind.
    pub(super) fn status(&self, kind: &KnownKind) -> (State, Amount) {
        self.shelf(kind.group, kind.kind).map_or((State::Off, Amount::default()), |s| (s.state, s.held))
    }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::well_known;
    use serde_json::json;

    use super::*;

    const STALE: Duration = Duration::from_secs(20);

    fn shelves(objects: usize, bytes: usize) -> Shelves {
        Shelves::new(&[well_known("Pod").unwrap(), well_known("Node").unwrap()], Amount { objects, bytes }, STALE)
    }

    fn put(shelves: &mut Shelves, kind: &str, namespace: &str, name: &str, padding: usize) -> Result<(), Full> {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "data": "x".repeat(padding)});
        shelves.put(well_known(kind).unwrap(), (namespace, name), Entry::pack(object))
    }

    fn names(shelves: &Shelves, kind: &str, namespace: Option<&str>, limit: usize, now: Instant) -> Option<Vec<String>> {
        let found = shelves.select(("", kind), namespace, &Value::Null, limit, now)?;
        Some(found.iter().map(|e| e.listed().unwrap().name().to_owned()).collect())
    }

    #[test]
    fn a_kind_is_served_from_its_first_proof_until_the_last_one_is_too_long_ago() {
        let (pod, now) = (well_known("Pod").unwrap(), Instant::now());
        let mut shelves = shelves(10, usize::MAX);
        shelves.clear(pod, State::Filling);
        put(&mut shelves, "Pod", "shop", "web", 0).unwrap();
        let all = |s: &Shelves, at| names(s, "Pod", None, 9, at);
        assert_eq!(all(&shelves, now), None, "the first list is not complete");
        shelves.prove(pod, now);
        assert_eq!(all(&shelves, now + STALE / 2).unwrap(), ["web"]);
        shelves.set_state(pod, State::Broken);
        assert_eq!(all(&shelves, now + STALE / 2).unwrap(), ["web"], "a short interruption is bridged");
        assert_eq!(all(&shelves, now + STALE), None);
        assert!(shelves.is_stale(pod, now + STALE));
        shelves.prove(pod, now + STALE);
        assert!(all(&shelves, now + STALE).is_some());
        assert_eq!(names(&shelves, "Node", None, 9, now), None, "another kind has its own state");
    }

    #[test]
    fn what_is_not_kept_is_unknown_rather_than_absent() {
        let (pod, now) = (well_known("Pod").unwrap(), Instant::now());
        let mut shelves = shelves(10, usize::MAX);
        put(&mut shelves, "Pod", "shop", "web", 0).unwrap();
        shelves.prove(pod, now);
        assert!(shelves.get(&ObjectRef::new("Pod", Some("shop"), "web"), now).is_some());
        for unknown in [
            ObjectRef::new("Pod", Some("shop"), "api"),
            ObjectRef::new("Pod", Some("other"), "web"),
            ObjectRef::new("Pod", None, "web"),
            ObjectRef::new("Pod", Some("shop"), "web").with_group("metrics.k8s.io"),
            ObjectRef::new("Secret", Some("shop"), "web"),
        ] {
            assert!(shelves.get(&unknown, now).is_none(), "{unknown}");
        }
        assert!(shelves.knows("", "Pod") && !shelves.knows("metrics.k8s.io", "Pod"));
    }

    #[test]
    fn an_answer_is_in_order_of_one_namespace_or_all_and_within_its_limit() {
        let (pod, node, now) = (well_known("Pod").unwrap(), well_known("Node").unwrap(), Instant::now());
        let mut shelves = shelves(10, usize::MAX);
        for (namespace, name) in [("b", "1"), ("a", "2"), ("a", "1"), ("a-b", "3")] {
            put(&mut shelves, "Pod", namespace, name, 0).unwrap();
        }
        put(&mut shelves, "Node", "", "n1", 0).unwrap();
        shelves.prove(pod, now);
        shelves.prove(node, now);
        assert_eq!(names(&shelves, "Pod", None, 9, now).unwrap(), ["1", "2", "3", "1"]);
        assert_eq!(names(&shelves, "Pod", Some("a"), 9, now).unwrap(), ["1", "2"]);
        assert_eq!(names(&shelves, "Pod", None, 2, now).unwrap(), ["1", "2"]);
        assert_eq!(names(&shelves, "Pod", Some("no-such"), 9, now).unwrap(), Vec::<String>::new());
        assert_eq!(names(&shelves, "Node", Some("ignored"), 9, now).unwrap(), ["n1"], "a kind of the cluster has no namespace");
    }

    #[test]
    fn the_bounds_hold_over_all_kinds_and_what_leaves_makes_room() {
        let (pod, node) = (well_known("Pod").unwrap(), well_known("Node").unwrap());
        let mut shelves = shelves(3, usize::MAX);
        for name in ["a", "b"] {
            put(&mut shelves, "Pod", "shop", name, 0).unwrap();
        }
        put(&mut shelves, "Node", "", "n1", 0).unwrap();
        assert_eq!(put(&mut shelves, "Node", "", "n2", 0), Err(Full));
        assert!(!shelves.has_room_for(1));
        put(&mut shelves, "Node", "", "n1", 50).unwrap();
        shelves.remove(pod, ("shop", "a"));
        shelves.remove(pod, ("shop", "never-there"));
        put(&mut shelves, "Node", "", "n2", 0).unwrap();
        shelves.clear(node, State::Full);
        assert_eq!(shelves.status(node), (State::Full, Amount::default()));
        shelves.remove(pod, ("shop", "b"));
        assert_eq!(shelves.budget.used(), Amount::default(), "nothing is lost from the count");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let pod = well_known("Pod").unwrap();
        let mut shelves = shelves(100, 5_000);
        put(&mut shelves, "Pod", "shop", "a", 1_000).unwrap();
        put(&mut shelves, "Pod", "shop", "b", 1_000).unwrap();
        assert_eq!(put(&mut shelves, "Pod", "shop", "a", 4_000), Err(Full));
        assert!(shelves.status(pod).1.bytes <= 5_000);
    }
}
