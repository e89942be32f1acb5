//! The write port over a bundle: effects are real on the in-memory copy and simulated beyond it.

use async_trait::async_trait;
use kubernaut_core::{
    Error, Result,
    model::{Object, ObjectRef, well_known},
    port::{
        AccessReview, ClusterWrite, CopySecretRequest, CreateRequest, DeleteRequest, EvictRequest, PatchKind, PatchRequest, ScaleRequest,
        WriteOutcome,
    },
    service::CallContext,
};
use serde_json::{Value, json};

use super::{
    BundleCluster, admission, create, eviction,
    reactions::{Operation, seconds},
    simulation::Simulation,
    store::advance_generation,
};
use crate::patch;

#[async_trait]
impl ClusterWrite for BundleCluster {
    async fn patch(&self, ctx: CallContext, request: PatchRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.patch", async { patch_object(&mut self.state_mut(), &request) }).await
    }

    async fn evict(&self, ctx: CallContext, request: EvictRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.evict", async { evict(&mut self.state_mut(), &request) }).await
    }

    async fn scale(&self, ctx: CallContext, request: ScaleRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.scale", async { scale(&mut self.state_mut(), &request) }).await
    }

    async fn create(&self, ctx: CallContext, request: CreateRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.create", async { create::create(&mut self.state_mut(), request) }).await
    }

    async fn delete(&self, ctx: CallContext, request: DeleteRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.delete", async { create::delete(&mut self.state_mut(), &request) }).await
    }

    async fn copy_secret(&self, ctx: CallContext, request: CopySecretRequest) -> Result<WriteOutcome> {
        ctx.run("cluster.copy_secret", async { create::copy_secret(&mut self.state_mut(), request) }).await
    }

    /// A recording has no accounts: everything is allowed.
    async fn can_i(&self, _ctx: CallContext, _review: AccessReview) -> Result<bool> {
        Ok(true)
    }
}

/// How a change is to be stored.
struct Commit<'a> {
    operation: Operation,
    manager: &'a str,
    dry_run: bool,
}

fn patch_object(state: &mut Simulation, request: &PatchRequest) -> Result<WriteOutcome> {
    let before = read_for_write(state, "cluster.patch", &request.target, request.resource_version.as_deref())?;
    if request.kind == PatchKind::Strategic && well_known(before.kind()).is_none() {
        return Err(
            Error::unsupported("cluster.patch", "strategic patches exist for built-in kinds only; use a merge patch").with("kind", before.kind())
        );
    }
    let patched = patch::apply(request.kind, before.value(), &request.body)?;
    store(state, before, patched, &Commit { operation: Operation::Patch, manager: &request.field_manager, dry_run: request.dry_run })
}

fn scale(state: &mut Simulation, request: &ScaleRequest) -> Result<WriteOutcome> {
    let before = read_for_write(state, "cluster.scale", &request.target, request.resource_version.as_deref())?;
    let built_in = matches!(before.kind(), "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController");
    if !built_in && (well_known(before.kind()).is_some() || before.i64_at("/spec/replicas").is_none()) {
        return Err(Error::unsupported("cluster.scale", "this kind has no replica count").with("object", &request.target));
    }
    let mut scaled = before.value().clone();
    scaled["spec"]["replicas"] = json!(request.replicas);
    store(state, before, scaled, &Commit { operation: Operation::Scale, manager: &request.field_manager, dry_run: request.dry_run })
}

fn evict(state: &mut Simulation, request: &EvictRequest) -> Result<WriteOutcome> {
    if request.pod.kind != "Pod" {
        return Err(Error::invalid("cluster.evict", "only pods are evicted").with("object", &request.pod));
    }
    let before = read_for_write(state, "cluster.evict", &request.pod, None)?;
    let spent = eviction::check(state.store(), &before)?;
    if !request.dry_run {
        state.start();
        if let Some((budget, after)) = spent {
            state.store_mut().update(&budget, after);
        }
        state.store_mut().remove(&before);
        state.react(Operation::Evict, &before, None);
    }
    Ok(WriteOutcome { after: before.clone(), before, warnings: Vec::new(), simulated: true })
}

/// The object to be changed, if the preconditions hold.
pub(super) fn read_for_write(state: &Simulation, operation: &'static str, target: &ObjectRef, version: Option<&str>) -> Result<Object> {
    let by_name = ObjectRef { uid: None, ..target.clone() };
    let found = state.store().get(&by_name).ok_or_else(|| Error::not_found(operation, "the object does not exist").with("object", target))?;
    let conflict = |message: &'static str| Err(Error::conflict(operation, message).with("object", target));
    if target.uid.as_deref().is_some_and(|uid| found.uid() != Some(uid)) {
        return conflict("another object of that name has taken its place");
    }
    if version.is_some_and(|v| found.resource_version() != Some(v)) {
        return conflict("the object has changed; read it again");
    }
    Ok(found)
}

fn store(state: &mut Simulation, before: Object, after: Value, commit: &Commit<'_>) -> Result<WriteOutcome> {
    let mut after = admission::admit(&before, after)?;
    let changed = after != *before.value();
    if changed {
        record_manager(&mut after, commit.manager, &seconds(state.now()));
    }
    let after = if commit.dry_run {
        advance_generation(&before, &mut after);
        crate::secrets::blank(&mut after);
        Object::new(after)
    } else {
        state.start();
        let stored = state.store_mut().update(&before, after);
        if changed {
            state.react(commit.operation, &before, Some(&stored));
        }
        stored
    };
    Ok(WriteOutcome { before, after, warnings: Vec::new(), simulated: true })
}

/// Leaves the manager's name and time, as the server does; which fields it owns is not worked out.
pub(super) fn record_manager(object: &mut Value, manager: &str, at: &str) {
    let version = object["apiVersion"].clone();
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let managers = metadata.entry("managedFields").or_insert_with(|| json!([]));
    if let Some(managers) = managers.as_array_mut() {
        managers.retain(|m| m["manager"] != manager);
        managers.push(json!({"manager": manager, "operation": "Update", "apiVersion": version, "time": at}));
    }
}
