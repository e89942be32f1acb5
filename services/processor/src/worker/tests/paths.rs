//! Where an incident can go when every service answers.

use std::time::Duration;

use kubernaut_core::{
    model::{CheckOutcome, Decision, ExecutionOutcome, Mode, NotificationKind, Outcome, Phase, RunState, StepState, Verdict, first_broken_row},
    port::{Ledger, NewEvent},
    service::Signal,
};

use serde_json::json;

use super::house::{House, ctx, done, rollback_analysis};

#[tokio::test]
async fn an_alert_becomes_a_verified_fix() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    assert_eq!(house.phase(id).await, Phase::Executing);
    house.engine.change(done);
    house.work_for(10).await;
    let end = house.incident(id).await;
    assert_eq!(end.phase, Phase::Resolved, "{}", end.message);
    assert_eq!(house.way(id).await, ["processing", "investigating", "executing", "verifying", "resolved"]);
    assert_eq!((end.decision, end.outcome), (Some(Decision::Act), Some(Outcome::Resolved)));
    let kinds: Vec<_> = house.events(id).await.into_iter().map(|e| e.kind).collect();
    for kind in ["incident.classified", "incident.diagnosed", "incident.decided", "incident.planned", "incident.verified"] {
        assert_eq!(kinds.iter().filter(|k| *k == kind).count(), 1, "{kind} in {kinds:?}");
    }
    let told = house.told().await;
    assert_eq!(told.iter().map(|n| n.kind).collect::<Vec<_>>(), [NotificationKind::Closed]);
    assert!(told[0].body.contains("command changed") && told[0].body.contains("done: rollback_deployment"), "{}", told[0].body);
    let remembered = house.remembered().await;
    assert_eq!(remembered.len(), 1);
    assert_eq!((remembered[0].action.as_deref(), remembered[0].outcome), (Some("rollback_deployment"), Some(Outcome::Resolved)));
    let audit = house.ledger.audit(ctx(), id).await.unwrap();
    assert_eq!(first_broken_row(&audit), None);
}

#[tokio::test]
async fn a_value_that_a_proposal_names_is_told_to_nobody() {
    for mode in [Mode::Observe, Mode::DryRun, Mode::Auto] {
        let house = House::new(mode).await;
        let mut analysis = rollback_analysis();
        analysis.actions[0].action = "patch_env".into();
        analysis.actions[0].params = json!({"name": "PASSWORD", "restore": {"name": "PASSWORD", "value": "s3cret"}});
        house.analyzer.answers.lock().unwrap().push_back(Ok(analysis));
        let id = house.fires().await;
        house.work().await;
        if mode == Mode::Auto {
            assert_eq!(house.engine.only().plan.steps[0].params["restore"]["value"], "s3cret", "the action itself needs it");
            house.engine.change(done);
            house.work_for(10).await;
        }
        assert!(house.phase(id).await.is_terminal());
        let told = format!("{:?} {:?} {:?}", house.events(id).await, house.told().await, house.remembered().await);
        assert!(told.contains("PASSWORD") && !told.contains("s3cret"), "{mode:?}: {told}");
        assert!(!json!(house.incident(id).await.analysis).to_string().contains("s3cret"));
    }
}

#[tokio::test]
async fn effective_must_be_seen_twice_apart() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.engine.change(done);
    house.verifier.say(&[Verdict::Effective, Verdict::Pending, Verdict::Effective]);
    house.work_for(2).await;
    assert_eq!(house.verifier.seen.lock().unwrap().len(), 1);
    house.work_for(3).await;
    assert_eq!(house.phase(id).await, Phase::Verifying, "a look in between was not effective");
    house.work_for(3).await;
    assert_eq!(house.phase(id).await, Phase::Verifying, "only one effective look again");
    house.work_for(6).await;
    assert_eq!(house.phase(id).await, Phase::Resolved);
    assert_eq!(house.verifier.seen.lock().unwrap()[0].baseline, "before", "what was read before the run comes back");
}

#[tokio::test]
async fn how_things_stood_before_is_found_behind_any_number_of_events() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    let notes = (0..1001).map(|n| NewEvent::system("note", "test", json!(n))).collect();
    house.ledger.append_events(ctx(), id, notes).await.unwrap();
    house.work().await;
    house.engine.change(done);
    house.work_for(2).await;
    assert_eq!(house.verifier.seen.lock().unwrap()[0].baseline, "before");
}

