//! Rules that hold for every run, whatever happens to it.
//!
//! A simulated world answers calls, signals, approvals and stops by chance. Calls may be lost, as in a crash. When its luck is used up
//! everything goes well, so that every run must end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kubernaut_core::{
    model::{
        Approval, ApprovalDecision, ApprovalId, ApprovalState, DryRun, Execution, ExecutionOutcome, GateReport, IncidentId, Mode, ObjectRef,
        PLAN_VERSION, Plan, PlanId, RetryPolicy, Run, RunId, RunState, Step, StepState, Timestamp,
    },
    service::{Signal, StartRequest},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{Call, Facts, Next, Preview, Transition, TryOutcome, UndoOutcome, apply, decide, pair};
use crate::{approval, plan, retry::Cause, rollback};

const MAX_TURNS: usize = 2000;

struct World {
    run: Run,
    now: Timestamp,
    chance: std::vec::IntoIter<u8>,
    fresh: bool,
    stopped: bool,
    signals: Vec<(u64, Signal)>,
    approvals: BTreeMap<ApprovalId, Approval>,
    previews: BTreeMap<String, Preview>,
    in_flight: BTreeMap<String, Call>,
    /// What was called and seen, for the checks.
    executed: Vec<String>,
    undone: Vec<String>,
    completed: Vec<String>,
    rollbacks: usize,
}

