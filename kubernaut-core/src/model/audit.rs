//! The audit chain: each row holds the hash of the one before, per incident.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{IncidentId, Timestamp};

/// Hash before the first row of a chain.
pub const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One row: who did what to which incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// The incident whose chain it belongs to.
    pub incident_id: IncidentId,
    /// Position in the chain, from 1, without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who, such as `system:processor` or a person's name.
    pub actor: String,
    /// What, such as `phase.changed`.
    pub action: String,
    /// Details; never a secret.
    pub data: Value,
    /// Hash of the row before, [`GENESIS_HASH`] for the first.
    pub prev_hash: String,
    /// Hash of this row, see [`audit_hash`].
    pub hash: String,
}

/// Hex SHA-256 over the row's fields as one JSON array `[incident_id, seq, at, actor, action, data, prev_hash]`.
///
/// Without spaces; `at` is microseconds since 1970, object keys in `data` are sorted.
#[must_use]
pub fn audit_hash(row: &AuditRow) -> String {
    let at = row.at.as_microsecond();
    let body = serde_json::json!([row.incident_id, row.seq, at, row.actor, row.action, sorted(&row.data), row.prev_hash]);
    hex::encode(Sha256::digest(body.to_string().as_bytes()))
}

/// The value with the keys of all objects sorted, so that a hash does not depend on how a map keeps them.
pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(k, _)| k.as_str());
            Value::Object(entries.into_iter().map(|(k, v)| (k.clone(), sorted(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// The position of the first row that breaks the chain of one incident (`rows` in order), or `None` if it verifies.
#[must_use]
pub fn first_broken_row(rows: &[AuditRow]) -> Option<u64> {
    let mut prev = GENESIS_HASH;
    for (expected, row) in (1..).zip(rows) {
        if row.seq != expected || row.prev_hash != prev || row.hash != audit_hash(row) {
            return Some(expected);
        }
        prev = &row.hash;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain() -> Vec<AuditRow> {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let id = IncidentId::new(at);
        let mut rows: Vec<AuditRow> = Vec::new();
        for seq in 1..=3 {
            let prev_hash = rows.last().map_or(GENESIS_HASH.to_owned(), |r| r.hash.clone());
            let mut row = AuditRow {
                incident_id: id,
                seq,
                at,
                actor: "a".into(),
                action: "x".into(),
                data: json!({"b": seq, "a": 1}),
                prev_hash,
                hash: String::new(),
            };
            row.hash = audit_hash(&row);
            rows.push(row);
        }
        rows
    }

    #[test]
    fn a_changed_missing_or_moved_row_breaks_the_chain() {
        assert_eq!(first_broken_row(&chain()), None);
        let mut changed = chain();
        changed[1].data = json!({});
        assert_eq!(first_broken_row(&changed), Some(2));
        let mut missing = chain();
        missing.remove(0);
        assert_eq!(first_broken_row(&missing), Some(1));
        let mut moved = chain();
        moved.swap(1, 2);
        assert_eq!(first_broken_row(&moved), Some(2));
    }
}
