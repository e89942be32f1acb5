//! The behaviour suite on the executor, on the gate, and on the gate around an executor without optional operations.

use std::sync::Arc;

use kubernaut_core::{
    Result, async_trait,
    model::{ActionRequest, ActionSpec, Execution, Mode, Observation},
    service::{CallContext, ExecuteRequest, Executor},
    testkit::executor::{ExecutorFixture, executor_suite},
};
use serde_json::{Value, json};

use crate::{
    recorder::{by_somebody, replicas},
    world::{World, ctx, request, scale},
};

struct Fixture {
    world: World,
    executor: Arc<dyn Executor>,
    asks: Asks,
}

/// What the fixture asks for, by the kind of its patch.
#[derive(Clone, Copy, PartialEq)]
enum Asks {
    /// A merge patch.
    Scale,
    /// A strategic patch.
    Memory,
    /// A JSON patch.
    Variable,
}

const ALL: [Asks; 3] = [Asks::Scale, Asks::Memory, Asks::Variable];

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Arc<dyn Executor> {
        self.executor.clone()
    }

    fn context(&self) -> CallContext {
        ctx(Mode::Auto)
    }

    fn request(&self, key: &str) -> ActionRequest {
        match self.asks {
            Asks::Scale => scale(5, key),
            Asks::Memory => request("set_resources", "Deployment/shop/web", json!({"container": "side", "limits": {"memory": "96Mi"}}), key),
            Asks::Variable => request("patch_env", "Deployment/shop/web", json!({"container": "side", "set": {"MODE": "new"}}), key),
        }
    }

    async fn state(&self) -> Value {
        self.world.state().await
    }

    async fn disturb(&self) {
        let body = match self.asks {
            Asks::Scale => replicas(4),
            Asks::Memory => side(json!({"resources": {"limits": {"memory": "80Mi"}}})),
            Asks::Variable => side(json!({"resources": {"limits": {"memory": "64Mi"}}, "env": [{"name": "MODE", "value": "other"}]})),
        };
        by_somebody(&self.world.cluster.inner, "Deployment/shop/web", body).await;
    }
}

/// The containers of the fixture with other fields in `side`.
fn side(fields: Value) -> Value {
    let mut side = json!({"name": "side", "image": "side:1"});
    for (key, value) in fields.as_object().unwrap() {
        side[key] = value.clone();
    }
    let app = json!({"name": "app", "image": "web:2", "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}}});
    json!({"spec": {"template": {"spec": {"containers": [app, side]}}}})
}

/// Only what the trait requires.
#[derive(Debug)]
struct Bare(Arc<dyn Executor>);

#[async_trait]
impl Executor for Bare {
    async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>> {
        self.0.actions(ctx).await
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        self.0.execute(ctx, request).await
    }

    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation> {
        self.0.observe(ctx, request).await
    }
}

#[tokio::test]
async fn the_kubernetes_executor_passes_the_suite() {
    for asks in ALL {
        executor_suite(|| async move {
            let world = World::new().await;
            Fixture { executor: world.kube.clone(), world, asks }
        })
        .await;
    }
}

#[tokio::test]
async fn the_gate_passes_the_suite() {
    for asks in ALL {
        executor_suite(|| async move {
            let world = World::new().await;
            Fixture { executor: world.gate.clone(), world, asks }
        })
        .await;
    }
}

#[tokio::test]
async fn an_executor_with_required_operations_only_passes_the_suite() {
    executor_suite(|| async {
        let world = World::new().await;
        Fixture { executor: Arc::new(Bare(world.kube.clone())), world, asks: Asks::Scale }
    })
    .await;
}

#[tokio::test]
async fn the_gate_asks_each_time_around_an_executor_without_dry_run() {
    use kubernaut_core::model::ExecutionOutcome::{Applied, NeedsApproval};
    use kubernaut_executor::{GateConfig, GateParts, GatedExecutor};

    let world = World::new().await;
    let parts = GateParts {
        read: Arc::new(world.cluster.inner.clone()),
        write: world.cluster.clone(),
        ledger: world.ledger.clone(),
        clock: Arc::new(world.clock.clone()),
    };
    let gate = GatedExecutor::new(Arc::new(Bare(world.kube.clone())), parts, GateConfig::default());
    let first = gate.execute(ctx(Mode::Auto), crate::world::ask(scale(5, "k"))).await.unwrap();
    assert_eq!(first.outcome, NeedsApproval);
    assert_eq!(world.cluster.writes(), 0);
    let other = gate.execute(ctx(Mode::Auto), crate::world::approved(scale(4, "k"), &first.digest)).await.unwrap();
    assert_eq!(other.outcome, NeedsApproval, "the agreement is bound to the request");
    let agreed = gate.execute(ctx(Mode::Auto), crate::world::approved(scale(5, "k"), &first.digest)).await.unwrap();
    assert_eq!(agreed.outcome, Applied);
}
