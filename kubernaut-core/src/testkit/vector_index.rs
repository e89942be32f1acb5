//! The rules of [`VectorIndex`].

use std::collections::BTreeSet;

use crate::{
    ErrorKind,
    model::Timestamp,
    port::{VectorFilter, VectorHit, VectorIndex, VectorItem, VectorQuery},
    service::CallContext,
};

/// Checks all rules. `make` gives a new, empty index of vectors with four numbers.
pub async fn suite<I: VectorIndex>(make: impl AsyncFn() -> I) {
    nearest_first(&make().await).await;
    the_same_id_is_replaced(&make().await).await;
    what_is_deleted_is_never_found(&make().await).await;
    the_filter_holds_for_each(&make().await).await;
    a_batch_is_taken_whole_or_not_at_all(&make().await).await;
    a_bad_query_is_refused(&make().await).await;
    a_rebuild_replaces_everything(&make().await).await;
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn item(id: &str, vector: [f32; 4]) -> VectorItem {
    VectorItem { id: id.into(), vector: vector.into(), labels: [("tenant".to_owned(), "a".to_owned())].into(), at: at(0) }
}

fn query(vector: [f32; 4]) -> VectorQuery {
    VectorQuery { vector: vector.into(), limit: 10, filter: VectorFilter::default() }
}

async fn search(index: &impl VectorIndex, query: VectorQuery) -> Vec<VectorHit> {
    let limit = query.limit;
    let hits = index.search(ctx(), query).await.unwrap();
    assert!(hits.len() <= limit);
    let sorted = hits.windows(2).all(|w| w[0].similarity > w[1].similarity || (w[0].similarity == w[1].similarity && w[0].id < w[1].id));
    assert!(sorted, "by similarity, then id, each once: {hits:?}");
    assert!(hits.iter().all(|h| (-1.0..=1.0).contains(&h.similarity)), "{hits:?}");
    hits
}

fn ids(hits: &[VectorHit]) -> Vec<&str> {
    hits.iter().map(|h| h.id.as_str()).collect()
}

async fn nearest_first(index: &impl VectorIndex) {
    assert!(search(index, query([1.0, 0.0, 0.0, 0.0])).await.is_empty());
    assert_eq!(index.len(ctx()).await.unwrap(), 0);
    assert_eq!(index.describe().dimensions, 4);
    let items = [item("far", [-1.0, 0.0, 0.0, 0.0]), item("same", [5.0, 0.0, 0.0, 0.0]), item("near", [1.0, 0.2, 0.0, 0.0])];
    index.upsert(ctx(), items.into()).await.unwrap();
    assert_eq!(index.len(ctx()).await.unwrap(), 3);
    let hits = search(index, query([0.1, 0.0, 0.0, 0.0])).await;
    assert_eq!(ids(&hits), ["same", "near", "far"]);
    assert!((hits[0].similarity - 1.0).abs() < 1e-4 && (hits[2].similarity + 1.0).abs() < 1e-4, "only the direction counts: {hits:?}");
    let one = search(index, VectorQuery { limit: 1, ..query([0.1, 0.0, 0.0, 0.0]) }).await;
    assert_eq!(ids(&one), ["same"]);
    assert!(search(index, VectorQuery { limit: 0, ..query([0.1, 0.0, 0.0, 0.0]) }).await.is_empty());
}

async fn the_same_id_is_replaced(index: &impl VectorIndex) {
    index.upsert(ctx(), vec![item("a", [1.0, 0.0, 0.0, 0.0]), item("b", [0.0, 1.0, 0.0, 0.0])]).await.unwrap();
    let moved = VectorItem { labels: [("tenant".to_owned(), "z".to_owned())].into(), ..item("a", [0.0, 0.0, 1.0, 0.0]) };
    index.upsert(ctx(), vec![item("a", [0.0, 1.0, 0.0, 0.0]), moved]).await.unwrap();
    assert_eq!(index.len(ctx()).await.unwrap(), 2);
    let hits = search(index, query([0.0, 0.0, 1.0, 0.0])).await;
    assert_eq!((hits[0].id.as_str(), hits.len()), ("a", 2), "the last one stays");
    assert!((hits[0].similarity - 1.0).abs() < 1e-4);
    let old = VectorFilter { labels: [("tenant".to_owned(), "a".to_owned())].into(), ..VectorFilter::default() };
    assert_eq!(ids(&search(index, VectorQuery { filter: old, ..query([0.0, 0.0, 1.0, 0.0]) }).await), ["b"], "labels are replaced too");
}

async fn what_is_deleted_is_never_found(index: &impl VectorIndex) {
    let items: Vec<_> = (0..40_u8).map(|n| item(&format!("{n:02}"), [1.0, f32::from(n) / 40.0, 0.0, 0.0])).collect();
    index.upsert(ctx(), items).await.unwrap();
    let gone: Vec<String> = (0..20).map(|n| format!("{n:02}")).collect();
    index.delete(ctx(), gone.clone()).await.unwrap();
    index.delete(ctx(), vec!["unknown".into(), "00".into()]).await.expect("unknown ids are no error");
    assert_eq!(index.len(ctx()).await.unwrap(), 20);
    let hits = search(index, VectorQuery { limit: 100, ..query([1.0, 0.0, 0.0, 0.0]) }).await;
    assert_eq!(hits.len(), 20);
    assert!(hits.iter().all(|h| !gone.contains(&h.id)), "{hits:?}");
    index.upsert(ctx(), vec![item("00", [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    assert_eq!(search(index, query([1.0, 0.0, 0.0, 0.0])).await[0].id, "00", "what is added again is there again");
}

async fn the_filter_holds_for_each(index: &impl VectorIndex) {
    let labels = |tenant: &str, zone: &str| [("tenant".to_owned(), tenant.to_owned()), ("zone".to_owned(), zone.to_owned())].into();
    let items: Vec<_> = (0..60_u8)
        .map(|n| VectorItem {
            labels: labels(if n % 2 == 0 { "a" } else { "b" }, if n % 3 == 0 { "x" } else { "y" }),
            at: at(i64::from(n)),
            ..item(&format!("{n:02}"), [1.0, f32::from(n) / 60.0, 0.0, 0.0])
        })
        .collect();
    index.upsert(ctx(), items.clone()).await.unwrap();
    let filters = [
        VectorFilter { labels: [("tenant".to_owned(), "b".to_owned())].into(), ..VectorFilter::default() },
        VectorFilter { labels: labels("a", "x"), ..VectorFilter::default() },
        VectorFilter { since: Some(at(10)), until: Some(at(12)), ..VectorFilter::default() },
        VectorFilter { labels: [("tenant".to_owned(), "c".to_owned())].into(), ..VectorFilter::default() },
        VectorFilter { labels: [("unheard".to_owned(), String::new())].into(), ..VectorFilter::default() },
    ];
    for filter in filters {
        let admitted: BTreeSet<&str> = items.iter().filter(|i| filter.admits(i)).map(|i| i.id.as_str()).collect();
        let hits = search(index, VectorQuery { limit: 100, filter: filter.clone(), ..query([1.0, 0.0, 0.0, 0.0]) }).await;
        assert_eq!(ids(&hits).into_iter().collect::<BTreeSet<_>>(), admitted, "{filter:?}");
    }
}

async fn a_batch_is_taken_whole_or_not_at_all(index: &impl VectorIndex) {
    let good = item("good", [1.0, 0.0, 0.0, 0.0]);
    let bad = [
        VectorItem { vector: vec![1.0; 3], ..item("bad", [0.0; 4]) },
        item("bad", [1.0, f32::NAN, 0.0, 0.0]),
        item("bad", [1.0, f32::INFINITY, 0.0, 0.0]),
        item("bad", [0.0; 4]),
    ];
    for bad in bad {
        let error = index.upsert(ctx(), vec![good.clone(), bad.clone()]).await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("bad"), "{error}");
        assert_eq!(index.len(ctx()).await.unwrap(), 0, "nothing of the batch was taken");
        let error = index.rebuild(ctx(), vec![good.clone(), bad]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    index.upsert(ctx(), Vec::new()).await.expect("nothing to do is no error");
}

async fn a_bad_query_is_refused(index: &impl VectorIndex) {
    index.upsert(ctx(), vec![item("a", [1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    let bad = [
        VectorQuery { vector: vec![1.0; 3], ..query([0.0; 4]) },
        query([f32::NAN, 0.0, 0.0, 0.0]),
        query([0.0; 4]),
        VectorQuery { limit: 1_001, ..query([1.0, 0.0, 0.0, 0.0]) },
    ];
    for bad in bad {
        assert_eq!(index.search(ctx(), bad).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

async fn a_rebuild_replaces_everything(index: &impl VectorIndex) {
    index.upsert(ctx(), vec![item("old", [1.0, 0.0, 0.0, 0.0]), item("both", [1.0, 0.1, 0.0, 0.0])]).await.unwrap();
    index.rebuild(ctx(), vec![item("new", [1.0, 0.0, 0.0, 0.0]), item("both", [0.0, 1.0, 0.0, 0.0])]).await.unwrap();
    assert_eq!(index.len(ctx()).await.unwrap(), 2);
    assert_eq!(ids(&search(index, query([1.0, 0.0, 0.0, 0.0])).await), ["new", "both"]);
    index.rebuild(ctx(), Vec::new()).await.unwrap();
    assert!(search(index, query([1.0, 0.0, 0.0, 0.0])).await.is_empty());
}
