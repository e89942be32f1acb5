//! The behaviour of every [`Executor`], wrappers and the gate included.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    ErrorKind,
    model::{ActionRequest, Execution, ExecutionOutcome, ObjectRef, Observation},
    service::{CallContext, Capability, ExecuteRequest, Executor, UndoRequest},
};

/// An executor over a small world that the suite may change. Every rule gets a fresh one.
#[async_trait]
pub trait ExecutorFixture: Send + Sync {
    /// The executor under test; nothing but the request decides whether it acts (opted in, mode auto, no approval due).
    fn executor(&self) -> Arc<dyn Executor>;

    /// The context to call it with.
    fn context(&self) -> CallContext;

    /// An action that changes something and can be taken back. Two calls give the same action on the same object under the given key.
    fn request(&self, key: &str) -> ActionRequest;

    /// The whole world that actions could change; equal values mean that nothing was changed.
    async fn state(&self) -> Value;

    /// Somebody else changes the very field that the action writes, to a value that is neither the one before nor the one after.
    async fn disturb(&self);
}

/// Checks the rules of [`Executor`]; `make` builds a fresh fixture for each.
///
/// # Panics
/// With the rule that does not hold.
pub async fn executor_suite<F, Fut>(make: impl Fn() -> F)
where
    F: Future<Output = Fut>,
    Fut: ExecutorFixture,
{
    names_are_unique(&make().await).await;
    a_key_acts_once(&make().await).await;
    the_mark_tells(&make().await).await;
    a_wrong_request_changes_nothing(&make().await).await;
    a_missing_target_changes_nothing(&make().await).await;
    a_dry_run_changes_nothing_and_is_stable(&make().await).await;
    preconditions_change_nothing(&make().await).await;
    undo_restores(&make().await).await;
    undo_leaves_what_others_changed(&make().await).await;
    missing_capabilities_are_unsupported(&make().await).await;
}

fn ask(request: ActionRequest) -> ExecuteRequest {
    ExecuteRequest { request, incident_id: None, approved_digest: None, approved_by_person: false, approval_id: None }
}

async fn apply(fixture: &impl ExecutorFixture, key: &str) -> Execution {
    let done = fixture.executor().execute(fixture.context(), ask(fixture.request(key))).await.expect("a valid action is carried out");
    assert_eq!(done.outcome, ExecutionOutcome::Applied, "a valid action that changes something is applied: {done:?}");
    done
}

async fn names_are_unique(fixture: &impl ExecutorFixture) {
    let specs = fixture.executor().actions(fixture.context()).await.expect("actions are listed");
    let mut seen = BTreeSet::new();
    for name in specs.iter().flat_map(|s| std::iter::once(&s.name).chain(&s.aliases)) {
        assert!(seen.insert(name.clone()), "names and aliases are unique over all actions, {name} is not");
    }
}

async fn a_key_acts_once(fixture: &impl ExecutorFixture) {
    apply(fixture, "once").await;
    let state = fixture.state().await;
    let again = fixture.executor().execute(fixture.context(), ask(fixture.request("once"))).await.expect("the second call is answered");
    let settled = matches!(again.outcome, ExecutionOutcome::AlreadyApplied | ExecutionOutcome::NoChange);
    assert!(settled, "rule 1: the second call answers AlreadyApplied or NoChange, not {:?}", again.outcome);
    assert_eq!(fixture.state().await, state, "rule 1: the same key never acts twice");
    fixture.disturb().await;
    let state = fixture.state().await;
    let after_others = fixture.executor().execute(fixture.context(), ask(fixture.request("once"))).await;
    assert!(after_others.is_ok(), "rule 1: a key that acted is answered after others changed the object, too: {after_others:?}");
    assert_eq!(fixture.state().await, state, "rule 1: the same key never acts twice, even after others changed the object");
}

async fn the_mark_tells(fixture: &impl ExecutorFixture) {
    let executor = fixture.executor();
    let observe = || executor.observe(fixture.context(), fixture.request("mark"));
    let state = fixture.state().await;
    assert_ne!(observe().await.expect("observe answers"), Observation::Applied, "nothing was done yet");
    assert_eq!(fixture.state().await, state, "observe never changes anything");
    apply(fixture, "mark").await;
    assert_eq!(observe().await.expect("observe answers"), Observation::Applied, "rule 2: the write leaves a mark by which observe can tell");
    let other = fixture.executor().observe(fixture.context(), fixture.request("other")).await.expect("observe answers");
    assert_ne!(other, Observation::Applied, "the mark tells keys apart");
}

async fn a_wrong_request_changes_nothing(fixture: &impl ExecutorFixture) {
    let good = fixture.request("wrong");
    let wrong_kind = ObjectRef::new("Namespace", None, good.target.name.as_str());
    let requests = [
        ActionRequest { action: "no-such-action".into(), ..good.clone() },
        ActionRequest { target: wrong_kind, ..good.clone() },
        ActionRequest { params: json!({"no-such-parameter": 1}), ..good.clone() },
    ];
    let state = fixture.state().await;
    for request in requests {
        let error = fixture.executor().execute(fixture.context(), ask(request.clone())).await.expect_err("a wrong request is an error");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "rule 3: {request:?} is InvalidInput: {error}");
    }
    assert_eq!(fixture.state().await, state, "rule 3: a wrong request changes nothing");
}

