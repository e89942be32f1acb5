//! The behaviour suites of `kubernaut-core`, run on objects of the host.
//!
//! A host gives the number of a factory object. The suite calls its methods `make` (request `{world, scenario}`, answer [`Made`] or null to leave
//! a scenario out) and, for executors, `request`, `state` and `disturb` of the object that [`Made::fixture`] names. What a plug-in needs around it
//! is the world of that number, reached by [`Worlds::call`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kubernaut_core::{
    Error, ErrorKind, Result, async_trait,
    model::{ActionRequest, IncidentId, Mode},
    port::{Clock, ClusterRead, ManualClock},
    service::{CallContext, ExecuteRequest, Executor, UndoRequest, WorkflowEngine},
    testkit::{
        FakeExecutor,
        analyzer::analyzer_suite,
        classifier::classifier_suite,
        context_store,
        executor::{ExecutorFixture, executor_suite},
        notifier::{failing_notifier_suite, notifier_suite},
        workflow_engine::{EngineFixture, workflow_engine_suite},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    HostCall, HostRequest, Hosted, PluginKind, PluginSpec, Slot, WireContext,
    operations::{answer, parse, unknown},
    reader,
};

/// What a factory made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The plug-in under test.
    pub plugin: PluginSpec,
    /// For executors: the object that knows the world it acts on.
    #[serde(default)]
    pub fixture: Option<u64>,
    /// For notifiers: credentials that must not be shown.
    #[serde(default)]
    pub secrets: Vec<String>,
}

enum World {
    Cluster(Arc<dyn ClusterRead>),
    Engine(FakeExecutor, ManualClock),
}

/// What plug-ins under test have around them.
#[derive(Default)]
pub struct Worlds(Mutex<BTreeMap<u64, Arc<World>>>);

impl std::fmt::Debug for Worlds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worlds").finish_non_exhaustive()
    }
}

impl Worlds {
    fn add(&self, world: World) -> u64 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.len() as u64 + 1;
        all.insert(number, Arc::new(world));
        number
    }

    /// An operation of a world: `cluster_…` of one with a cluster; `now` and `executor_dry_run`, `executor_execute`, `executor_observe`,
    /// `executor_undo` of one for an engine.
    ///
    /// # Errors
    /// `NotFound` for a world or operation that is not there, else the operation's own.
    pub async fn call(&self, world: u64, operation: &str, params: &str) -> Result<String> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&world).cloned();
        let found = found.ok_or_else(|| Error::not_found("testing.world", "no such world").with("world", world))?;
        let ctx = CallContext::system("suite").with_mode(Mode::Auto);
        match &*found {
            World::Cluster(cluster) => reader::read(&**cluster, ctx, operation, params).await,
            World::Engine(executor, clock) => match operation {
                "now" => answer(Ok(clock.now())),
                "executor_dry_run" => answer(executor.dry_run(ctx, parse::<ActionRequest>(operation, params)?).await),
                "executor_execute" => answer(executor.execute(ctx, parse::<ExecuteRequest>(operation, params)?).await),
                "executor_observe" => answer(executor.observe(ctx, parse::<ActionRequest>(operation, params)?).await),
                "executor_undo" => answer(executor.undo(ctx, parse::<UndoRequest>(operation, params)?).await),
                other => Err(unknown(other)),
            },
        }
    }
}

/// Runs the suite of a trait on what a factory makes. Must be called on the runtime.
///
/// # Errors
/// `PluginFailed` with the rule that does not hold.
pub async fn run(kind: PluginKind, host: Arc<dyn HostCall>, factory: u64, worlds: Arc<Worlds>) -> Result<()> {
    let maker = Maker { kind, host, factory, worlds };
    // On a thread of its own: suites call factories from places that cannot wait.
    match tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(suite(kind, maker))).await {
        Ok(()) => Ok(()),
        Err(failed) => {
            let rule = match failed.try_into_panic() {
                Ok(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "a rule does not hold".to_owned())
                }
                Err(_) => "the suite was cancelled".to_owned(),
            };
            Err(Error::new(ErrorKind::PluginFailed, "testing.suite", rule))
        }
    }
}

async fn suite(kind: PluginKind, maker: Maker) {
    match kind {
        PluginKind::Classifier => classifier_suite(|cluster| maker.now(World::Cluster(cluster))).await,
        PluginKind::Analyzer => analyzer_suite(|cluster| maker.now(World::Cluster(cluster))).await,
        PluginKind::ContextStore => context_store::suite(async || maker.plain("working").await).await,
        PluginKind::Notifier => {
            notifier_suite(Arc::new(maker.plain("working").await)).await;
            if let Some(made) = maker.make(0, "failing").await {
                let secrets: Vec<&str> = made.secrets.iter().map(String::as_str).collect();
                failing_notifier_suite(Arc::new(maker.hosted(made.plugin)), &secrets).await;
            }
        }
        PluginKind::Executor => executor_suite(|| HostExecutor::new(&maker)).await,
        PluginKind::WorkflowEngine => workflow_engine_suite(|| HostEngine::new(&maker)).await,
    }
}

