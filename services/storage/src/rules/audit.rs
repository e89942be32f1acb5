//! Events and the audit rows that go with them.

use kubernaut_core::{
    model::{AuditRow, EVENT_SCHEMA, Event, EventId, GENESIS_HASH, IncidentId, Timestamp, audit_hash},
    port::NewEvent,
};

/// The end of an incident's audit chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainEnd {
    /// Number of the last row; 0 before the first.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) hash: String,
}

impl Default for ChainEnd {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS_HASH.to_owned() }
    }
}

/// What every event of an incident carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) id: IncidentId,
    pub(crate) tenant: String,
    pub(crate) cluster: String,
    pub(crate) attempt: u32,
}

/// The rows of new events, in order; moves the chain's end. `Event::seq` is left to the database.
pub(crate) fn rows(subject: &Subject, end: &mut ChainEnd, events: Vec<NewEvent>, now: Timestamp) -> Vec<(Event, AuditRow)> {
    events.into_iter().map(|event| row(subject, end, event, now)).collect()
}

fn row(subject: &Subject, end: &mut ChainEnd, new: NewEvent, now: Timestamp) -> (Event, AuditRow) {
    let mut audit = AuditRow {
        incident_id: subject.id,
        seq: end.seq + 1,
        at: now,
        actor: new.actor,
        action: new.kind.to_owned(),
        data: new.data.clone(),
        prev_hash: std::mem::take(&mut end.hash),
        hash: String::new(),
    };
    audit.hash = audit_hash(&audit);
    *end = ChainEnd { seq: audit.seq, hash: audit.hash.clone() };
    let event = Event {
        schema: EVENT_SCHEMA,
        seq: 0,
        id: EventId::new(now),
        at: now,
        tenant: subject.tenant.clone(),
        cluster: subject.cluster.clone(),
        incident_id: subject.id,
        attempt: subject.attempt,
        kind: new.kind.to_owned(),
        data: new.data,
    };
    (event, audit)
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::first_broken_row;
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_of_several_transitions_form_one_chain() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let subject = Subject { id: IncidentId::new(now), tenant: String::new(), cluster: "c".into(), attempt: 1 };
        let mut end = ChainEnd::default();
        let event = |n: u32| NewEvent::system("x", "test", json!({ "n": n }));
        let mut all = rows(&subject, &mut end, vec![event(1), event(2)], now);
        all.extend(rows(&subject, &mut end, vec![event(3)], now));
        let audit: Vec<AuditRow> = all.into_iter().map(|(_, audit)| audit).collect();
        assert_eq!(first_broken_row(&audit), None);
        assert_eq!(end, ChainEnd { seq: 3, hash: audit[2].hash.clone() });
    }
}
