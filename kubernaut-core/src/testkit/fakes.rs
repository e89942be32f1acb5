//! An executor that does what a test tells it, and remembers everything.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use crate::{
    Error, ErrorKind, Result,
    model::{
        ActionRequest, ActionSpec, CheckOutcome, DryRun, Execution, ExecutionOutcome, FieldChange, GateReport, Observation, Reversibility, Risk,
        diff_digest,
    },
    service::{CallContext, Capability, ExecuteRequest, Executor, UndoRequest},
};

/// How one call goes. Calls without a script go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes effect and says so.
    Apply,
    /// Nothing to change.
    NoChange,
    /// A check refuses.
    Refuse,
    /// A person must agree, whatever was agreed to before.
    NeedsApproval,
    /// It fails, and nothing was changed.
    Fail(ErrorKind),
    /// It takes effect, but the answer is an error.
    FailAfterEffect(ErrorKind),
    /// It takes effect when [`FakeExecutor::release`] is called.
    Wait,
    /// It never answers, and nothing was changed.
    Hang,
    /// It takes effect and never answers.
    HangAfterEffect,
}

/// Which operation of the executor was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// [`Executor::dry_run`].
    DryRun,
    /// [`Executor::execute`].
    Execute,
    /// [`Executor::observe`].
    Observe,
    /// [`Executor::undo`].
    Undo,
}

/// One call, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The operation.
    pub operation: Operation,
    /// The action.
    pub action: String,
    /// The target, in its short form.
    pub target: String,
    /// The key.
    pub key: String,
    /// The digest that was agreed to.
    pub approved_digest: Option<String>,
    /// Whether a person agreed.
    pub approved_by_person: bool,
}

#[derive(Debug, Default)]
struct State {
    scripts: BTreeMap<(Operation, String), VecDeque<Behaviour>>,
    asks: BTreeMap<String, String>,
    refusals: BTreeMap<String, String>,
    observations: BTreeMap<String, VecDeque<Observation>>,
    drift: BTreeMap<String, u32>,
    without_dry_run: bool,
    calls: Vec<Called>,
    /// Keys whose effect is or was there, in the order of their effects.
    effects: Vec<String>,
    undone: BTreeSet<String>,
    repeated: Vec<String>,
    busy: BTreeSet<String>,
    overlaps: Vec<String>,
}

/// A scripted executor that behaves like a gated one: it compares digests, asks and refuses as told. Scripts are by action name.
///
/// It never hides a mistake of its caller: carrying out a key whose effect is there is counted in [`FakeExecutor::repeated`], two calls on
/// one target at once in [`FakeExecutor::overlaps`]. Clones share one state.
#[derive(Debug, Clone)]
pub struct FakeExecutor {
    state: Arc<Mutex<State>>,
    calls: watch::Sender<usize>,
    released: Arc<Semaphore>,
}

impl Default for FakeExecutor {
    fn default() -> Self {
        Self { state: Arc::default(), calls: watch::Sender::new(0), released: Arc::new(Semaphore::new(0)) }
    }
}

impl FakeExecutor {
    /// The next calls of an operation for an action.
    pub fn script(&self, operation: Operation, action: &str, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.state().scripts.entry((operation, action.to_owned())).or_default().extend(behaviours);
    }

    /// What [`Executor::observe`] answers next for an action, instead of the truth.
    pub fn observe_as(&self, action: &str, observations: impl IntoIterator<Item = Observation>) {
        self.state().observations.entry(action.to_owned()).or_default().extend(observations);
    }

    /// Lets a check ask for a person for an action.
    pub fn ask(&self, action: &str, why: &str) {
        self.state().asks.insert(action.to_owned(), why.to_owned());
    }

    /// Lets a check refuse an action when it is shown or carried out.
    pub fn refuse(&self, action: &str, why: &str) {
        self.state().refusals.insert(action.to_owned(), why.to_owned());
    }

    /// Changes the effect of an action, and with it its digest.
    pub fn drift(&self, action: &str) {
        *self.state().drift.entry(action.to_owned()).or_default() += 1;
    }

    /// Takes the dry-run away.
    pub fn without_dry_run(&self) {
        self.state().without_dry_run = true;
    }

