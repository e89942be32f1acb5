//! Which namespaces a cluster-scoped object serves.

use std::collections::BTreeSet;

use kubernaut_core::{
    Result,
    model::{Object, ObjectRef},
    port::{ClusterRead, ListQuery},
    service::CallContext,
};

/// More than this many say nothing more.
const MOST: usize = 50;

pub(super) async fn namespaces_of(cluster: &dyn ClusterRead, ctx: &CallContext, target: &ObjectRef, object: Option<&Object>) -> Result<Vec<String>> {
    match target.kind.as_str() {
        "Node" => {
            let pods = cluster.list(ctx.clone(), ListQuery::of("Pod", None)).await?;
            let here = pods.iter().filter(|p| carried(p, &target.name)).filter_map(Object::namespace);
            Ok(here.collect::<BTreeSet<_>>().into_iter().take(MOST).map(str::to_owned).collect())
        }
        "PersistentVolume" => Ok(object.and_then(|o| o.str_at("/spec/claimRef/namespace")).map(str::to_owned).into_iter().collect()),
        _ => Ok(Vec::new()),
    }
}

/// A workload that runs on the node by choice: agents run on every node and say nothing about this one.
fn carried(pod: &Object, node: &str) -> bool {
    pod.str_at("/spec/nodeName") == Some(node)
        && pod.str_at("/status/phase") != Some("Succeeded")
        && pod.controller().is_none_or(|c| c.kind != "DaemonSet" && c.kind != "Node")
        && pod.namespace().is_some_and(|n| !n.starts_with("kube-"))
}
