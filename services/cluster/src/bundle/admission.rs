//! What an API server checks before it stores a changed object, as far as the actions can run into it.

use std::collections::BTreeSet;

use kubernaut_core::{
    Error, Result,
    model::{Object, quantity, selector_matches, well_known},
};
use serde_json::Value;

/// The object as it would be stored; fields that only the server writes are put back.
pub(super) fn admit(before: &Object, mut after: Value) -> Result<Value> {
    identity(before, &after)?;
    for (section, field) in [("metadata", "resourceVersion"), ("metadata", "uid"), ("metadata", "generation"), ("metadata", "creationTimestamp")] {
        restore(before, &mut after, section, field);
    }
    // The status of built-in kinds is written through another path.
    if well_known(before.kind()).is_some()
        && let (Some(status), Some(map)) = (before.at("/status"), after.as_object_mut())
    {
        map.insert("status".into(), status.clone());
    }
    let object = Object::new(after);
    if before.at("/spec") != object.at("/spec") {
        content(before, &object)?;
    }
    Ok(object.value().clone())
}

/// A new object, as far as actions can get it wrong.
pub(super) fn admit_new(object: &Object) -> Result<()> {
    let refuse = |message: &'static str| Err(Error::invalid("cluster.create", message).with("object", object.reference()));
    if object.api_version().is_empty() || object.kind().is_empty() || object.name().is_empty() {
        return refuse("a new object needs apiVersion, kind and metadata.name");
    }
    if let Some(known) = well_known(object.kind()) {
        if known.namespaced != object.namespace().is_some() {
            return refuse(if known.namespaced {
                "objects of this kind live in a namespace; name it"
            } else {
                "objects of this kind have no namespace"
            });
        }
        if object.at("/metadata/resourceVersion").is_some() {
            return refuse("a new object has no resource version");
        }
    }
    content(&Object::new(Value::Null), object)
}

fn identity(before: &Object, after: &Value) -> Result<()> {
    for pointer in ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"] {
        if before.at(pointer) != after.pointer(pointer) {
            return Err(invalid(before, format!("{pointer} cannot be changed")));
        }
    }
    for (pointer, what) in
        [("/metadata/uid", "another object of that name has taken its place"), ("/metadata/resourceVersion", "the object has changed; read it again")]
    {
        let wanted = after.pointer(pointer).and_then(Value::as_str).filter(|w| !w.is_empty());
        if wanted.is_some_and(|w| before.str_at(pointer) != Some(w)) {
            return Err(Error::conflict("cluster.patch", what).with("object", before.reference()));
        }
    }
    Ok(())
}

fn restore(before: &Object, after: &mut Value, section: &str, field: &str) {
    if let (Some(value), Some(map)) = (before.at(&format!("/{section}/{field}")), after.get_mut(section).and_then(Value::as_object_mut)) {
        map.insert(field.to_owned(), value.clone());
    }
}

fn content(before: &Object, after: &Object) -> Result<()> {
    for field in ["replicas", "minReplicas", "maxReplicas"] {
        let pointer = format!("/spec/{field}");
        if after.at(&pointer).is_some_and(|v| v.as_u64().is_none_or(|n| n > i32::MAX as u64)) {
            return Err(invalid(after, format!("{pointer} must be a whole number of at least 0")));
        }
    }
    if let (Some(low), Some(high)) = (after.i64_at("/spec/minReplicas"), after.i64_at("/spec/maxReplicas"))
        && low > high
    {
        return Err(invalid(after, "/spec/maxReplicas must be at least /spec/minReplicas"));
    }
    let selector = after.at("/spec/selector").filter(|_| after.group() == "apps");
    let existed = before.at("/spec").is_some();
    if existed && selector.is_some() && before.at("/spec/selector") != selector {
        return Err(invalid(after, "/spec/selector cannot be changed"));
    }
    if selector.is_some_and(|s| !selector_matches(s, &after.map_at("/spec/template/metadata/labels"))) {
        return Err(invalid(after, "/spec/template/metadata/labels must match /spec/selector"));
    }
    if before.pod_spec() == after.pod_spec() {
        return Ok(());
    }
    match (after.kind(), after.pod_spec()) {
        ("Pod", _) if existed => running_pod(before, after),
        (_, Some(spec)) => pod_spec(after, spec),
        (_, None) if before.pod_spec().is_some() => Err(invalid(after, "the pod template cannot be removed")),
        _ => Ok(()),
    }
}

