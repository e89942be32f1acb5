//! The stream of events and the audit chains.
//!
//! An event gets its number after it was committed, under a lock of all processes: so a number is never visible before a lower one, and no
//! commit waits for another one.

use kubernaut_core::{
    Error, ErrorKind,
    model::{AuditRow, Event, EventId, IncidentId, Timestamp},
    port::NewEvent,
};
use sqlx::{Row, postgres::PgRow};

use super::{
    error::Fault,
    incidents,
    row::{chain_end, decode, encode, int, limit, micros, small, time, uint},
    tx::Tx,
};
use crate::{
    rules::audit::{self, Subject},
    shared::sql::{self, Sql, Value},
};

/// Numbers given in one transaction at most.
const NUMBERED_AT_ONCE: i64 = 5_000;

/// Adds events with their audit rows to an incident.
pub(crate) async fn append(tx: &mut Tx, id: IncidentId, events: Vec<NewEvent>) -> Result<(), Fault> {
    let query = sqlx::query("SELECT tenant, cluster, attempt, audit_seq, audit_hash FROM incidents WHERE id = $1 FOR UPDATE").bind(id.to_string());
    let row = tx.optional(query).await?.ok_or_else(|| incidents::unknown("ledger.append_events", id))?;
    if events.is_empty() {
        return Ok(());
    }
    let subject = Subject { id, tenant: row.try_get("tenant")?, cluster: row.try_get("cluster")?, attempt: small(row.try_get("attempt")?)? };
    let mut end = chain_end(&row)?;
    let rows = audit::rows(&subject, &mut end, events, tx.now);
    insert(tx, &rows).await?;
    let moved = sqlx::query("UPDATE incidents SET audit_seq = $1, audit_hash = $2 WHERE id = $3");
    tx.execute(moved.bind(int(end.seq)).bind(end.hash).bind(id.to_string())).await?;
    Ok(())
}

/// Writes events and audit rows that go together, in one statement.
pub(crate) async fn insert(tx: &mut Tx, rows: &[(Event, AuditRow)]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&(Event, AuditRow)) -> String| -> Vec<String> { rows.iter().map(of).collect() };
    let numbers = |of: fn(&(Event, AuditRow)) -> i64| -> Vec<i64> { rows.iter().map(of).collect() };
    let data: Vec<String> = rows.iter().map(|(event, _)| encode("event", &event.data)).collect::<Result<_, _>>()?;
    let query = sqlx::query(
        "WITH new AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], \
         $9::text[], $10::bigint[], $11::text[], $12::text[], $13::text[]) WITH ORDINALITY AS t (id, at, tenant, cluster, incident_id, attempt, \
         schema, kind, data, audit_seq, actor, prev_hash, hash, n)), audited AS (INSERT INTO audit (incident_id, seq, at, actor, action, data, \
         prev_hash, hash) SELECT incident_id, audit_seq, at, actor, kind, data, prev_hash, hash FROM new) \
         INSERT INTO events (id, at, tenant, cluster, incident_id, attempt, schema, kind, data) \
         SELECT id, at, tenant, cluster, incident_id, attempt, schema, kind, data FROM new ORDER BY n",
    )
    .bind(texts(|(e, _)| e.id.to_string()))
    .bind(numbers(|(e, _)| micros(e.at)))
    .bind(texts(|(e, _)| e.tenant.clone()))
    .bind(texts(|(e, _)| e.cluster.clone()))
    .bind(texts(|(e, _)| e.incident_id.to_string()))
    .bind(numbers(|(e, _)| i64::from(e.attempt)))
    .bind(numbers(|(e, _)| i64::from(e.schema)))
    .bind(texts(|(e, _)| e.kind.clone()))
    .bind(data)
    .bind(numbers(|(_, a)| int(a.seq)))
    .bind(texts(|(_, a)| a.actor.clone()))
    .bind(texts(|(_, a)| a.prev_hash.clone()))
    .bind(texts(|(_, a)| a.hash.clone()));
    tx.execute(query).await?;
    Ok(())
}

