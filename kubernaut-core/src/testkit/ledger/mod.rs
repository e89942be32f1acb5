//! The rules of [`crate::port::Ledger`].

mod approvals;
mod fixtures;
mod flow;
mod intake;
mod leases;
mod merge;
mod runs;

use std::sync::Arc;

use crate::{
    model::{Incident, IncidentId, Timestamp},
    port::{Advance, Ledger, ManualClock},
    service::CallContext,
};

/// Checks all rules. `make` gives a new, empty ledger that takes its time from the clock.
pub async fn suite(make: impl AsyncFn(ManualClock) -> Arc<dyn Ledger>) {
    intake::rules(&make).await;
    leases::rules(&make).await;
    merge::rules(&make).await;
    runs::rules(&make).await;
    approvals::rules(&make).await;
    flow::rules(&make).await;
}

/// A ledger under test with its clock.
struct Bench {
    ledger: Arc<dyn Ledger>,
    clock: ManualClock,
}

impl Bench {
    async fn new(make: &impl AsyncFn(ManualClock) -> Arc<dyn Ledger>) -> Self {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        Self { ledger: make(clock.clone()).await, clock }
    }

    fn now(&self) -> Timestamp {
        crate::port::Clock::now(&self.clock)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }

    async fn incident(&self, id: IncidentId) -> Incident {
        self.ledger.incident(ctx(), id).await.unwrap()
    }

    /// The audit chain verifies, and its actions are these.
    async fn assert_audit(&self, id: IncidentId, actions: &[&str]) {
        let rows = self.ledger.audit(ctx(), id).await.unwrap();
        assert_eq!(crate::model::first_broken_row(&rows), None, "the audit chain must verify");
        assert_eq!(rows.iter().map(|r| r.action.as_str()).collect::<Vec<_>>(), actions, "one audit row per event, in order");
        let events = self.ledger.events(ctx(), 0, Some(id), None).await.unwrap();
        assert_eq!(events.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), actions, "one event per audit row, in order");
    }
}

fn ctx() -> CallContext {
    CallContext::system("test")
}

/// A transition that changes nothing else.
fn advance(incident: Incident, epoch: u64) -> Advance {
    Advance { incident, epoch, events: Vec::new(), notifications: Vec::new(), wake_at: None, release: false }
}
