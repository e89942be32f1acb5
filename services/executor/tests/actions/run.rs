//! How one row is run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kubernaut_core::{
    model::{ActionRequest, ExecutionOutcome, ObjectRef, Observation},
    service::{CallContext, ExecuteRequest, Executor, UndoRequest},
};
use serde_json::{Value, json};

use crate::{
    lab::{Lab, Place},
    rows::Row,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn ctx() -> CallContext {
    CallContext::system("conformance").with_timeout(Duration::from_secs(180))
}

pub async fn row(lab: &Lab, executor: &Arc<dyn Executor>, row: &Row) -> Result<String, String> {
    row_within(lab, executor, row, PATIENCE).await
}

pub async fn row_within(lab: &Lab, executor: &Arc<dyn Executor>, row: &Row, patience: Duration) -> Result<String, String> {
    let began = Instant::now();
    let namespace = format!("act-{}-{:08x}", row.name.replace('_', "-"), began.elapsed().subsec_nanos() ^ std::process::id() ^ rand());
    let place = Place { lab, namespace: namespace.chars().take(63).collect() };
    lab.kubectl(&["create", "namespace", &place.namespace], None)?;
    let outcome = carry_out(&place, executor, row, patience).await;
    (row.clean)(&place);
    // After a failure it stays to be looked at.
    if outcome.is_ok() {
        lab.kubectl(&["delete", "namespace", &place.namespace, "--wait=false"], None)?;
    }
    outcome.map(|said| format!("{said} in {:.1} s", began.elapsed().as_secs_f32())).map_err(|why| format!("{why} (namespace {})", place.namespace))
}

fn rand() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos())
}

async fn until(patience: Duration, what: &str, holds: impl Fn() -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > patience {
            return Err(format!("within {} s: {what}", patience.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}

async fn carry_out(place: &Place<'_>, executor: &Arc<dyn Executor>, row: &Row, patience: Duration) -> Result<String, String> {
    for object in (row.setup)(place) {
        let mut object = object;
        if object["kind"] != "Node" && object["metadata"]["namespace"].is_null() && !crate::rows::is_cluster_scoped(&object) {
            object["metadata"]["namespace"] = json!(place.namespace);
        }
        place.lab.kubectl(&["create", "-f", "-"], Some(&object))?;
    }
    (row.ready)(place)?;
    let (target, params) = (row.request)(place);
    let request = request(place, executor, row.name, &target, params).await?;
    if !row.collects && (row.effect)(place) {
        return Err("the effect is there before anything was done".into());
    }
    let shown = executor.dry_run(ctx(), request.clone()).await.map_err(|e| format!("dry-run: {e}"))?;
    if !row.collects && shown.changes.is_empty() {
        return Err("the dry-run shows no change".into());
    }
    if !row.collects && (row.effect)(place) {
        return Err("the dry-run had the effect".into());
    }
    let ask = ExecuteRequest {
        request: request.clone(),
        incident_id: None,
        approved_digest: Some(shown.digest.clone()),
        approved_by_person: true,
        approval_id: None,
    };
    let done = executor.execute(ctx(), ask.clone()).await.map_err(|e| format!("execute: {e}"))?;
    if done.outcome != ExecutionOutcome::Applied || done.digest != shown.digest {
        return Err(format!("outcome {:?}, digest {} for {}: {}", done.outcome, done.digest, shown.digest, done.message));
    }
    until(patience, "the effect is read with kubectl", || (row.effect)(place)).await?;
    if !row.collects {
        repetition(executor, &ask, row, place).await?;
    }
    let Some(undone) = row.undone else { return Ok("effect seen".into()) };
    if row.conflict {
        conflict(place, executor, &request, &done).await?;
    }
    let undo = UndoRequest { request, incident_id: None, execution: done, key: format!("undo-{}", place.namespace) };
    let back = executor.undo(ctx(), undo.clone()).await.map_err(|e| format!("undo: {e}"))?;
    if back.outcome != ExecutionOutcome::Applied {
        return Err(format!("undo: {:?}: {}", back.outcome, back.message));
    }
    until(patience, "the undo is read with kubectl", || undone(place)).await?;
    let again = executor.undo(ctx(), undo).await.map_err(|e| format!("undo again: {e}"))?;
    if again.outcome == ExecutionOutcome::Applied {
        return Err("the undo acted twice".into());
    }
    Ok("effect seen, taken back".into())
}

async fn request(place: &Place<'_>, executor: &Arc<dyn Executor>, action: &str, target: &str, params: Value) -> Result<ActionRequest, String> {
    let text = target.replace("NS", &place.namespace);
    let mut target: ObjectRef = text.parse().map_err(|e| format!("{text}: {e}"))?;
    let uid = place.read(&format!("{}/{}", target.kind.to_lowercase(), target.name), ".metadata.uid");
    if !uid.is_empty() {
        target.uid = Some(uid);
    }
    let request = ActionRequest { action: action.into(), target, params, key: format!("key-{}", place.namespace) };
    executor.preconditions(ctx(), request.clone()).await.map_err(|e| format!("preconditions: {e}")).and_then(|all| {
        match all.iter().find(|p| !p.holds) {
            Some(broken) => Err(format!("precondition does not hold: {}", broken.text)),
            None => Ok(request),
        }
    })
}

async fn repetition(executor: &Arc<dyn Executor>, ask: &ExecuteRequest, row: &Row, place: &Place<'_>) -> Result<(), String> {
    let seen = executor.observe(ctx(), ask.request.clone()).await.map_err(|e| format!("observe: {e}"))?;
    if seen != Observation::Applied {
        return Err(format!("observed {seen:?} after the effect"));
    }
    // A workflow never carries a key out again that was seen; where it is asked to nevertheless, nothing must happen twice.
    let before = (row.count)(place);
    if row.repeats {
        let again = executor.execute(ctx(), ask.clone()).await.map_err(|e| format!("again: {e}"))?;
        if !matches!(again.outcome, ExecutionOutcome::AlreadyApplied | ExecutionOutcome::NoChange) {
            return Err(format!("the same key acted twice: {:?}", again.outcome));
        }
    }
    let after = (row.count)(place);
    if before == after { Ok(()) } else { Err(format!("the same key acted twice: {before} became {after}")) }
}

/// Somebody changes what the action changed: the undo must leave it alone.
async fn conflict(
    place: &Place<'_>,
    executor: &Arc<dyn Executor>,
    request: &ActionRequest,
    done: &kubernaut_core::model::Execution,
) -> Result<(), String> {
    let Some(change) = done.changes.iter().find(|c| c.path == "/spec/replicas") else { return Err("no field to meddle with".into()) };
    let object = format!("{}/{}", request.target.kind.to_lowercase(), request.target.name);
    place.run(&["scale", &object, "--replicas=4"])?;
    let undo = UndoRequest { request: request.clone(), incident_id: None, execution: done.clone(), key: format!("meddled-{}", place.namespace) };
    let refused = executor.undo(ctx(), undo).await;
    let text = refused.map(|d| format!("{:?}", d.outcome)).err().map(|e| e.kind());
    place.run(&["scale", &object, &format!("--replicas={}", change.after.clone().unwrap_or_default())])?;
    if text == Some(kubernaut_core::ErrorKind::Conflict) {
        Ok(())
    } else {
        Err(format!("a field that somebody changed was not reported as a conflict: {text:?}"))
    }
}
