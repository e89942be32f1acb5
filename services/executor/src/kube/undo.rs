//! Taking an action back.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Execution, ExecutionOutcome, FieldChange, Object, ObjectRef, Reversibility, quantity},
    port::{CopySecretRequest, DeleteRequest, PatchKind, PatchRequest, Propagation},
    service::{CallContext, UndoRequest},
};
use serde_json::{Value, json};

use super::{KubeExecutor, drain::CLOSED_BY, execution, gone, unchanged};
use crate::{
    action::Action,
    actions::ROTATE_SECRETS,
    effect::{Effects, restore},
    marks::{self, FIELD_MANAGER},
    registry,
};

const TRIES: u32 = 4;

impl KubeExecutor {
    pub(super) async fn take_back(&self, ctx: &CallContext, undo: &UndoRequest) -> Result<Execution> {
        let action = registry::find(&undo.request.action).ok_or_else(|| registry::unknown(&undo.request.action))?;
        match action.reversibility {
            Reversibility::Undo => {}
            Reversibility::NotNeeded => {
                return Ok(unchanged(action, &undo.request, ExecutionOutcome::NoChange, format!("{} leaves nothing to take back", action.name)));
            }
            Reversibility::Compensate | Reversibility::Irreversible => {
                return Err(Error::unsupported("executor.undo", "this action cannot be taken back").with("action", action.name));
            }
        }
        if undo.execution.changes.is_empty() {
            return Ok(unchanged(action, &undo.request, ExecutionOutcome::NoChange, "nothing was changed, so nothing is taken back".into()));
        }
        let (fields, made) = split(&undo.execution.changes);
        // Looked at before anything is taken back: half an undo would be worse than none.
        let made = self.still_ours(ctx, &made, &undo.request.key).await?;
        let restored = match action.name {
            ROTATE_SECRETS => Some(self.values_back(ctx, action, undo, &made).await?),
            _ if fields.is_empty() => None,
            _ => Some(self.fields_back(ctx, action, undo, &fields).await?),
        };
        let removed = self.remove_made(ctx, &made).await?;
        Ok(match (restored, removed) {
            (Some(done), 0) => done,
            (Some(done), n) => Execution { outcome: ExecutionOutcome::Applied, message: format!("{}; {n} objects removed", done.message), ..done },
            (None, 0) => unchanged(action, &undo.request, ExecutionOutcome::NoChange, "what was made is gone already".into()),
            (None, n) => {
                let changes =
                    undo.execution.changes.iter().map(|c| FieldChange { path: c.path.clone(), before: c.after.clone(), after: c.before.clone() });
                let effects = Effects { changes: changes.collect(), digest: undo.execution.digest.clone(), pre_state: json!({}) };
                let message = format!("took {} on {} back: {n} objects removed", action.name, undo.request.target);
                execution(ExecutionOutcome::Applied, effects, message, undo.execution.simulated)
            }
        })
    }

    async fn fields_back(&self, ctx: &CallContext, action: &Action, undo: &UndoRequest, fields: &[FieldChange]) -> Result<Execution> {
        let mut tries = 1;
        loop {
            match self.try_undo(ctx, action, undo, fields).await {
                // A moved resource version is read again; a field that somebody changed fails before any write.
                Err(Attempt::Write(error)) if error.kind() == ErrorKind::Conflict && tries < TRIES => tries += 1,
                // A conflict would say that the fields were changed, which they were not.
                Err(Attempt::Write(error)) if error.kind() == ErrorKind::Conflict => {
                    return Err(Error::new(ErrorKind::Unavailable, "executor.undo", "the object does not hold still; try again")
                        .with("target", &undo.request.target)
                        .source(error));
                }
                Err(Attempt::Write(error) | Attempt::Plan(error)) => return Err(error),
                Ok(done) => return Ok(done),
            }
        }
    }

    async fn try_undo(&self, ctx: &CallContext, action: &Action, undo: &UndoRequest, fields: &[FieldChange]) -> Result<Execution, Attempt> {
        let target = undo.request.target.clone();
        let current = self.read.get(ctx.clone(), target.clone()).await.map_err(Attempt::Plan)?.ok_or_else(|| Attempt::Plan(gone(&undo.request)))?;
        if marks::holds(&current, &undo.key) {
            return Ok(unchanged(action, &undo.request, ExecutionOutcome::AlreadyApplied, "it was taken back under this key before".into()));
        }
        let mut operations = restore(&current, fields, &guards(&undo.execution.pre_state)).map_err(Attempt::Plan)?;
        if operations.is_empty() {
            return Ok(unchanged(action, &undo.request, ExecutionOutcome::NoChange, "the fields are as they were before the action".into()));
        }
        operations.extend(marks::without_return(&current));
        if current.annotation(CLOSED_BY).is_some() {
            operations.push(json!({"op": "remove", "path": format!("/metadata/annotations/{}", CLOSED_BY.replace('/', "~1"))}));
        }
        let mut reference = current.reference();
        reference.cluster = target.cluster;
        let request = PatchRequest {
            target: reference.clone(),
            kind: PatchKind::Json,
            body: marks::add_to_patch(PatchKind::Json, Value::Array(operations), &current, &undo.key),
            resource_version: current.resource_version().map(str::to_owned),
            field_manager: FIELD_MANAGER.into(),
            dry_run: false,
        };
        let outcome = self.write.patch(ctx.clone(), request).await.map_err(Attempt::Write)?;
        let effects = Effects::of_patch(action.name, &reference, &outcome.before, &outcome.after);
        tracing::info!(action = action.name, target = %reference, key = %undo.key, "taken back");
        let message = format!("took {} on {reference} back: {} fields restored", action.name, effects.changes.len());
        Ok(execution(ExecutionOutcome::Applied, effects, message, outcome.simulated))
    }

