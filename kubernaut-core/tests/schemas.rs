//! The committed schemas are those of the types.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p kubernaut-core --test schemas` rewrites them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

/// With sorted keys, so that a file does not depend on the order in which a map keeps them.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().collect::<BTreeMap<_, _>>().into_iter().map(|(k, v)| (k.clone(), sorted(v))).collect(),
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn committed() -> BTreeSet<String> {
    let names = fs::read_dir(folder()).expect("the schemas are committed").map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect()
}

fn rewrite() {
    let all = kubernaut_core::schema::all();
    for stale in committed().iter().filter(|name| !all.contains_key(name.as_str())) {
        fs::remove_file(folder().join(format!("{stale}.json"))).unwrap();
    }
    for (name, schema) in all {
        fs::write(folder().join(format!("{name}.json")), format!("{:#}\n", sorted(&schema))).unwrap();
    }
}

#[test]
fn committed_schemas_are_those_of_the_types() {
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        rewrite();
    }
    let all = kubernaut_core::schema::all();
    let names: BTreeSet<String> = all.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(committed(), names, "one file a schema; run with UPDATE_SCHEMAS=1");
    for (name, schema) in all {
        let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        let committed: Value = serde_json::from_str(&text).unwrap();
        assert!(committed == schema, "schemas/{name}.json is not what the type says; run with UPDATE_SCHEMAS=1 and look at the difference");
        jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{name} is no valid schema: {e}"));
    }
}