#[derive(Clone)]
struct Maker {
    kind: PluginKind,
    host: Arc<dyn HostCall>,
    factory: u64,
    worlds: Arc<Worlds>,
}

#[derive(Serialize)]
struct MakeRequest<'a> {
    world: u64,
    scenario: &'a str,
}

#[expect(clippy::panic, reason = "suites report by panicking; `run` turns that into an error")]
impl Maker {
    async fn ask<T: DeserializeOwned>(&self, object: u64, method: &'static str, request: impl Serialize + Send) -> T {
        let ctx = CallContext::system("suite").with_timeout(Duration::from_secs(30));
        let payload = serde_json::json!({"context": WireContext::from(&ctx), "request": request}).to_string();
        let call = HostRequest { object, method, payload, ctx: ctx.clone(), slot: Slot(None) };
        let text = ctx.run("testing.make", self.host.call(call)).await.unwrap_or_else(|e| panic!("the factory's {method} failed: {e}"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("the factory's {method} answered with something else: {e}: {text}"))
    }

    async fn make(&self, world: u64, scenario: &str) -> Option<Made> {
        self.ask(self.factory, "make", MakeRequest { world, scenario }).await
    }

    fn hosted(&self, spec: PluginSpec) -> Hosted {
        Hosted::new(self.host.clone(), self.kind, spec).unwrap_or_else(|e| panic!("{e}"))
    }

    async fn plain(&self, scenario: &str) -> Hosted {
        let made = self.make(0, scenario).await.unwrap_or_else(|| panic!("the factory made nothing for {scenario}"));
        self.hosted(made.plugin)
    }

    /// For suites whose factories cannot wait.
    fn now(&self, world: World) -> Hosted {
        let world = self.worlds.add(world);
        let made = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.make(world, "working")));
        self.hosted(made.unwrap_or_else(|| panic!("the factory made nothing")).plugin)
    }
}

struct HostExecutor {
    maker: Maker,
    executor: Arc<dyn Executor>,
    fixture: u64,
}

impl HostExecutor {
    #[expect(clippy::panic, reason = "as above")]
    async fn new(maker: &Maker) -> Self {
        let made = maker.make(0, "working").await.unwrap_or_else(|| panic!("the factory made nothing"));
        let fixture = made.fixture.unwrap_or_else(|| panic!("an executor's factory names a fixture"));
        Self { maker: maker.clone(), executor: Arc::new(maker.hosted(made.plugin)), fixture }
    }
}

#[async_trait]
impl ExecutorFixture for HostExecutor {
    fn executor(&self) -> Arc<dyn Executor> {
        self.executor.clone()
    }

    fn context(&self) -> CallContext {
        CallContext::system("suite").with_mode(Mode::Auto)
    }

    fn request(&self, key: &str) -> ActionRequest {
        let asked = self.maker.ask(self.fixture, "request", key);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(asked))
    }

    async fn state(&self) -> Value {
        self.maker.ask(self.fixture, "state", ()).await
    }

    async fn disturb(&self) {
        self.maker.ask::<Value>(self.fixture, "disturb", ()).await;
    }
}

struct HostEngine {
    engine: Arc<dyn WorkflowEngine>,
    executor: FakeExecutor,
    clock: ManualClock,
}

impl HostEngine {
    #[expect(clippy::panic, reason = "as above")]
    async fn new(maker: &Maker) -> Self {
        let (executor, clock) =
            (FakeExecutor::default(), ManualClock::at(kubernaut_core::model::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(500_000)));
        let world = maker.worlds.add(World::Engine(executor.clone(), clock.clone()));
        let made = maker.make(world, "working").await.unwrap_or_else(|| panic!("the factory made nothing"));
        Self { engine: Arc::new(maker.hosted(made.plugin)), executor, clock }
    }
}

#[async_trait]
impl EngineFixture for HostEngine {
    fn engine(&self) -> Arc<dyn WorkflowEngine> {
        self.engine.clone()
    }

    fn executor(&self) -> FakeExecutor {
        self.executor.clone()
    }

    fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    async fn incident(&self) -> IncidentId {
        IncidentId::new(self.clock.now())
    }
}
