//! The cluster, read only, for plug-ins and programs of the host.

use kubernaut_core::{Result, port::ClusterRead, service::CallContext};
use serde_json::Value;

use super::{
    operations::{answer, parse, unknown},
    params::{ClusterEvents, ClusterList, ClusterLogs, Nothing, OfTarget},
};

/// Carries out one of the `cluster_…` operations.
pub(super) async fn read(cluster: &dyn ClusterRead, ctx: CallContext, operation: &str, params: &str) -> Result<String> {
    match operation {
        "cluster_info" => {
            let Nothing {} = parse(operation, params)?;
            answer(cluster.info(ctx).await)
        }
        "cluster_get" => {
            let target = parse::<OfTarget>(operation, params)?.target.resolve()?;
            answer(cluster.get(ctx, target).await.map(|found| found.map(|o| o.value().clone())))
        }
        "cluster_list" => {
            let query = parse::<ClusterList>(operation, params)?.query();
            answer(cluster.list(ctx, query).await.map(|found| found.iter().map(|o| o.value().clone()).collect::<Vec<Value>>()))
        }
        "cluster_owners" => {
            let target = parse::<OfTarget>(operation, params)?.target.resolve()?;
            answer(cluster.owners(ctx, target).await)
        }
        "cluster_events" => {
            let query = parse::<ClusterEvents>(operation, params)?.query()?;
            answer(cluster.events(ctx, query).await)
        }
        "cluster_logs" => {
            let query = parse::<ClusterLogs>(operation, params)?.query();
            answer(cluster.logs(ctx, query).await)
        }
        other => Err(unknown(other)),
    }
}