    /// Lets one call that waits take effect, or the next one that will.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Called> {
        self.state().calls.clone()
    }

    /// The actions of one operation, in the order of the calls.
    #[must_use]
    pub fn called(&self, operation: Operation) -> Vec<String> {
        self.state().calls.iter().filter(|c| c.operation == operation).map(|c| c.action.clone()).collect()
    }

    /// Keys whose effect is there, in the order in which they took effect.
    #[must_use]
    pub fn effects(&self) -> Vec<String> {
        let state = self.state();
        state.effects.iter().filter(|key| !state.undone.contains(*key)).cloned().collect()
    }

    /// Keys that were to be carried out although their effect was there, or taken back although it was gone.
    #[must_use]
    pub fn repeated(&self) -> Vec<String> {
        self.state().repeated.clone()
    }

    /// Targets that two calls were to change at once.
    #[must_use]
    pub fn overlaps(&self) -> Vec<String> {
        self.state().overlaps.clone()
    }

    /// Waits until an operation was called that often for an action.
    pub async fn until_called(&self, operation: Operation, action: &str, times: usize) {
        let mut calls = self.calls.subscribe();
        let enough = |_: &usize| self.state().calls.iter().filter(|c| c.operation == operation && c.action == action).count() >= times;
        // The sender lives as long as `self`.
        let _ = calls.wait_for(enough).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, operation: Operation, request: &ActionRequest, approval: (Option<String>, bool)) {
        self.state().calls.push(Called {
            operation,
            action: request.action.clone(),
            target: request.target.to_string(),
            key: request.key.clone(),
            approved_digest: approval.0,
            approved_by_person: approval.1,
        });
        self.calls.send_modify(|n| *n += 1);
    }

    fn next(&self, operation: Operation, action: &str) -> Behaviour {
        self.state().scripts.get_mut(&(operation, action.to_owned())).and_then(VecDeque::pop_front).unwrap_or(Behaviour::Apply)
    }

    fn changes(&self, request: &ActionRequest) -> Vec<FieldChange> {
        let drift = self.state().drift.get(&request.action).copied().unwrap_or(0);
        vec![FieldChange {
            path: "/spec/value".into(),
            before: Some(json!(drift)),
            after: Some(json!({"by": request.action, "params": request.params})),
        }]
    }

    fn digest(&self, request: &ActionRequest) -> String {
        diff_digest(&request.action, &request.target, &self.changes(request))
    }

    fn report(&self, action: &str) -> GateReport {
        let state = self.state();
        let mut report = GateReport::default();
        report.push("schema", CheckOutcome::Pass, "valid");
        if let Some(why) = state.refusals.get(action) {
            report.push("policy", CheckOutcome::Fail, why);
        } else if let Some(why) = state.asks.get(action) {
            report.push("policy", CheckOutcome::Ask, why);
        }
        report
    }

    fn execution(&self, request: &ActionRequest, outcome: ExecutionOutcome, message: &str) -> Execution {
        let acted = matches!(outcome, ExecutionOutcome::Applied | ExecutionOutcome::AlreadyApplied | ExecutionOutcome::NeedsApproval);
        Execution {
            outcome,
            report: self.report(&request.action),
            changes: if acted { self.changes(request) } else { Vec::new() },
            digest: if acted { self.digest(request) } else { String::new() },
            pre_state: json!({"value": 0}),
            message: message.to_owned(),
            simulated: false,
        }
    }

    /// What the gate says before it acts.
    fn checked(&self, request: &ExecuteRequest) -> Option<Execution> {
        let action = &request.request;
        let report = self.report(&action.action);
        if let Some(check) = report.refusal() {
            return Some(self.execution(action, ExecutionOutcome::Refused, &check.text));
        }
        let other = request.approved_digest.as_ref().is_some_and(|digest| *digest != self.digest(action));
        if other && !self.state().without_dry_run {
            return Some(self.execution(action, ExecutionOutcome::NeedsApproval, "the effect is not the one agreed to"));
        }
        let unasked = report.asks().next().is_some() && !request.approved_by_person;
        unasked.then(|| self.execution(action, ExecutionOutcome::NeedsApproval, "a person must agree"))
    }

    async fn released(&self) {
        // The semaphore is never closed.
        if let Ok(permit) = self.released.acquire().await {
            permit.forget();
        }
    }

    fn take_effect(&self, key: &str) {
        let mut state = self.state();
        if state.effects.iter().any(|k| k == key) {
            state.repeated.push(key.to_owned());
        }
        state.effects.push(key.to_owned());
    }

    fn take_back(&self, key: &str, undo_key: &str) {
        let mut state = self.state();
        if !state.undone.insert(key.to_owned()) {
            state.repeated.push(undo_key.to_owned());
        }
        state.undone.insert(undo_key.to_owned());
    }

    fn occupy(&self, request: &ActionRequest) -> Occupied {
        let target = request.target.to_string();
        let mut state = self.state();
        if !state.busy.insert(target.clone()) {
            state.overlaps.push(target.clone());
        }
        Occupied { state: self.state.clone(), target }
    }
}

/// A target that a call is changing; free again when the call ends or is dropped.
struct Occupied {
    state: Arc<Mutex<State>>,
    target: String,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).busy.remove(&self.target);
    }
}

fn broken(kind: ErrorKind) -> Error {
    Error::new(kind, "fake.executor", "told to fail")
}

