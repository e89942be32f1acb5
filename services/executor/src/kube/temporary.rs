//! Changes that end by themselves.
//!
//! When it ends and how it was before stand on the changed object, in the same write as the change. So no process has to live until then, and
//! whichever one looks next takes the change back.

use std::time::Duration;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{FieldChange, Object, Timestamp},
    port::{ListQuery, PatchKind, PatchRequest},
    service::CallContext,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::KubeExecutor;
use crate::{
    action::Current,
    effect::{Effects, restore},
    marks::{self, FIELD_MANAGER, RETURN, TEMPORARY},
};

/// Kinds that can carry a change which ends.
const KINDS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "PodDisruptionBudget"];
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How to go back, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Return {
    at: Timestamp,
    key: String,
    changes: Vec<FieldChange>,
    before: Map<String, Value>,
}

impl KubeExecutor {
    /// The patch with how to go back in it.
    pub(super) fn with_return(&self, kind: PatchKind, body: Value, current: &Current, effects: &Effects, key: &str, seconds: u64) -> Value {
        let now = self.clock.now();
        let at = now.checked_add(Duration::from_secs(seconds)).unwrap_or(now);
        let before = effects.pre_state.as_object().cloned().unwrap_or_default();
        let back = Return { at, key: key.to_owned(), changes: effects.changes.clone(), before };
        marks::add_return(kind, body, &current.target, &json!(back).to_string())
    }

    /// Takes back what is due, and says how many changes that were. A field that somebody changed since is left alone, and so said.
    ///
    /// # Errors
    /// Errors of reading; one object that cannot be changed does not keep the others from it.
    pub async fn take_back_due(&self, ctx: CallContext) -> Result<usize> {
        let mut done = 0;
        for kind in KINDS {
            let query = ListQuery::of(kind, None).with_selector(json!({"matchLabels": {TEMPORARY: "true"}}));
            for object in self.read.list(ctx.clone(), query).await? {
                match self.return_of(&ctx, &object).await {
                    Ok(true) => done += 1,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(object = %object.reference(), %error, "a change that has ended could not be taken back yet"),
                }
            }
        }
        Ok(done)
    }

    /// Looks for changes that have ended until told to stop.
    pub async fn run_returns(&self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let ctx = CallContext::system("executor").with_timeout(Duration::from_secs(60));
            if let Err(error) = self.take_back_due(ctx).await {
                tracing::warn!(%error, "changes that end by themselves could not be looked for");
            }
        }
    }

    async fn return_of(&self, ctx: &CallContext, listed: &Object) -> Result<bool> {
        let Some(current) = self.read.get(ctx.clone(), listed.reference()).await? else { return Ok(false) };
        let text = current.annotation(RETURN).unwrap_or_default();
        let back: Return = serde_json::from_str(text).map_err(|e| {
            Error::invalid("executor.return", "the note on how to go back cannot be read").with("object", current.reference()).source(e)
        })?;
        if back.at > self.clock.now() {
            return Ok(false);
        }
        let mut operations = match restore(&current, &back.changes, &Value::Object(back.before)) {
            Ok(operations) => operations,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                tracing::warn!(object = %current.reference(), %error, "a temporary change was overwritten meanwhile; it is left as it is");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        operations.extend(marks::without_return(&current));
        let key = format!("return-{}", back.key);
        let request = PatchRequest {
            target: current.reference(),
            kind: PatchKind::Json,
            body: marks::add_to_patch(PatchKind::Json, Value::Array(operations), &current, &key),
            resource_version: current.resource_version().map(str::to_owned),
            field_manager: FIELD_MANAGER.into(),
            dry_run: false,
        };
        self.write.patch(ctx.clone(), request).await?;
        tracing::info!(object = %current.reference(), key = back.key, "a temporary change has ended");
        Ok(true)
    }
}
