//! Several writes that belong together.
//!
//! Each write carries the mark of the key, or is such that making it again changes nothing. So a request that was cut short is carried on by
//! making it again, and what was made already is taken for its own.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ActionRequest, FieldChange, Object, ObjectRef, diff_digest},
    port::{CopySecretRequest, CreateRequest, DeleteRequest, PatchKind, PatchRequest, Propagation, WriteOutcome},
    service::CallContext,
};
use serde_json::{Value, json};

use super::KubeExecutor;
use crate::{
    action::{Action, Current, Step, stamp},
    effect::Effects,
    marks::{self, FIELD_MANAGER},
};

/// What was written, or would be.
pub(super) struct Written {
    pub(super) effects: Effects,
    pub(super) warnings: Vec<String>,
    pub(super) simulated: bool,
    /// Whether all of it was made before under the same key.
    pub(super) made_before: bool,
}

impl KubeExecutor {
    /// Makes the writes in order, or only asks the server about them.
    pub(super) async fn steps(
        &self,
        ctx: &CallContext,
        action: &Action,
        current: &Current,
        request: &ActionRequest,
        steps: &[Step],
        dry_run: bool,
    ) -> Result<Written> {
        let mut written = Written { effects: Effects::none(action.name, &request.target), warnings: Vec::new(), simulated: false, made_before: true };
        let mut going: Vec<ObjectRef> = Vec::new();
        let mut changes = Vec::new();
        for step in steps {
            let outcome = self.step(ctx, current, &request.key, step, &going, dry_run).await?;
            if let Step::Delete { object, .. } = step {
                going.push(ObjectRef { uid: None, ..object.reference() });
            }
            changes.extend(shown(action, current, step, outcome.as_ref()));
            if let Some(outcome) = outcome {
                written.made_before = false;
                written.warnings.extend(outcome.warnings);
                written.simulated |= outcome.simulated;
            }
        }
        written.effects = of_changes(action.name, &request.target, changes, &request.key);
        Ok(written)
    }

    /// One write; `None` where it was made before under this key.
    async fn step(
        &self,
        ctx: &CallContext,
        current: &Current,
        key: &str,
        step: &Step,
        going: &[ObjectRef],
        dry_run: bool,
    ) -> Result<Option<WriteOutcome>> {
        match step {
            Step::Create(object) => self.create(ctx, object, key, going, dry_run).await,
            Step::CopySecret { source, object } => {
                if self.is_made(ctx, object, key).await? {
                    return Ok(None);
                }
                let object = marked(object, key);
                let request = CopySecretRequest { source: source.clone(), object, replace: false, field_manager: FIELD_MANAGER.into(), dry_run };
                self.write.copy_secret(ctx.clone(), request).await.map(Some)
            }
            Step::Delete { object, grace_period_s } => self.delete(ctx, object, *grace_period_s, dry_run).await,
            Step::Touch { target, body } => self.touch(ctx, target, body, key, dry_run).await,
            Step::Patch { kind, body } => self.patch_target(ctx, current, *kind, body.clone(), key, dry_run).await.map(Some),
            Step::Fill { keys, length } => {
                let mut body = json!({"data": {}});
                for name in keys {
                    body["data"][name] = json!(fresh_value(*length));
                }
                self.patch_target(ctx, current, PatchKind::Merge, body, key, dry_run).await.map(Some)
            }
        }
    }

    async fn create(&self, ctx: &CallContext, object: &Value, key: &str, going: &[ObjectRef], dry_run: bool) -> Result<Option<WriteOutcome>> {
        let reference = Object::new(object.clone()).reference();
        let replaces = going.contains(&reference);
        if !replaces && self.is_made(ctx, object, key).await? {
            return Ok(None);
        }
        let mut made = marked(object, key);
        if dry_run && replaces {
            // The old one is still there, so the content is tried under another name.
            made["metadata"]["name"] = json!(format!("{}-{}", reference.name, stamp(key)));
        }
        if !dry_run && replaces {
            self.until_gone(ctx, &reference, key).await?;
            if self.is_made(ctx, object, key).await? {
                return Ok(None);
            }
        }
        self.write.create(ctx.clone(), CreateRequest { object: made, field_manager: FIELD_MANAGER.into(), dry_run }).await.map(Some)
    }

    /// Whether this request made the object before. One that somebody else made is a conflict.
    async fn is_made(&self, ctx: &CallContext, object: &Value, key: &str) -> Result<bool> {
        let reference = Object::new(object.clone()).reference();
        match self.read.get(ctx.clone(), reference.clone()).await? {
            None => Ok(false),
            Some(found) if marks::holds(&found, key) => Ok(true),
            Some(_) => Err(Error::new(ErrorKind::Refused, "executor.create", "an object of that name exists already").with("object", reference)),
        }
    }

