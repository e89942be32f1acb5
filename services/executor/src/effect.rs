//! What a write changed, its identity, and how it is taken back. Pure.

use kubernaut_core::{
    Error, Result,
    model::{FieldChange, Object, ObjectRef, diff_digest, diff_values},
};
use serde_json::{Map, Value, json};

use kubernaut_core::model::veil;

use crate::marks;

/// Where an object says how long it gets to stop.
const GRACE: &str = "/metadata/deletionGracePeriodSeconds";

/// The effect of a write on one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Effects {
    pub(crate) changes: Vec<FieldChange>,
    pub(crate) digest: String,
    pub(crate) pre_state: Value,
}

impl Effects {
    /// From the object before and after a patch.
    pub(crate) fn of_patch(action: &str, target: &ObjectRef, before: &Object, after: &Object) -> Self {
        let (before, after) = (marks::strip(before.value()), marks::strip(after.value()));
        let changes = changes_of(&before, &after);
        let digest = diff_digest(action, target, &changes_of(&marks::neutral(&before), &marks::neutral(&after)));
        let pre_state = pre_state(&before, &changes);
        Self { changes, digest, pre_state }
    }

    /// Of an eviction: the object of this uid goes away, with that much time to stop.
    pub(crate) fn of_eviction(action: &str, target: &ObjectRef, grace_period_s: Option<u32>) -> Self {
        let uid = target.uid.clone().map(Value::String);
        let changes = vec![FieldChange { path: "/metadata/uid".into(), before: uid.clone(), after: None }];
        // To be killed at once is another effect than to be stopped.
        let grace = grace_period_s.map(|s| FieldChange { path: GRACE.into(), before: None, after: Some(json!(s)) });
        let digest = diff_digest(action, target, &changes.iter().cloned().chain(grace).collect::<Vec<_>>());
        Self { changes, digest, pre_state: json!({ "/metadata/uid": uid }) }
    }

    /// Of doing nothing.
    pub(crate) fn none(action: &str, target: &ObjectRef) -> Self {
        Self { changes: Vec::new(), digest: diff_digest(action, target, &[]), pre_state: json!({}) }
    }
}

/// The differences, with null as absent: the API server means the same by both, and so does a stored change once it is read back.
fn changes_of(before: &Value, after: &Value) -> Vec<FieldChange> {
    let known = |value: Option<Value>| value.filter(|v| !v.is_null());
    let changes = diff_values(before, after).into_iter().map(|c| FieldChange { path: c.path, before: known(c.before), after: known(c.after) });
    changes.filter(|c| c.before != c.after).collect()
}

/// The changed fields as they were, and the names of the list items they are in: an index alone does not say which container it was.
fn pre_state(before: &Value, changes: &[FieldChange]) -> Value {
    let mut fields = Map::new();
    for change in changes {
        for name in item_names(&change.path) {
            if let Some(value) = before.pointer(&name) {
                fields.insert(name, value.clone());
            }
        }
        fields.insert(change.path.clone(), change.before.clone().unwrap_or(Value::Null));
    }
    Value::Object(fields)
}

/// Pointers to the `name` of each list item that a path goes through.
fn item_names(path: &str) -> Vec<String> {
    let is_index = |segment: &str| !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    ends.filter(|end| path[..*end].rsplit('/').next().is_some_and(is_index)).map(|end| format!("{}/name", &path[..end])).collect()
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|v| !v.is_null())
}

/// The JSON patch that puts the changed fields back; empty if they are back already.
///
/// # Errors
/// `Conflict` that names the field which somebody changed since.
pub(crate) fn restore(current: &Object, changes: &[FieldChange], pre_state: &Value) -> Result<Vec<Value>> {
    let now = |path: &str| present(current.value().pointer(path));
    for (path, was) in pre_state.as_object().into_iter().flatten() {
        let guard = !changes.iter().any(|c| c.path == *path);
        if guard && now(path) != present(Some(was)) {
            return Err(changed_since(path, now(path)));
        }
    }
    let mut operations = Vec::new();
    for change in changes {
        let value = now(&change.path);
        if value == present(change.before.as_ref()) {
            continue;
        }
        if value != present(change.after.as_ref()) {
            return Err(changed_since(&change.path, value));
        }
        operations.push(match (&change.before, current.value().pointer(&change.path)) {
            (Some(before), Some(_)) => json!({"op": "replace", "path": change.path, "value": before}),
            (Some(before), None) => json!({"op": "add", "path": change.path, "value": before}),
            (None, _) => json!({"op": "remove", "path": change.path}),
        });
    }
    Ok(operations)
}