#[async_trait]
impl Executor for FakeExecutor {
    async fn actions(&self, _ctx: CallContext) -> Result<Vec<ActionSpec>> {
        Ok(vec![ActionSpec {
            name: "fake".into(),
            aliases: Vec::new(),
            family: "fake".into(),
            summary: "does what a test tells it".into(),
            version: 1,
            parameters: json!({"type": "object"}),
            target_kinds: Vec::new(),
            risk: Risk::Low,
            reversibility: Reversibility::Undo,
            preconditions: Vec::new(),
            rbac: Vec::new(),
        }])
    }

    async fn execute(&self, _ctx: CallContext, request: ExecuteRequest) -> Result<Execution> {
        let action = &request.request;
        let _occupied = self.occupy(action);
        self.note(Operation::Execute, action, (request.approved_digest.clone(), request.approved_by_person));
        // Lets calls that are meant to run at once really overlap.
        tokio::task::yield_now().await;
        let behaviour = self.next(Operation::Execute, &action.action);
        if let Some(stopped) = self.checked(&request) {
            return Ok(stopped);
        }
        match behaviour {
            Behaviour::NoChange => return Ok(self.execution(action, ExecutionOutcome::NoChange, "as wanted already")),
            Behaviour::Refuse => return Ok(self.execution(action, ExecutionOutcome::Refused, "told to refuse")),
            Behaviour::NeedsApproval => return Ok(self.execution(action, ExecutionOutcome::NeedsApproval, "told to ask")),
            Behaviour::Fail(kind) => return Err(broken(kind)),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Wait => {
                self.released().await;
                self.take_effect(&action.key);
            }
            Behaviour::Apply | Behaviour::FailAfterEffect(_) | Behaviour::HangAfterEffect => self.take_effect(&action.key),
        }
        match behaviour {
            Behaviour::FailAfterEffect(kind) => Err(broken(kind)),
            Behaviour::HangAfterEffect => std::future::pending().await,
            _ => Ok(self.execution(action, ExecutionOutcome::Applied, "done")),
        }
    }

    async fn observe(&self, _ctx: CallContext, request: ActionRequest) -> Result<Observation> {
        self.note(Operation::Observe, &request, (None, false));
        if let Behaviour::Fail(kind) = self.next(Operation::Observe, &request.action) {
            return Err(broken(kind));
        }
        let mut state = self.state();
        if let Some(told) = state.observations.get_mut(&request.action).and_then(VecDeque::pop_front) {
            return Ok(told);
        }
        let there = state.effects.contains(&request.key) || state.undone.contains(&request.key);
        Ok(if there { Observation::Applied } else { Observation::NotApplied })
    }

    async fn dry_run(&self, _ctx: CallContext, request: ActionRequest) -> Result<DryRun> {
        self.note(Operation::DryRun, &request, (None, false));
        if self.state().without_dry_run {
            return Err(Error::unsupported("fake.dry_run", "this executor has no dry-run"));
        }
        match self.next(Operation::DryRun, &request.action) {
            Behaviour::Fail(kind) => return Err(broken(kind)),
            Behaviour::Hang => std::future::pending().await,
            _ => {}
        }
        let report = self.report(&request.action);
        let refused = report.refusal().is_some();
        Ok(DryRun {
            report,
            changes: if refused { Vec::new() } else { self.changes(&request) },
            digest: if refused { String::new() } else { self.digest(&request) },
            pre_state: json!({"value": 0}),
            server_side: true,
            warnings: Vec::new(),
        })
    }

    async fn undo(&self, _ctx: CallContext, request: UndoRequest) -> Result<Execution> {
        let _occupied = self.occupy(&request.request);
        self.note(Operation::Undo, &request.request, (None, false));
        tokio::task::yield_now().await;
        let behaviour = self.next(Operation::Undo, &request.request.action);
        match behaviour {
            Behaviour::NoChange => return Ok(self.execution(&request.request, ExecutionOutcome::NoChange, "nothing to take back")),
            Behaviour::Refuse => return Ok(self.execution(&request.request, ExecutionOutcome::Refused, "told to refuse")),
            Behaviour::NeedsApproval => return Ok(self.execution(&request.request, ExecutionOutcome::NeedsApproval, "told to ask")),
            Behaviour::Fail(kind) => return Err(broken(kind)),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Wait => {
                self.released().await;
                self.take_back(&request.request.key, &request.key);
            }
            Behaviour::Apply | Behaviour::FailAfterEffect(_) | Behaviour::HangAfterEffect => self.take_back(&request.request.key, &request.key),
        }
        match behaviour {
            Behaviour::FailAfterEffect(kind) => Err(broken(kind)),
            Behaviour::HangAfterEffect => std::future::pending().await,
            _ => Ok(self.execution(&request.request, ExecutionOutcome::Applied, "taken back")),
        }
    }

    fn capabilities(&self) -> Vec<Capability> {
        let dry_run = (!self.state().without_dry_run).then_some(Capability::DryRun);
        dry_run.into_iter().chain([Capability::Undo]).collect()
    }
}
