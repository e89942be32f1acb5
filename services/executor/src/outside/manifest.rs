//! What differs between two manifests. Pure.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, Result,
    model::{FieldChange, diff_values},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The fields that differ, per object; a whole object that comes or goes is one change. Values of Secrets are hidden.
pub(super) fn diff(before: &str, after: &str) -> Result<Vec<FieldChange>> {
    let (before, after) = (objects(before)?, objects(after)?);
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(was), Some(will)) => changes
                .extend(diff_values(was, will).into_iter().map(|c| hide(name, FieldChange { path: format!("/objects/{name}{}", c.path), ..c }))),
            (was, will) => changes.push(FieldChange {
                path: format!("/objects/{name}"),
                before: was.map(|_| json!("(present)")),
                after: will.map(|_| json!("(present)")),
            }),
        }
    }
    Ok(changes)
}

fn hide(name: &str, change: FieldChange) -> FieldChange {
    if !name.starts_with("Secret~1") {
        return change;
    }
    let hidden = |value: Option<Value>| value.map(|_| json!("(hidden)"));
    FieldChange { before: hidden(change.before), after: hidden(change.after), ..change }
}

/// Objects by kind, namespace and name, as one segment of a JSON pointer.
fn objects(manifest: &str) -> Result<BTreeMap<String, Value>> {
    let mut objects = BTreeMap::new();
    for document in serde_yaml_ng::Deserializer::from_str(manifest) {
        let value = Value::deserialize(document).map_err(|e| Error::invalid("outside.manifest", "the manifest cannot be read").source(e))?;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !value.is_null() {
            let name = format!("{}~1{}~1{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
            objects.insert(name, value);
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_objects_and_whole_objects_differ_and_secrets_stay_hidden() {
        let before = "---\nkind: A\nmetadata: {name: x}\nspec: {n: 1}\n---\nkind: Secret\nmetadata: {name: s}\nstringData: {p: old}\n---\nkind: B\nmetadata: {name: y}\n";
        let after = "kind: A\nmetadata: {name: x}\nspec: {n: 2}\n---\nkind: Secret\nmetadata: {name: s}\nstringData: {p: new}\n---\n";
        let changes = diff(before, after).unwrap();
        let paths: Vec<&str> = changes.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(paths, ["/objects/A~1~1x/spec/n", "/objects/B~1~1y", "/objects/Secret~1~1s/stringData/p"]);
        assert_eq!((&changes[0].before, &changes[0].after), (&Some(json!(1)), &Some(json!(2))));
        assert!(!format!("{changes:?}").contains("new"));
    }
}
