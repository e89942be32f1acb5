//! Verification of an export, without the database.

use std::collections::{BTreeSet, HashMap};

use kubernaut_core::model::{AuditRow, GENESIS_HASH, IncidentId, Timestamp, audit_hash};
use serde::Serialize;

use super::{ChainHead, Checkpoint, PROOF_FORMAT, ProofLine, PurgeRecord, signer};

/// One thing that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenProof {
    /// What is wrong.
    pub what: String,
    /// In the chain of this incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// At this row of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
}

/// What was verified.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AuditReport {
    /// Chains with rows.
    pub chains: u64,
    /// Rows in them.
    pub rows: u64,
    /// Chains that were purged, with a record of their end.
    pub purged: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Those of them that are signed.
    pub signed: u64,
    /// Keys that signed.
    pub public_keys: BTreeSet<String>,
    /// When the last checkpoint was taken. What was written since is proved by its own chain alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_checkpoint_at: Option<Timestamp>,
    /// What does not fit; empty if all is well.
    pub broken: Vec<BrokenProof>,
}

/// Takes an export line by line and says what does not fit.
#[derive(Debug, Default)]
pub struct AuditVerifier {
    /// Only this key may have signed, and every checkpoint must be signed.
    pinned: Option<String>,
    report: AuditReport,
    lines: u64,
    began: bool,
    ended: bool,
    purge: (u64, String),
    purges: HashMap<IncidentId, (u64, String)>,
    purge_hashes: HashMap<u64, String>,
    checkpoint: (u64, String),
    /// Rows that checkpoints name.
    named: HashMap<IncidentId, Vec<(u64, String)>>,
    heads: HashMap<IncidentId, (u64, String)>,
    chain: Option<Chain>,
}

#[derive(Debug)]
struct Chain {
    incident: IncidentId,
    seq: u64,
    hash: String,
    broken: bool,
    named: HashMap<u64, String>,
}

impl AuditVerifier {
    /// Begins; with a public key, every checkpoint must be signed by it.
    #[must_use]
    pub fn new(pinned: Option<String>) -> Self {
        let zero = || (0, GENESIS_HASH.to_owned());
        Self { pinned, purge: zero(), checkpoint: zero(), ..Self::default() }
    }

    fn broken(&mut self, what: impl Into<String>, incident: Option<IncidentId>, row: Option<u64>) {
        self.report.broken.push(BrokenProof { what: what.into(), incident, row });
    }

    /// Takes the next line.
    pub fn add(&mut self, line: ProofLine) {
        if self.ended {
            self.broken("a line follows the end", None, None);
        }
        self.lines += 1;
        match line {
            ProofLine::Header { format, .. } => {
                self.began = true;
                self.lines -= 1;
                if format != PROOF_FORMAT {
                    self.broken(format!("the format is {format}, this version reads {PROOF_FORMAT}"), None, None);
                }
            }
            ProofLine::Purge(record) => self.purge(&record),
            ProofLine::Checkpoint(checkpoint) => self.checkpoint(checkpoint),
            ProofLine::Head(ChainHead { incident_id, seq, hash }) => drop(self.heads.insert(incident_id, (seq, hash))),
            ProofLine::Row(row) => self.row(&row),
            ProofLine::End { lines } => {
                self.lines -= 1;
                self.ended = true;
                if lines != self.lines {
                    self.broken(format!("{} lines, but {lines} were written", self.lines), None, None);
                }
            }
        }
    }

