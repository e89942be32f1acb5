//! JSON Schemas of everything that is stored, sent or shown.
//!
//! The committed copies under `schemas/` are what other languages and reviewers read; a test keeps them in step with the types.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::{ErrorKind, model, port, service};

fn of<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

/// The schema of each wire type by its name, which is also the name of its file. Types that only occur within others are defined there.
#[must_use]
pub fn all() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("action_request", of::<model::ActionRequest>()),
        ("action_spec", of::<model::ActionSpec>()),
        ("alert", of::<model::Alert>()),
        ("analysis", of::<model::Analysis>()),
        ("approval", of::<model::Approval>()),
        ("approval_decision", of::<model::ApprovalDecision>()),
        ("audit_row", of::<model::AuditRow>()),
        ("capability", of::<service::Capability>()),
        ("category", of::<model::Category>()),
        ("classification", of::<model::Classification>()),
        ("delivery", of::<service::Delivery>()),
        ("dry_run", of::<model::DryRun>()),
        ("error_kind", of::<ErrorKind>()),
        ("event", of::<model::Event>()),
        ("execution", of::<model::Execution>()),
        ("fingerprint_strategy", of::<model::FingerprintStrategy>()),
        ("history_entry", of::<model::HistoryEntry>()),
        ("incident", of::<model::Incident>()),
        ("intake_result", of::<model::IntakeResult>()),
        ("intent", of::<model::Intent>()),
        ("journal_entry", of::<model::JournalEntry>()),
        ("ledger_stats", of::<port::LedgerStats>()),
        ("memory_status", of::<service::MemoryStatus>()),
        ("mode", of::<model::Mode>()),
        ("notification", of::<model::Notification>()),
        ("object_ref", of::<model::ObjectRef>()),
        ("observation", of::<model::Observation>()),
        ("plan", of::<model::Plan>()),
        ("precondition", of::<model::Precondition>()),
        ("recalled", of::<service::Recalled>()),
        ("run", of::<model::Run>()),
        ("signal", of::<service::Signal>()),
        ("verification", of::<model::Verification>()),
    ])
}
