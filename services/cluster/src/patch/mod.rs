//! Patches as an API server applies them.

mod strategic;

use kubernaut_core::{Error, Result, port::PatchKind};
use serde_json::Value;

/// The object after the patch.
pub(crate) fn apply(kind: PatchKind, object: &Value, body: &Value) -> Result<Value> {
    let mut patched = object.clone();
    match kind {
        PatchKind::Merge => {
            require_object(body)?;
            json_patch::merge(&mut patched, body);
        }
        PatchKind::Strategic => {
            require_object(body)?;
            strategic::merge(&mut patched, body)?;
        }
        PatchKind::Json => {
            let operations: json_patch::Patch =
                serde_json::from_value(body.clone()).map_err(|e| invalid("the body is not a list of JSON patch operations").source(e))?;
            json_patch::patch(&mut patched, &operations).map_err(|e| invalid(format!("the JSON patch does not apply: {e}")))?;
        }
    }
    Ok(patched)
}

fn require_object(body: &Value) -> Result<()> {
    if body.is_object() { Ok(()) } else { Err(invalid("the body of a merge patch must be a JSON object")) }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid("cluster.patch", message)
}

#[cfg(test)]
mod tests {
    use kubernaut_core::ErrorKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_replaces_lists_and_json_patch_tests_before_it_changes() {
        let object = json!({"spec": {"a": 1, "list": [1, 2]}});
        let merged = apply(PatchKind::Merge, &object, &json!({"spec": {"a": null, "list": [3]}})).unwrap();
        assert_eq!(merged, json!({"spec": {"list": [3]}}));
        let replaced = apply(PatchKind::Json, &object, &json!([{"op": "replace", "path": "/spec/list/0", "value": 9}])).unwrap();
        assert_eq!(replaced["spec"]["list"], json!([9, 2]));
        let refused = apply(PatchKind::Json, &object, &json!([{"op": "test", "path": "/spec/a", "value": 2}, {"op": "remove", "path": "/spec/a"}]));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(apply(PatchKind::Merge, &object, &json!([])).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(apply(PatchKind::Json, &object, &json!({"spec": {}})).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
