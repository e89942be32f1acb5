//! The rules of [`VectorIndex`] on every index, and what the graph must hold beyond them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};

use kubernaut_core::{
    model::Timestamp,
    port::{VectorFilter, VectorIndex, VectorItem, VectorQuery},
    service::CallContext,
    testkit,
};
use kubernaut_vector::{ExactIndex, HnswConfig, HnswIndex};
use proptest::prelude::*;

fn ctx() -> CallContext {
    CallContext::system("test")
}

/// A graph as soon as there are some vectors.
fn eager() -> HnswConfig {
    let mut config = HnswConfig::default();
    (config.exact_up_to, config.search_breadth, config.build_breadth) = (16, 48, 64);
    config
}

#[tokio::test]
async fn exact_index() {
    testkit::vector_index::suite(async || ExactIndex::new(4)).await;
}

#[tokio::test]
async fn graph_index() {
    testkit::vector_index::suite(async || HnswIndex::new(4, HnswConfig::default()).unwrap()).await;
    testkit::vector_index::suite(async || HnswIndex::new(4, eager()).unwrap()).await;
}

#[test]
fn a_configuration_that_no_graph_can_be_built_with_is_refused() {
    let changes: [fn(&mut HnswConfig); 4] = [|c| c.connections = 1, |c| c.connections = 300, |c| c.build_breadth = 2, |c| c.most_removed = 0.0];
    for change in changes {
        let mut config = HnswConfig::default();
        change(&mut config);
        assert!(HnswIndex::new(4, config).is_err());
    }
}

/// Numbers that only the seed decides.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u32 << 24) as f32 - 0.5
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.next() + 0.5) * n as f32) as usize % n
    }
}

const DIMENSIONS: usize = 24;
const AREAS: [&str; 3] = ["a", "b", "c"];

/// Clusters, as texts about few kinds of trouble make them.
fn clustered(count: usize, seed: u64) -> Vec<VectorItem> {
    let mut chance = Chance(seed);
    let centres: Vec<Vec<f32>> = (0..1 + count / 40).map(|_| (0..DIMENSIONS).map(|_| chance.next()).collect()).collect();
    (0..count)
        .map(|n| {
            let centre = &centres[chance.below(centres.len())];
            VectorItem {
                id: format!("{n:05}"),
                vector: centre.iter().map(|x| x + 0.4 * chance.next()).collect(),
                labels: [("area".to_owned(), AREAS[chance.below(3)].to_owned())].into(),
                at: Timestamp::from_second(i64::try_from(n).unwrap()).unwrap(),
            }
        })
        .collect()
}

fn near(item: &VectorItem, filter: VectorFilter) -> VectorQuery {
    VectorQuery { vector: item.vector.clone(), limit: 10, filter }
}

fn area(name: &str) -> VectorFilter {
    VectorFilter { labels: [("area".to_owned(), name.to_owned())].into(), ..VectorFilter::default() }
}

