//! The six service traits over an object of the host.

use kubernaut_core::{
    Result, async_trait,
    model::{
        ActionRequest, ActionSpec, Analysis, Classification, DryRun, Execution, HistoryEntry, IncidentId, Notification, ObjectRef, Observation,
        Precondition, Run, RunId, Timestamp,
    },
    service::{
        AnalysisRequest, Analyzer, CallContext, Capability, ChatReply, ChatRequest, Classifier, ClassifyRequest, ContextStore, Delivery,
        ExecuteRequest, Executor, HistoryPage, MemoryStatus, Notifier, OutcomeUpdate, RecallQuery, Recalled, RunFilter, Signal, StartRequest,
        UndoRequest, WorkflowEngine,
    },
};

use super::{
    Hosted,
    traits::{analyzer, classifier, context_store, executor, notifier, workflow_engine},
    wire::{FetchRequest, ForgetRequest, HistoryRequest, RunRequest, ScanRequest, SignalRequest},
};

#[async_trait]
impl Classifier for Hosted {
    async fn classify(&self, ctx: CallContext, request: ClassifyRequest) -> Result<Classification> {
        self.ask(&classifier::CLASSIFY, ctx, request).await
    }

    async fn classify_batch(&self, ctx: CallContext, requests: Vec<ClassifyRequest>) -> Result<Vec<Classification>> {
        if self.offered().contains(&Capability::ClassifyBatch) {
            return self.ask(&classifier::CLASSIFY_BATCH, ctx, requests).await;
        }
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(self.classify(ctx.clone(), request).await?);
        }
        Ok(answers)
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.offered()
    }
}

#[async_trait]
impl Analyzer for Hosted {
    async fn analyze(&self, ctx: CallContext, request: AnalysisRequest) -> Result<Analysis> {
        self.ask(&analyzer::ANALYZE, ctx, request).await
    }

    async fn chat(&self, ctx: CallContext, request: ChatRequest) -> Result<ChatReply> {
        self.optional(&analyzer::CHAT, ctx, request).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.offered()
    }
}

#[async_trait]
impl WorkflowEngine for Hosted {
    async fn start(&self, ctx: CallContext, request: StartRequest) -> Result<Run> {
        self.ask(&workflow_engine::START, ctx, request).await
    }

    async fn get(&self, ctx: CallContext, run_id: RunId) -> Result<Run> {
        self.ask(&workflow_engine::GET, ctx, RunRequest { run_id }).await
    }

    async fn signal(&self, ctx: CallContext, run_id: RunId, signal: Signal) -> Result<Run> {
        self.ask(&workflow_engine::SIGNAL, ctx, SignalRequest { run_id, signal }).await
    }

    async fn cancel(&self, ctx: CallContext, run_id: RunId) -> Result<Run> {
        self.ask(&workflow_engine::CANCEL, ctx, RunRequest { run_id }).await
    }

    async fn list(&self, ctx: CallContext, filter: RunFilter) -> Result<Vec<Run>> {
        self.optional(&workflow_engine::LIST, ctx, filter).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.offered()
    }
}

#[async_trait]
impl Executor for Hosted {
    async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>> {
        self.ask(&executor::ACTIONS, ctx, ()).await
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        self.ask(&executor::EXECUTE, ctx, request).await
    }

    async fn observe(&self, ctx: CallContext, request: ActionRequest) -> Result<Observation> {
        self.ask(&executor::OBSERVE, ctx, request).await
    }

    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        self.optional(&executor::DRY_RUN, ctx, request).await
    }

    async fn preconditions(&self, ctx: CallContext, request: ActionRequest) -> Result<Vec<Precondition>> {
        self.optional(&executor::PRECONDITIONS, ctx, request).await
    }

    async fn undo(&self, ctx: CallContext, request: UndoRequest) -> Result<Execution> {
        self.optional(&executor::UNDO, ctx, request).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.offered()
    }
}

#[async_trait]
impl ContextStore for Hosted {
    async fn remember(&self, ctx: CallContext, entry: HistoryEntry) -> Result<()> {
        self.ask(&context_store::REMEMBER, ctx, entry).await
    }

    async fn recall(&self, ctx: CallContext, query: RecallQuery) -> Result<Vec<Recalled>> {
        self.ask(&context_store::RECALL, ctx, query).await
    }

    async fn history(&self, ctx: CallContext, resource: ObjectRef, since: Timestamp) -> Result<Vec<HistoryEntry>> {
        self.ask(&context_store::HISTORY, ctx, HistoryRequest { resource, since }).await
    }

    async fn forget(&self, ctx: CallContext, incident_id: IncidentId) -> Result<()> {
        self.optional(&context_store::FORGET, ctx, ForgetRequest { incident_id }).await
    }

    async fn outcome(&self, ctx: CallContext, update: OutcomeUpdate) -> Result<()> {
        self.optional(&context_store::OUTCOME, ctx, update).await
    }

    async fn scan(&self, ctx: CallContext, after: u64, limit: u32) -> Result<HistoryPage> {
        self.optional(&context_store::SCAN, ctx, ScanRequest { after, limit }).await
    }

    async fn fetch(&self, ctx: CallContext, keys: Vec<String>) -> Result<Vec<HistoryEntry>> {
        self.optional(&context_store::FETCH, ctx, FetchRequest { keys }).await
    }

    async fn status(&self, ctx: CallContext) -> Result<MemoryStatus> {
        if self.has(&context_store::STATUS) { self.ask(&context_store::STATUS, ctx, ()).await } else { Ok(MemoryStatus::default()) }
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.offered()
    }
}

#[async_trait]
impl Notifier for Hosted {
    async fn notify(&self, ctx: CallContext, notification: Notification) -> Result<Delivery> {
        self.ask(&notifier::NOTIFY, ctx, notification).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.offered()
    }
}
