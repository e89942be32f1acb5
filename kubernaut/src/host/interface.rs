//! The whole interface as one value, from which each language's package is generated.

use std::collections::BTreeMap;

use kubernaut_core::model::well_known_kinds;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{ERRORS, ErrorBody, WireContext, operations::OPERATIONS, traits::TRAITS};

/// Operations, plug-in methods, errors and types, as one JSON value with sorted definitions.
///
/// `operations[] {name, scope, doc, params, result}` and `traits[] {kind, name, doc, methods[] {name, doc, required, request, answer}}` point
/// into `types` by `{"$ref": "#/$defs/…"}`. `groups` has the API group of each built-in kind that is not of the core group.
#[must_use]
pub fn interface() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let operations: Vec<Value> = OPERATIONS
        .iter()
        .map(|o| {
            let (params, result) = (o.schemas)(&mut generator);
            json!({"name": o.name, "scope": o.scope, "doc": o.doc, "params": params, "result": result})
        })
        .collect();
    let traits: Vec<Value> = TRAITS
        .iter()
        .map(|t| {
            let methods: Vec<Value> = t
                .methods
                .iter()
                .map(|m| {
                    let (request, answer) = (m.schemas)(&mut generator);
                    json!({"name": m.name, "doc": m.doc, "required": m.required, "request": request, "answer": answer})
                })
                .collect();
            json!({"kind": t.kind, "name": t.name, "doc": t.doc, "methods": methods})
        })
        .collect();
    generator.subschema_for::<WireContext>();
    generator.subschema_for::<ErrorBody>();
    let types = generator.take_definitions(true);
    let errors: Vec<Value> = ERRORS
        .iter()
        .map(|row| {
            json!({"kind": row.kind, "python": row.python, "node": row.node, "uniffi": row.uniffi, "http": row.http, "transient": row.kind.is_transient()})
        })
        .collect();
    let groups: BTreeMap<&str, &str> = well_known_kinds().iter().filter(|k| !k.group.is_empty()).map(|k| (k.kind, k.group)).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "operations": operations,
        "traits": traits,
        "errors": errors,
        "groups": groups,
        "types": types,
    })
}
