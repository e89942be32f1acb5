//! The memory over a real store: its rules, how it follows the store, and what it says of similar incidents.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{Category, HistoryEntry, IncidentId, ObjectRef, Outcome, Timestamp},
    port::{Embedder, EmbedderInfo, SystemClock, VectorIndex},
    service::{CallContext, ContextStore, Likeness, RecallQuery, Recalled},
    testkit,
};
use kubernaut_storage::{SqlContextStore, SqliteConfig, SqliteLedger};
use kubernaut_vector::{ExactIndex, HnswConfig, HnswIndex, LexicalEmbedder, RecallConfig, VectorContextStore};

fn ctx() -> CallContext {
    CallContext::system("test")
}

/// The lexical embedder, counting its texts, and failing when told to.
#[derive(Debug, Default)]
struct Counting {
    texts: AtomicUsize,
    fails: AtomicBool,
    seen: Mutex<Vec<String>>,
}

#[async_trait]
impl Embedder for Counting {
    async fn embed(&self, ctx: CallContext, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "embedder.embed", "no weights"));
        }
        self.texts.fetch_add(texts.len(), Ordering::SeqCst);
        self.seen.lock().unwrap().extend(texts.clone());
        LexicalEmbedder.embed(ctx, texts).await
    }

    fn describe(&self) -> EmbedderInfo {
        LexicalEmbedder.describe()
    }
}

async fn sql() -> SqlContextStore {
    SqliteLedger::open(SqliteConfig::memory(), Arc::new(SystemClock)).await.unwrap().context_store()
}

struct House {
    store: Arc<SqlContextStore>,
    embedder: Arc<Counting>,
    index: Arc<dyn VectorIndex>,
    memory: VectorContextStore,
}

impl House {
    fn over(store: Arc<SqlContextStore>, cache: Option<&Path>) -> Self {
        let embedder = Arc::new(Counting::default());
        let dimensions = embedder.describe().dimensions;
        let index: Arc<dyn VectorIndex> = Arc::new(HnswIndex::new(dimensions, HnswConfig::default()).unwrap());
        let mut config = RecallConfig::default();
        config.cache = cache.map(Into::into);
        let memory = VectorContextStore::new(store.clone(), embedder.clone(), index.clone(), config);
        Self { store, embedder, index, memory }
    }

    async fn new() -> Self {
        Self::over(Arc::new(sql().await), None)
    }

    async fn recall(&self, text: &str) -> Vec<Recalled> {
        self.memory.recall(ctx(), RecallQuery { text: Some(text.into()), ..RecallQuery::default() }).await.unwrap()
    }