    fn purge(&mut self, record: &PurgeRecord) {
        let (seq, hash) = &self.purge;
        if record.seq != seq + 1 || record.prev_hash != *hash || record.hash != record.expected_hash() {
            self.broken(format!("record {} of a purged chain does not fit the one before", record.seq), Some(record.incident_id), None);
        }
        self.purge = (record.seq, record.hash.clone());
        self.purge_hashes.insert(record.seq, record.hash.clone());
        self.purges.insert(record.incident_id, (record.last_seq, record.last_hash.clone()));
        self.report.purged += 1;
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        let name = format!("checkpoint {}", checkpoint.seq);
        let (seq, hash) = &self.checkpoint;
        if checkpoint.seq != seq + 1 || checkpoint.prev_hash != *hash || checkpoint.hash != checkpoint.expected_hash() {
            self.broken(format!("{name} does not fit the one before"), None, None);
        }
        let known = checkpoint.purge_seq == 0 || self.purge_hashes.get(&checkpoint.purge_seq) == Some(&checkpoint.purge_hash);
        if !known {
            self.broken(format!("{name} names a record of a purged chain that is not there"), None, None);
        }
        match (&checkpoint.public_key, &checkpoint.signature) {
            (Some(key), Some(signature)) => {
                if !signer::verifies(key, signature, &checkpoint.hash) {
                    self.broken(format!("the signature of {name} does not fit"), None, None);
                } else if self.pinned.as_ref().is_some_and(|pinned| pinned != key) {
                    self.broken(format!("{name} is signed by another key"), None, None);
                }
                self.report.signed += 1;
                self.report.public_keys.insert(key.clone());
            }
            _ if self.pinned.is_some() => self.broken(format!("{name} is not signed"), None, None),
            _ => {}
        }
        self.report.checkpoints += 1;
        self.report.last_checkpoint_at = Some(checkpoint.at);
        self.checkpoint = (checkpoint.seq, checkpoint.hash);
        for head in checkpoint.heads {
            self.named.entry(head.incident_id).or_default().push((head.seq, head.hash));
        }
    }

    fn row(&mut self, row: &AuditRow) {
        if self.chain.as_ref().is_none_or(|chain| chain.incident != row.incident_id) {
            self.finish_chain();
            let named = self.named.remove(&row.incident_id).unwrap_or_default().into_iter().collect();
            self.chain = Some(Chain { incident: row.incident_id, seq: 0, hash: GENESIS_HASH.to_owned(), broken: false, named });
            self.report.chains += 1;
        }
        self.report.rows += 1;
        let Some(chain) = &mut self.chain else { return };
        let fits = row.seq == chain.seq + 1 && row.prev_hash == chain.hash && row.hash == audit_hash(row);
        let as_named = chain.named.remove(&row.seq).is_none_or(|hash| hash == row.hash);
        let first = !chain.broken;
        chain.seq = row.seq;
        chain.hash.clone_from(&row.hash);
        chain.broken |= !fits || !as_named;
        if first && !fits {
            self.broken("the row does not fit the one before", Some(row.incident_id), Some(row.seq));
        } else if first && !as_named {
            self.broken("the row is not the one that a checkpoint names", Some(row.incident_id), Some(row.seq));
        }
    }

    fn finish_chain(&mut self) {
        let Some(chain) = self.chain.take() else { return };
        let id = Some(chain.incident);
        match self.heads.remove(&chain.incident) {
            Some((seq, hash)) if !chain.broken && (seq != chain.seq || hash != chain.hash) => {
                self.broken("the chain does not end where its incident says", id, Some(chain.seq.min(seq) + 1));
            }
            Some(_) => {}
            None => self.broken("the incident of the chain is missing", id, None),
        }
        if let Some(missing) = chain.named.keys().min().filter(|_| !chain.broken) {
            self.broken("a row that a checkpoint names is missing", id, Some(*missing));
        }
    }

    /// Ends, and says what was found.
    #[must_use]
    pub fn finish(mut self) -> AuditReport {
        self.finish_chain();
        if !self.began || !self.ended {
            self.broken("the export is cut off", None, None);
        }
        for (id, (seq, hash)) in std::mem::take(&mut self.heads) {
            if seq > 0 && self.purges.get(&id) != Some(&(seq, hash)) {
                self.broken("all rows of the incident are missing", Some(id), Some(1));
            }
        }
        for (id, named) in std::mem::take(&mut self.named) {
            let last = self.purges.get(&id);
            let covered = |(seq, hash): &(u64, String)| last.is_some_and(|(end, end_hash)| seq < end || (seq == end && hash == end_hash));
            if !named.iter().all(covered) {
                self.broken("the chain is gone, though a checkpoint names it and no record says that it was purged", Some(id), None);
            }
        }
        self.report.broken.sort_by_key(|b| (b.incident, b.row));
        self.report
    }
}