#[tokio::test]
async fn what_did_not_help_by_the_end_of_the_window_is_ineffective() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.engine.change(done);
    house.verifier.say(&[Verdict::Pending]);
    house.work_for(299).await;
    assert!(house.verifier.seen.lock().unwrap().iter().all(|r| !r.last_look));
    house.verifier.say(&[Verdict::Ineffective]);
    house.work_for(5).await;
    assert_eq!(house.phase(id).await, Phase::Ineffective);
    assert!(house.verifier.seen.lock().unwrap().last().unwrap().last_look);
    assert_eq!(house.told().await[0].kind, NotificationKind::Escalated);
    assert_eq!(house.remembered().await[0].outcome, Some(Outcome::Ineffective));
}

#[tokio::test]
async fn an_unknown_effect_goes_to_a_person_and_is_not_undone() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.engine.change(done);
    house.verifier.say(&[Verdict::Pending]);
    house.work_for(305).await;
    let end = house.incident(id).await;
    assert_eq!(end.phase, Phase::ManualReview, "a last look that is still pending counts as unknown: {}", end.message);
    assert!(house.engine.signals.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_harmful_change_is_taken_back_once() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.engine.change(done);
    house.verifier.say(&[Verdict::Harmful]);
    house.work_for(5).await;
    assert_eq!(*house.engine.signals.lock().unwrap(), [Signal::Rollback]);
    assert_eq!(house.phase(id).await, Phase::ManualReview, "a run that ends as succeeded was not taken back");
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.engine.change(done);
    house.verifier.say(&[Verdict::Harmful]);
    house.work_for(1).await;
    house.engine.change(|run| run.state = RunState::Compensating);
    house.work_for(3).await;
    assert_eq!(house.phase(id).await, Phase::Verifying);
    house.engine.change(|run| run.state = RunState::RolledBack);
    house.work_for(3).await;
    assert_eq!(house.phase(id).await, Phase::RolledBack);
    assert_eq!(*house.engine.signals.lock().unwrap(), [Signal::Rollback]);
}

#[tokio::test]
async fn the_phase_follows_the_question_to_a_person_and_its_answer() {
    let house = House::new(Mode::Approve).await;
    *house.engine.begins.lock().unwrap() = Some(RunState::AwaitingApproval);
    let id = house.fires().await;
    house.work().await;
    assert_eq!(house.phase(id).await, Phase::AwaitingApproval);
    assert!(house.engine.only().plan.steps[0].requires_approval, "mode approve asks even where the decision is to act");
    house.engine.change(|run| run.state = RunState::Running);
    house.work_for(2).await;
    assert_eq!(house.phase(id).await, Phase::Executing);
    house.engine.change(|run| {
        run.state = RunState::Rejected;
        run.message = "rejected by jo: not now".into();
    });
    house.work_for(2).await;
    let end = house.incident(id).await;
    assert_eq!((end.phase, end.message.as_str()), (Phase::ManualReview, "rejected by jo: not now"));
    assert_eq!(end.outcome, Some(Outcome::Escalated));
    assert_eq!(house.remembered().await[0].action, None, "nothing was done");
}

