//! Nearest vectors: recall against a look at all, latency, filters, memory, and how long filling takes.

mod data;
mod measure;

use std::{sync::Arc, time::Instant};

use clap::Parser;
use kubernaut::{
    Result,
    model::{HistoryEntry, IncidentId, ObjectRef, Outcome, Timestamp},
    port::{Embedder, SystemClock, VectorFilter, VectorIndex, VectorQuery},
    service::{CallContext, ContextStore, RecallQuery},
    services::{
        storage::{SqliteConfig, SqliteLedger},
        vector::{ExactIndex, HnswConfig, HnswIndex, LexicalEmbedder, RecallConfig, VectorContextStore},
    },
};

use self::{
    data::DIMENSIONS,
    measure::{Times, cpu_seconds, resident},
};

/// Measures the vector indexes
#[derive(Debug, Parser)]
struct Args {
    /// Vectors in the index
    #[arg(long, default_value_t = 10_000)]
    vectors: usize,
    /// Queries of each kind
    #[arg(long, default_value_t = 300)]
    queries: usize,
    /// Directions in which vectors differ; more are harder for a graph
    #[arg(long, default_value_t = 48)]
    directions: usize,
    /// Candidates of a search by the graph; more than one value measures each
    #[arg(long, value_delimiter = ',', default_values_t = [192])]
    breadth: Vec<usize>,
    /// Up to how many vectors a search looks at all
    #[arg(long)]
    exact_up_to: Option<usize>,
    /// Threads that build the graph
    #[arg(long, default_value_t = 1)]
    build_threads: usize,
    /// Measure filling from a history of so many incidents instead
    #[arg(long)]
    history: Option<u32>,
}

fn ctx() -> CallContext {
    CallContext::system("bench")
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    match args.history {
        Some(count) => history(count).await,
        None => index(&args).await,
    }
}

async fn index(args: &Args) -> Result<()> {
    let started = Instant::now();
    let mut items = data::items(args.vectors + args.queries, args.directions);
    let queries: Vec<Vec<f32>> = items.split_off(args.vectors).into_iter().map(|item| item.vector).collect();
    println!(
        "{} vectors of {DIMENSIONS} in {} directions, {} queries that are not among them, made in {:.0} s",
        items.len(),
        args.directions,
        queries.len(),
        started.elapsed().as_secs_f64()
    );
    let truth = ExactIndex::new(DIMENSIONS);
    truth.rebuild(ctx(), items.clone()).await?;
    let mut config = HnswConfig::default();
    config.build_threads = args.build_threads;
    config.exact_up_to = args.exact_up_to.unwrap_or(config.exact_up_to);
    println!("graph, all looked at up to {}", config.exact_up_to);
    let graph = HnswIndex::new(DIMENSIONS, config)?;
    fill(&graph, &items).await?;
    for breadth in &args.breadth {
        println!(" breadth {breadth}");
        compare(&graph.with_search_breadth(*breadth), &truth, &queries).await?;
    }
    println!("all looked at");
    compare(&truth, &truth, &queries).await
}

async fn fill(graph: &HnswIndex, items: &[kubernaut::port::VectorItem]) -> Result<()> {
    let (before, start, cpu) = (resident(), Instant::now(), cpu_seconds());
    for part in items.chunks(500) {
        graph.upsert(ctx(), part.to_vec()).await?;
    }
    let taken_in = start.elapsed().as_secs_f64();
    graph.settled().await;
    let (built, used) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    #[expect(clippy::cast_precision_loss, reason = "counts and bytes of a benchmark")]
    let (count, grown) = (items.len() as f64, resident().saturating_sub(before) as f64);
    println!("  taken in at {:.0} a second, found at once; graph complete after {built:.1} s wall, {used:.1} s of processor", count / taken_in);
    println!("  {:.0} bytes of memory a vector; {}", grown / count, graph.describe().about);
    Ok(())
}

async fn compare(index: &impl VectorIndex, truth: &ExactIndex, queries: &[Vec<f32>]) -> Result<()> {
    for (name, share) in [("no filter", None), ("50 % match", Some("half")), ("10 % match", Some("tenth")), ("1 % match", Some("hundredth"))] {
        let filter = VectorFilter { labels: share.map(|s| (s.to_owned(), "yes".to_owned())).into_iter().collect(), ..VectorFilter::default() };
        let queries = queries.iter().map(|vector| VectorQuery { vector: vector.clone(), limit: 10, filter: filter.clone() });
        let (mut times, mut answers, cpu) = (Times::default(), Vec::new(), cpu_seconds());
        for query in queries.clone() {
            let start = Instant::now();
            answers.push(index.search(ctx(), query).await?);
            times.add(start.elapsed());
        }
        // The processor's time tells more than the clock's on a machine that others use too.
        times.processor(cpu_seconds() - cpu);
        let (mut found, mut wanted) = (0_u32, 0_u32);
        for (hits, query) in answers.iter().zip(queries) {
            for hit in truth.search(ctx(), query).await? {
                wanted += 1;
                found += u32::from(hits.iter().any(|h| h.id == hit.id));
            }
        }
        println!("  {name:<11} recall@10 {:.3}  {times}", f64::from(found) / f64::from(wanted.max(1)));
    }
    Ok(())
}

async fn history(count: u32) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| kubernaut::Error::internal("bench", "no temporary folder").source(e))?;
    let ledger = SqliteLedger::open(SqliteConfig::file(folder.path().join("bench.db")), Arc::new(SystemClock)).await?;
    let store = Arc::new(ledger.context_store());
    let start = Instant::now();
    for n in 0..count {
        store.remember(ctx(), entry(n)).await?;
    }
    println!("{count} incidents written in {:.1} s", start.elapsed().as_secs_f64());
    let index = HnswIndex::new(LexicalEmbedder.describe().dimensions, HnswConfig::default())?;
    let memory = VectorContextStore::new(store.clone(), Arc::new(LexicalEmbedder), Arc::new(index.clone()), RecallConfig::default());
    let (start, cpu) = (Instant::now(), cpu_seconds());
    memory.follow(ctx(), true).await?;
    println!("all vectors from the history in {:.1} s wall, {:.1} s of processor", start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    index.settled().await;
    println!("graph complete after {:.1} s", start.elapsed().as_secs_f64());
    for (name, memory) in [("words", store as Arc<dyn ContextStore>), ("words and vectors", Arc::new(memory))] {
        let (mut times, cpu) = (Times::default(), cpu_seconds());
        for n in 0..200 {
            let text = data::sentence(n * 7 + 3);
            let start = Instant::now();
            memory.recall(ctx(), RecallQuery { text: Some(text), ..RecallQuery::default() }).await?;
            times.add(start.elapsed());
        }
        times.processor(cpu_seconds() - cpu);
        println!("  recall by {name:<18} {times}");
    }
    ledger.close().await
}

fn entry(n: u32) -> HistoryEntry {
    let opened_at = Timestamp::from_second(1_767_225_600 + i64::from(n)).unwrap_or_default();
    HistoryEntry {
        incident_id: Some(IncidentId::new(opened_at)),
        tenant: String::new(),
        fingerprint: format!("f{n}"),
        opened_at,
        closed_at: Some(opened_at),
        alert_name: data::alert(n),
        resource: ObjectRef::new("Deployment", Some(&data::namespace(n)), data::workload(n)),
        environment: None,
        category: None,
        cause: None,
        action: Some("rollout_restart".into()),
        parameters: serde_json::Value::Null,
        outcome: Some(Outcome::Resolved),
        effectiveness: Some(0.9),
        text: data::sentence(n),
    }
}
