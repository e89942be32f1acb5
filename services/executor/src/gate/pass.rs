//! One way through the gate: what is asked for, what was found, what each check said.

use kubernaut_core::{
    Error, ErrorKind,
    model::{ActionRequest, ActionSpec, CheckOutcome, GateReport, Object, ObjectRef},
};

use crate::action::Effect;

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) outcome: CheckOutcome,
    pub(super) text: String,
}

impl Verdict {
    pub(super) fn pass(text: impl Into<String>) -> Self {
        Self { outcome: CheckOutcome::Pass, text: text.into() }
    }

    pub(super) fn ask(text: impl Into<String>) -> Self {
        Self { outcome: CheckOutcome::Ask, text: text.into() }
    }

    pub(super) fn fail(text: impl Into<String>) -> Self {
        Self { outcome: CheckOutcome::Fail, text: text.into() }
    }

    pub(super) fn skip(text: impl Into<String>) -> Self {
        Self { outcome: CheckOutcome::Skip, text: text.into() }
    }

    /// The refusal that an error amounts to; errors that may pass by themselves or are defects stay errors.
    pub(super) fn of_error(error: Error) -> Result<Self, Error> {
        match error.kind() {
            ErrorKind::InvalidInput
            | ErrorKind::NotFound
            | ErrorKind::Unsupported
            | ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::Refused => Ok(Self::fail(error.to_string())),
            _ => Err(error),
        }
    }
}

/// What the pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To show what would happen.
    Show,
    /// To act.
    Act,
    /// To take back what an action did.
    Undo,
}

/// An owner of the target; the object where it could be read.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) reference: ObjectRef,
    pub(super) object: Option<Object>,
}

/// The target with its surroundings, read once per pass.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) target: Object,
    /// Absent for cluster-scoped targets, and where it is not recorded.
    pub(super) namespace: Option<Object>,
    /// From the nearest to the top.
    pub(super) owners: Vec<Owner>,
}

/// One way through the gate.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) purpose: Purpose,
    /// With the canonical name, and the uid pinned once the target was read.
    pub(super) request: ActionRequest,
    pub(super) spec: Option<ActionSpec>,
    pub(super) effect: Effect,
    pub(super) report: GateReport,
    /// The error of a request that is malformed.
    pub(super) invalid: Option<Error>,
}

impl Pass {
    /// Records a check; `false` if it refused.
    pub(super) fn add(&mut self, name: &str, verdict: Verdict) -> bool {
        let goes_on = verdict.outcome != CheckOutcome::Fail;
        self.report.push(name, verdict.outcome, verdict.text);
        goes_on
    }

    pub(super) fn refused(&self) -> bool {
        self.report.refusal().is_some()
    }
}
