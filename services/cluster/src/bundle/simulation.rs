//! Time and consequences: the store, and what follows a write to it.

use std::time::Duration;

use kubernaut_core::model::{Object, Timestamp};
use tokio::time::Instant;

use super::{
    reactions::{self, Operation, Reaction, Scope, Written},
    store::Store,
};

/// The bundle's state, moved by writes and reactions.
pub(super) struct Simulation {
    store: Store,
    reactions: Vec<Reaction>,
    pending: Vec<Pending>,
    taken_at: Timestamp,
    /// When the first write happened: the bundle's time stands still until then.
    started: Option<Instant>,
    serial: u64,
}

/// A reaction whose time has not come.
struct Pending {
    due: Instant,
    reaction: Reaction,
    object: Object,
    gone: bool,
}

impl Simulation {
    pub(super) fn new(store: Store, reactions: Vec<Reaction>, taken_at: Timestamp) -> Self {
        Self { store, reactions, pending: Vec::new(), taken_at, started: None, serial: 0 }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The time when it was recorded, plus what has passed since the first write.
    pub(super) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Timestamp {
        let passed = self.started.map_or(Duration::ZERO, |started| instant.saturating_duration_since(started));
        self.taken_at.checked_add(passed).unwrap_or(self.taken_at)
    }

    /// Whether a reaction's time has come.
    pub(super) fn is_due(&self) -> bool {
        !self.pending.is_empty() && self.pending.iter().any(|p| p.due <= Instant::now())
    }

    /// Carries out the reactions whose time has come, in order of time.
    pub(super) fn settle(&mut self) {
        if !self.is_due() {
            return;
        }
        let now = Instant::now();
        let (mut due, later): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|p| p.due <= now);
        self.pending = later;
        due.sort_by_key(|p| p.due);
        for pending in due {
            self.fire(&pending);
        }
    }

    /// A real write begins: from now on the bundle's time runs.
    pub(super) fn start(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    /// Sets off what follows a write.
    pub(super) fn react(&mut self, operation: Operation, before: &Object, after: Option<&Object>) {
        let written = Written { operation, before, after };
        let object = after.unwrap_or(before);
        let now = Instant::now();
        let follows = self.reactions.iter().filter(|r| r.follows(&written));
        self.pending.extend(follows.map(|r| Pending {
            due: now + Duration::from_millis(r.after_ms),
            reaction: r.clone(),
            object: object.clone(),
            gone: after.is_none(),
        }));
        self.settle();
    }

    fn fire(&mut self, pending: &Pending) {
        let current = if pending.gone { Some(pending.object.clone()) } else { self.store.get(&pending.object.reference()) };
        let Some(object) = current.filter(|o| pending.reaction.holds(o)) else { return };
        self.serial += 1;
        let scope = Scope { object: &object, now: self.at(pending.due), serial: self.serial };
        reactions::apply(&pending.reaction.then, &scope, &mut self.store);
    }
}
