//! Proof of what was done: checkpoints over all audit chains, records of purged ones, exports that anybody can verify.

pub(crate) mod checkpoint;
mod proof;
pub(crate) mod purge;
mod signer;
mod store;
mod verify;

pub use checkpoint::{ChainHead, Checkpoint};
pub use proof::{PROOF_FORMAT, ProofLine};
pub use purge::PurgeRecord;
pub use signer::{AuditKey, public_key};
pub(crate) use store::{prove, take_checkpoint};
pub use verify::{AuditReport, AuditVerifier, BrokenProof};
