//! Several executors as one.

use std::sync::Arc;

use kubernaut_core::{
    Error, Result, async_trait,
    model::{ActionRequest, ActionSpec, DryRun, Execution, Observation, Precondition},
    service::{CallContext, Capability, ExecuteRequest, Executor, UndoRequest},
};

use crate::registry::find_spec;

/// Gives each action to the first executor that offers it. Put a [`GatedExecutor`](crate::GatedExecutor) around the router, not within it.
///
/// Its capabilities are those of any of them; what one of them lacks, it answers with `Unsupported`, and the gate asks a person then.
#[derive(Debug, Clone)]
pub struct ExecutorRouter {
    executors: Vec<Arc<dyn Executor>>,
}

impl ExecutorRouter {
    /// A router over executors; where two offer one name, the first counts.
    #[must_use]
    pub fn new(executors: Vec<Arc<dyn Executor>>) -> Self {
        Self { executors }
    }

    async fn of(&self, ctx: &CallContext, action: &str) -> Result<&Arc<dyn Executor>> {
        for executor in &self.executors {
            if find_spec(&executor.actions(ctx.clone()).await?, action).is_some() {
                return Ok(executor);
            }
        }
        Err(Error::invalid("executor.router", "no executor offers this action; `kubernaut actions` lists those there are").with("action", action))
    }
}

#[async_trait]
impl Executor for ExecutorRouter {
    async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>> {
        let mut all: Vec<ActionSpec> = Vec::new();
        for executor in &self.executors {
            for mut spec in executor.actions(ctx.clone()).await? {
                // Names stay unique: a later executor loses those that are taken.
                if find_spec(&all, &spec.name).is_none() {
                    spec.aliases.retain(|alias| find_spec(&all, alias).is_none());
                    all.push(spec);
                }
            }
        }
        Ok(all)
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        self.of(&ctx, &request.request.action).await?.execute(ctx, request).await
    }

    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation> {
        self.of(&ctx, &request.action).await?.observe(ctx, request).await
    }

    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        self.of(&ctx, &request.action).await?.dry_run(ctx, request).await
    }

    async fn preconditions(&self, ctx: CallContext, request: ActionRequest) -> Result<Vec<Precondition>> {
        self.of(&ctx, &request.action).await?.preconditions(ctx, request).await
    }

    async fn undo(&self, ctx: CallContext, request: UndoRequest) -> Result<Execution> {
        self.of(&ctx, &request.request.action).await?.undo(ctx, request).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        let mut all: Vec<Capability> = Vec::new();
        for capability in self.executors.iter().flat_map(|e| e.capabilities()) {
            if !all.contains(&capability) {
                all.push(capability);
            }
        }
        all
    }
}