    /// The objects that the action made and that are still there as it made them.
    async fn still_ours(&self, ctx: &CallContext, made: &[FieldChange], key: &str) -> Result<Vec<Object>> {
        let mut found = Vec::new();
        for change in made {
            let manifest = Object::new(change.after.clone().unwrap_or_default());
            let Some(now) = self.read.get(ctx.clone(), manifest.reference()).await? else { continue };
            if !marks::holds(&now, key) {
                let text = "another object of that name has taken the place of the one that was made";
                return Err(Error::conflict("executor.undo", text).with("object", manifest.reference()));
            }
            if let Some(path) = first_difference("", manifest.value(), now.value()) {
                return Err(Error::conflict("executor.undo", "the object that was made was changed since; it is left as it is")
                    .with("object", manifest.reference())
                    .with("field", path));
            }
            found.push(now);
        }
        Ok(found)
    }

    async fn remove_made(&self, ctx: &CallContext, made: &[Object]) -> Result<usize> {
        for object in made {
            let request = DeleteRequest {
                target: object.reference(),
                resource_version: None,
                grace_period_s: None,
                propagation: Propagation::Background,
                dry_run: false,
            };
            match self.write.delete(ctx.clone(), request).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => drop(other?),
            }
        }
        Ok(made.len())
    }

    /// The values that the copy kept go back into the Secret.
    async fn values_back(&self, ctx: &CallContext, action: &Action, undo: &UndoRequest, made: &[Object]) -> Result<Execution> {
        let target = &undo.request.target;
        let current = self.read.get(ctx.clone(), target.clone()).await?.ok_or_else(|| gone(&undo.request))?;
        if marks::holds(&current, &undo.key) {
            return Ok(unchanged(action, &undo.request, ExecutionOutcome::AlreadyApplied, "it was taken back under this key before".into()));
        }
        if current.annotation(marks::LAST_ACTION) != Some(undo.request.key.as_str()) {
            return Err(Error::conflict("executor.undo", "the Secret was changed since; it is left as it is").with("target", target));
        }
        let missing = || Error::conflict("executor.undo", "the copy of the earlier values is gone").with("target", target);
        let source = made.first().ok_or_else(missing)?.reference();
        let object = marks::add_to_patch(
            PatchKind::Merge,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": target.name, "namespace": target.namespace}}),
            &current,
            &undo.key,
        );
        let request = CopySecretRequest { source, object, replace: true, field_manager: FIELD_MANAGER.into(), dry_run: false };
        let outcome = self.write.copy_secret(ctx.clone(), request).await?;
        let effects = Effects { changes: undo.execution.changes.clone(), digest: undo.execution.digest.clone(), pre_state: json!({}) };
        let message = format!("took {} on {target} back: the earlier values are in place", action.name);
        Ok(execution(ExecutionOutcome::Applied, effects, message, outcome.simulated))
    }
}

/// Fields of the target, and objects that were made. What else is told goes by itself.
fn split(changes: &[FieldChange]) -> (Vec<FieldChange>, Vec<FieldChange>) {
    let fields = changes.iter().filter(|c| c.path.starts_with('/')).cloned().collect();
    let is_object =
        |c: &&FieldChange| c.path.parse::<ObjectRef>().is_ok() && c.before.is_none() && c.after.as_ref().is_some_and(|a| a["kind"].is_string());
    (fields, changes.iter().filter(|c| !c.path.starts_with('/')).filter(is_object).cloned().collect())
}

/// The part of the state before that is about fields of the target.
fn guards(pre_state: &Value) -> Value {
    let fields = pre_state.as_object().into_iter().flatten().filter(|(path, _)| path.starts_with('/'));
    Value::Object(fields.map(|(path, value)| (path.clone(), value.clone())).collect())
}

/// Where an object is not as it was made; what the server added to it does not count.
fn first_difference(at: &str, made: &Value, now: &Value) -> Option<String> {
    match (made, now) {
        (Value::Object(made), Value::Object(now)) => made.iter().find_map(|(key, value)| {
            let path = format!("{at}/{key}");
            // Shown instead of values that are never read.
            if path == "/data" && value.is_string() {
                return None;
            }
            first_difference(&path, value, now.get(key).unwrap_or(&Value::Null))
        }),
        (Value::Array(made), Value::Array(now)) if made.len() == now.len() => {
            made.iter().zip(now).enumerate().find_map(|(index, (made, now))| first_difference(&format!("{at}/{index}"), made, now))
        }
        _ if made == now || quantity::same(made, now) => None,
        // The server leaves out what is empty.
        (Value::Object(map), Value::Null) if map.is_empty() => None,
        (Value::Array(items), Value::Null) if items.is_empty() => None,
        _ => Some(at.to_owned()),
    }
}

/// Where a try failed: only a failed write is worth another one.
enum Attempt {
    Plan(Error),
    Write(Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_adds_is_no_change_and_what_somebody_sets_is() {
        let made = json!({"spec": {"limits": [{"cpu": "0.5"}], "x": {}}});
        let at = |now: Value| first_difference("", &made, &now);
        assert_eq!(at(json!({"spec": {"limits": [{"cpu": "500m", "type": "Container"}], "y": 1}, "status": {}})), None);
        assert_eq!(at(json!({"spec": {"limits": [{"cpu": "600m"}]}})).as_deref(), Some("/spec/limits/0/cpu"));
        assert_eq!(at(json!({"spec": {"limits": []}})).as_deref(), Some("/spec/limits"));
    }
}