/// The share of the true neighbours that are found, and whether all found ones may be.
async fn compare(index: &HnswIndex, truth: &ExactIndex, live: &BTreeMap<String, VectorItem>, queries: &[VectorQuery]) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for query in queries {
        let hits = index.search(ctx(), query.clone()).await.unwrap();
        for hit in &hits {
            let item = live.get(&hit.id).unwrap_or_else(|| panic!("{} was deleted", hit.id));
            assert!(query.filter.admits(item), "{} does not match {:?}", hit.id, query.filter);
        }
        let ids: BTreeSet<_> = hits.into_iter().map(|h| h.id).collect();
        let true_ids: BTreeSet<_> = truth.search(ctx(), query.clone()).await.unwrap().into_iter().map(|h| h.id).collect();
        assert_eq!(ids.len(), true_ids.len());
        found += ids.intersection(&true_ids).count();
        wanted += true_ids.len();
    }
    if wanted == 0 { 1.0 } else { f64::from(u32::try_from(found).unwrap()) / f64::from(u32::try_from(wanted).unwrap()) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn after_any_changes_the_graph_finds_the_true_neighbours_and_nothing_else(
        seed in any::<u64>(),
        count in 600_usize..2_000,
        changes in proptest::collection::vec((0_usize..2_000, any::<bool>()), 0..900),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (index, truth) = (HnswIndex::new(DIMENSIONS, eager()).unwrap(), ExactIndex::new(DIMENSIONS));
            let items = clustered(count, seed);
            let others = clustered(count, seed ^ 1);
            let mut live: BTreeMap<String, VectorItem> = items.iter().map(|i| (i.id.clone(), i.clone())).collect();
            index.upsert(ctx(), items.clone()).await.unwrap();
            index.settled().await;
            for (at, put) in changes {
                let item = &others[at % count];
                if put {
                    index.upsert(ctx(), vec![item.clone()]).await.unwrap();
                    live.insert(item.id.clone(), item.clone());
                } else {
                    index.delete(ctx(), vec![item.id.clone()]).await.unwrap();
                    live.remove(&item.id);
                }
            }
            truth.rebuild(ctx(), live.values().cloned().collect()).await.unwrap();
            let since = VectorFilter { since: Some(Timestamp::from_second(i64::try_from(count / 5).unwrap()).unwrap()), ..VectorFilter::default() };
            let queries: Vec<_> = others.iter().step_by(29)
                .flat_map(|i| [near(i, VectorFilter::default()), near(i, area("a")), near(i, since.clone()), near(i, area("nowhere"))]).collect();
            // Whether or not a builder is at work.
            let recall = compare(&index, &truth, &live, &queries).await;
            prop_assert!(recall >= 0.95, "recall {recall} while it may be building");
            index.settled().await;
            let recall = compare(&index, &truth, &live, &queries).await;
            prop_assert!(recall >= 0.95, "recall {recall}");
            prop_assert_eq!(index.len(ctx()).await.unwrap(), live.len() as u64);
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_graph_is_used_and_searched_while_it_grows() {
    let index = HnswIndex::new(DIMENSIONS, eager()).unwrap();
    let items = clustered(3_000, 7);
    index.upsert(ctx(), items[..1_000].to_vec()).await.unwrap();
    index.settled().await;
    assert!(index.describe().approximate, "{:?}", index.describe());
    let (adding, searching) = (index.clone(), index.clone());
    let more = items[1_000..].to_vec();
    let add = tokio::spawn(async move {
        for part in more.chunks(50) {
            adding.upsert(ctx(), part.to_vec()).await.unwrap();
        }
    });
    while !add.is_finished() {
        let hits = searching.search(ctx(), near(&items[3], VectorFilter::default())).await.unwrap();
        assert_eq!(hits[0].id, items[3].id);
    }
    add.await.unwrap();
    for item in items.iter().step_by(50) {
        let hits = index.search(ctx(), near(item, VectorFilter::default())).await.unwrap();
        assert_eq!(hits[0].id, item.id, "found as soon as the call has returned");
    }
    index.settled().await;
    let told = index.describe().about;
    let known: usize = told.split("a graph of ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(known > 2_900, "{told}");
    index.rebuild(ctx(), Vec::new()).await.unwrap();
    assert!(!index.describe().approximate && index.search(ctx(), near(&items[0], VectorFilter::default())).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_replaced_while_a_graph_is_built_stays_replaced() {
    let index = HnswIndex::new(DIMENSIONS, eager()).unwrap();
    let items = clustered(2_000, 9);
    let moved: Vec<_> = clustered(2_000, 10).into_iter().step_by(3).collect();
    index.upsert(ctx(), items.clone()).await.unwrap();
    // The builder has begun with the items before.
    index.upsert(ctx(), moved.clone()).await.unwrap();
    index.delete(ctx(), vec!["00001".into(), "00002".into()]).await.unwrap();
    index.settled().await;
    assert_eq!(index.len(ctx()).await.unwrap(), 1_998);
    for item in moved.iter().step_by(20) {
        let hits = index.search(ctx(), near(item, VectorFilter::default())).await.unwrap();
        assert!(hits[0].id == item.id && hits[0].similarity > 0.999, "{hits:?}");
    }
}