impl World {
    fn new(steps: Vec<Step>, mode: Mode, chance: Vec<u8>) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        let plan = Plan { id: PlanId::new(now), version: PLAN_VERSION, reason: "chance".into(), steps, approval_timeout_s: 60 };
        let request = StartRequest { run_id: RunId::new(now), incident_id: IncidentId::new(now), attempt: 1, plan, mode };
        Self {
            run: plan::new_run(request, now).unwrap(),
            now,
            chance: chance.into_iter(),
            fresh: true,
            stopped: false,
            signals: Vec::new(),
            approvals: BTreeMap::new(),
            previews: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            executed: Vec::new(),
            undone: Vec::new(),
            completed: Vec::new(),
            rollbacks: 0,
        }
    }

    /// A throw of a die; 0 means that all goes well.
    fn roll(&mut self) -> u8 {
        self.chance.next().unwrap_or(0)
    }

    fn record(&mut self, transition: &Transition) {
        let before = self.run.clone();
        self.run = apply(&self.run, transition, self.now);
        self.fresh = false;
        if let Transition::Signalled { .. } = transition {
            self.signals.clear();
        }
        if before.state.is_terminal() {
            let asked = matches!(transition, Transition::Signalled { signals, .. } if signals.contains(&Signal::Rollback));
            assert!(self.run.state == before.state || asked, "an ended run moved: {transition:?}");
        }
        for (was, is) in before.steps.iter().zip(&self.run.steps) {
            assert!(may_follow(was.state, is.state), "step {} went from {:?} to {:?} by {transition:?}", is.id, was.state, is.state);
            if is.state == StepState::Completed && was.state == StepState::Executing {
                self.completed.push(is.id.clone());
            }
        }
        let waits = self.run.steps.iter().any(|s| s.state == StepState::AwaitingApproval);
        assert!(self.run.state != RunState::AwaitingApproval || waits, "it waits for a person, but no step does");
        let begun = self
            .run
            .steps
            .iter()
            .any(|s| matches!(s.state, StepState::Pending | StepState::AwaitingApproval | StepState::Executing | StepState::Compensating));
        assert!(!self.run.state.is_terminal() || !begun, "it ended with a step under way: {:#?}", self.run);
    }

    fn turn(&mut self) -> bool {
        let in_flight: BTreeSet<String> = self.in_flight.keys().cloned().collect();
        let facts = Facts {
            now: self.now,
            fresh: self.fresh,
            draining: false,
            stopped: self.stopped.then_some("chance"),
            signals: &self.signals,
            approvals: &self.approvals,
            previews: &self.previews,
            in_flight: &in_flight,
            max_parallel: 3,
        };
        match decide(&self.run, &facts) {
            Next::Record(transition) => self.record(&transition),
            Next::Call(call) => self.begin(call),
            Next::Over => return self.after_the_end(),
            Next::Wait(until) if self.in_flight.is_empty() => {
                let until = until.unwrap_or(self.now);
                assert!(until > self.now || self.run.state == RunState::Paused, "it waits for nothing: {:#?}", self.run);
                self.now = until;
                self.outside();
            }
            Next::Wait(_) => self.answer_one(),
        }
        true
    }

    /// What others do while the run waits.
    fn outside(&mut self) {
        self.now = crate::retry::later(self.now, Duration::from_secs(1));
        self.stopped = self.roll() % 5 == 4;
        let pending: Vec<ApprovalId> = self.approvals.values().filter(|a| a.state == ApprovalState::Pending).map(|a| a.id).collect();
        for id in pending {
            let state = match self.roll() % 8 {
                6 => ApprovalState::Rejected,
                7 => ApprovalState::Pending,
                _ => ApprovalState::Approved,
            };
            let approval = self.approvals.get_mut(&id).unwrap();
            approval.state = state;
            approval.decided_at = (state != ApprovalState::Pending).then_some(self.now);
        }
        match self.roll() % 16 {
            12 => self.signal(Signal::Pause),
            13 => self.signal(Signal::Cancel),
            14 => self.signal(Signal::Rollback),
            _ if self.run.state == RunState::Paused && !self.run.held => self.signal(Signal::Resume),
            _ => {}
        }
    }

    fn signal(&mut self, signal: Signal) {
        self.rollbacks += usize::from(signal == Signal::Rollback);
        self.signals.push((u64::try_from(self.signals.len()).unwrap() + 1, signal));
    }

    fn after_the_end(&mut self) -> bool {
        let again = self.roll() % 4 == 3;
        if again {
            let which = usize::from(self.roll() % 4);
            self.signal([Signal::Rollback, Signal::Pause, Signal::Cancel, decide_signal(self.now)][which].clone());
        }
        again
    }

    fn begin(&mut self, call: Call) {
        let id = call.step().to_owned();
        assert!(!self.in_flight.contains_key(&id), "one call for a step at a time");
        if let Call::Ask(_) = &call {
            let (step, is) = pair(&self.run, &id).unwrap();
            let opened = approval::open(&self.run, step, is, &self.previews[&id], self.now);
            self.previews.remove(&id);
            self.approvals.insert(opened.id, opened.clone());
            return self.record(&Transition::Asked { approval: Box::new(opened), dry_run: None });
        }
        self.allowed(&call);
        match &call {
            Call::Execute { digest, .. } => {
                self.previews.remove(&id);
                self.executed.push(id.clone());
                self.record(&Transition::Began { step: id.clone(), digest: digest.clone(), dry_run: None });
            }
            Call::Undo(_) => {
                self.undone.push(id.clone());
                self.record(&Transition::UndoBegan { step: id.clone() });
            }
            _ => {}
        }
        self.in_flight.insert(id, call);
    }

    fn allowed(&self, call: &Call) {
        let (step, is) = pair(&self.run, call.step()).unwrap();
        if call.needs_lock() {
            assert!(!self.stopped, "nothing begins while all acting is stopped: {call:?}");
            assert_ne!(self.run.state, RunState::Paused, "nothing begins while paused: {call:?}");
            assert!(!self.run.cancel_requested, "nothing begins after a request to cancel: {call:?}");
        }
        match call {
            Call::Execute { .. } => {
                let rests = |d: &String| pair(&self.run, d).unwrap().1.state == StepState::Completed;
                assert!(step.depends_on.iter().all(rests), "step {} begins before what it rests on", step.id);
                assert!(self.run.mode == Mode::Auto || is.approval_id.is_some(), "mode approve asks each time");
                assert!(self.in_flight.keys().all(|o| pair(&self.run, o).unwrap().0.target != step.target), "one step a target at once");
                assert!(!self.run.rollback_requested, "nothing new begins once it is to be taken back");
            }
            Call::Undo(_) => {
                let stands = |s: &Step| s.depends_on.contains(&step.id) && rollback::in_effect(pair(&self.run, &s.id).unwrap().1);
                assert!(!self.run.plan.steps.iter().any(stands), "step {} is taken back before what rests on it", step.id);
                assert!(self.in_flight.is_empty(), "steps are taken back one by one");
            }
            _ => {}
        }
    }

    /// One call in flight ends, or is lost.
    fn answer_one(&mut self) {
        let Some(id) = self.in_flight.keys().next().cloned() else { return };
        let call = self.in_flight.remove(&id).unwrap();
        let luck = self.roll() % 24;
        if luck == 23 {
            // A crash: everything that only this process knew is gone.
            self.in_flight.clear();
            self.previews.clear();
            return;
        }
        match call {
            Call::DryRun(step) => self.shown(step, luck),
            Call::Execute { step, .. } | Call::Observe(step) => {
                let outcome = tried(luck);
                let again = matches!(outcome, TryOutcome::NeedsApproval(_)).then(|| preview(1));
                self.record(&Transition::Ended { step: step.clone(), observed: None, outcome });
                self.previews.extend(again.map(|p| (step, p)));
            }
            Call::Undo(step) | Call::ObserveUndo(step) => self.record(&Transition::UndoEnded { step, observed: None, outcome: undone(luck) }),
            Call::Ask(_) => unreachable!("asking is no call in flight"),
        }
    }

    fn shown(&mut self, step: String, luck: u8) {
        match luck {
            20 => self.record(&Transition::NotShown { step, error: "chance".into(), cause: Cause::Transient(None) }),
            21 => self.record(&Transition::NotShown { step, error: "chance".into(), cause: Cause::Permanent }),
            _ => {
                self.previews.insert(step, preview(luck));
            }
        }
    }
}

