//! The marks a write leaves on an object, by which a key can be found again.

use kubernaut_core::{model::Object, port::PatchKind};
use serde_json::{Map, Value, json};

use crate::{actions::RESTART_STAMP, kube::CLOSED_BY};

/// Field manager that writes are recorded under.
pub const FIELD_MANAGER: &str = "kubernaut";
/// Annotation with the idempotency key of the last write.
pub const LAST_ACTION: &str = "kubernaut.ai/last-action";
/// Annotation with the keys of the last writes, newest first. With it a key is still found after another action on the same object.
pub const RECENT_ACTIONS: &str = "kubernaut.ai/recent-actions";

/// Annotation with how to go back, on an object whose change ends by itself.
pub(crate) const RETURN: &str = "kubernaut.ai/return";
/// Label of such an object, so that it is found.
pub(crate) const TEMPORARY: &str = "kubernaut.ai/temporary";

const KEPT: usize = 10;

/// Whether the object carries the mark of that key.
pub(crate) fn holds(object: &Object, key: &str) -> bool {
    object.annotation(LAST_ACTION) == Some(key) || recent(object).any(|k| k == key)
}

fn recent(object: &Object) -> impl Iterator<Item = &str> {
    object.annotation(RECENT_ACTIONS).unwrap_or_default().split_ascii_whitespace()
}

/// The annotations that a write under `key` leaves.
fn values(object: &Object, key: &str) -> [(&'static str, String); 2] {
    let kept: Vec<&str> = std::iter::once(key).chain(recent(object).filter(|k| *k != key)).take(KEPT).collect();
    [(LAST_ACTION, key.to_owned()), (RECENT_ACTIONS, kept.join(" "))]
}

/// The patch with the marks of `key` in it, so that effect and mark are one write.
pub(crate) fn add_to_patch(kind: PatchKind, mut body: Value, object: &Object, key: &str) -> Value {
    if kind == PatchKind::Json {
        if let Some(operations) = body.as_array_mut() {
            let made = operations_for(object, key, operations);
            operations.extend(made);
        }
        return body;
    }
    for (name, value) in values(object, key) {
        entry(entry(&mut body, "metadata"), "annotations")[name] = json!(value);
    }
    body
}

/// The patch with a note on how to go back, and the label by which it is found.
pub(crate) fn add_return(kind: PatchKind, mut body: Value, object: &Object, note: &str) -> Value {
    if kind == PatchKind::Json {
        if let Some(operations) = body.as_array_mut() {
            let entry = |part: &str, name: &str, value: &str| {
                if object.at(&format!("/metadata/{part}")).is_none() && part == "labels" {
                    return json!({"op": "add", "path": "/metadata/labels", "value": {name: value}});
                }
                json!({"op": "add", "path": format!("/metadata/{part}/{}", name.replace('/', "~1")), "value": value})
            };
            if object.at("/metadata/annotations").is_none() {
                operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
            }
            operations.push(entry("annotations", RETURN, note));
            operations.push(entry("labels", TEMPORARY, "true"));
        }
        return body;
    }
    let metadata = entry(&mut body, "metadata");
    entry(metadata, "annotations")[RETURN] = json!(note);
    entry(metadata, "labels")[TEMPORARY] = json!("true");
    body
}

/// The operations that take the note and the label away.
pub(crate) fn without_return(object: &Object) -> Vec<Value> {
    let present = [("annotations", RETURN, object.annotation(RETURN)), ("labels", TEMPORARY, object.label(TEMPORARY))];
    let present = present.into_iter().filter(|(_, _, value)| value.is_some());
    present.map(|(part, name, _)| json!({"op": "remove", "path": format!("/metadata/{part}/{}", name.replace('/', "~1"))})).collect()
}

fn entry<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value[key].is_object() {
        value[key] = json!({});
    }
    &mut value[key]
}

/// Whether operations make the annotations of an object that had none.
fn makes_annotations(operations: &[Value]) -> bool {
    operations.iter().any(|o| o["path"] == "/metadata/annotations")
}

fn operations_for(object: &Object, key: &str, operations_so_far: &[Value]) -> Vec<Value> {
    let marks = values(object, key);
    if object.at("/metadata/annotations").is_none() && !makes_annotations(operations_so_far) {
        let all: Map<String, Value> = marks.into_iter().map(|(n, v)| (n.to_owned(), json!(v))).collect();
        return vec![json!({"op": "add", "path": "/metadata/annotations", "value": all})];
    }
    marks.into_iter().map(|(n, v)| json!({"op": "add", "path": format!("/metadata/annotations/{}", n.replace('/', "~1")), "value": v})).collect()
}

/// The object without marks, so that a diff shows the effect only.
pub(crate) fn strip(object: &Value) -> Value {
    let mut stripped = object.clone();
    let Some(metadata) = stripped.get_mut("metadata").and_then(Value::as_object_mut) else { return stripped };
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|name, _| ![LAST_ACTION, RECENT_ACTIONS, RETURN, CLOSED_BY].contains(&name.as_str()));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPORARY);
        if labels.is_empty() {
            metadata.remove("labels");
        }
    }
    stripped
}

/// The object with its restart stamp made neutral: two restarts of equal objects are the same effect, whatever their keys.
pub(crate) fn neutral(object: &Value) -> Value {
    let mut neutral = object.clone();
    if let Some(stamp) = neutral.pointer_mut("/spec/template/metadata/annotations").and_then(|a| a.get_mut(RESTART_STAMP)) {
        *stamp = json!("(restart)");
    }
    neutral
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_until_ten_others_followed() {
        let mut object = Object::new(json!({"metadata": {}}));
        for n in 0..12 {
            let body = add_to_patch(PatchKind::Merge, json!({"spec": {}}), &object, &format!("k{n}"));
            object = Object::new(body);
        }
        let held: Vec<bool> = (0..12).map(|n| holds(&object, &format!("k{n}"))).collect();
        assert_eq!(held.iter().filter(|h| **h).count(), KEPT);
        assert!(!held[1] && held[2] && held[11]);
        assert!(!holds(&object, "k"), "a part of a key is not the key");
    }

    #[test]
    fn json_patches_make_the_annotations_only_where_absent() {
        let paths = |object: Value| {
            let body = add_to_patch(PatchKind::Json, json!([]), &Object::new(object), "k");
            body.as_array().unwrap().iter().map(|o| o["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(paths(json!({"metadata": {}})), ["/metadata/annotations"]);
        assert_eq!(paths(json!({"metadata": {"annotations": {"a": "b"}}}))[0], "/metadata/annotations/kubernaut.ai~1last-action");
    }

    #[test]
    fn stripped_objects_differ_by_the_effect_only() {
        let before = json!({"metadata": {"name": "a"}});
        let after = json!({"metadata": {"name": "a", "annotations": {LAST_ACTION: "k", RECENT_ACTIONS: "k"}}});
        assert_eq!(strip(&before), strip(&after));
    }
}
