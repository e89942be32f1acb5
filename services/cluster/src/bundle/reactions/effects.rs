//! Carries out what a reaction says.

use kubernaut_core::{
    glob,
    model::{Object, Timestamp, well_known},
};
use serde_json::{Value, json};

use super::{Effect, Target};
use crate::bundle::store::Store;

/// What the placeholders stand for.
pub(in crate::bundle) struct Scope<'a> {
    /// The written object.
    pub(in crate::bundle) object: &'a Object,
    /// The bundle's time.
    pub(in crate::bundle) now: Timestamp,
    /// Counts the firings, so that names and uids differ.
    pub(in crate::bundle) serial: u64,
}

/// Applies the effects in order.
pub(in crate::bundle) fn apply(effects: &[Effect], scope: &Scope<'_>, store: &mut Store) {
    for (index, effect) in effects.iter().enumerate() {
        let fill = |value: &Value| fill(value, scope, &uid(scope.serial, index));
        match effect {
            Effect::Merge(target, body) => merge(target, &fill(body), store),
            Effect::Delete(target) => matching(target, store).iter().for_each(|object| store.remove(object)),
            Effect::Create(object) => create(fill(object), scope, &uid(scope.serial, index), store),
        }
    }
}

fn matching(target: &Target, store: &Store) -> Vec<Object> {
    let namespace = target.namespace.as_deref().filter(|_| well_known(&target.kind).is_none_or(|k| k.namespaced));
    let named = |o: &&Object| o.kind() == target.kind && namespace.is_none_or(|n| o.namespace() == Some(n)) && glob::matches(&target.name, o.name());
    let found: Vec<Object> = store.all().filter(named).cloned().collect();
    if found.is_empty() {
        tracing::debug!(kind = %target.kind, name = %target.name, "a reaction found no object to act on");
    }
    found
}

fn merge(target: &Target, body: &Value, store: &mut Store) {
    for object in matching(target, store) {
        let mut after = object.value().clone();
        json_patch::merge(&mut after, body);
        store.update(&object, after);
    }
}

fn create(mut object: Value, scope: &Scope<'_>, uid: &str, store: &mut Store) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    metadata.entry("uid").or_insert_with(|| uid.into());
    metadata.entry("creationTimestamp").or_insert_with(|| seconds(scope.now).into());
    metadata.insert("resourceVersion".into(), store.next_version().into());
    store.put(object);
}

/// Times of objects have no fraction.
pub(in crate::bundle) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// A uid that tells by its look that it is simulated.
fn uid(serial: u64, index: usize) -> String {
    format!("00000000-0000-4000-8000-{:08x}{index:04x}", serial & 0xffff_ffff)
}

/// Five characters of the alphabet that pod names use.
fn random(serial: u64) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut mixed = serial.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    let mut next = || {
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let index = usize::try_from((mixed >> 33) % ALPHABET.len() as u64).unwrap_or(0);
        char::from(ALPHABET[index])
    };
    (0..5).map(|_| next()).collect()
}

/// The pointer of a text that stands for a whole value of the written object.
fn value_pointer(text: &str) -> Option<&str> {
    text.strip_prefix("{{value ")?.strip_suffix("}}")
}

fn fill(value: &Value, scope: &Scope<'_>, uid: &str) -> Value {
    match value {
        Value::String(text) if text == "{{generation}}" => json!(scope.object.i64_at("/metadata/generation").unwrap_or(1)),
        Value::String(text) if value_pointer(text).is_some() => value_pointer(text).and_then(|p| scope.object.at(p)).cloned().unwrap_or_default(),
        Value::String(text) if text.contains("{{") => {
            let generation = scope.object.i64_at("/metadata/generation").unwrap_or(1).to_string();
            let filled = text
                .replace("{{now}}", &seconds(scope.now))
                .replace("{{name}}", scope.object.name())
                .replace("{{generation}}", &generation)
                .replace("{{uid}}", uid)
                .replace("{{random}}", &random(scope.serial));
            Value::String(filled)
        }
        Value::Array(items) => items.iter().map(|item| fill(item, scope, uid)).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, item)| (key.clone(), fill(item, scope, uid))).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_names_differ_between_firings() {
        let object = Object::new(json!({"metadata": {"name": "web", "generation": 4}}));
        let scope = |serial| Scope { object: &object, now: "2026-01-01T00:00:00.5Z".parse().unwrap(), serial };
        let filled = fill(&json!({"at": "{{now}}", "g": "{{generation}}", "n": ["{{name}}-x of {{generation}}"]}), &scope(1), "u");
        assert_eq!(filled, json!({"at": "2026-01-01T00:00:00Z", "g": 4, "n": ["web-x of 4"]}));
        let copied = fill(&json!({"m": "{{value /metadata}}", "none": "{{value /spec}}"}), &scope(1), "u");
        assert_eq!(copied, json!({"m": {"name": "web", "generation": 4}, "none": null}));
        let names: std::collections::BTreeSet<_> = (0..50).map(|n| fill(&json!("{{random}}"), &scope(n), "u").to_string()).collect();
        assert_eq!(names.len(), 50);
    }
}
