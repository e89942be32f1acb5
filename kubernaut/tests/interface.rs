//! The committed description of the interface, from which the packages of other languages are generated, is that of the code.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p kubernaut --test interface` rewrites it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use kubernaut::host;
use serde_json::{Value, json};

/// With sorted keys, so that a file does not depend on the order in which a map keeps them.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().collect::<BTreeMap<_, _>>().into_iter().map(|(k, v)| (k.clone(), sorted(v))).collect(),
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn same_as_committed(path: &str, value: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(&path, format!("{:#}\n", sorted(value))).unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
    assert!(committed == *value, "{} is not what the code says; run `cargo xtask gen`", path.display());
}

#[test]
fn the_committed_interface_is_that_of_the_code() {
    same_as_committed("schemas/interface.json", &host::interface());
}

#[test]
fn every_language_reads_the_same_table_of_errors() {
    let rows: Vec<Value> = host::ERRORS
        .iter()
        .map(|row| {
            let (kind, transient) = (row.kind.as_str(), row.kind.is_transient());
            json!({"kind": kind, "python": row.python, "node": row.node, "uniffi": row.uniffi, "http": row.http, "transient": transient})
        })
        .collect();
    same_as_committed("../tests/vectors/errors.json", &Value::Array(rows));
}

#[test]
fn what_is_pointed_to_is_there() {
    let interface = host::interface();
    let mut open = vec![&interface];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
                    assert!(interface["types"].get(name).is_some(), "{name} is defined");
                }
                open.extend(map.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}