pub(crate) async fn any_without_number(tx: &mut Tx) -> Result<bool, Fault> {
    Ok(tx.optional(sqlx::query("SELECT 1 FROM events WHERE seq IS NULL LIMIT 1")).await?.is_some())
}

/// Gives numbers to events that are committed and have none; the lock is held until these numbers are committed too.
pub(crate) async fn number(sql: &mut dyn Sql) -> Result<(), Fault> {
    let last = sql::number(sql, "SELECT last FROM event_numbers FOR UPDATE", &[]).await?;
    let statement = "WITH new AS (SELECT place, row_number() OVER (ORDER BY place) AS n FROM (SELECT place FROM events WHERE seq IS NULL \
                     ORDER BY place LIMIT ?) AS p) UPDATE events SET seq = ? + new.n FROM new WHERE events.place = new.place";
    let given = sql.run(statement, &[Value::int(NUMBERED_AT_ONCE), Value::int(last)]).await?;
    sql.run("UPDATE event_numbers SET last = ?", &[Value::int(last + int(given))]).await?;
    Ok(())
}

/// The same for all of them.
pub(crate) async fn number_all(sql: &mut dyn Sql) -> Result<(), Fault> {
    while sql::number(sql, "SELECT count(*) FROM (SELECT 1 FROM events WHERE seq IS NULL LIMIT 1) AS one", &[]).await? > 0 {
        number(sql).await?;
    }
    Ok(())
}

pub(crate) async fn after(tx: &mut Tx, seq: u64, incident: Option<IncidentId>, wanted: Option<u32>) -> Result<Vec<Event>, Fault> {
    let limit = limit(wanted, 100, 1000);
    let query = match incident {
        Some(id) => sqlx::query("SELECT * FROM events WHERE seq > $1 AND incident_id = $3 ORDER BY seq LIMIT $2")
            .bind(int(seq))
            .bind(limit)
            .bind(id.to_string()),
        None => sqlx::query("SELECT * FROM events WHERE seq > $1 ORDER BY seq LIMIT $2").bind(int(seq)).bind(limit),
    };
    tx.all(query).await?.iter().map(event).collect()
}

/// The audit chain of an incident. Rows missing at its end are found out here, the rest by verifying the hashes.
pub(crate) async fn chain(tx: &mut Tx, id: IncidentId) -> Result<Vec<AuditRow>, Fault> {
    let query = sqlx::query("SELECT audit_seq, audit_hash FROM incidents WHERE id = $1").bind(id.to_string());
    let row = tx.optional(query).await?.ok_or_else(|| incidents::unknown("ledger.audit", id))?;
    let expected = chain_end(&row)?.seq;
    let query = sqlx::query("SELECT * FROM audit WHERE incident_id = $1 AND seq <= $2 ORDER BY seq").bind(id.to_string()).bind(int(expected));
    let rows: Vec<AuditRow> = tx.all(query).await?.iter().map(|row| audit_row(id, row)).collect::<Result<_, _>>()?;
    let last = rows.last().map_or(0, |row| row.seq);
    if last < expected {
        let error = Error::new(ErrorKind::Corrupt, "ledger.audit", "audit rows are missing at the end of the chain; compare with a backup");
        return Err(error.with("id", id).with("rows", expected).with("last", last).into());
    }
    Ok(rows)
}

fn event(row: &PgRow) -> Result<Event, Fault> {
    let id: &str = row.try_get("id")?;
    let incident: &str = row.try_get("incident_id")?;
    Ok(Event {
        schema: small(row.try_get("schema")?)?,
        seq: uint(row.try_get("seq")?),
        id: id.parse::<EventId>()?,
        at: at(row)?,
        tenant: row.try_get("tenant")?,
        cluster: row.try_get("cluster")?,
        incident_id: incident.parse::<IncidentId>()?,
        attempt: small(row.try_get("attempt")?)?,
        kind: row.try_get("kind")?,
        data: decode("event", id, row.try_get("data")?)?,
    })
}

fn audit_row(id: IncidentId, row: &PgRow) -> Result<AuditRow, Fault> {
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

fn at(row: &PgRow) -> Result<Timestamp, Fault> {
    time(row.try_get("at")?)
}
