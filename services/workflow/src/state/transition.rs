//! What can happen to a run.

use kubernaut_core::{
    model::{Approval, ApprovalTerms, Check, DryRun, Execution, FieldChange, GateReport, Observation, RunState, Step, Timestamp},
    service::Signal,
};

use crate::{approval, retry::Cause};

/// One transition: journalled and stored in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Transition {
    /// The run was taken up for the first time.
    Started,
    /// Signals were read.
    Signalled { up_to: u64, signals: Vec<Signal> },
    /// All acting is stopped.
    Held { reason: String },
    /// Acting is allowed again.
    Allowed,
    /// The effect was shown, which is all that mode `dry_run` wants.
    Shown { step: String, dry_run: Box<DryRun> },
    /// The effect could not be shown; nothing was changed.
    NotShown { step: String, error: String, cause: Cause },
    /// A step fails or is skipped before it began.
    Denied { step: String, error: String, dry_run: Option<Box<DryRun>> },
    /// A person is asked.
    Asked { approval: Box<Approval>, dry_run: Option<Box<DryRun>> },
    /// A person agreed.
    Approved { approval: Box<Approval> },
    /// A person agreed too long ago for the answer to be about things as they are.
    Lapsed { step: String },
    /// A person said no, or nobody answered in time.
    Declined { approval: Box<Approval> },
    /// The question is void because the run ends otherwise.
    Withdrawn { approval: Box<Approval> },
    /// The question is void because the parameters were changed; the step is shown and asked about anew.
    Superseded { approval: Box<Approval> },
    /// A try begins. Stored before the executor is called.
    Began { step: String, digest: String, dry_run: Option<Box<DryRun>> },
    /// A try ended.
    Ended { step: String, observed: Option<Observation>, outcome: TryOutcome },
    /// What has not begun never will.
    Skipped { why: String },
    /// Completed steps are going to be taken back.
    Compensating { why: String },
    /// Taking a step back begins. Stored before the executor is called.
    UndoBegan { step: String },
    /// Taking a step back ended.
    UndoEnded { step: String, observed: Option<Observation>, outcome: UndoOutcome },
    /// The run ended.
    Finished { state: RunState, message: String },
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TryOutcome {
    /// The effect is there, or was not needed.
    Done(Box<Execution>),
    /// The gate refused; nothing was changed.
    Refused(Box<Execution>),
    /// A person must agree (again); nothing was changed.
    NeedsApproval(Box<Execution>),
    /// Nothing was changed.
    NotApplied { error: String, cause: Cause },
    /// It cannot be told whether anything was changed.
    Unknown { error: String },
}

/// How taking a step back ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum UndoOutcome {
    /// The effect is gone.
    Done(Box<Execution>),
    /// The effect is still there.
    NotUndone { error: String, cause: Cause },
    /// It cannot be told whether the effect is gone.
    Unknown { error: String },
}

/// What a step would do now, as the engine needs it to decide whom to ask.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Preview {
    /// Identity of the effect.
    pub(crate) digest: String,
    /// Fields that would change.
    pub(crate) changes: Vec<FieldChange>,
    /// Why a person must be asked; empty if policy agrees.
    pub(crate) asks: Vec<String>,
    /// What agreement takes.
    pub(crate) terms: ApprovalTerms,
    /// The check that refuses.
    pub(crate) refusal: Option<String>,
    /// The dry-run it comes from, until it is journalled.
    pub(crate) dry_run: Option<Box<DryRun>>,
}

impl Preview {
    /// As the dry-run shows it.
    pub(crate) fn of_dry_run(dry_run: DryRun) -> Self {
        Self {
            digest: dry_run.digest.clone(),
            changes: dry_run.changes.clone(),
            asks: asks(&dry_run.report),
            terms: dry_run.report.terms.clone().unwrap_or_default(),
            refusal: dry_run.report.refusal().map(line),
            dry_run: Some(Box::new(dry_run)),
        }
    }

    /// Of an executor that shows nothing beforehand: a person is always asked, and agrees to the request as such.
    pub(crate) fn impossible(step: &Step) -> Self {
        let asks = vec!["the executor cannot show the effect beforehand".to_owned()];
        let terms = ApprovalTerms::default();
        Self { digest: approval::request_digest(step), changes: Vec::new(), asks, terms, refusal: None, dry_run: None }
    }

    /// Of an execution that stopped because a person must agree, or agree again.
    pub(crate) fn of_execution(execution: &Execution, step: &Step) -> Self {
        let mut asks = asks(&execution.report);
        if asks.is_empty() {
            asks.push(execution.message.clone());
        }
        let digest = if execution.digest.is_empty() { approval::request_digest(step) } else { execution.digest.clone() };
        let terms = execution.report.terms.clone().unwrap_or_default();
        Self { digest, changes: execution.changes.clone(), asks, terms, refusal: None, dry_run: None }
    }
}

fn asks(report: &GateReport) -> Vec<String> {
    report.asks().map(line).collect()
}

fn line(check: &Check) -> String {
    format!("{}: {}", check.name, check.text)
}

/// What the driver is to do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// Store a transition.
    Record(Transition),
    /// Call the executor, or a person.
    Call(Call),
    /// Nothing until a call in flight ends or this time comes.
    Wait(Option<Timestamp>),
    /// The run has ended and nothing is unread.
    Over,
}

/// A call for one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// Show the effect.
    DryRun(String),
    /// Ask a person.
    Ask(String),
    /// Carry it out under the digest that was agreed to.
    Execute { step: String, digest: String },
    /// Ask the executor what became of a try that this process did not see end.
    Observe(String),
    /// Take it back.
    Undo(String),
    /// Ask the executor what became of taking it back.
    ObserveUndo(String),
}

impl Call {
    /// The step it is for.
    pub(crate) fn step(&self) -> &str {
        match self {
            Self::DryRun(step) | Self::Ask(step) | Self::Execute { step, .. } | Self::Observe(step) | Self::Undo(step) | Self::ObserveUndo(step) => {
                step
            }
        }
    }

    /// Whether the run must hold its targets for it. Whoever only waits for a person or looks what happened needs no lock.
    pub(crate) fn needs_lock(&self) -> bool {
        matches!(self, Self::DryRun(_) | Self::Execute { .. } | Self::Undo(_))
    }
}
