//! All tables that hold what cannot be made anew, as both databases have them.

use crate::shared::sql::Kind;

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Columns with their kinds; those of the key come first.
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// How many columns make the key, by which rows are ordered.
    pub(crate) key: usize,
    /// Whether the first column is a number that the database gives.
    pub(crate) numbered: bool,
}

impl Table {
    pub(crate) fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.columns.iter().map(|(_, kind)| *kind).collect()
    }

    pub(crate) fn key_names(&self) -> String {
        self.columns.iter().take(self.key).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

macro_rules! tables {
    ($($name:ident ($key:literal $(, $numbered:ident)?) { $($column:ident $kind:ident),* $(,)? })*) => {
        &[$(Table {
            name: stringify!($name),
            columns: &[$((stringify!($column), Kind::$kind)),*],
            key: $key,
            numbered: tables!(@ $($numbered)?),
        }),*]
    };
    (@) => { false };
    (@ numbered) => { true };
}

/// In an order in which rows only name rows of tables before.
pub(crate) const TABLES: &[Table] = tables! {
    incidents (1) {
        id Text, tenant Text, cluster Text, fingerprint Text, namespace Text, phase Text, open Bool, attempt Int, opened_at Int, closed_at Int,
        severity Text, occurrences Int, firing Int, alert_resolved_at Int, wake_at Int, woken Bool, lease_worker Text, lease_epoch Int,
        lease_until Int, cancel_requested Bool, audit_seq Int, audit_hash Text,
    }
    incident_docs (1) { incident_id Text, doc Text }
    alerts (1, numbered) { seq Int, id Text, incident_id Text, fingerprint Text, received_at Int, doc Text }
    alert_words (2) { incident_id Text, alert_key Text, firing Bool, at Int }
    runs (1) {
        id Text, incident_id Text, state Text, ended Bool, created_at Int, wake_at Int, woken Bool, unread Int, lease_worker Text, lease_epoch Int,
        lease_until Int, doc Text,
    }
    journal (1, numbered) { seq Int, run_id Text, doc Text }
    signals (1, numbered) { seq Int, run_id Text, consumed Bool, at Int, doc Text }
    approvals (1) { id Text, incident_id Text, run_id Text, state Text, requested_at Int, expires_at Int, doc Text }
    target_locks (1) { target Text, holder Text, until Int }
    intents (1) { key Text, incident_id Text, state Text, at Int, doc Text }
    events (1) {
        seq Int, id Text, at Int, tenant Text, cluster Text, incident_id Text, attempt Int, schema Int, kind Text, data Text,
    }
    audit (2) { incident_id Text, seq Int, at Int, actor Text, action Text, data Text, prev_hash Text, hash Text }
    outbox (1, numbered) {
        seq Int, id Text, incident_id Text, state Text, attempts Int, due_at Int, last_error Text, settled_at Int, doc Text,
    }
    control (1) { key Text, value Text, actor Text, at Int }
    memory (1, numbered) {
        seq Int, key Text, incident_id Text, fingerprint Text, category Text, opened_at Int, active_at Int, resource_kind Text, resource_ns Text,
        resource_name Text, doc Text,
    }
    legal_holds (1) { incident_id Text, at Int, actor Text, reason Text }
    audit_purges (1) {
        seq Int, incident_id Text, rows Int, last_seq Int, last_hash Text, last_at Int, at Int, actor Text, prev_hash Text, hash Text,
    }
    audit_checkpoints (1) {
        seq Int, at Int, last_event Int, heads Text, purge_seq Int, purge_hash Text, prev_hash Text, hash Text, public_key Text, signature Text,
    }
};
