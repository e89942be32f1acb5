//! What stays of an audit chain that was purged.

use kubernaut_core::model::{IncidentId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The end of a chain whose time to be kept was over. These records form a chain themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeRecord {
    /// Position, from 1, without gaps.
    pub seq: u64,
    /// Whose chain it was.
    pub incident_id: IncidentId,
    /// Rows it had.
    pub rows: u64,
    /// Position of its last row.
    pub last_seq: u64,
    /// Hash of its last row.
    pub last_hash: String,
    /// When its last row was written.
    pub last_at: Timestamp,
    /// When it was purged.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// Hash of the record before, zeros for the first.
    pub prev_hash: String,
    /// Hash of this one, see [`PurgeRecord::expected_hash`].
    pub hash: String,
}

impl PurgeRecord {
    /// Hex SHA-256 over `[seq, incident_id, rows, last_seq, last_hash, last_at, at, actor, prev_hash]` as JSON without spaces; times are
    /// microseconds since 1970.
    #[must_use]
    pub fn expected_hash(&self) -> String {
        let (last_at, at) = (self.last_at.as_microsecond(), self.at.as_microsecond());
        let body = json!([self.seq, self.incident_id, self.rows, self.last_seq, self.last_hash, last_at, at, self.actor, self.prev_hash]);
        hex::encode(Sha256::digest(body.to_string().as_bytes()))
    }
}
