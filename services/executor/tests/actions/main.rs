//! Every row is one action on a real API server: what it needs, what is asked, how its effect is read with kubectl, and how it looks when it was
//! taken back. A row fails if the action does nothing: the effect must not be there before, and must be there afterwards.
//!
//! Needs `KUBERNAUT_TEST_KUBECONFIG` and `KUBERNAUT_TEST_KUBECTL`; skipped without them, unless `KUBERNAUT_REQUIRE_CLUSTER=1` makes that a
//! failure. `KUBERNAUT_ACTIONS` names the only rows to run. Each row has a namespace of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub, reason = "tests")]

mod docs;
mod lab;
mod rows;
mod run;

use std::sync::Arc;

use kubernaut_core::{
    Result, async_trait,
    model::{ActionRequest, ActionSpec, DryRun, Execution, ExecutionOutcome, Observation, Precondition},
    service::{CallContext, ExecuteRequest, Executor, UndoRequest},
};
use lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn every_action_has_its_effect_on_a_real_cluster_and_its_undo_takes_it_back() {
    let Some(lab) = Lab::open().await else { return };
    let only = std::env::var("KUBERNAUT_ACTIONS").unwrap_or_default();
    let wanted: Vec<&str> = only.split(',').filter(|n| !n.is_empty()).collect();
    let rows: Vec<_> = rows::all().into_iter().filter(|r| wanted.is_empty() || wanted.contains(&r.name)).collect();
    let (mut failed, total) = (Vec::new(), rows.len());
    for chunk in rows.chunks(8) {
        let runs = chunk.iter().map(|row| run::row(&lab, &lab.executor, row));
        for (row, outcome) in chunk.iter().zip(futures_of(runs).await) {
            lab::say(&format!("{:<28} {}", row.name, outcome.as_ref().map_or_else(Clone::clone, Clone::clone)));
            failed.extend(outcome.err().map(|why| format!("{}: {why}", row.name)));
        }
    }
    assert!(failed.is_empty(), "{} of {total} rows failed:\n{}", failed.len(), failed.join("\n"));
}

/// Runs futures at once and gives their answers in order.
async fn futures_of<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).map(Some).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(move |cx| {
        for (slot, answer) in all.iter_mut().zip(&mut done) {
            if let Some(future) = slot
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                (*answer, *slot) = (Some(value), None);
            }
        }
        if all.iter().all(Option::is_none) {
            std::task::Poll::Ready(done.iter_mut().map(|d| d.take().unwrap()).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

/// Says that it acted, and did nothing.
#[derive(Debug)]
struct Idle(Arc<dyn Executor>);

#[async_trait]
impl Executor for Idle {
    async fn actions(&self, ctx: CallContext) -> Result<Vec<ActionSpec>> {
        self.0.actions(ctx).await
    }

    async fn execute(&self, ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        let shown = self.0.dry_run(ctx, request.request).await?;
        let (changes, digest, pre_state) = (shown.changes, shown.digest, shown.pre_state);
        Ok(Execution {
            outcome: ExecutionOutcome::Applied,
            report: shown.report,
            changes,
            digest,
            pre_state,
            message: "done".into(),
            simulated: false,
        })
    }

    async fn observe(&self, _ctx: CallContext, _request: ActionRequest) -> Result<Observation> {
        Ok(Observation::Applied)
    }

    async fn dry_run(&self, ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        self.0.dry_run(ctx, request).await
    }

    async fn preconditions(&self, ctx: CallContext, request: ActionRequest) -> Result<Vec<Precondition>> {
        self.0.preconditions(ctx, request).await
    }

    async fn undo(&self, _ctx: CallContext, undo: UndoRequest) -> Result<Execution> {
        Ok(undo.execution)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_fail_for_an_executor_that_only_says_that_it_acts() {
    let Some(lab) = Lab::open().await else { return };
    let idle: Arc<dyn Executor> = Arc::new(Idle(lab.executor.clone()));
    for name in ["scale_replicas", "restore_service", "run_job"] {
        let row = rows::all().into_iter().find(|r| r.name == name).unwrap();
        let outcome = run::row_within(&lab, &idle, &row, std::time::Duration::from_secs(3)).await;
        assert!(outcome.is_err_and(|why| why.contains("effect")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_ends_is_taken_back_by_whichever_process_looks_next() {
    let Some(lab) = Lab::open().await else { return };
    let namespace = format!("act-ends-{}", std::process::id());
    let place = lab::Place { lab: &lab, namespace: namespace.clone() };
    lab.kubectl(&["create", "namespace", &namespace], None).unwrap();
    let row = rows::all().into_iter().find(|r| r.name == "enable_debug_mode").unwrap();
    for object in (row.setup)(&place) {
        lab.kubectl(&["create", "-f", "-"], Some(&object)).unwrap();
    }
    let target = format!("Deployment/{namespace}/web").parse().unwrap();
    let params = serde_json::json!({"duration_seconds": 10});
    let request = ActionRequest { action: "enable_debug_mode".into(), target, params, key: namespace.clone() };
    let ctx = || CallContext::system("conformance");
    let ask = ExecuteRequest { request, incident_id: None, approved_digest: None, approved_by_person: true, approval_id: None };
    lab.executor.execute(ctx(), ask).await.unwrap();
    lab.later.take_back_due(ctx()).await.unwrap();
    assert!((row.effect)(&place), "its time is not over");
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    assert!(lab.later.take_back_due(ctx()).await.unwrap() >= 1);
    assert!(row.undone.unwrap()(&place), "it is as it was before");
    lab.kubectl(&["delete", "namespace", &namespace, "--wait=false"], None).unwrap();
}