    async fn until_gone(&self, ctx: &CallContext, reference: &ObjectRef, key: &str) -> Result<()> {
        for _ in 0..60 {
            match self.read.get(ctx.clone(), reference.clone()).await? {
                None => return Ok(()),
                Some(found) if marks::holds(&found, key) => return Ok(()),
                Some(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            }
        }
        let text = "the old object is still ending; try again when its finalizers are done";
        Err(Error::new(ErrorKind::Timeout, "executor.recreate", text).with("object", reference))
    }

    async fn delete(&self, ctx: &CallContext, object: &Object, grace_period_s: Option<u32>, dry_run: bool) -> Result<Option<WriteOutcome>> {
        let target = object.reference();
        let request = DeleteRequest { target, resource_version: None, grace_period_s, propagation: Propagation::Background, dry_run };
        match self.write.delete(ctx.clone(), request).await {
            Ok(outcome) => Ok(Some(outcome)),
            // It went under this request, or by itself: it is gone either way.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn touch(&self, ctx: &CallContext, target: &ObjectRef, body: &Value, key: &str, dry_run: bool) -> Result<Option<WriteOutcome>> {
        let missing = || Error::not_found("executor.touch", "the object is gone").with("object", target);
        let found = self.read.get(ctx.clone(), target.clone()).await?.ok_or_else(missing)?;
        if marks::holds(&found, key) {
            return Ok(None);
        }
        let request = PatchRequest {
            target: target.clone(),
            kind: PatchKind::Merge,
            body: marks::add_to_patch(PatchKind::Merge, body.clone(), &found, key),
            resource_version: found.resource_version().map(str::to_owned),
            field_manager: FIELD_MANAGER.into(),
            dry_run,
        };
        self.write.patch(ctx.clone(), request).await.map(Some)
    }

    async fn patch_target(
        &self,
        ctx: &CallContext,
        current: &Current,
        kind: PatchKind,
        body: Value,
        key: &str,
        dry_run: bool,
    ) -> Result<WriteOutcome> {
        let request = PatchRequest {
            target: current.target.reference(),
            kind,
            body: marks::add_to_patch(kind, body, &current.target, key),
            resource_version: current.target.resource_version().map(str::to_owned),
            field_manager: FIELD_MANAGER.into(),
            dry_run,
        };
        self.write.patch(ctx.clone(), request).await
    }
}

/// The object with the mark of the key, so that it can be told whose it is.
fn marked(object: &Value, key: &str) -> Value {
    marks::add_to_patch(PatchKind::Merge, object.clone(), &Object::new(json!({})), key)
}

/// A new secret value, base64 as the API wants it: letters and digits only, so its encoding needs no padding of its own.
fn fresh_value(length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        text.push_str(&uuid::Uuid::new_v4().simple().to_string());
    }
    text.truncate(length);
    base64(text.as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { letter as char } else { '=' });
        }
    }
    out
}

/// What a step changes, as people read it. Objects that come or go are named by their reference; fields of the target by their path.
fn shown(action: &Action, current: &Current, step: &Step, outcome: Option<&WriteOutcome>) -> Vec<FieldChange> {
    let whole =
        |object: &Object, before: Option<Value>, after: Option<Value>| vec![FieldChange { path: object.reference().to_string(), before, after }];
    match step {
        Step::Create(object) => whole(&Object::new(object.clone()), None, Some(object.clone())),
        Step::CopySecret { object, source } => {
            let mut shown = object.clone();
            shown["data"] = json!(format!("(copied from {source})"));
            whole(&Object::new(object.clone()), None, Some(shown))
        }
        Step::Delete { object, .. } => whole(object, Some(manifest(object)), None),
        Step::Touch { target, body } => vec![FieldChange { path: format!("{target}!"), before: None, after: Some(body.clone()) }],
        Step::Patch { .. } => {
            outcome.map(|o| Effects::of_patch(action.name, &current.target.reference(), &o.before, &o.after).changes).unwrap_or_default()
        }
        Step::Fill { keys, .. } => {
            let value = |text: &str| Some(json!(text));
            let keys = keys.iter().map(|k| format!("/data/{}", crate::edit::escape(k)));
            keys.map(|path| FieldChange { path, before: value("(as it was)"), after: value("(a new value)") }).collect()
        }
    }
}

/// What is needed to make an object again: without what the server writes.
pub(super) fn manifest(object: &Object) -> Value {
    let mut kept = marks::strip(object.value());
    if let Some(fields) = kept.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = kept.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| ["name", "namespace", "labels", "annotations", "ownerReferences", "finalizers"].contains(&name.as_str()));
    }
    kept
}

/// The effect of several changes. Names that hold the key stand for any key: the same request under another one has the same effect.
fn of_changes(action: &str, target: &ObjectRef, changes: Vec<FieldChange>, key: &str) -> Effects {
    let neutral = |text: &str| text.replace(&stamp(key), "(key)");
    let value = |v: &Option<Value>| v.as_ref().map(|v| json!(neutral(&v.to_string())));
    let plain: Vec<FieldChange> =
        changes.iter().map(|c| FieldChange { path: neutral(&c.path), before: value(&c.before), after: value(&c.after) }).collect();
    let pre_state = changes.iter().map(|c| (c.path.clone(), c.before.clone().unwrap_or(Value::Null))).collect();
    Effects { digest: diff_digest(action, target, &plain), pre_state: Value::Object(pre_state), changes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_as_the_api_wants_them() {
        assert_eq!([base64(b"a"), base64(b"ab"), base64(b"abc"), base64(b"")], ["YQ==", "YWI=", "YWJj", ""]);
        assert_ne!(fresh_value(32), fresh_value(32));
    }

    #[test]
    fn the_same_request_under_another_key_has_the_same_digest() {
        let digest = |key: &str| {
            let name = crate::action::name_for("job", key);
            let change = FieldChange { path: format!("Job/s/{name}"), before: None, after: Some(json!({"metadata": {"name": name}})) };
            of_changes("x", &ObjectRef::new("Pod", Some("s"), "p"), vec![change], key).digest
        };
        assert_eq!(digest("a"), digest("b"));
    }
}
