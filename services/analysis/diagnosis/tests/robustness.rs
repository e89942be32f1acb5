//! Whatever a cluster gives, or does not give, a diagnosis ends in time, within its bounds, and with an answer that means something.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{Analysis, Object, ObjectRef},
    port::{ClusterInfo, ClusterRead, EventQuery, KubeEvent, ListQuery, LogQuery, LogText, MetricSeries},
    service::{AnalysisRequest, Analyzer, CallContext, Capability},
};
use kubernaut_diagnosis::{Diagnosis, DiagnosisConfig};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::*;

/// A bad release, its log, its client, and a healthy neighbour.
fn scene() -> World {
    let mut w = World::new("depot");
    let with = |env: Value| spec(merge(container("picker", "reg.acme.io/picker:5"), json!({"env": env, "ports": [{"containerPort": 9000}]})));
    let bad = deploy("picker", with(json!([{"name": "ZONE", "value": "n"}])))
        .then(25, with(json!([])))
        .replicas(2)
        .old_ready(1)
        .pods(Pods::Crash(1, "Error", 1));
    w.deploy(bad).serve("picker", 9000);
    for n in 0..2 {
        w.log(&format!("picker-h1-p{n}"), "picker", "starting\nError: Missing required environment variable: ZONE");
    }
    w.deploy(
        deploy("belt", spec(merge(container("belt", "reg.acme.io/belt:2"), json!({"env": [{"name": "PICKER", "value": "picker:9000"}]}))))
            .replicas(2),
    );
    w.log("belt-h0-p0", "belt", "picker:9000: connection refused");
    w.config_map("belt-settings", json!({"speed": "3"}), None);
    w
}

async fn ask(cluster: Arc<dyn ClusterRead>, target: &str, config: DiagnosisConfig) -> Result<Analysis> {
    let request = AnalysisRequest { incident_id: None, target: target.parse().unwrap(), alerts: vec![], classification: None, history: vec![] };
    Diagnosis::new(cluster, config).analyze(CallContext::system("test"), request).await
}

/// What holds for any answer.
fn means_something(a: &Analysis) {
    assert!(!a.candidates.is_empty() && !a.actions.is_empty(), "{a:?}");
    for c in &a.candidates {
        assert!((0.0..=1.0).contains(&c.confidence), "{c:?}");
        assert!(!c.summary.is_empty());
    }
    assert!(a.candidates.windows(2).all(|p| p[0].confidence >= p[1].confidence), "not sorted: {:?}", a.candidates);
}

fn now(task: impl Future<Output = Result<Analysis>>) -> Result<Analysis> {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(task)
}

/// All places of a value, as JSON pointers.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| places(v, &format!("{at}/{}", k.replace('~', "~0").replace('/', "~1")), out)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), out)),
        _ => {}
    }
    if !at.is_empty() {
        out.push(at.to_owned());
    }
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(-1)),
        Just(json!(1e300)),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(json!("9999-12-31T23:59:59Z")),
        ".{0,40}".prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn missing_objects_end_in_an_answer(kept in proptest::collection::vec(any::<bool>(), 64), logs in any::<bool>(), events in any::<bool>()) {
        let mut w = scene();
        let mut kept = kept.into_iter().cycle();
        w.objects.retain(|_| kept.next().unwrap_or(true));
        if !logs { w.logs.clear(); }
        if !events { w.events.clear(); }
        // A target that is not there may be an error that says so; never a panic.
        match now(ask(Arc::new(w), "Pod/depot/picker-h1-p0", DiagnosisConfig::default())) {
            Ok(a) => means_something(&a),
            Err(e) => prop_assert!(!e.to_string().is_empty()),
        }
    }

    #[test]
    fn odd_values_anywhere_end_in_an_answer(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), odd_value()), 1..12)) {
        let mut w = scene();
        for (object, place, value) in changes {
            let i = object.index(w.objects.len());
            let mut all = Vec::new();
            places(&w.objects[i], "", &mut all);
            let at = &all[place.index(all.len())];
            // An object without a name is none.
            if let Some(slot) = w.objects[i].pointer_mut(at).filter(|_| !["/metadata", "/metadata/name", "/metadata/namespace", "/kind"].contains(&at.as_str())) {
                *slot = value;
            }
        }
        if let Ok(a) = now(ask(Arc::new(w), "Deployment/depot/picker", DiagnosisConfig::default())) {
            means_something(&a);
        }
    }

    #[test]
    fn logs_cut_anywhere_and_bytes_of_any_kind_end_in_an_answer(cut in 0usize..80, noise in proptest::collection::vec(any::<char>(), 0..300)) {
        let mut w = scene();
        let noise: String = noise.into_iter().collect();
        for text in w.logs.values_mut() {
            let end = text.char_indices().map(|(i, _)| i).nth(cut).unwrap_or(text.len());
            *text = format!("{}{noise}", &text[..end]);
        }
        means_something(&now(ask(Arc::new(w), "Pod/depot/picker-h1-p0", DiagnosisConfig::default())).unwrap());
    }

    #[test]
    fn a_clock_that_is_wrong_changes_no_claim_about_the_object(hours in -200_000i64..200_000) {
        let w = scene();
        let a = now(ask(Arc::new(Shifted { inner: w, hours }), "Pod/depot/picker-h1-p0", DiagnosisConfig::default())).unwrap();
        means_something(&a);
        // Restraint is the only other answer that a wrong clock may lead to.
        let object = a.candidates[0].object.to_string();
        prop_assert!(object.contains("picker"), "{object}");
        let harmless = ["rollback_deployment", "patch_env", "escalate", "no_action"];
        prop_assert!(harmless.contains(&a.actions[0].action.as_str()), "{:?}", a.actions[0]);
    }
}

