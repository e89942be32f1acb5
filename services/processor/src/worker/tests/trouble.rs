//! What happens when services fail or nobody answers.

use std::sync::{Arc, atomic::Ordering};

use kubernaut_core::{
    ErrorKind,
    model::{Mode, NotificationKind, Phase, RunState},
};
use tokio_util::sync::CancellationToken;

use super::house::{House, rollback_analysis};

#[tokio::test]
async fn a_passing_error_is_tried_again_less_and_less_often() {
    let house = House::new(Mode::Auto).await;
    house.analyzer.answers.lock().unwrap().extend([Err(ErrorKind::Unavailable), Err(ErrorKind::Timeout), Ok(rollback_analysis())]);
    let id = house.fires().await;
    house.work().await;
    assert!(house.incident(id).await.message.contains("trying again"), "{}", house.incident(id).await.message);
    house.work_for(10).await;
    assert_eq!(house.phase(id).await, Phase::Executing);
    assert_eq!(house.analyzer.calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_error_that_does_not_pass_ends_with_the_phase() {
    let house = House::new(Mode::Auto).await;
    house.analyzer.answers.lock().unwrap().push_back(Err(ErrorKind::Unavailable));
    let id = house.fires().await;
    house.work_for(590).await;
    assert_eq!(house.phase(id).await, Phase::Investigating);
    let calls = house.analyzer.calls.load(Ordering::SeqCst);
    assert!((20..60).contains(&calls), "{calls} tries in ten minutes");
    house.work_for(20).await;
    let end = house.incident(id).await;
    assert_eq!(end.phase, Phase::TimedOut);
    assert!(end.message.contains("told to fail"), "{}", end.message);
    assert_eq!(house.told().await[0].kind, NotificationKind::Escalated);
}

#[tokio::test]
async fn a_lasting_error_fails_at_once() {
    let house = House::new(Mode::Auto).await;
    house.analyzer.answers.lock().unwrap().push_back(Err(ErrorKind::InvalidInput));
    let id = house.fires().await;
    house.work().await;
    let end = house.incident(id).await;
    assert_eq!((end.phase, end.message.as_str()), (Phase::Failed, "analyzer.analyze: told to fail"));
}

#[tokio::test]
async fn a_panic_in_a_service_ends_its_incident_and_nothing_else() {
    let house = House::new(Mode::Auto).await;
    house.analyzer.panics.store(true, Ordering::SeqCst);
    let id = house.fires().await;
    house.work().await;
    assert_eq!(house.phase(id).await, Phase::Failed);
}

#[tokio::test]
async fn an_approval_that_the_engine_forgets_ends_with_the_phase_and_cancels_the_run() {
    let house = House::new(Mode::Approve).await;
    *house.engine.begins.lock().unwrap() = Some(RunState::AwaitingApproval);
    let id = house.fires().await;
    house.work_for(955).await;
    assert_eq!(house.phase(id).await, Phase::AwaitingApproval);
    house.work_for(10).await;
    assert_eq!(house.phase(id).await, Phase::TimedOut);
    assert!(house.engine.only().cancel_requested);
}

#[tokio::test]
async fn a_run_that_the_engine_lost_is_never_started_again() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.engine.runs.lock().unwrap().clear();
    house.work_for(2).await;
    assert_eq!(house.phase(id).await, Phase::ManualReview);
    assert_eq!(house.engine.starts.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn workers_stop_when_told_and_give_back_what_they_hold() {
    let house = Arc::new(House::new(Mode::Auto).await);
    let stop = CancellationToken::new();
    let (processor, token) = (house.processor(), stop.clone());
    let running = tokio::spawn(async move { processor.run(token).await });
    let id = house.fires().await;
    while house.phase(id).await != Phase::Executing {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stop.cancel();
    running.await.unwrap();
    house.engine.change(super::house::done);
    house.work_for(10).await;
    assert_eq!(house.phase(id).await, Phase::Resolved, "another processor goes on");
}