fn decide_signal(now: Timestamp) -> Signal {
    let decision = ApprovalDecision { approve: true, by: "ann".into(), digest: None, comment: None, groups: Vec::new() };
    Signal::Decide { approval_id: ApprovalId::new(now), decision }
}

fn may_follow(was: StepState, is: StepState) -> bool {
    use StepState::{AwaitingApproval, Compensated, Compensating, Completed, Executing, Failed, Pending, Skipped, Unknown};
    was == is
        || match was {
            Pending => matches!(is, AwaitingApproval | Executing | Failed | Skipped),
            AwaitingApproval => matches!(is, Pending | Skipped),
            Executing => matches!(is, Completed | Failed | Pending | Unknown),
            Completed => is == Compensating,
            Compensating => matches!(is, Compensated | Completed | Unknown),
            Failed | Skipped | Compensated | Unknown => false,
        }
}

fn preview(luck: u8) -> Preview {
    let asks = if luck % 6 == 1 { vec!["chance".to_owned()] } else { Vec::new() };
    let refusal = (luck == 22).then(|| "chance".to_owned());
    let shown =
        DryRun { report: GateReport::default(), changes: vec![], digest: "d".into(), pre_state: Value::Null, server_side: true, warnings: vec![] };
    Preview { digest: format!("d{}", luck % 2), changes: Vec::new(), asks, terms: Default::default(), refusal, dry_run: Some(Box::new(shown)) }
}

fn execution(outcome: ExecutionOutcome, digest: &str) -> Box<Execution> {
    let report = GateReport::default();
    Box::new(Execution { outcome, report, changes: vec![], digest: digest.into(), pre_state: json!({}), message: "chance".into(), simulated: false })
}

fn tried(luck: u8) -> TryOutcome {
    match luck {
        16 => TryOutcome::Refused(execution(ExecutionOutcome::Refused, "")),
        17 => TryOutcome::NeedsApproval(execution(ExecutionOutcome::NeedsApproval, "d1")),
        18 => TryOutcome::NotApplied { error: "chance".into(), cause: Cause::Transient(None) },
        19 => TryOutcome::NotApplied { error: "chance".into(), cause: Cause::Permanent },
        20 => TryOutcome::NotApplied { error: "chance".into(), cause: Cause::Interrupted },
        21 => TryOutcome::Unknown { error: "chance".into() },
        22 => TryOutcome::Done(execution(ExecutionOutcome::NoChange, "d")),
        _ => TryOutcome::Done(execution(ExecutionOutcome::Applied, "d")),
    }
}

