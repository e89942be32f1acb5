//! Events: each once, counted, and the ones about an object.

use std::collections::BTreeMap;

use kubernaut_core::{
    model::{ObjectRef, Timestamp},
    port::KubeEvent,
};

use super::Facts;

/// Merges events that say the same about the same object. Keeps the newest `limit` kinds of message.
pub(crate) fn merge(events: Vec<KubeEvent>, limit: usize) -> Vec<KubeEvent> {
    let mut merged: BTreeMap<(String, String, String), KubeEvent> = BTreeMap::new();
    for event in events {
        let key = (event.object.to_string(), event.reason.clone(), event.message.clone());
        match merged.get_mut(&key) {
            None => {
                merged.insert(key, event);
            }
            Some(known) => {
                known.count = known.count.saturating_add(event.count);
                known.first_at = [known.first_at, event.first_at].into_iter().flatten().min();
                known.last_at = known.last_at.max(event.last_at);
            }
        }
    }
    let mut all: Vec<_> = merged.into_values().collect();
    all.sort_by_key(|e| e.last_at);
    let surplus = all.len().saturating_sub(limit);
    all.drain(..surplus);
    all
}

impl Facts {
    /// Events about an object, oldest first.
    pub(crate) fn events_of<'a>(&'a self, object: &ObjectRef) -> impl Iterator<Item = &'a KubeEvent> + use<'a> {
        let object = object.clone();
        self.events.iter().filter(move |e| e.object.kind == object.kind && e.object.name == object.name && e.object.namespace == object.namespace)
    }

    /// The last event about an object with one of the reasons and a text.
    pub(crate) fn event<'a>(&'a self, object: &ObjectRef, reasons: &[&str], text: &str) -> Option<&'a KubeEvent> {
        self.events_of(object).filter(|e| reasons.contains(&e.reason.as_str()) && e.message.contains(text)).last()
    }

    /// Seconds since a time, by the cluster's clock.
    pub(crate) fn age_s(&self, at: Timestamp) -> i64 {
        self.now.as_second() - at.as_second()
    }

    /// Whether an event was seen within the last `seconds`; one without a time counts as recent.
    pub(crate) fn is_recent(&self, event: &KubeEvent, seconds: i64) -> bool {
        event.last_at.is_none_or(|at| self.age_s(at) <= seconds)
    }
}