fn changed_since(path: &str, now: Option<&Value>) -> Error {
    let now = now.map_or_else(|| "absent".to_owned(), |v| veil::field(path, v).to_string());
    Error::conflict("executor.undo", "the field was changed since; it is left as it is").with("field", path).with("now", now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn deployment(names: [&str; 2], memory: &str) -> Value {
        let limits = json!({"limits": {"memory": memory}});
        json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": names[0], "resources": limits}, {"name": names[1], "resources": {"limits": {"memory": "1Gi"}}}]}}}})
    }

    fn target() -> ObjectRef {
        ObjectRef::new("Deployment", Some("s"), "w").with_uid("1")
    }

    #[test]
    fn a_container_that_took_the_place_of_the_changed_one_is_left_alone() {
        let before = Object::new(deployment(["a", "b"], "64Mi"));
        let after = Object::new(deployment(["a", "b"], "1Gi"));
        let effects = Effects::of_patch("x", &target(), &before, &after);
        assert_eq!(restore(&after, &effects.changes, &effects.pre_state).unwrap().len(), 1);
        let swapped = Object::new(deployment(["b", "a"], "1Gi"));
        assert!(restore(&swapped, &effects.changes, &effects.pre_state).unwrap_err().to_string().contains("containers/0/name"));
    }

    #[test]
    fn a_field_changed_since_is_a_conflict_and_a_restored_one_is_skipped() {
        let object = |replicas: u32| Object::new(json!({"spec": {"replicas": replicas}}));
        let effects = Effects::of_patch("x", &target(), &object(2), &object(5));
        let undo = |now: u32| restore(&object(now), &effects.changes, &effects.pre_state);
        assert_eq!(undo(5).unwrap(), [json!({"op": "replace", "path": "/spec/replicas", "value": 2})]);
        assert!(undo(2).unwrap().is_empty());
        assert!(undo(7).is_err());
    }

    #[test]
    fn restarts_under_two_keys_are_one_effect() {
        let stamped = |key: &str| Object::new(json!({"spec": {"template": {"metadata": {"annotations": {crate::actions::RESTART_STAMP: key}}}}}));
        let plain = Object::new(json!({"spec": {"template": {"metadata": {}}}}));
        let digest = |key| Effects::of_patch("x", &target(), &plain, &stamped(key)).digest;
        assert_eq!(digest("k1"), digest("k2"));
    }

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![any::<bool>().prop_map(Value::from), (0..3i32).prop_map(Value::from), "[a-c]".prop_map(Value::from)]
    }

    fn tree() -> impl Strategy<Value = Value> {
        leaf().prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d/~]", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect()))
            ]
        })
    }

    /// Carries out operations of a JSON patch as `restore` makes them.
    fn apply(value: &mut Value, operation: &Value) {
        let path = operation["path"].as_str().unwrap();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        match (value.pointer_mut(parent).unwrap(), operation["op"].as_str().unwrap()) {
            (Value::Object(map), "remove") => drop(map.remove(&key).unwrap()),
            (Value::Object(map), _) => drop(map.insert(key, operation["value"].clone())),
            (Value::Array(items), "replace") => items[key.parse::<usize>().unwrap()] = operation["value"].clone(),
            (other, op) => panic!("{op} in {other}"),
        }
    }

    proptest! {
        #[test]
        fn restoring_gives_the_object_before(before in tree(), after in tree()) {
            let (before, after) = (json!({"spec": before}), json!({"spec": after}));
            let effects = Effects::of_patch("x", &target(), &Object::new(before.clone()), &Object::new(after.clone()));
            // The names of list items guard against another item at the same index; here only values count.
            let fields: Map<String, Value> = effects.changes.iter().map(|c| (c.path.clone(), Value::Null)).collect();
            let mut restored = after.clone();
            for operation in restore(&Object::new(after), &effects.changes, &Value::Object(fields)).unwrap() {
                apply(&mut restored, &operation);
            }
            prop_assert_eq!(restored, before);
        }
    }
}