    async fn vectors(&self) -> u64 {
        self.index.len(ctx()).await.unwrap()
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()
}

fn entry(minute: i64, text: &str) -> HistoryEntry {
    HistoryEntry {
        incident_id: Some(IncidentId::new(at(minute))),
        tenant: String::new(),
        fingerprint: format!("f{minute}"),
        opened_at: at(minute),
        closed_at: Some(at(minute + 5)),
        alert_name: "KubePodCrashLooping".into(),
        resource: ObjectRef::new("Deployment", Some("shop"), format!("web-{minute}")),
        environment: None,
        category: None,
        cause: None,
        action: Some("patch_resources".into()),
        parameters: serde_json::Value::Null,
        outcome: Some(Outcome::Resolved),
        effectiveness: Some(0.95),
        text: text.into(),
    }
}

#[tokio::test]
async fn rules_of_the_memory() {
    let graph = async || {
        let index = HnswIndex::new(LexicalEmbedder.describe().dimensions, HnswConfig::default()).unwrap();
        VectorContextStore::new(Arc::new(sql().await), Arc::new(LexicalEmbedder), Arc::new(index), RecallConfig::default())
    };
    testkit::context_store::suite(graph).await;
    testkit::context_store::scan_suite(graph).await;
    let exact = async || {
        let index = ExactIndex::new(LexicalEmbedder.describe().dimensions);
        let memory = VectorContextStore::new(Arc::new(sql().await), Arc::new(LexicalEmbedder), Arc::new(index), RecallConfig::default());
        memory.follow(ctx(), true).await.unwrap();
        memory
    };
    testkit::context_store::suite(exact).await;
}

#[tokio::test]
async fn rules_of_the_lexical_embedder() {
    testkit::embedder::suite(&LexicalEmbedder).await;
}

#[tokio::test]
async fn recall_says_why_an_incident_is_similar_and_how_it_ended() {
    let house = House::new().await;
    house.memory.follow(ctx(), true).await.unwrap();
    let oom = HistoryEntry { category: Some(Category::OomLimitTooLow), ..entry(1, "container was OOMKilled with exit code 137, memory limit 256Mi") };
    let tls = HistoryEntry { alert_name: "ProbeFailing".into(), ..entry(2, "x509: certificate has expired, handshake with the registry failed") };
    for entry in [&oom, &tls] {
        house.memory.remember(ctx(), entry.clone()).await.unwrap();
    }
    let query = RecallQuery {
        text: Some("KubePodCrashLooping: OOMKilled, exit code 137".into()),
        like: Likeness {
            alert_name: Some("KubePodCrashLooping".into()),
            category: Some(Category::OomLimitTooLow),
            object: Some(ObjectRef::new("Deployment", Some("shop"), "cart")),
        },
        ..RecallQuery::default()
    };
    let found = house.memory.recall(ctx(), query).await.unwrap();
    let best = &found[0];
    assert_eq!(best.entry, oom);
    for reason in [
        "oomkilled",
        "wording: cosine",
        "evidence: OOMKilled, exit code 137",
        "same alert KubePodCrashLooping",
        "same category oom_limit_too_low",
        "same kind of object",
    ] {
        assert!(best.why.contains(reason), "{reason} is missing in: {}", best.why);
    }
    assert_eq!(best.entry.ended(), "resolved by patch_resources, effectiveness 0.95");
    let names: Vec<_> = best.parts.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["wording", "words", "evidence", "alert", "category", "object"]);
    let weights: f64 = best.parts.iter().map(|p| p.weight).sum();
    let score: f64 = best.parts.iter().map(|p| p.weight * p.score).sum();
    assert!((weights - 1.0).abs() < 1e-9 && (best.score - 0.99 * score).abs() < 1e-9, "{best:?}");
    assert!(found.iter().skip(1).all(|r| r.score < best.score / 2.0), "{found:?}");
    assert_eq!(house.memory.status(ctx()).await.unwrap().degraded, None);
}

#[tokio::test]
async fn a_likeness_alone_is_a_query() {
    let house = House::new().await;
    house.memory.remember(ctx(), entry(1, "disk full")).await.unwrap();
    let like = Likeness { alert_name: Some("KubePodCrashLooping".into()), ..Likeness::default() };
    let found = house.memory.recall(ctx(), RecallQuery { like, ..RecallQuery::default() }).await.unwrap();
    assert!(found.len() == 1 && found[0].why.contains("same alert"), "{found:?}");
}

#[tokio::test]
async fn similar_spelling_is_found_where_no_word_is_the_same() {
    let house = House::new().await;
    house.memory.remember(ctx(), entry(1, "FailedScheduling unschedulable taints tolerations")).await.unwrap();
    let query = "scheduling schedulable taint toleration";
    assert!(house.store.recall(ctx(), RecallQuery { text: Some(query.into()), ..RecallQuery::default() }).await.unwrap().is_empty());
    let found = house.recall(query).await;
    assert!(found.len() == 1 && found[0].why.contains("wording"), "{found:?}");
}

#[tokio::test]
async fn an_empty_index_is_filled_from_the_store_and_says_so_until_then() {
    let house = House::new().await;
    for minute in 0..40 {
        house.store.remember(ctx(), entry(minute, "OOMKilled")).await.unwrap();
    }
    assert!(house.memory.status(ctx()).await.unwrap().degraded.unwrap().contains("being built"));
    let found = house.recall("OOMKilled").await;
    assert!(found.len() == 10 && found[0].why.contains("degraded: vectors are being built"), "the words are enough: {found:?}");
    house.memory.follow(ctx(), true).await.unwrap();
    assert_eq!(house.vectors().await, 40);
    assert!(!house.recall("OOMKilled").await[0].why.contains("degraded"));
}