async fn a_missing_target_changes_nothing(fixture: &impl ExecutorFixture) {
    let state = fixture.state().await;
    let mut absent = fixture.request("absent");
    absent.target = ObjectRef { name: "no-such-object".into(), uid: None, ..absent.target };
    let mut successor = fixture.request("successor");
    successor.target.uid = Some("of-another-object".into());
    for request in [absent, successor] {
        let refused = match fixture.executor().execute(fixture.context(), ask(request)).await {
            Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict),
            Ok(execution) => execution.outcome == ExecutionOutcome::Refused,
        };
        assert!(refused, "a target that is gone or another object now is refused");
    }
    assert_eq!(fixture.state().await, state, "a missing target changes nothing");
}

async fn a_dry_run_changes_nothing_and_is_stable(fixture: &impl ExecutorFixture) {
    if !fixture.executor().capabilities().contains(&Capability::DryRun) {
        return;
    }
    let state = fixture.state().await;
    let executor = fixture.executor();
    let show = |key: &str| executor.dry_run(fixture.context(), fixture.request(key));
    let first = show("a").await.expect("a dry-run answers");
    assert_eq!(fixture.state().await, state, "a dry-run changes nothing");
    assert!(!first.changes.is_empty() && !first.digest.is_empty(), "a dry-run shows the fields that would change, with a digest: {first:?}");
    assert_eq!(
        first.digest,
        show("b").await.expect("a dry-run answers").digest,
        "equal effects on equal objects have equal digests, whatever the key"
    );
    fixture.disturb().await;
    let after = show("a").await.expect("a dry-run answers");
    assert_ne!(first.digest, after.digest, "another object before is another effect");
    let done = apply(fixture, "c").await;
    assert_eq!(done.digest, after.digest, "what is done is what was shown");
}

async fn preconditions_change_nothing(fixture: &impl ExecutorFixture) {
    if !fixture.executor().capabilities().contains(&Capability::Preconditions) {
        return;
    }
    let state = fixture.state().await;
    let all = fixture.executor().preconditions(fixture.context(), fixture.request("p")).await.expect("preconditions are evaluated");
    assert!(all.iter().all(|p| p.holds && !p.text.is_empty()), "the fixture's action is ready to be carried out: {all:?}");
    assert_eq!(fixture.state().await, state, "evaluating preconditions changes nothing");
}

fn undo(fixture: &impl ExecutorFixture, key: &str, execution: &Execution) -> UndoRequest {
    UndoRequest { request: fixture.request(key), incident_id: None, execution: execution.clone(), key: format!("{key}/undo") }
}

async fn undo_restores(fixture: &impl ExecutorFixture) {
    if !fixture.executor().capabilities().contains(&Capability::Undo) {
        return;
    }
    let dry_before = fixture.executor().dry_run(fixture.context(), fixture.request("probe")).await.map(|d| d.digest).ok();
    let done = apply(fixture, "back").await;
    let back = fixture.executor().undo(fixture.context(), undo(fixture, "back", &done)).await.expect("a fresh change is taken back");
    assert_eq!(back.outcome, ExecutionOutcome::Applied, "taking back changes the object: {back:?}");
    let dry_after = fixture.executor().dry_run(fixture.context(), fixture.request("probe")).await.map(|d| d.digest).ok();
    assert_eq!(dry_before, dry_after, "undo restores the fields: the action would have the same effect again");
    let state = fixture.state().await;
    let again = fixture.executor().undo(fixture.context(), undo(fixture, "back", &done)).await.expect("a second undo is answered");
    assert!(matches!(again.outcome, ExecutionOutcome::AlreadyApplied | ExecutionOutcome::NoChange), "an undo acts once: {again:?}");
    assert_eq!(fixture.state().await, state, "an undo acts once");
}

async fn undo_leaves_what_others_changed(fixture: &impl ExecutorFixture) {
    if !fixture.executor().capabilities().contains(&Capability::Undo) {
        return;
    }
    let done = apply(fixture, "theirs").await;
    fixture.disturb().await;
    let state = fixture.state().await;
    let error = fixture.executor().undo(fixture.context(), undo(fixture, "theirs", &done)).await.expect_err("a field changed since is an error");
    assert_eq!(error.kind(), ErrorKind::Conflict, "a field that somebody changed since is a Conflict: {error}");
    assert_eq!(fixture.state().await, state, "and nothing is changed");
}

async fn missing_capabilities_are_unsupported(fixture: &impl ExecutorFixture) {
    let (executor, ctx) = (fixture.executor(), fixture.context());
    let offered = executor.capabilities();
    let unsupported =
        |kind: Option<ErrorKind>, what: &str| assert_eq!(kind, Some(ErrorKind::Unsupported), "{what} without its capability is Unsupported");
    if !offered.contains(&Capability::DryRun) {
        unsupported(executor.dry_run(ctx.clone(), fixture.request("u")).await.err().map(|e| e.kind()), "dry_run");
    }
    if !offered.contains(&Capability::Preconditions) {
        unsupported(executor.preconditions(ctx.clone(), fixture.request("u")).await.err().map(|e| e.kind()), "preconditions");
    }
    if !offered.contains(&Capability::Undo) {
        let done = apply(fixture, "u").await;
        unsupported(executor.undo(ctx, undo(fixture, "u", &done)).await.err().map(|e| e.kind()), "undo");
    }
}
