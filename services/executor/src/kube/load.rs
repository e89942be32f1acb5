//! Reading what an action decides on.

use std::collections::BTreeMap;

use kubernaut_core::{
    Result,
    model::{ActionRequest, Object, ObjectRef},
    port::ListQuery,
    service::CallContext,
};
use serde_json::Value;

use super::KubeExecutor;
use crate::action::{Action, Current, Read};

impl KubeExecutor {
    /// The target and what the action needs beside it, read now; `None` if the target is gone or another object.
    pub(super) async fn load(&self, ctx: &CallContext, action: &Action, request: &ActionRequest) -> Result<Option<Current>> {
        let Some(target) = self.read.get(ctx.clone(), request.target.clone()).await? else { return Ok(None) };
        let mut related = BTreeMap::new();
        for read in action.reads {
            let mut objects = self.read.list(ctx.clone(), query(*read, &target, &request.params)).await?;
            if *read == Read::ReplicaSets {
                objects.retain(|set| set.controller().is_some_and(|c| c.uid.as_deref() == target.uid()));
            }
            related.insert(read.kind(), objects);
        }
        Ok(Some(Current { target, related }))
    }
}

fn query(read: Read, target: &Object, params: &Value) -> ListQuery {
    let peer = params["to"].as_str().and_then(|to| to.parse().ok()).and_then(|to: ObjectRef| to.namespace);
    let namespace = if read == Read::PeerServices { peer.as_deref().or(target.namespace()) } else { target.namespace() };
    let query = ListQuery::of(read.kind(), namespace);
    match (read, target.at("/spec/selector")) {
        // The selector keeps the answer small; ownership is what decides.
        (Read::ReplicaSets, Some(selector)) => query.with_selector(selector.clone()),
        _ => query,
    }
}
