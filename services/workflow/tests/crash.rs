//! A process that ends at any point loses no step and doubles none.
//!
//! Each scenario is run once for every point: the first process ends there, another takes over when the lease is over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;
#[path = "common/crash.rs"]
mod crash;

use std::{sync::Arc, time::Duration};

use kubernaut_core::{
    ErrorKind,
    model::{ApprovalDecision, JournalKind, Mode, Run, RunState, Step, StepState, first_broken_row},
    service::WorkflowEngine,
    testkit::{
        Behaviour, FakeExecutor, Operation,
        workflow_engine::{start_request, step},
    },
};
use kubernaut_workflow::DurableEngine;
use tokio_util::sync::CancellationToken;

use common::{World, ctx, quick};
use crash::{CrashingExecutor, CrashingLedger, Fuse};

struct Scenario {
    steps: Vec<Step>,
    mode: Mode,
    ends: RunState,
    prepare: fn(&FakeExecutor),
}

/// One process: drives until the run has ended and all is given back, or until the fuse blows.
async fn process(world: &World, run: &Run, fuse: &Fuse) {
    let ledger = Arc::new(CrashingLedger { inner: world.ledger.clone(), fuse: fuse.clone() });
    let executor = CrashingExecutor { inner: world.executor.clone(), fuse: fuse.clone(), ledger: world.ledger.clone(), run: run.id };
    let engine = DurableEngine::new(ledger, Arc::new(executor), Arc::new(world.clock.clone()), quick());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let mut driving = tokio::spawn(async move { engine.run(stop).await });
    let ended = async {
        while !world.engine.get(ctx(), run.id).await.unwrap().state.is_terminal() {
            agree_to_all(world).await;
            world.clock.advance(Duration::from_millis(20));
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        shutdown.cancel();
        std::future::pending::<()>().await;
    };
    let limit = tokio::time::sleep(Duration::from_secs(20));
    tokio::select! {
        () = fuse.blown.cancelled() => {}
        done = &mut driving => return done.unwrap(),
        () = ended => {}
        () = limit => panic!("the run does not end: {:#?}", world.engine.get(ctx(), run.id).await),
    }
    driving.abort();
    let _ = driving.await;
}

async fn agree_to_all(world: &World) {
    for approval in world.ledger.approvals(ctx(), true).await.unwrap() {
        let decision = ApprovalDecision { approve: true, by: "ann".into(), digest: Some(approval.digest), comment: None, groups: Vec::new() };
        world.ledger.decide_approval(ctx(), approval.id, decision).await.unwrap();
    }
}

/// The run after processes that ended at these points, and a last one that lived; how many of them really ended there.
async fn survive(world: &mut World, scenario: &Scenario, points: &[u32]) -> usize {
    world.executor = FakeExecutor::default();
    (scenario.prepare)(&world.executor);
    let request = start_request(&world.clock, world.incident().await, scenario.steps.clone(), scenario.mode);
    let run = world.engine.start(ctx(), request).await.unwrap();
    let mut crashes = 0;
    for points in points {
        let fuse = Fuse::after(*points);
        process(world, &run, &fuse).await;
        crashes += usize::from(fuse.blown.is_cancelled());
        world.clock.advance(Duration::from_secs(31));
    }
    process(world, &run, &Fuse::never()).await;
    // What the processes that ended could not give back is free by now.
    world.clock.advance(Duration::from_secs(31));
    check(world, scenario, &run, points).await;
    crashes
}

async fn check(world: &World, scenario: &Scenario, run: &Run, points: &[u32]) {
    let run = world.engine.get(ctx(), run.id).await.unwrap();
    assert_eq!(run.state, scenario.ends, "after {points:?}: {run:#?}");
    assert_eq!(world.executor.repeated(), [""; 0], "no effect is doubled, after {points:?}");
    assert_eq!(world.executor.overlaps(), [""; 0], "no two calls on one target, after {points:?}");
    let mut effects = world.executor.effects();
    let mut known: Vec<String> = run.steps.iter().filter(|s| s.state == StepState::Completed).map(|s| s.key.clone()).collect();
    effects.sort();
    known.sort();
    assert_eq!(effects, known, "exactly the completed steps are in effect, after {points:?}");
    let journal = world.ledger.journal(ctx(), run.id).await.unwrap();
    assert_eq!(journal.iter().filter(|l| l.kind == JournalKind::Started).count(), 1, "after {points:?}");
    let events = world.events(&run).await;
    assert_eq!(events.iter().filter(|e| e.kind == "run.ended").count(), 1, "after {points:?}");
    assert!(world.ledger.approvals(ctx(), true).await.unwrap().is_empty(), "no question is left open, after {points:?}");
    let audit = world.ledger.audit(ctx(), run.incident_id).await.unwrap();
    assert_eq!(first_broken_row(&audit), None, "after {points:?}");
    let undoable = run.steps.iter().filter(|s| s.state == StepState::Completed).all(|s| s.execution.as_ref().is_some_and(|e| !e.changes.is_empty()));
    assert!(undoable, "what each step did is known, after {points:?}: {run:#?}");
}

/// Every point of the scenario once, and some again with a second end a few points after the first.
async fn at_every_point(scenario: Scenario) {
    let mut world = World::idle().await;
    let mut points = 0;
    while survive(&mut world, &scenario, &[points]).await == 1 {
        if points % 3 == 0 {
            survive(&mut world, &scenario, &[points, points % 7 + 1]).await;
        }
        points += 1;
    }
    assert!(points > 15, "the scenario has points at which a process can end, {points}");
}

#[tokio::test]
async fn steps_that_go_well() {
    let steps = vec![step("a", &[]), step("b", &["a"]), step("c", &["a"])];
    at_every_point(Scenario { steps, mode: Mode::Auto, ends: RunState::Succeeded, prepare: |_| {} }).await;
}

#[tokio::test]
async fn steps_that_a_person_agrees_to() {
    let steps = vec![step("a", &[]), step("b", &["a"])];
    at_every_point(Scenario { steps, mode: Mode::Approve, ends: RunState::Succeeded, prepare: |_| {} }).await;
}

#[tokio::test]
async fn steps_that_are_taken_back() {
    let steps = vec![step("a", &[]), step("b", &["a"]), step("c", &["b"])];
    let prepare = |executor: &FakeExecutor| executor.script(Operation::Execute, "c", [Behaviour::Fail(ErrorKind::Forbidden); 9]);
    at_every_point(Scenario { steps, mode: Mode::Auto, ends: RunState::RolledBack, prepare }).await;
}

#[tokio::test]
async fn steps_whose_answer_is_lost() {
    let steps = vec![step("a", &[]), step("b", &["a"])];
    let prepare = |executor: &FakeExecutor| {
        executor.script(Operation::Execute, "a", [Behaviour::FailAfterEffect(ErrorKind::Unavailable)]);
        executor.script(Operation::Execute, "b", [Behaviour::Fail(ErrorKind::Unavailable), Behaviour::FailAfterEffect(ErrorKind::Timeout)]);
    };
    at_every_point(Scenario { steps, mode: Mode::Auto, ends: RunState::Succeeded, prepare }).await;
}