fn undone(luck: u8) -> UndoOutcome {
    match luck {
        18 => UndoOutcome::NotUndone { error: "chance".into(), cause: Cause::Transient(None) },
        19 => UndoOutcome::NotUndone { error: "chance".into(), cause: Cause::Permanent },
        20 => UndoOutcome::NotUndone { error: "chance".into(), cause: Cause::Interrupted },
        21 => UndoOutcome::Unknown { error: "chance".into() },
        _ => UndoOutcome::Done(execution(ExecutionOutcome::Applied, "d")),
    }
}

/// Steps that rest only on earlier ones, on a few targets.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec((any::<u8>(), 0..3_u8, any::<bool>(), 0..6_u8), 1..7).prop_map(|rows| {
        let step = |(index, (rests_on, target, critical, asks)): (usize, (u8, u8, bool, u8))| Step {
            id: format!("s{index}"),
            action: "chance".into(),
            action_version: 1,
            target: ObjectRef::new("Deployment", Some("shop"), format!("t{target}")),
            params: Value::Null,
            depends_on: (0..index).filter(|i| rests_on >> i & 1 == 1).map(|i| format!("s{i}")).collect(),
            retry: RetryPolicy { max_attempts: 2, backoff_ms: 10, max_backoff_ms: 20 },
            timeout_s: 60,
            critical,
            requires_approval: asks == 0,
        };
        rows.into_iter().enumerate().map(step).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_run_ends_and_keeps_the_rules_on_its_way(steps in steps(), approve in any::<bool>(), chance in vec(any::<u8>(), 0..200)) {
        let mode = if approve { Mode::Approve } else { Mode::Auto };
        let mut world = World::new(steps, mode, chance);
        let mut turns = 0;
        while world.turn() {
            turns += 1;
            prop_assert!(turns < MAX_TURNS, "the run does not end: {:#?}", world.run);
        }
        let run = &world.run;
        prop_assert!(run.state.is_terminal());
        let unknown = run.steps.iter().any(|s| s.state == StepState::Unknown);
        prop_assert!(run.state != RunState::Succeeded || !unknown, "no success while it cannot be told what a step did");
        let critical_failed = super::pairs(run).any(|(step, is)| step.critical && is.state == StepState::Failed);
        prop_assert!(run.state != RunState::Succeeded || !critical_failed, "no success with a failed critical step");
        if run.state == RunState::RolledBack && world.rollbacks == 0 {
            prop_assert!(!rollback::any_in_effect(run), "rolled back, but something is left: {:#?}", run);
        }
        // A step begins again only after it was seen to have had no effect; once completed it never does.
        for id in &world.completed {
            prop_assert_eq!(world.completed.iter().filter(|c| *c == id).count(), 1, "step {} completed twice", id);
        }
    }

    #[test]
    fn when_all_goes_well_each_step_runs_once_and_is_taken_back_in_reverse(steps in steps()) {
        let count = steps.len();
        let mut world = World::new(steps, Mode::Auto, Vec::new());
        while world.turn() {}
        prop_assert_eq!(world.run.state, RunState::Succeeded);
        prop_assert_eq!(world.executed.len(), count);
        world.signal(Signal::Rollback);
        while world.turn() {}
        prop_assert_eq!(world.run.state, RunState::RolledBack);
        let ended: BTreeMap<&str, Option<Timestamp>> = world.run.steps.iter().map(|s| (s.id.as_str(), s.ended_at)).collect();
        let times: Vec<_> = world.undone.iter().map(|id| ended[id.as_str()]).collect();
        prop_assert!(times.windows(2).all(|w| w[0] >= w[1]), "the step that completed last is taken back first: {:?}", world.undone);
        prop_assert_eq!(world.undone.len(), count);
    }

    #[test]
    fn a_dry_run_shows_every_step_and_carries_nothing_out(steps in steps()) {
        let mut world = World::new(steps, Mode::DryRun, Vec::new());
        while world.turn() {}
        prop_assert_eq!(world.run.state, RunState::Succeeded, "{}", world.run.message);
        prop_assert!(world.executed.is_empty() && world.approvals.is_empty());
        prop_assert!(world.run.steps.iter().all(|s| s.state == StepState::Skipped && s.error.is_none()));
    }
}