#[derive(Debug)]
struct Shifted {
    inner: World,
    hours: i64,
}

#[async_trait]
impl ClusterRead for Shifted {
    async fn info(&self, ctx: CallContext) -> Result<ClusterInfo> {
        let mut info = self.inner.info(ctx).await?;
        info.now = kubernaut_core::model::Timestamp::from_second(info.now.as_second() + self.hours * 3600).unwrap();
        Ok(info)
    }
    async fn get(&self, ctx: CallContext, r: ObjectRef) -> Result<Option<Object>> {
        self.inner.get(ctx, r).await
    }
    async fn list(&self, ctx: CallContext, q: ListQuery) -> Result<Vec<Object>> {
        self.inner.list(ctx, q).await
    }
    async fn owners(&self, ctx: CallContext, r: ObjectRef) -> Result<Vec<ObjectRef>> {
        self.inner.owners(ctx, r).await
    }
    async fn events(&self, ctx: CallContext, q: EventQuery) -> Result<Vec<KubeEvent>> {
        self.inner.events(ctx, q).await
    }
    async fn logs(&self, ctx: CallContext, q: LogQuery) -> Result<Option<LogText>> {
        self.inner.logs(ctx, q).await
    }
    async fn metrics(&self, ctx: CallContext, name: String) -> Result<Vec<MetricSeries>> {
        self.inner.metrics(ctx, name).await
    }
    fn capabilities(&self) -> Vec<Capability> {
        self.inner.capabilities()
    }
}

/// Counts what is asked for, and takes its time.
#[derive(Debug)]
struct Slow {
    inner: World,
    each: Duration,
    fails: bool,
    log_bytes: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
}

impl Slow {
    fn new(inner: World, each: Duration, fails: bool) -> Self {
        Self { inner, each, fails, log_bytes: Arc::default(), reads: Arc::default() }
    }

    async fn wait(&self) -> Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if !self.each.is_zero() {
            tokio::time::sleep(self.each).await;
        }
        if self.fails { Err(Error::new(ErrorKind::Unavailable, "test", "the API server does not answer")) } else { Ok(()) }
    }
}

#[async_trait]
impl ClusterRead for Slow {
    async fn info(&self, ctx: CallContext) -> Result<ClusterInfo> {
        self.inner.info(ctx).await
    }
    async fn get(&self, ctx: CallContext, r: ObjectRef) -> Result<Option<Object>> {
        self.wait().await?;
        self.inner.get(ctx, r).await
    }
    async fn list(&self, ctx: CallContext, q: ListQuery) -> Result<Vec<Object>> {
        self.wait().await?;
        self.inner.list(ctx, q).await
    }
    async fn owners(&self, ctx: CallContext, r: ObjectRef) -> Result<Vec<ObjectRef>> {
        self.wait().await?;
        self.inner.owners(ctx, r).await
    }
    async fn events(&self, ctx: CallContext, q: EventQuery) -> Result<Vec<KubeEvent>> {
        self.wait().await?;
        self.inner.events(ctx, q).await
    }
    async fn logs(&self, ctx: CallContext, q: LogQuery) -> Result<Option<LogText>> {
        self.wait().await?;
        let limit = q.limit_bytes;
        self.log_bytes.fetch_add(limit, Ordering::Relaxed);
        let log = self.inner.logs(ctx, q).await?;
        Ok(log.map(|l| if l.text.len() <= limit { l } else { LogText { text: whole_lines(&l.text[l.text.len() - limit..]), truncated: true } }))
    }
    async fn metrics(&self, ctx: CallContext, name: String) -> Result<Vec<MetricSeries>> {
        self.wait().await?;
        self.inner.metrics(ctx, name).await
    }
    fn capabilities(&self) -> Vec<Capability> {
        self.inner.capabilities()
    }
}

