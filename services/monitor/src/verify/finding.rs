//! What one object looks like.

use kubernaut_core::model::CheckOutcome;

/// From best to worst, as far as a group takes the worst of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// The object says nothing about health.
    Silent,
    /// It is not there any more, which is no fault if something else stands for it.
    Gone,
    /// As it should be.
    Good,
    /// Good if it stays so, or on the way.
    Settling,
    /// Not as it should be.
    Bad,
    /// It could not be read.
    Unreadable,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) state: State,
    pub(super) text: String,
    /// Replicas that serve, where the object has any.
    pub(super) available: Option<i64>,
    /// Replicas that are wanted.
    pub(super) desired: Option<i64>,
    /// A container cannot run at all, now.
    pub(super) crashing: bool,
}

impl Finding {
    pub(super) fn new(state: State, text: impl Into<String>) -> Self {
        Self { state, text: text.into(), available: None, desired: None, crashing: false }
    }

    pub(super) fn good(text: impl Into<String>) -> Self {
        Self::new(State::Good, text)
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(State::Bad, text)
    }

    pub(super) fn settling(text: impl Into<String>) -> Self {
        Self::new(State::Settling, text)
    }

    pub(super) fn silent(text: impl Into<String>) -> Self {
        Self::new(State::Silent, text)
    }

    pub(super) fn replicas(mut self, available: i64, desired: i64) -> Self {
        (self.available, self.desired) = (Some(available), Some(desired));
        self
    }

    pub(super) fn crashing(mut self) -> Self {
        self.crashing = true;
        self
    }

    pub(super) fn gone(text: impl Into<String>) -> Self {
        Self::new(State::Gone, text)
    }

    /// The worse of both, with the replicas of this one.
    pub(super) fn and(self, other: Self) -> Self {
        let crashing = self.crashing || other.crashing;
        let (available, desired) = (self.available.or(other.available), self.desired.or(other.desired));
        let worse = if other.state > self.state { other } else { self };
        Self { available, desired, crashing, ..worse }
    }

    pub(super) fn outcome(&self) -> CheckOutcome {
        match self.state {
            State::Good => CheckOutcome::Pass,
            State::Settling | State::Bad => CheckOutcome::Fail,
            State::Silent | State::Gone | State::Unreadable => CheckOutcome::Skip,
        }
    }
}
