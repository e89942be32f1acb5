//! The stream of events and the audit chains.

use kubernaut_core::{
    Error, ErrorKind,
    model::{AuditRow, Event, EventId, IncidentId, Timestamp},
    port::NewEvent,
};
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    bulk,
    error::Fault,
    incidents,
    row::{chain_end, decode, encode, int, limit, micros, time, uint},
    tx::Tx,
};
use crate::rules::audit::{self, Subject};

/// Adds events with their audit rows to an incident.
pub(crate) async fn append(tx: &mut Tx, id: IncidentId, events: Vec<NewEvent>) -> Result<(), Fault> {
    let query = sqlx::query("SELECT tenant, cluster, attempt, audit_seq, audit_hash FROM incidents WHERE id = ?").bind(id.to_string());
    let row = tx.optional(query).await?.ok_or_else(|| incidents::unknown("ledger.append_events", id))?;
    if events.is_empty() {
        return Ok(());
    }
    let subject = Subject { id, tenant: row.try_get("tenant")?, cluster: row.try_get("cluster")?, attempt: row.try_get("attempt")? };
    let mut end = chain_end(&row)?;
    let rows = audit::rows(&subject, &mut end, events, tx.now);
    insert(tx, &rows).await?;
    let moved = sqlx::query("UPDATE incidents SET audit_seq = ?, audit_hash = ? WHERE id = ?").bind(int(end.seq)).bind(end.hash).bind(id.to_string());
    tx.execute(moved).await?;
    Ok(())
}

/// Writes events and audit rows that go together.
pub(crate) async fn insert(tx: &mut Tx, rows: &[(Event, AuditRow)]) -> Result<(), Fault> {
    let data: Vec<String> = rows.iter().map(|(event, _)| encode("event", &event.data)).collect::<Result<_, _>>()?;
    let rows: Vec<(&Event, &AuditRow, &str)> = rows.iter().zip(&data).map(|((event, audit), data)| (event, audit, data.as_str())).collect();
    let columns = &["id", "at", "tenant", "cluster", "incident_id", "attempt", "schema", "kind", "data"];
    bulk::write(tx, "events", columns, "", &rows, |to, (event, _, data)| {
        to.push_bind(event.id.to_string());
        to.push_bind(micros(event.at));
        to.push_bind(event.tenant.clone());
        to.push_bind(event.cluster.clone());
        to.push_bind(event.incident_id.to_string());
        to.push_bind(event.attempt);
        to.push_bind(event.schema);
        to.push_bind(event.kind.clone());
        to.push_bind((*data).to_owned());
    })
    .await?;
    let columns = &["incident_id", "seq", "at", "actor", "action", "data", "prev_hash", "hash"];
    bulk::write(tx, "audit", columns, "", &rows, |to, (_, audit, data)| {
        to.push_bind(audit.incident_id.to_string());
        to.push_bind(int(audit.seq));
        to.push_bind(micros(audit.at));
        to.push_bind(audit.actor.clone());
        to.push_bind(audit.action.clone());
        to.push_bind((*data).to_owned());
        to.push_bind(audit.prev_hash.clone());
        to.push_bind(audit.hash.clone());
    })
    .await
}

pub(crate) async fn after(tx: &mut Tx, seq: u64, incident: Option<IncidentId>, wanted: Option<u32>) -> Result<Vec<Event>, Fault> {
    let limit = limit(wanted, 100, 1000);
    let query = match incident {
        Some(id) => sqlx::query("SELECT * FROM events WHERE incident_id = ? AND seq > ? ORDER BY seq LIMIT ?").bind(id.to_string()),
        None => sqlx::query("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?"),
    };
    tx.all(query.bind(int(seq)).bind(limit)).await?.iter().map(event).collect()
}

/// The audit chain of an incident. Rows missing at its end are found out here, the rest by verifying the hashes.
pub(crate) async fn chain(tx: &mut Tx, id: IncidentId) -> Result<Vec<AuditRow>, Fault> {
    let query = sqlx::query("SELECT audit_seq, audit_hash FROM incidents WHERE id = ?").bind(id.to_string());
    let row = tx.optional(query).await?.ok_or_else(|| incidents::unknown("ledger.audit", id))?;
    let expected = chain_end(&row)?.seq;
    let query = sqlx::query("SELECT * FROM audit WHERE incident_id = ? AND seq <= ? ORDER BY seq").bind(id.to_string()).bind(int(expected));
    let rows: Vec<AuditRow> = tx.all(query).await?.iter().map(|row| audit_row(id, row)).collect::<Result<_, _>>()?;
    let last = rows.last().map_or(0, |row| row.seq);
    if last < expected {
        let error = Error::new(ErrorKind::Corrupt, "ledger.audit", "audit rows are missing at the end of the chain; compare with a backup");
        return Err(error.with("id", id).with("rows", expected).with("last", last).into());
    }
    Ok(rows)
}

fn event(row: &SqliteRow) -> Result<Event, Fault> {
    let id: &str = row.try_get("id")?;
    let incident: &str = row.try_get("incident_id")?;
    Ok(Event {
        schema: row.try_get("schema")?,
        seq: uint(row.try_get("seq")?),
        id: id.parse::<EventId>()?,
        at: at(row)?,
        tenant: row.try_get("tenant")?,
        cluster: row.try_get("cluster")?,
        incident_id: incident.parse::<IncidentId>()?,
        attempt: row.try_get("attempt")?,
        kind: row.try_get("kind")?,
        data: decode("event", id, row.try_get("data")?)?,
    })
}

fn audit_row(id: IncidentId, row: &SqliteRow) -> Result<AuditRow, Fault> {
    Ok(AuditRow {
        incident_id: id,
        seq: uint(row.try_get("seq")?),
        at: at(row)?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        data: decode("audit row", &id.to_string(), row.try_get("data")?)?,
        prev_hash: row.try_get("prev_hash")?,
        hash: row.try_get("hash")?,
    })
}

fn at(row: &SqliteRow) -> Result<Timestamp, Fault> {
    time(row.try_get("at")?)
}
