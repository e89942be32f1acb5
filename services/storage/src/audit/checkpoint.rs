//! The state of all audit chains at a moment.

use kubernaut_core::model::{IncidentId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The end of one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The incident.
    pub incident_id: IncidentId,
    /// Position of its last row.
    pub seq: u64,
    /// Hash of that row.
    pub hash: String,
}

/// The ends of all chains that grew since the checkpoint before. Checkpoints form a chain themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Position, from 1, without gaps.
    pub seq: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// The last event it covers.
    pub last_event: u64,
    /// The ends of the chains that have events since the last event of the checkpoint before.
    pub heads: Vec<ChainHead>,
    /// The last record of a purged chain; 0 for none.
    pub purge_seq: u64,
    /// Its hash.
    pub purge_hash: String,
    /// Hash of the checkpoint before, zeros for the first.
    pub prev_hash: String,
    /// Hash of this one, see [`Checkpoint::expected_hash`].
    pub hash: String,
    /// Ed25519 key that signed it, in hex; none if no key was configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Signature over the text of `hash`, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Checkpoint {
    /// Hex SHA-256 over `[seq, at, last_event, [[incident_id, seq, hash] …], purge_seq, purge_hash, prev_hash]` as JSON without spaces; `at` is
    /// microseconds since 1970.
    #[must_use]
    pub fn expected_hash(&self) -> String {
        let heads: Vec<_> = self.heads.iter().map(|head| json!([head.incident_id, head.seq, head.hash])).collect();
        let at = self.at.as_microsecond();
        let body = json!([self.seq, at, self.last_event, heads, self.purge_seq, self.purge_hash, self.prev_hash]);
        hex::encode(Sha256::digest(body.to_string().as_bytes()))
    }
}
