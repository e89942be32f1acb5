//! Values of Secrets never leave this crate.

use serde_json::Value;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Replaces the values of a Secret by empty strings; keys stay, so that "this key is missing" can still be told.
pub(crate) fn blank(object: &mut Value) {
    if object["kind"] != "Secret" || object["apiVersion"] != "v1" {
        return;
    }
    for part in ["data", "stringData"] {
        for value in object.get_mut(part).and_then(Value::as_object_mut).into_iter().flatten() {
            *value.1 = Value::String(String::new());
        }
    }
    // `kubectl apply` keeps a copy of the whole manifest, values included.
    if let Some(copy) = object.pointer_mut("/metadata/annotations").and_then(|a| a.get_mut(LAST_APPLIED)) {
        *copy = Value::String(String::new());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_copy_of_a_secret_value_survives_and_keys_stay() {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"user": "YQ=="}, "stringData": {"password": "hunter2"},
            "metadata": {"annotations": {LAST_APPLIED: "{\"data\":{\"user\":\"YQ==\"}}", "note": "kept"}}});
        blank(&mut secret);
        assert_eq!(
            secret,
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"user": ""}, "stringData": {"password": ""},
                "metadata": {"annotations": {LAST_APPLIED: "", "note": "kept"}}})
        );
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        blank(&mut map);
        assert_eq!(map["data"]["a"], "b");
    }
}