fn whole_lines(end: &str) -> String {
    end.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_slow_cluster_is_not_waited_for_beyond_the_budget() {
    let began = tokio::time::Instant::now();
    let slow = Slow::new(scene(), Duration::from_millis(900), false);
    let config = DiagnosisConfig { budget_ms: 2_000, ..DiagnosisConfig::default() };
    let a = ask(Arc::new(slow), "Pod/depot/picker-h1-p0", config).await;
    // Reads that were begun within the budget may end.
    assert!(began.elapsed() <= Duration::from_millis(2_000 + 1_000), "{:?}", began.elapsed());
    if let Ok(a) = a {
        assert!(!a.gaps.is_empty(), "what was not read is not said: {a:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_answers_nothing_leads_to_no_action() {
    let broken = Slow::new(scene(), Duration::ZERO, true);
    match ask(Arc::new(broken), "Pod/depot/picker-h1-p0", DiagnosisConfig::default()).await {
        Ok(a) => assert!(["escalate", "no_action"].contains(&a.actions[0].action.as_str()), "{a:?}"),
        Err(e) => assert!(e.to_string().contains("no object can be read"), "{e}"),
    }
}

#[tokio::test]
async fn a_hundred_thousand_events_change_nothing_but_are_read() {
    let plain = ask(Arc::new(scene()), "Pod/depot/picker-h1-p0", DiagnosisConfig::default()).await.unwrap();
    let mut w = scene();
    for i in 0..100_000 {
        w.warn(&format!("Pod/depot/other-{}", i % 700), "Unhealthy", &format!("Readiness probe failed: attempt {i}"), 1, 50, 49);
    }
    let began = std::time::Instant::now();
    let a = ask(Arc::new(w), "Pod/depot/picker-h1-p0", DiagnosisConfig::default()).await.unwrap();
    assert_eq!(a.candidates[0].object, plain.candidates[0].object);
    assert_eq!(a.candidates[0].category, plain.candidates[0].category);
    assert_eq!(a.actions[0].action, plain.actions[0].action);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn logs_of_ten_megabytes_are_read_only_as_far_as_allowed() {
    let mut w = scene();
    let line = "2026-09-10T07:59:00Z INFO picked item 81923 from shelf 12\n";
    for text in w.logs.values_mut() {
        *text = format!("{}{text}", line.repeat(10 * 1024 * 1024 / line.len()));
    }
    let config = DiagnosisConfig::default();
    let slow = Slow::new(w, Duration::ZERO, false);
    let asked = slow.log_bytes.clone();
    let a = ask(Arc::new(slow), "Pod/depot/picker-h1-p0", config.clone()).await.unwrap();
    expect(&a, "bad_release_env", "Deployment/depot/picker", "rollback_deployment", "Deployment/depot/picker");
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 0 && asked <= config.max_logs * config.log_bytes, "{asked}");
}

#[tokio::test]
async fn a_thousand_pods_do_not_make_a_thousand_log_reads() {
    let mut w = scene();
    w.deploy(deploy("crowd", spec(container("crowd", "reg.acme.io/crowd:1"))).replicas(1_000).pods(Pods::Crash(1, "Error", 1)));
    let config = DiagnosisConfig { max_logs: 20, ..DiagnosisConfig::default() };
    let slow = Slow::new(w, Duration::ZERO, false);
    let (asked, reads) = (slow.log_bytes.clone(), slow.reads.clone());
    let a = ask(Arc::new(slow), "Deployment/depot/crowd", config.clone()).await.unwrap();
    means_something(&a);
    assert!(asked.load(Ordering::Relaxed) <= 20 * config.log_bytes);
    assert!(reads.load(Ordering::Relaxed) < 200, "{}", reads.load(Ordering::Relaxed));
}
