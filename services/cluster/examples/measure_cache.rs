//! What keeping a cluster's objects in memory costs and gives: resident memory, and the time of a list from memory and from the API server.
//!
//! `KUBECONFIG=… cargo run -p kubernaut-cluster --example measure_cache [NAMESPACE]`

use std::time::{Duration, Instant};

use kubernaut_cluster::{CacheConfig, CachedCluster, KubeCluster, KubeConfig};
use kubernaut_core::{
    Result,
    port::{ClusterRead, ListQuery},
    service::CallContext,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 30;

#[tokio::main]
async fn main() -> Result<()> {
    let namespace = std::env::args().nth(1);
    let live = KubeCluster::connect(KubeConfig::default()).await?;
    live.info(CallContext::system("measure")).await?;
    let before = resident();
    let cache = CachedCluster::new(live.clone(), &CacheConfig { kinds: vec!["Pod".into()], ..CacheConfig::default() })?;
    let (followed, began) = (cache.clone(), Instant::now());
    tokio::spawn(async move { followed.run(CancellationToken::new()).await });
    while cache.states() != [("Pod", "following")] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (objects, bytes) = cache.held();
    println!("{objects} pods, first list {:?}", began.elapsed());
    let grown = resident().saturating_sub(before);
    println!("estimated {} bytes a pod; resident memory grew by {grown} bytes, {} a pod", bytes / objects.max(1), grown / objects.max(1));
    let some = json!({"matchLabels": {"app": "kept-1"}});
    for (what, namespace, selector) in
        [("all", None, Value::Null), ("one namespace", namespace.as_deref(), Value::Null), ("by label", namespace.as_deref(), some)]
    {
        let query = ListQuery::of("Pod", namespace).with_selector(selector);
        let (found, memory) = median(&cache, &query).await?;
        let (_, server) = median(&live, &query).await?;
        println!("list {what}: {found} pods, from memory {memory:?}, from the API server {server:?}");
    }
    let trees = cache.list(CallContext::system("measure"), ListQuery::of("Pod", None)).await?;
    let with_trees = resident();
    let copies: Vec<Value> = trees.iter().map(|pod| pod.value().clone()).collect();
    println!("as JSON trees a pod would take {} bytes", resident().saturating_sub(with_trees) / copies.len().max(1));
    Ok(())
}

async fn median(cluster: &dyn ClusterRead, query: &ListQuery) -> Result<(usize, Duration)> {
    let (mut times, mut found) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        found = cluster.list(CallContext::system("measure"), query.clone()).await?.len();
        times.push(began.elapsed());
    }
    times.sort();
    Ok((found, times[ROUNDS / 2]))
}

/// Resident memory in bytes, of Linux.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
