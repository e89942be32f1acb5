//! One way through the gate: what is asked for, what was found, what each check said.

use kubernaut_core::{
    Error, ErrorKind,
    model::{ActionRequest, ActionSpec, ApprovalTerms, CheckOutcome, GateReport, Object, ObjectRef},
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

/// Places that an action takes of those that may be taken at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reservation {
    /// What they are places of.
    pub(super) scope: String,
    /// How many it takes.
    pub(super) units: u32,
    /// How many there are.
    pub(super) limit: u32,
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
    /// What agreement takes, where a check asks.
    pub(super) terms: ApprovalTerms,
    /// Places that are taken before it acts.
    pub(super) reserve: Vec<Reservation>,
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

    /// Says in the report what agreement takes, if a check asks for it.
    pub(super) fn tell_terms(&mut self) {
        let asks = self.report.asks().next().is_some();
        self.report.terms = asks.then(|| self.terms.clone());
    }

    pub(super) fn refused(&self) -> bool {
        self.report.refusal().is_some()
    }
}
