//! Objects that come and go.

use kubernaut_core::{
    Error, Result,
    model::{Object, uuid_at, well_known},
    port::{CopySecretRequest, CreateRequest, DeleteRequest, WriteOutcome},
};
use serde_json::{Map, Value, json};

use super::{
    admission,
    reactions::{Operation, seconds},
    simulation::Simulation,
    write::{read_for_write, record_manager},
};

const OPERATION: &str = "cluster.create";

pub(super) fn create(state: &mut Simulation, request: CreateRequest) -> Result<WriteOutcome> {
    let asked = Object::new(request.object);
    admission::admit_new(&asked)?;
    if state.store().get(&asked.reference()).is_some() {
        return Err(Error::conflict(OPERATION, "an object of that name exists already").with("object", asked.reference()));
    }
    namespace_exists(state, &asked)?;
    let mut made = asked.value().clone();
    complete(state, &mut made);
    record_manager(&mut made, &request.field_manager, &seconds(state.now()));
    crate::secrets::blank(&mut made);
    let after = if request.dry_run {
        Object::new(made)
    } else {
        state.start();
        made["metadata"]["resourceVersion"] = json!(state.store_mut().next_version());
        let stored = state.store_mut().put(made);
        state.react(Operation::Create, &Object::new(Value::Null), Some(&stored));
        stored
    };
    Ok(WriteOutcome { before: after.clone(), after, warnings: Vec::new(), simulated: true })
}

/// A bundle need not record the namespaces; where it does, an unknown one is refused.
fn namespace_exists(state: &Simulation, asked: &Object) -> Result<()> {
    let Some(namespace) = asked.namespace() else { return Ok(()) };
    let known: Vec<&Object> = state.store().all().filter(|o| o.kind() == "Namespace" && o.group().is_empty()).collect();
    if known.is_empty() || known.iter().any(|n| n.name() == namespace) {
        return Ok(());
    }
    Err(Error::not_found(OPERATION, "the namespace does not exist").with("namespace", namespace))
}

/// What only the server writes.
fn complete(state: &Simulation, made: &mut Value) {
    let spec = made.get("spec").is_some_and(|s| !s.is_null());
    if well_known(made["kind"].as_str().unwrap_or_default()).is_some()
        && let Some(fields) = made.as_object_mut()
    {
        fields.remove("status");
    }
    let Some(metadata) = made["metadata"].as_object_mut() else { return };
    metadata.insert("uid".into(), json!(uuid_at(state.now()).to_string()));
    metadata.insert("creationTimestamp".into(), json!(seconds(state.now())));
    metadata.remove("resourceVersion");
    if spec {
        metadata.insert("generation".into(), json!(1));
    }
}

pub(super) fn delete(state: &mut Simulation, request: &DeleteRequest) -> Result<WriteOutcome> {
    let before = read_for_write(state, "cluster.delete", &request.target, request.resource_version.as_deref())?;
    if !request.dry_run {
        state.start();
        let held = !before.list_at("/metadata/finalizers").is_empty();
        if held {
            let mut ending = before.value().clone();
            ending["metadata"]["deletionTimestamp"] = json!(seconds(state.now()));
            state.store_mut().update(&before, ending);
        } else {
            state.store_mut().remove(&before);
            state.react(Operation::Delete, &before, None);
        }
    }
    Ok(WriteOutcome { after: before.clone(), before, warnings: Vec::new(), simulated: true })
}

/// A recording has keys of Secrets only, so the copy has no more.
pub(super) fn copy_secret(state: &mut Simulation, request: CopySecretRequest) -> Result<WriteOutcome> {
    let source = read_for_write(state, "cluster.copy_secret", &request.source, None)?;
    let mut object = request.object;
    object["data"] = source.at("/data").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if object["type"].is_null() {
        object["type"] = source.at("/type").cloned().unwrap_or_else(|| json!("Opaque"));
    }
    let asked = Object::new(object.clone());
    let Some(before) = state.store().get(&asked.reference()).filter(|_| request.replace) else {
        return create(state, CreateRequest { object, field_manager: request.field_manager, dry_run: request.dry_run });
    };
    let mut after = before.value().clone();
    after["data"] = object["data"].clone();
    json_patch::merge(&mut after["metadata"], &object["metadata"]);
    let after = if request.dry_run {
        Object::new(after)
    } else {
        state.start();
        state.store_mut().update(&before, after)
    };
    Ok(WriteOutcome { before, after, warnings: Vec::new(), simulated: true })
}