#[tokio::test]
async fn modes_below_approve_run_nothing_and_say_what_would_be_done() {
    for (mode, shows_diff) in [(Mode::Observe, false), (Mode::DryRun, true)] {
        let house = House::new(mode).await;
        let id = house.fires().await;
        house.work().await;
        assert_eq!(house.phase(id).await, Phase::ManualReview);
        assert!(house.engine.runs.lock().unwrap().is_empty());
        let told = house.told().await;
        assert_eq!(told[0].kind, NotificationKind::Escalated);
        assert!(told[0].body.contains(r#"rollback_deployment Deployment/shop/web {"to_revision":1}"#), "{}", told[0].body);
        assert_eq!(told[0].body.contains(r#"would change Deployment/shop/web /spec/template: "bad" -> "good""#), shows_diff, "{}", told[0].body);
        let planned = house.events(id).await.into_iter().find(|e| e.kind == "incident.planned");
        assert_eq!(planned.is_some_and(|e| e.data["dry_runs"][0]["digest"] == "d"), shows_diff);
    }
}

#[tokio::test]
async fn restraint_ends_without_a_run_and_a_handover_names_steps_by_hand() {
    let house = House::new(Mode::Auto).await;
    let mut analysis = rollback_analysis();
    analysis.no_action = true;
    analysis.actions.clear();
    house.analyzer.answers.lock().unwrap().push_back(Ok(analysis));
    let id = house.fires().await;
    house.work().await;
    assert_eq!(house.phase(id).await, Phase::NoAction);
    assert_eq!(house.told().await[0].kind, NotificationKind::Closed);

    let house = House::new(Mode::Auto).await;
    let mut analysis = rollback_analysis();
    analysis.actions[0].preconditions[0].holds = false;
    analysis.actions[0].manual_steps = vec!["ask the owner".into()];
    house.analyzer.answers.lock().unwrap().push_back(Ok(analysis));
    let id = house.fires().await;
    house.work().await;
    let end = house.incident(id).await;
    assert_eq!((end.phase, end.decision), (Phase::ManualReview, Some(Decision::Escalate)));
    let body = &house.told().await[0].body;
    assert!(body.contains("does not hold: revision 1 was healthy") && body.contains("by hand: ask the owner"), "{body}");
    assert!(house.engine.runs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_alert_that_ends_before_anything_was_done_recovers() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.ends().await;
    house.work().await;
    assert_eq!((house.phase(id).await, house.way(id).await), (Phase::Recovered, vec!["recovered".to_owned()]));

    let house = House::new(Mode::Approve).await;
    *house.engine.begins.lock().unwrap() = Some(RunState::AwaitingApproval);
    let id = house.fires().await;
    house.work().await;
    house.ends().await;
    house.work().await;
    assert!(house.engine.only().cancel_requested, "the question to a person is withdrawn first");
    assert_eq!(house.phase(id).await, Phase::AwaitingApproval);
    house.engine.change(|run| run.state = RunState::Cancelled);
    house.work_for(2).await;
    assert_eq!(house.phase(id).await, Phase::Recovered);
}

#[tokio::test]
async fn an_alert_that_ends_while_acting_is_judged_by_verification() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.ends().await;
    house.work_for(2).await;
    assert_eq!(house.phase(id).await, Phase::Executing);
    assert!(!house.engine.only().cancel_requested);
    house.engine.change(done);
    house.work_for(10).await;
    assert_eq!(house.phase(id).await, Phase::Resolved);
}

#[tokio::test]
async fn a_person_can_end_it_at_any_time() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.ledger.cancel_incident(ctx(), id).await.unwrap();
    house.work().await;
    assert_eq!(house.phase(id).await, Phase::Cancelled);

    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.ledger.cancel_incident(ctx(), id).await.unwrap();
    house.work().await;
    assert!(house.engine.only().cancel_requested);
    assert_eq!(house.phase(id).await, Phase::Executing, "until the run has ended");
    house.engine.change(|run| run.state = RunState::Cancelled);
    house.work_for(2).await;
    assert_eq!(house.phase(id).await, Phase::Cancelled);
}

#[tokio::test]
async fn what_the_gate_refuses_goes_to_a_person_with_the_check() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.engine.change(|run| {
        done(run);
        run.state = RunState::Failed;
        run.steps[0].state = StepState::Failed;
        let execution = run.steps[0].execution.as_mut().unwrap();
        execution.outcome = ExecutionOutcome::Refused;
        execution.report.push("policy", CheckOutcome::Fail, "namespace shop is not opted in");
    });
    house.work_for(2).await;
    let end = house.incident(id).await;
    assert_eq!((end.phase, end.message.as_str()), (Phase::ManualReview, "refused by the gate: policy: namespace shop is not opted in"));
}

#[tokio::test]
async fn how_a_run_ends_is_how_the_incident_ends() {
    for (state, expected) in
        [(RunState::Unknown, Phase::ManualReview), (RunState::RolledBack, Phase::RolledBack), (RunState::Cancelled, Phase::Cancelled)]
    {
        let house = House::new(Mode::Auto).await;
        let id = house.fires().await;
        house.work().await;
        house.engine.change(|run| run.state = state);
        house.work_for(2).await;
        assert_eq!(house.phase(id).await, expected, "{state:?}");
    }
}

#[tokio::test]
async fn a_run_that_failed_before_it_changed_anything_is_tried_once_more() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    let fail = |house: &House| {
        house.engine.change(|run| {
            run.state = RunState::Failed;
            run.steps[0].state = StepState::Failed;
            run.steps[0].error = Some("the api server is away".into());
        });
    };
    fail(&house);
    house.work_for(2).await;
    let held = house.incident(id).await;
    assert_eq!((held.phase, held.attempt, held.run_id), (Phase::Blocked, 2, None));
    house.work_for(61).await;
    assert_eq!(house.phase(id).await, Phase::Executing);
    assert_eq!(house.engine.runs.lock().unwrap().len(), 2, "a run of its own");
    fail(&house);
    house.work_for(2).await;
    let end = house.incident(id).await;
    assert_eq!((end.phase, end.message.as_str()), (Phase::Failed, "step 1-rollback_deployment: the api server is away"));
}

#[tokio::test]
async fn a_run_that_may_have_changed_something_is_not_tried_again() {
    let house = House::new(Mode::Auto).await;
    let id = house.fires().await;
    house.work().await;
    house.engine.change(|run| {
        done(run);
        run.state = RunState::Failed;
    });
    house.clock.advance(Duration::from_secs(1));
    house.work().await;
    assert_eq!(house.phase(id).await, Phase::Failed);
}
