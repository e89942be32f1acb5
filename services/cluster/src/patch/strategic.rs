//! Strategic merge: maps merge, and the lists of the built-in types that have a merge key merge by it.

use kubernaut_core::Result;
use serde_json::{Map, Value};

use super::invalid;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// How a list field merges.
#[derive(Clone, Copy, PartialEq)]
enum ListRule {
    /// Items are objects, told apart by this key.
    ByKey(&'static str),
    /// Items are plain values; new ones are added.
    Union,
    /// The list is replaced as a whole.
    Replace,
}

/// The rules of the built-in types, by field name; `parents` are the fields above, nearest last.
fn rule(field: &str, parents: &[&str]) -> ListRule {
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "resourceClaims"
        | "schedulingGates"
        | "secrets"
        | "webhooks"
        | "matchConditions" => ListRule::ByKey("name"),
        "ports" if parents.iter().any(|p| p.ends_with("ontainers")) => ListRule::ByKey("containerPort"),
        "ports" if parents.last() == Some(&"spec") => ListRule::ByKey("port"),
        "volumeMounts" => ListRule::ByKey("mountPath"),
        "volumeDevices" => ListRule::ByKey("devicePath"),
        "hostAliases" | "podIPs" | "hostIPs" => ListRule::ByKey("ip"),
        "topologySpreadConstraints" => ListRule::ByKey("topologyKey"),
        "conditions" => ListRule::ByKey("type"),
        "addresses" if parents.last() == Some(&"status") => ListRule::ByKey("type"),
        "ownerReferences" => ListRule::ByKey("uid"),
        "finalizers" | "podCIDRs" => ListRule::Union,
        _ => ListRule::Replace,
    }
}

/// Merges `patch` into `target`.
pub(super) fn merge(target: &mut Value, patch: &Value) -> Result<()> {
    merge_value(target, patch, &mut Vec::new())
}

fn merge_value<'p>(target: &mut Value, patch: &'p Value, path: &mut Vec<&'p str>) -> Result<()> {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    if changes.get(DIRECTIVE).is_some_and(|d| d == "replace") || !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return Ok(()) };
    if let Some(Value::Array(kept)) = changes.get(RETAIN_KEYS) {
        map.retain(|key, _| kept.iter().any(|k| k == key.as_str()));
    }
    for (key, change) in changes.iter().filter(|(key, _)| !key.starts_with('$')) {
        merge_field(map, key, change, path)?;
    }
    for (key, value) in changes {
        if let Some(list) = key.strip_prefix(DELETE_FROM).and_then(|field| map.get_mut(field)).and_then(Value::as_array_mut) {
            list.retain(|item| !value.as_array().is_some_and(|gone| gone.contains(item)));
        }
        if let Some(field) = key.strip_prefix(ELEMENT_ORDER)
            && let (Some(Value::Array(list)), Value::Array(order)) = (map.get_mut(field), value)
        {
            reorder(list, order, rule(field, path));
        }
    }
    Ok(())
}

fn merge_field<'p>(map: &mut Map<String, Value>, key: &'p str, change: &'p Value, path: &mut Vec<&'p str>) -> Result<()> {
    if change.is_null() || change.get(DIRECTIVE).is_some_and(|d| d == "delete") {
        map.remove(key);
        return Ok(());
    }
    let field = map.entry(key).or_insert(Value::Null);
    match (change, rule(key, path)) {
        (Value::Array(items), ListRule::ByKey(merge_key)) => {
            path.push(key);
            with_list(field, |list| merge_list(list, items, merge_key, path))?;
            path.pop();
        }
        (Value::Array(items), ListRule::Union) => {
            with_list(field, |list| {
                let new: Vec<Value> = items.iter().filter(|item| !list.contains(item)).cloned().collect();
                list.extend(new);
                Ok(())
            })?;
        }
        _ => {
            path.push(key);
            merge_value(field, change, path)?;
            path.pop();
        }
    }
    Ok(())
}

/// Changes the field as a list; anything else in its place, such as the null of a field that was absent, counts as an empty one.
fn with_list(field: &mut Value, change: impl FnOnce(&mut Vec<Value>) -> Result<()>) -> Result<()> {
    let mut list = match field.take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    let done = change(&mut list);
    *field = Value::Array(list);
    done
}

