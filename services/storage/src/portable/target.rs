//! Filling an empty ledger, and making sure that it holds what it was given.

use kubernaut_core::{Error, ErrorKind, Result};

use super::{
    content::{self, Sum},
    side::Side,
    tables::{TABLES, Table},
    words,
};
use crate::{
    AuditReport, AuditVerifier,
    audit::prove,
    shared::{
        fault::Fault,
        sql::{Row, Value, number},
    },
};

/// Refuses a ledger that holds anything.
pub(crate) async fn require_empty(side: &mut Side) -> Result<(), Fault> {
    for table in TABLES {
        let mut sql = side.sql();
        if !content::page(&mut *sql, table, None).await?.is_empty() {
            let error = Error::conflict("ledger.fill", "the target holds a ledger already; name an empty database or another schema or file");
            return Err(error.with("table", table.name).into());
        }
    }
    Ok(())
}

/// Writes rows of one table, with what is derived from them.
pub(crate) async fn write(side: &mut Side, table: &Table, rows: &[Row]) -> Result<(), Fault> {
    let sqlite = side.is_sqlite();
    let mut sql = side.sql();
    content::insert(&mut *sql, table, rows).await?;
    if table.name == "memory" {
        words::index(&mut *sql, sqlite, rows).await?;
    }
    Ok(())
}

/// The last number that was given to an event, which may be gone by now.
pub(crate) async fn last_event(side: &mut Side) -> Result<i64, Fault> {
    let query = if side.is_sqlite() { "SELECT seq FROM sqlite_sequence WHERE name = 'events'" } else { "SELECT last FROM event_numbers" };
    number(&mut *side.sql(), query, &[]).await
}

/// Lets numbers go on where they ended.
pub(crate) async fn set_numbers(side: &mut Side, last_event: i64) -> Result<(), Fault> {
    if side.is_sqlite() {
        let mut sql = side.sql();
        sql.run("DELETE FROM sqlite_sequence WHERE name = 'events'", &[]).await?;
        sql.run("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", &[Value::int(last_event)]).await?;
        return Ok(());
    }
    let mut sql = side.sql();
    words::count(&mut *sql).await?;
    sql.run("UPDATE event_numbers SET last = ?", &[Value::int(last_event)]).await?;
    for table in TABLES.iter().filter(|table| table.numbered) {
        let name = table.name;
        let next = number(&mut *sql, &format!("SELECT coalesce(max(seq), 0) + 1 FROM {name}"), &[]).await?;
        number(&mut *sql, &format!("SELECT setval(pg_get_serial_sequence('{name}', 'seq'), {next}, FALSE)"), &[]).await?;
    }
    Ok(())
}

/// Reads a table again and compares it with what was to be written.
pub(crate) async fn compare(side: &mut Side, table: &Table, expected: &Sum) -> Result<(), Fault> {
    let found = content::sum(&mut *side.sql(), table).await?;
    if found == *expected {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Corrupt, "ledger.compare", "the target does not hold what the source holds; nothing was kept, try again");
    let error = error.with("table", table.name).with("rows", found.rows).with("expected_rows", expected.rows);
    Err(error.with("sha256", found.sha256).with("expected_sha256", &expected.sha256).into())
}

/// Verifies all audit chains and checkpoints.
pub(crate) async fn verify(side: &mut Side, now: kubernaut_core::model::Timestamp, pinned: Option<String>) -> Result<AuditReport, Fault> {
    let mut verifier = AuditVerifier::new(pinned);
    let mut take = |line| {
        verifier.add(line);
        Ok(())
    };
    prove(&mut *side.sql(), now, &mut take).await?;
    Ok(verifier.finish())
}

/// The same, and an error if anything is broken.
pub(crate) async fn require_sound(side: &mut Side, now: kubernaut_core::model::Timestamp) -> Result<AuditReport, Fault> {
    let report = verify(side, now, None).await?;
    let Some(first) = report.broken.first() else { return Ok(report) };
    let text = "the audit of the source does not verify; run `kubernaut audit verify` on it and find out why before you move it";
    let error = Error::new(ErrorKind::Corrupt, "ledger.audit", text).with("broken", report.broken.len()).with("first", &first.what);
    let error = match first.incident {
        Some(id) => error.with("incident", id),
        None => error,
    };
    Err(error.into())
}
