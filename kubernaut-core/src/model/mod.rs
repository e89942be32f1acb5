//! Wire types: what is stored, sent and shown. All are serde and JSON-Schema types; snake_case on the wire.

mod action;
mod alert;
mod analysis;
mod approval;
mod audit;
mod category;
mod classification;
mod diff;
mod event;
mod evidence;
mod fingerprint;
mod gate;
mod history;
mod id;
mod incident;
mod notification;
mod object;
mod object_ref;
mod plan;
pub mod quantity;
mod run;
pub mod veil;
mod verification;

pub use action::{ActionRequest, ActionSpec, Precondition, ProposedAction, RbacRule, Reversibility, Risk};
pub use alert::{Alert, AlertStatus, IntakeOutcome, IntakeResult, Severity};
pub use analysis::{Analysis, Candidate, Decision, Question, TokenUsage};
pub use approval::{Agreement, Approval, ApprovalDecision, ApprovalState, ApprovalTerms};
pub use audit::{AuditRow, GENESIS_HASH, audit_hash, first_broken_row};
pub use category::Category;
pub use classification::{Attributed, Basis, Classification, Environment, Priority};
pub use diff::{FieldChange, diff_digest, diff_values};
pub use event::{EVENT_SCHEMA, Event};
pub use evidence::{Evidence, EvidenceSource};
pub use fingerprint::{FingerprintStrategy, top_owner};
pub use gate::{Check, CheckOutcome, DryRun, Execution, ExecutionOutcome, GateReport, Observation};
pub use history::{HistoryEntry, Outcome};
pub use id::{AlertId, ApprovalId, EventId, IncidentId, NotificationId, PlanId, RunId, uuid_at};
pub use incident::{Block, BlockReason, INCIDENT_SCHEMA, Incident, Mode, Phase};
pub use notification::{Notification, NotificationKind};
pub use object::{Object, selector_matches};
pub use object_ref::{KnownKind, ObjectRef, well_known, well_known_kinds};
pub use plan::{PLAN_VERSION, Plan, RetryPolicy, Step};
pub use run::{Intent, IntentState, JournalEntry, JournalKind, RUN_SCHEMA, Run, RunState, StepRun, StepState};
pub use secrecy::{ExposeSecret, SecretString};
pub use verification::{Verdict, Verification, VerificationCheck};

/// A point in time, UTC, from the injected clock; stored with microseconds.
pub type Timestamp = jiff::Timestamp;
