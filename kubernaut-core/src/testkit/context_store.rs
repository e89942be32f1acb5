//! The rules of [`ContextStore`].

use serde_json::json;

use crate::{
    ErrorKind,
    model::{Category, Environment, HistoryEntry, IncidentId, ObjectRef, Outcome, Timestamp},
    service::{CallContext, Capability, ContextStore, HistoryPage, OutcomeUpdate, RecallQuery, Recalled},
};

/// Checks all rules. `make` gives a new, empty store.
pub async fn suite<S: ContextStore>(make: impl AsyncFn() -> S) {
    an_empty_query_returns_the_newest(&make().await).await;
    the_same_incident_replaces_its_entry(&make().await).await;
    the_same_fingerprint_scores_one(&make().await).await;
    words_rank_and_filters_filter(&make().await).await;
    every_filter_holds(&make().await).await;
    a_tenant_sees_its_own_incidents(&make().await).await;
    any_text_is_a_query(&make().await).await;
    history_is_of_one_resource_newest_first(&make().await).await;
    let store = make().await;
    if store.capabilities().contains(&Capability::Forget) {
        a_forgotten_incident_is_not_found(&store).await;
    } else {
        assert_eq!(store.forget(ctx(), id(0)).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let store = make().await;
    if store.capabilities().contains(&Capability::Outcome) {
        an_outcome_is_kept(&store).await;
    } else {
        assert_eq!(store.outcome(ctx(), update(id(0))).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

/// The rules of [`ContextStore::scan`] and [`ContextStore::fetch`], for stores that have them. `make` gives a new, empty store.
pub async fn scan_suite<S: ContextStore>(make: impl AsyncFn() -> S) {
    let store = make().await;
    assert!(store.capabilities().contains(&Capability::Scan));
    everything_is_gone_through(&store).await;
    entries_are_fetched_by_key(&make().await).await;
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

/// Minutes after the beginning.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()
}

fn id(minute: i64) -> IncidentId {
    IncidentId::new(at(minute))
}

fn entry(minute: i64, fingerprint: &str, text: &str) -> HistoryEntry {
    HistoryEntry {
        incident_id: Some(id(minute)),
        tenant: String::new(),
        fingerprint: fingerprint.into(),
        opened_at: at(minute),
        closed_at: None,
        alert_name: "PodCrashLooping".into(),
        resource: ObjectRef::new("Deployment", Some("shop"), "web"),
        environment: None,
        category: Some(Category::OomLimitTooLow),
        cause: None,
        action: Some("rollout_restart".into()),
        parameters: json!({"share": 0.1}),
        outcome: None,
        effectiveness: None,
        text: text.into(),
    }
}

async fn remember(store: &impl ContextStore, entries: &[HistoryEntry]) {
    for entry in entries {
        store.remember(ctx(), entry.clone()).await.unwrap();
    }
}

async fn recall(store: &impl ContextStore, query: RecallQuery) -> Vec<Recalled> {
    let found = store.recall(ctx(), query).await.unwrap();
    assert!(found.iter().all(|r| (0.0..=1.0).contains(&r.score)), "scores are within 0 and 1: {found:?}");
    let sorted = found.windows(2).all(|w| (w[0].score, w[0].entry.opened_at) >= (w[1].score, w[1].entry.opened_at));
    assert!(sorted, "by score, then newest first: {found:?}");
    found
}

fn entries(found: &[Recalled]) -> Vec<HistoryEntry> {
    found.iter().map(|r| r.entry.clone()).collect()
}

async fn an_empty_query_returns_the_newest(store: &impl ContextStore) {
    assert!(recall(store, RecallQuery::default()).await.is_empty());
    let all: Vec<_> = (0..12).map(|n| entry(n, &format!("f{n}"), "")).collect();
    remember(store, &all).await;
    let newest: Vec<_> = all.iter().rev().take(10).cloned().collect();
    assert_eq!(entries(&recall(store, RecallQuery::default()).await), newest, "ten if no limit is given");
    let two = recall(store, RecallQuery { limit: Some(2), ..Default::default() }).await;
    assert_eq!(entries(&two), newest[..2]);
    let most = recall(store, RecallQuery { limit: Some(1000), ..Default::default() }).await;
    assert_eq!(most.len(), 12);
}

async fn the_same_incident_replaces_its_entry(store: &impl ContextStore) {
    let before = entry(1, "f", "crash of the payment gateway");
    let after = HistoryEntry { text: "out of memory".into(), ..before.clone() };
    remember(store, &[before, after.clone()]).await;
    assert_eq!(entries(&recall(store, RecallQuery::default()).await), [after]);
    let old = recall(store, RecallQuery { text: Some("payment gateway".into()), ..Default::default() }).await;
    assert!(old.is_empty(), "the old text finds nothing any more");
    let recorded = HistoryEntry { incident_id: None, ..entry(2, "g", "") };
    remember(store, &[recorded.clone(), HistoryEntry { opened_at: at(3), ..recorded }]).await;
    assert_eq!(recall(store, RecallQuery::default()).await.len(), 3, "entries without an incident are kept beside each other");
}

async fn the_same_fingerprint_scores_one(store: &impl ContextStore) {
    remember(store, &[entry(1, "f", "x"), entry(2, "f", "y"), entry(3, "g", "z"), entry(4, "", "w")]).await;
    let found = recall(store, RecallQuery { fingerprint: Some("f".into()), ..Default::default() }).await;
    assert_eq!(found.iter().map(|r| r.entry.opened_at).collect::<Vec<_>>(), [at(2), at(1)]);
    assert!(found.iter().all(|r| r.score == 1.0 && !r.why.is_empty()));
    let unknown = recall(store, RecallQuery { fingerprint: Some(String::new()), ..Default::default() }).await;
    assert!(unknown.is_empty(), "incidents of unknown fingerprint are not of the same one");
}

async fn words_rank_and_filters_filter(store: &impl ContextStore) {
    let leak = HistoryEntry { category: Some(Category::MemoryLeak), ..entry(1, "a", "container checkout was OOMKilled, heap grows without end") };
    let oom = entry(2, "b", "container checkout was OOMKilled with exit code 137");
    let image = HistoryEntry { category: Some(Category::ImageNotFound), ..entry(3, "c", "manifest unknown: the tag was not found in the registry") };
    remember(store, &[leak.clone(), oom.clone(), image.clone()]).await;
    let text = |text: &str| RecallQuery { text: Some(text.into()), ..Default::default() };
    let found = recall(store, text("checkout oomkilled exit code 137")).await;
    assert_eq!(entries(&found[..2]), [oom.clone(), leak.clone()], "the better match comes first, whatever its age");
    assert!(found[0].score > found[1].score && found[0].why.to_lowercase().contains("oomkilled"), "it says why: {}", found[0].why);
    assert!(found.iter().all(|r| r.score < 1.0), "1 is for the same fingerprint");
    assert_eq!(entries(&recall(store, text("registry manifest")).await[..1]), std::slice::from_ref(&image));
    let of_category = RecallQuery { category: Some(Category::MemoryLeak), ..text("checkout oomkilled exit code 137") };
    assert_eq!(entries(&recall(store, of_category).await), std::slice::from_ref(&leak), "filters that are given all match");
    let neither = RecallQuery { fingerprint: Some("b".into()), category: Some(Category::MemoryLeak), ..Default::default() };
    assert!(recall(store, neither).await.is_empty());
    let both = RecallQuery { fingerprint: Some("b".into()), ..text("registry") };
    assert_eq!(entries(&recall(store, both).await), [oom]);
}

async fn every_filter_holds(store: &impl ContextStore) {
    let in_cluster = |cluster: &str, entry: HistoryEntry| HistoryEntry {
        resource: ObjectRef { cluster: Some(cluster.into()), ..entry.resource.clone() },
        ..entry
    };
    let elsewhere = HistoryEntry { resource: ObjectRef::new("Deployment", Some("billing"), "web"), ..entry(1, "a", "disk full") };
    let staging = HistoryEntry { environment: Some(Environment::Staging), ..entry(2, "b", "disk full") };
    let production = HistoryEntry { environment: Some(Environment::Production), ..in_cluster("east", entry(3, "c", "disk full")) };
    let node = HistoryEntry { resource: ObjectRef::new("Node", None, "n1"), ..in_cluster("west", entry(4, "d", "disk full")) };
    let west = in_cluster("west", entry(5, "e", "disk full of logs"));
    let all = [elsewhere, staging, production, node, west];
    remember(store, &all).await;
    let queries = [
        RecallQuery { namespace: Some("shop".into()), ..Default::default() },
        RecallQuery { namespace: Some(String::new()), ..Default::default() },
        RecallQuery { cluster: Some("west".into()), ..Default::default() },
        RecallQuery { environment: Some(Environment::Production), ..Default::default() },
        RecallQuery { since: Some(at(2)), until: Some(at(4)), ..Default::default() },
        RecallQuery { cluster: Some("east".into()), namespace: Some("shop".into()), since: Some(at(3)), ..Default::default() },
        RecallQuery { cluster: Some("east".into()), environment: Some(Environment::Staging), ..Default::default() },
    ];
    for query in queries {
        for text in [None, Some("disk full".to_owned())] {
            let query = RecallQuery { text, ..query.clone() };
            let wanted: Vec<_> = all.iter().filter(|e| query.admits(e)).map(|e| e.fingerprint.clone()).collect();
            let mut found: Vec<_> = recall(store, query.clone()).await.into_iter().map(|r| r.entry.fingerprint).collect();
            found.sort();
            assert_eq!(found, wanted, "{query:?}");
        }
    }
}

async fn a_tenant_sees_its_own_incidents(store: &impl ContextStore) {
    let of = |tenant: &str| CallContext { tenant: tenant.into(), ..ctx() };
    let mine = HistoryEntry { tenant: "acme".into(), ..entry(1, "f", "disk full") };
    let pretended = HistoryEntry { tenant: "globex".into(), ..mine.clone() };
    store.remember(of("acme"), pretended).await.unwrap();
    assert_eq!(
        entries(&store.recall(of("acme"), RecallQuery::default()).await.unwrap()),
        std::slice::from_ref(&mine),
        "the context says whose it is"
    );
    for other in ["", "globex"] {
        for query in [
            RecallQuery::default(),
            RecallQuery { text: Some("disk full".into()), ..Default::default() },
            RecallQuery { fingerprint: Some("f".into()), ..Default::default() },
        ] {
            assert!(store.recall(of(other), query).await.unwrap().is_empty(), "{other:?}");
        }
        assert!(store.history(of(other), mine.resource.clone(), at(0)).await.unwrap().is_empty());
        if store.capabilities().contains(&Capability::Outcome) {
            assert_eq!(store.outcome(of(other), update(id(1))).await.unwrap_err().kind(), ErrorKind::NotFound);
        }
        if store.capabilities().contains(&Capability::Forget) {
            store.forget(of(other), id(1)).await.unwrap();
        }
    }
    assert_eq!(store.history(of("acme"), mine.resource.clone(), at(0)).await.unwrap(), [mine]);
}

async fn everything_is_gone_through(store: &impl ContextStore) {
    assert_eq!(store.scan(ctx(), 0, 10).await.unwrap(), HistoryPage::default());
    let all: Vec<_> = (0..25).map(|n| entry(n, &format!("f{n}"), "")).collect();
    remember(store, &all).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = store.scan(ctx(), after, 10).await.unwrap();
        assert!(page.entries.len() <= 10);
        if page.entries.is_empty() {
            assert_eq!(page.next, after);
            break;
        }
        assert!(page.next > after);
        after = page.next;
        seen.extend(page.entries);
    }
    assert_eq!(seen, all, "in the order in which they were written");
    let again = HistoryEntry { text: "written again".into(), ..all[24].clone() };
    remember(store, std::slice::from_ref(&again)).await;
    assert_eq!(store.scan(ctx(), after, 10).await.unwrap().entries, [again], "what is written again comes again");
}

async fn entries_are_fetched_by_key(store: &impl ContextStore) {
    let (one, two) = (entry(1, "f", "x"), HistoryEntry { incident_id: None, ..entry(2, "g", "y") });
    remember(store, &[one.clone(), two.clone(), entry(3, "h", "z")]).await;
    let mut found = store.fetch(ctx(), vec![two.key(), "i:unknown".into(), one.key()]).await.unwrap();
    found.sort_by_key(|e| e.opened_at);
    assert_eq!(found, [one.clone(), two]);
    assert!(store.fetch(ctx(), Vec::new()).await.unwrap().is_empty());
    let other = CallContext { tenant: "acme".into(), ..ctx() };
    assert!(store.fetch(other, vec![one.key()]).await.unwrap().is_empty(), "another tenant's");
}

async fn any_text_is_a_query(store: &impl ContextStore) {
    remember(store, &[entry(1, "f", "the \"quoted\" value isn't valid: größe = 5 AND NOT (a OR b)")]).await;
    for text in ["\"quoted\" OR", "isn't", "NOT", "a AND (", "größe", "*", "", "' ; --", "text:quoted ^2 NEAR(a b)", "\u{0}"] {
        let query = RecallQuery { text: Some(text.into()), ..Default::default() };
        recall(store, query).await;
    }
    let found = recall(store, RecallQuery { text: Some("GRÖSSE größe".into()), ..Default::default() }).await;
    assert_eq!(found.len(), 1);
}

async fn history_is_of_one_resource_newest_first(store: &impl ContextStore) {
    let mut other = entry(4, "o", "");
    other.resource = ObjectRef::new("Deployment", Some("shop"), "cart");
    let mut elsewhere = entry(5, "e", "");
    elsewhere.resource = ObjectRef::new("Deployment", Some("test"), "web");
    let mut kind = entry(6, "k", "");
    kind.resource = ObjectRef::new("StatefulSet", Some("shop"), "web");
    let (first, second, third) = (entry(1, "f", ""), entry(2, "f", ""), entry(3, "g", ""));
    remember(store, &[first, third.clone(), second.clone(), other, elsewhere, kind]).await;
    let resource = ObjectRef::new("Deployment", Some("shop"), "web").with_uid("u1");
    assert_eq!(store.history(ctx(), resource.clone(), at(2)).await.unwrap(), [third, second], "since a time, newest first");
    assert!(store.history(ctx(), resource, at(60)).await.unwrap().is_empty());
    let node = ObjectRef::new("Node", None, "n1");
    let cordoned = HistoryEntry { resource: node.clone(), ..entry(7, "n", "") };
    remember(store, std::slice::from_ref(&cordoned)).await;
    assert_eq!(store.history(ctx(), node, at(0)).await.unwrap(), [cordoned], "cluster-scoped ones too");
}

async fn a_forgotten_incident_is_not_found(store: &impl ContextStore) {
    let (gone, stays) = (entry(1, "f", "payment gateway"), entry(2, "g", "another"));
    remember(store, &[gone.clone(), stays.clone()]).await;
    store.forget(ctx(), gone.incident_id.unwrap()).await.unwrap();
    store.forget(ctx(), id(99)).await.expect("unknown ids are no error");
    assert_eq!(entries(&recall(store, RecallQuery::default()).await), [stays]);
    assert!(recall(store, RecallQuery { text: Some("payment".into()), ..Default::default() }).await.is_empty());
}

fn update(incident_id: IncidentId) -> OutcomeUpdate {
    OutcomeUpdate { incident_id, outcome: Outcome::Resolved, effectiveness: Some(0.9), closed_at: at(30) }
}

async fn an_outcome_is_kept(store: &impl ContextStore) {
    let before = entry(1, "f", "payment gateway");
    remember(store, std::slice::from_ref(&before)).await;
    store.outcome(ctx(), update(before.incident_id.unwrap())).await.unwrap();
    let after = HistoryEntry { outcome: Some(Outcome::Resolved), effectiveness: Some(0.9), closed_at: Some(at(30)), ..before.clone() };
    assert_eq!(entries(&recall(store, RecallQuery::default()).await), std::slice::from_ref(&after));
    assert_eq!(store.history(ctx(), before.resource, at(20)).await.unwrap(), [after], "what ended lately belongs to the history of late");
    assert_eq!(store.outcome(ctx(), update(id(99))).await.unwrap_err().kind(), ErrorKind::NotFound);
}
