//! Moving a ledger from one database to another.

use kubernaut_core::{Result, port::Clock};
use serde::Serialize;

use super::{
    LedgerPlace,
    content::{self, Sum, Summing},
    side::{Sharing, Side},
    tables::{TABLES, Table},
    target,
};
use crate::{AuditReport, ProofLine, audit::prove, shared::fault::Fault};

/// One table that was moved, as it was found again in the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedTable {
    /// Its name.
    pub table: &'static str,
    /// Rows on both sides.
    pub rows: u64,
    /// Hash over the content of both sides.
    pub sha256: String,
}

/// What was moved and verified.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    /// All tables, in the order in which they were written.
    pub tables: Vec<MovedTable>,
    /// The audit as it was verified in the target.
    pub audit: AuditReport,
}

/// Moves all of a ledger into an empty one.
///
/// The source is read in one transaction, a SQLite file with nobody else having it open. The target is committed only after every table was read
/// again and holds the same rows with the same hash, and after all audit chains and checkpoints have verified; else it stays empty.
///
/// # Errors
/// `LedgerInUse` if a process has the source open, `Conflict` if the target holds anything, `Corrupt` if a comparison or the audit fails, and
/// those of the databases.
pub async fn migrate(from: &LedgerPlace, to: &LedgerPlace, clock: &dyn Clock) -> Result<Moved> {
    const OPERATION: &str = "ledger.migrate";
    let mut source = Side::source(from, Sharing::Alone).await?;
    let mut into = Side::target(to, clock.now()).await?;
    let moved = async {
        target::require_empty(&mut into).await?;
        let mut sums = Vec::new();
        for table in TABLES {
            sums.push((table, copy(&mut source, &mut into, table).await?));
        }
        let last = target::last_event(&mut source).await?;
        target::set_numbers(&mut into, last).await?;
        for (table, sum) in &sums {
            target::compare(&mut into, table, sum).await?;
        }
        let audit = target::require_sound(&mut into, clock.now()).await?;
        into.commit().await?;
        let tables = sums.into_iter().map(|(table, sum)| MovedTable { table: table.name, rows: sum.rows, sha256: sum.sha256 }).collect();
        Ok::<_, Fault>(Moved { tables, audit })
    };
    moved.await.map_err(|fault| fault.public(OPERATION))
}

async fn copy(source: &mut Side, into: &mut Side, table: &Table) -> Result<Sum, Fault> {
    let (mut summing, mut last) = (Summing::default(), None);
    loop {
        let rows = content::page(&mut *source.sql(), table, last.as_ref()).await?;
        summing.add(&rows)?;
        target::write(into, table, &rows).await?;
        match rows.into_iter().last() {
            Some(row) => last = Some(row),
            None => return Ok(summing.sum()),
        }
    }
}

/// Verifies all audit chains and checkpoints of a ledger, also one that is in use.
///
/// # Errors
/// Those of the database. What does not fit is in the report.
pub async fn verify_audit(place: &LedgerPlace, clock: &dyn Clock, pinned: Option<String>) -> Result<AuditReport> {
    let mut source = Side::source(place, Sharing::Snapshot).await?;
    target::verify(&mut source, clock.now(), pinned).await.map_err(|fault| fault.public("audit.verify"))
}

/// Gives all lines of a proof to `take`, in order. The ledger may be in use; the proof is of one moment.
///
/// # Errors
/// Those of the database and of `take`.
pub async fn export_audit(place: &LedgerPlace, clock: &dyn Clock, mut take: impl FnMut(ProofLine) -> Result<()> + Send) -> Result<()> {
    let mut source = Side::source(place, Sharing::Snapshot).await?;
    let mut sql = source.sql();
    prove(&mut *sql, clock.now(), &mut take).await.map_err(|fault| fault.public("audit.export"))
}
