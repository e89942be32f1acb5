//! Moving all pods off a node.
//!
//! The cordon carries the mark of the key; the pods are counted anew on each try. So a drain that was cut short goes on, and one that a budget
//! holds up is tried again until its time is over.

use std::time::Duration;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ActionRequest, FieldChange, Object, diff_digest},
    port::{DeleteRequest, EvictRequest, ListQuery, PatchKind, PatchRequest, Propagation},
    service::CallContext,
};
use serde_json::{Value, json};

use super::{KubeExecutor, apply::Tried, steps::Written};
use crate::{
    action::{Action, Current, Drain, Read},
    actions::drain::{Fate, fate},
    effect::Effects,
    marks::{self, FIELD_MANAGER},
};

const CLOSED: &str = "/spec/unschedulable";
/// Annotation with the key of the drain that closed the node, so that a further try knows that it was open before.
pub(crate) const CLOSED_BY: &str = "kubernaut.ai/closed-by";
const PAUSE: Duration = Duration::from_secs(1);

impl KubeExecutor {
    pub(super) async fn drain(
        &self,
        ctx: &CallContext,
        action: &Action,
        current: &Current,
        request: &ActionRequest,
        drain: &Drain,
        dry_run: bool,
    ) -> Result<Tried> {
        let node = &current.target;
        let was_open = node.bool_at(CLOSED) != Some(true) || node.annotation(CLOSED_BY) == Some(request.key.as_str());
        let effects = effects(action, request, was_open, drain);
        let going: Vec<&Object> = current.related(Read::PodsOnNode).iter().filter(|p| fate(p, drain) == Fate::Goes).collect();
        if dry_run {
            let outcome = self.close(ctx, node, &request.key, true).await?;
            let mut warnings = vec![format!("{} pods would be evicted", going.len())];
            for pod in &going {
                let tried =
                    self.write.evict(ctx.clone(), EvictRequest { pod: pod.reference(), grace_period_s: drain.grace_period_s, dry_run: true }).await;
                if let Err(error) = tried {
                    warnings.push(format!("{}: {}", pod.reference(), error.message()));
                }
            }
            return Ok(Tried::Answered(Written { effects, warnings, simulated: outcome, made_before: false }, None));
        }
        let simulated = if node.bool_at(CLOSED) == Some(true) && marks::holds(node, &request.key) {
            false
        } else {
            self.close(ctx, node, &request.key, false).await?
        };
        let moved = self.empty(ctx, node, drain).await?;
        let said = format!("{} is cordoned; {moved} pods were evicted and are gone", node.reference());
        Ok(Tried::Answered(Written { effects, warnings: Vec::new(), simulated, made_before: false }, Some(said)))
    }

    async fn close(&self, ctx: &CallContext, node: &Object, key: &str, dry_run: bool) -> Result<bool> {
        let open = node.bool_at(CLOSED) != Some(true);
        let mut body = json!({"spec": {"unschedulable": true}});
        if open {
            body["metadata"]["annotations"][CLOSED_BY] = json!(key);
        }
        let request = PatchRequest {
            target: node.reference(),
            kind: PatchKind::Merge,
            body: marks::add_to_patch(PatchKind::Merge, body, node, key),
            resource_version: node.resource_version().map(str::to_owned),
            field_manager: FIELD_MANAGER.into(),
            dry_run,
        };
        Ok(self.write.patch(ctx.clone(), request).await?.simulated)
    }

    /// Evicts until no pod is left that has to go.
    async fn empty(&self, ctx: &CallContext, node: &Object, drain: &Drain) -> Result<usize> {
        let mut moved = std::collections::BTreeSet::new();
        let mut held = String::new();
        for _ in 0..drain.limit_s.max(1) {
            let pods = self.read.list(ctx.clone(), ListQuery::of("Pod", None)).await?;
            let left: Vec<&Object> =
                pods.iter().filter(|p| p.str_at("/spec/nodeName") == Some(node.name()) && fate(p, drain) != Fate::Stays).collect();
            if left.is_empty() {
                return Ok(moved.len());
            }
            held.clear();
            for pod in left.iter().filter(|p| p.str_at("/metadata/deletionTimestamp").is_none()) {
                match self.evict_one(ctx, pod, drain).await {
                    Ok(()) => {
                        moved.insert(pod.reference());
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::Refused | ErrorKind::Overloaded) => {
                        held = format!("{}: {}", pod.reference(), error.message());
                    }
                    Err(error) => return Err(error),
                }
            }
            tracing::info!(node = node.name(), evicted = moved.len(), left = left.len(), "drain under way");
            tokio::time::sleep(PAUSE).await;
        }
        let why = if held.is_empty() { "pods are still ending".to_owned() } else { held };
        let text = format!("the node is not empty in time ({why}); a further try under the same key goes on");
        Err(Error::new(ErrorKind::Timeout, "executor.drain", text).with("node", node.name()).with("limit_s", drain.limit_s))
    }

    async fn evict_one(&self, ctx: &CallContext, pod: &Object, drain: &Drain) -> Result<()> {
        // A bare pod is evicted too: the API keeps its budget.
        let request = EvictRequest { pod: pod.reference(), grace_period_s: drain.grace_period_s, dry_run: false };
        let done = match self.write.evict(ctx.clone(), request).await {
            // A pod that has ended needs no budget and some servers refuse to evict it.
            Err(error) if error.kind() == ErrorKind::InvalidInput && matches!(pod.str_at("/status/phase"), Some("Succeeded" | "Failed")) => {
                let request = DeleteRequest {
                    target: pod.reference(),
                    resource_version: None,
                    grace_period_s: None,
                    propagation: Propagation::Background,
                    dry_run: false,
                };
                self.write.delete(ctx.clone(), request).await
            }
            other => other,
        };
        match done {
            // Gone, or another one by now: that one is looked at in the next round.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }
}

/// The effect is told by what is asked for, not by the pods that happen to be there: those change all the time.
fn effects(action: &Action, request: &ActionRequest, was_open: bool, drain: &Drain) -> Effects {
    let how = format!(
        "leave the node{}{}",
        if drain.delete_local_data { ", data on the node is lost" } else { "" },
        if drain.force { ", also those that nothing replaces" } else { "" }
    );
    let mut changes = vec![FieldChange { path: "pods".into(), before: None, after: Some(json!(how)) }];
    let mut pre_state = json!({});
    if was_open {
        changes.insert(0, FieldChange { path: CLOSED.into(), before: None, after: Some(Value::Bool(true)) });
        pre_state[CLOSED] = Value::Null;
    }
    Effects { digest: diff_digest(action.name, &request.target, &changes), changes, pre_state }
}