/// Of a pod's spec only few fields can change while it exists.
fn running_pod(before: &Object, after: &Object) -> Result<()> {
    let fixed = |object: &Object| {
        let mut spec = object.at("/spec").cloned().unwrap_or_default();
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
                container.remove("image");
            }
        }
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|key, _| !["tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds"].contains(&key.as_str()));
        }
        spec
    };
    if fixed(before) == fixed(after) {
        Ok(())
    } else {
        Err(invalid(after, "the spec of a pod cannot be changed but for its images; change its owner's template"))
    }
}

fn pod_spec(object: &Object, spec: &Value) -> Result<()> {
    let lists = ["containers", "initContainers"].map(|list| spec[list].as_array().map_or(&[][..], Vec::as_slice));
    if lists[0].is_empty() {
        return Err(invalid(object, "the pod template needs at least one container"));
    }
    let mut names = BTreeSet::new();
    for container in lists.into_iter().flatten() {
        let name = container["name"].as_str().unwrap_or_default();
        if name.is_empty() || !names.insert(name) {
            return Err(invalid(object, format!("container names must be given and distinct, got {name:?}")));
        }
        if container["image"].as_str().is_none_or(|i| i.trim() != i || i.is_empty()) {
            return Err(invalid(object, format!("container {name} needs an image")));
        }
        resources(object, name, &container["resources"])?;
    }
    Ok(())
}

fn resources(object: &Object, container: &str, resources: &Value) -> Result<()> {
    let parse = |part: &str, resource: &str, value: &Value| {
        quantity::of(value).ok_or_else(|| invalid(object, format!("container {container}: {part}.{resource} is not a quantity: {value}")))
    };
    for (resource, request) in resources["requests"].as_object().into_iter().flatten() {
        let request = parse("requests", resource, request)?;
        let limit = resources["limits"].get(resource).map(|l| parse("limits", resource, l)).transpose()?;
        if limit.is_some_and(|limit| request > limit) {
            return Err(invalid(object, format!("container {container}: requests.{resource} must be at most limits.{resource}")));
        }
    }
    resources["limits"].as_object().into_iter().flatten().try_for_each(|(resource, limit)| parse("limits", resource, limit).map(|_| ()))
}

fn invalid(object: &Object, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid("cluster.patch", message).with("object", object.reference())
}

#[cfg(test)]
mod tests {
    use kubernaut_core::ErrorKind;
    use serde_json::json;

    use super::*;

    fn deployment() -> Object {
        Object::new(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "s", "uid": "u", "resourceVersion": "5"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "app", "image": "a:1", "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "128Mi"}}}]}}},
            "status": {"readyReplicas": 2}}),
        )
    }

    fn changed(object: &Object, pointer: &str, value: Value) -> Result<Value> {
        let mut after = object.value().clone();
        *after.pointer_mut(pointer).unwrap() = value;
        admit(object, after)
    }

    #[test]
    fn content_that_a_server_refuses_is_refused() {
        let container = "/spec/template/spec/containers/0";
        for (pointer, value) in [
            ("/spec/replicas", json!(-1)),
            ("/spec/selector/matchLabels/app", json!("other")),
            ("/spec/template/metadata/labels/app", json!("other")),
            ("/spec/template/spec/containers", json!([])),
            (&format!("{container}/image"), json!("")),
            (&format!("{container}/resources/requests/memory"), json!("256Mi")),
            (&format!("{container}/resources/limits/memory"), json!("lots")),
            ("/metadata/name", json!("other")),
        ] {
            let error = changed(&deployment(), pointer, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{pointer}: {error}");
        }
        assert!(changed(&deployment(), &format!("{container}/resources/limits/memory"), json!("1Gi")).is_ok());
    }

    #[test]
    fn the_status_is_not_changed_by_a_write_of_the_object() {
        let after = changed(&deployment(), "/status/readyReplicas", json!(9)).unwrap();
        assert_eq!(after["status"]["readyReplicas"], 2);
    }

    #[test]
    fn another_uid_or_version_in_the_body_is_a_conflict() {
        for pointer in ["/metadata/uid", "/metadata/resourceVersion"] {
            assert_eq!(changed(&deployment(), pointer, json!("other")).unwrap_err().kind(), ErrorKind::Conflict);
        }
    }

    #[test]
    fn of_a_pod_only_images_change() {
        let pod = Object::new(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "a:1", "args": ["x"]}]}}),
        );
        assert!(changed(&pod, "/spec/containers/0/image", json!("a:2")).is_ok());
        assert_eq!(changed(&pod, "/spec/containers/0/args", json!(["y"])).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