#[tokio::test]
async fn what_others_wrote_or_removed_is_followed() {
    let house = House::new().await;
    let first = entry(1, "OOMKilled");
    house.memory.remember(ctx(), first.clone()).await.unwrap();
    house.memory.follow(ctx(), true).await.unwrap();
    house.store.remember(ctx(), entry(2, "CreateContainerConfigError")).await.unwrap();
    house.memory.follow(ctx(), false).await.unwrap();
    assert_eq!(house.vectors().await, 2);
    let before = house.embedder.texts.load(Ordering::SeqCst);
    house.memory.follow(ctx(), true).await.unwrap();
    assert_eq!(house.embedder.texts.load(Ordering::SeqCst), before, "what did not change is not computed again");
    house.store.forget(ctx(), first.incident_id.unwrap()).await.unwrap();
    assert!(house.recall("OOMKilled").await.is_empty(), "what the store no longer has is never returned");
    house.memory.follow(ctx(), true).await.unwrap();
    assert_eq!(house.vectors().await, 1);
}

#[tokio::test]
async fn a_restart_takes_vectors_from_the_file_and_computes_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors");
    let store = Arc::new(sql().await);
    let first = House::over(store.clone(), Some(&path));
    for minute in 0..30 {
        store.remember(ctx(), entry(minute, &format!("reason number {minute}"))).await.unwrap();
    }
    first.memory.follow(ctx(), true).await.unwrap();
    assert_eq!(first.embedder.texts.load(Ordering::SeqCst), 30);
    let restarted = House::over(store.clone(), Some(&path));
    restarted.memory.follow(ctx(), true).await.unwrap();
    assert_eq!((restarted.embedder.texts.load(Ordering::SeqCst), restarted.vectors().await), (0, 30));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let torn = House::over(store.clone(), Some(&path));
    torn.memory.follow(ctx(), true).await.unwrap();
    let computed = torn.embedder.texts.load(Ordering::SeqCst);
    assert!((14..=17).contains(&computed), "the torn half is computed anew: {computed}");
    assert_eq!(torn.vectors().await, 30);
}

#[tokio::test]
async fn a_forgotten_text_leaves_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors");
    let house = House::over(Arc::new(sql().await), Some(&path));
    let entries = [entry(0, "text zero"), entry(1, "text one")];
    for entry in &entries {
        house.store.remember(ctx(), entry.clone()).await.unwrap();
    }
    house.memory.follow(ctx(), true).await.unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    house.memory.forget(ctx(), entries[0].incident_id.unwrap()).await.unwrap();
    assert_eq!(house.vectors().await, 1);
    house.memory.follow(ctx(), true).await.unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < size);
}

#[tokio::test]
async fn without_vectors_words_still_find_and_the_reason_is_told() {
    let house = House::new().await;
    house.embedder.fails.store(true, Ordering::SeqCst);
    house.memory.remember(ctx(), entry(1, "OOMKilled")).await.expect("the store has it");
    let found = house.recall("OOMKilled").await;
    assert!(found.len() == 1 && found[0].why.contains("no weights") && found[0].parts.iter().all(|p| p.name != "wording"), "{found:?}");
    assert!(house.memory.follow(ctx(), true).await.is_err());
    assert!(house.memory.status(ctx()).await.unwrap().degraded.unwrap().contains("no weights"));
    house.embedder.fails.store(false, Ordering::SeqCst);
    house.memory.follow(ctx(), false).await.unwrap();
    assert_eq!((house.memory.status(ctx()).await.unwrap().degraded, house.vectors().await), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn it_follows_by_itself_until_shutdown() {
    let house = House::new().await;
    house.store.remember(ctx(), entry(1, "OOMKilled")).await.unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let (memory, token) = (house.memory.clone(), shutdown.clone());
    let running = tokio::spawn(async move { memory.run(token).await });
    while house.vectors().await < 1 {
        tokio::task::yield_now().await;
    }
    house.store.remember(ctx(), entry(2, "ErrImagePull")).await.unwrap();
    while house.vectors().await < 2 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    shutdown.cancel();
    running.await.unwrap();
}
