//! An export of the audit: one JSON object a line, with all that is needed to verify it.

use kubernaut_core::model::{AuditRow, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ChainHead, Checkpoint, PurgeRecord};

/// The format this version writes and reads.
pub const PROOF_FORMAT: &str = "kubernaut-audit/1";

/// One line. The header comes first, then purged chains, checkpoints, ends of chains, rows by incident and position, and the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProofLine {
    /// What follows.
    Header {
        /// [`PROOF_FORMAT`].
        format: String,
        /// When it was made.
        at: Timestamp,
    },
    /// A chain that was purged.
    Purge(PurgeRecord),
    /// A checkpoint.
    Checkpoint(Checkpoint),
    /// The end of a chain, as the ledger keeps it with the incident.
    Head(ChainHead),
    /// A row.
    Row(AuditRow),
    /// Nothing follows; without it the export was cut off.
    End {
        /// Lines of all kinds but header and end.
        lines: u64,
    },
}