fn merge_list<'p>(list: &mut Vec<Value>, items: &'p [Value], merge_key: &str, path: &mut Vec<&'p str>) -> Result<()> {
    if items.iter().any(|item| item.get(DIRECTIVE).is_some_and(|d| d == "replace") && item.get(merge_key).is_none()) {
        list.clear();
    }
    for item in items {
        let Some(id) = item.get(merge_key) else {
            if item.get(DIRECTIVE).is_some() {
                continue;
            }
            return Err(invalid(format!("an item of {} has no {merge_key}, its merge key", path.join("."))));
        };
        let position = list.iter().position(|existing| existing.get(merge_key) == Some(id));
        if item.get(DIRECTIVE).is_some_and(|d| d == "delete") {
            list.retain(|existing| existing.get(merge_key) != Some(id));
        } else if let Some(existing) = position.and_then(|i| list.get_mut(i)) {
            merge_value(existing, item, path)?;
        } else {
            let mut new = Value::Null;
            merge_value(&mut new, item, path)?;
            list.push(new);
        }
    }
    Ok(())
}

/// Items named in `order` come in that order; others keep their place after them.
fn reorder(list: &mut [Value], order: &[Value], rule: ListRule) {
    let id = |item: &Value| match rule {
        ListRule::ByKey(key) => item.get(key).cloned(),
        ListRule::Union | ListRule::Replace => Some(item.clone()),
    };
    list.sort_by_key(|item| order.iter().position(|o| id(o) == id(item)).unwrap_or(order.len()));
}

#[cfg(test)]
mod tests {
    use kubernaut_core::ErrorKind;
    use serde_json::json;

    use super::*;

    fn merged(target: Value, patch: Value) -> Value {
        let mut target = target;
        merge(&mut target, &patch).unwrap();
        target
    }

    #[test]
    fn one_container_changes_and_its_neighbours_stay() {
        let pod = json!({"containers": [{"name": "app", "image": "a:1", "args": ["x"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "ports": [{"containerPort": 80}], "volumeMounts": [{"mountPath": "/d", "name": "d"}]}, {"name": "side", "image": "s:1"}]});
        let patch = json!({"containers": [{"name": "app", "args": ["y"], "resources": {"limits": {"memory": "1Gi"}}, "env": [{"name": "B", "value": "3"}, {"name": "A", "$patch": "delete"}],
            "ports": [{"containerPort": 80, "name": "http"}], "volumeMounts": [{"mountPath": "/e", "name": "e"}]}]});
        assert_eq!(
            merged(pod, patch),
            json!({"containers": [{"name": "app", "image": "a:1", "args": ["y"], "resources": {"limits": {"memory": "1Gi"}}, "env": [{"name": "B", "value": "3"}],
                "ports": [{"containerPort": 80, "name": "http"}], "volumeMounts": [{"mountPath": "/d", "name": "d"}, {"mountPath": "/e", "name": "e"}]},
                {"name": "side", "image": "s:1"}]})
        );
    }

    #[test]
    fn lists_without_a_merge_key_are_replaced_and_primitive_ones_joined() {
        let object =
            json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"tolerations": [{"key": "x"}], "ports": [{"port": 80, "targetPort": 1}]}});
        let patch = json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]},
            "spec": {"tolerations": [{"key": "y"}], "ports": [{"port": 80, "targetPort": 2}]}});
        assert_eq!(
            merged(object, patch),
            json!({"metadata": {"finalizers": ["b", "c"]}, "spec": {"tolerations": [{"key": "y"}], "ports": [{"port": 80, "targetPort": 2}]}})
        );
    }

    #[test]
    fn directives_replace_retain_delete_and_order() {
        let target = json!({"a": {"x": 1}, "strategy": {"type": "RollingUpdate", "rollingUpdate": {}}, "gone": {"y": 1}, "containers": [{"name": "1"}, {"name": "2"}]});
        let patch = json!({"a": {"$patch": "replace", "z": 2}, "strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "gone": {"$patch": "delete"},
            "$setElementOrder/containers": [{"name": "2"}, {"name": "1"}], "new": {"keep": 1, "drop": null}});
        assert_eq!(
            merged(target, patch),
            json!({"a": {"z": 2}, "strategy": {"type": "Recreate"}, "containers": [{"name": "2"}, {"name": "1"}], "new": {"keep": 1}})
        );
        assert_eq!(merged(json!({"env": [{"name": "A"}]}), json!({"env": [{"$patch": "replace"}, {"name": "B"}]})), json!({"env": [{"name": "B"}]}));
    }

    #[test]
    fn an_item_without_its_merge_key_is_refused() {
        let error = merge(&mut json!({}), &json!({"spec": {"containers": [{"image": "a"}]}})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("spec.containers"), "{error}");
    }
}
