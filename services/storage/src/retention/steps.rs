//! Purging in SQL, in small transactions.

use kubernaut_core::model::{GENESIS_HASH, IncidentId, Timestamp};

use super::RetentionClass;
use crate::{
    audit::PurgeRecord,
    shared::{
        fault::Fault,
        sql::{Kind, Row, Sql, Value, number, places},
        value::{int, micros, time, uint},
    },
};

/// `FROM … WHERE …` of what may go, with the name of the table and its key. Each takes the time as its one value.
struct Rows {
    table: &'static str,
    key: &'static str,
    from: &'static str,
}

const NO_HOLD: &str = "NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.incident_id = ";

const OUTBOX: &[Rows] =
    &[Rows { table: "outbox", key: "seq", from: "outbox x WHERE x.state <> 'pending' AND x.settled_at < ? AND NO_HOLDx.incident_id)" }];
const ALERTS: &[Rows] = &[Rows {
    table: "alerts",
    key: "seq",
    from: "alerts x LEFT JOIN incidents i ON i.id = x.incident_id WHERE x.received_at < ? AND (i.id IS NULL OR i.closed_at IS NOT NULL) \
           AND NO_HOLDx.incident_id)",
}];
// Not before a checkpoint covers them, for checkpoints find by events which chains have grown.
const EVENTS: &[Rows] = &[Rows {
    table: "events",
    key: "seq",
    from: "events x LEFT JOIN incidents i ON i.id = x.incident_id WHERE x.at < ? AND (i.id IS NULL OR i.closed_at IS NOT NULL) \
           AND x.seq <= (SELECT coalesce(max(last_event), 0) FROM audit_checkpoints) AND NO_HOLDx.incident_id)",
}];
const JOURNAL: &[Rows] = &[
    Rows {
        table: "journal",
        key: "seq",
        from: "journal x JOIN runs r ON r.id = x.run_id JOIN incidents i ON i.id = r.incident_id WHERE i.closed_at < ? AND r.ended \
               AND NO_HOLDr.incident_id)",
    },
    Rows {
        table: "signals",
        key: "seq",
        from: "signals x JOIN runs r ON r.id = x.run_id JOIN incidents i ON i.id = r.incident_id WHERE i.closed_at < ? AND r.ended AND x.consumed \
               AND NO_HOLDr.incident_id)",
    },
];
/// Ended incidents whose runs have ended and whose notifications are settled.
const INCIDENTS: &str = "incidents x JOIN incident_docs d ON d.incident_id = x.id WHERE x.closed_at < ? AND NO_HOLDx.id) \
                         AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.incident_id = x.id AND NOT r.ended) \
                         AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.incident_id = x.id AND o.state = 'pending')";
/// What is left of incidents that are gone: the end of their chain.
const AUDIT: &str = "incidents x WHERE x.closed_at < ? AND NO_HOLDx.id) AND NOT EXISTS (SELECT 1 FROM incident_docs d WHERE d.incident_id = x.id)";

fn from(text: &str) -> String {
    text.replace("NO_HOLD", NO_HOLD)
}

/// Counts what may go (`batch` is `None`), or removes at most so much of it. Answers with the number of rows, of incidents or of chains.
pub(crate) async fn purge(
    sql: &mut dyn Sql,
    class: RetentionClass,
    before: Timestamp,
    batch: Option<u32>,
    now: Timestamp,
    actor: &str,
) -> Result<u64, Fault> {
    let rows = match class {
        RetentionClass::Outbox => OUTBOX,
        RetentionClass::Alerts => ALERTS,
        RetentionClass::Events => EVENTS,
        RetentionClass::Journal => JOURNAL,
        RetentionClass::Incidents => return incidents(sql, before, batch).await,
        RetentionClass::Audit => return chains(sql, before, batch, now, actor).await,
    };
    let mut gone = 0;
    let value = [Value::int(micros(before))];
    for Rows { table, key, from: text } in rows {
        let from = from(text);
        gone += match batch {
            None => uint(number(sql, &format!("SELECT count(*) FROM {from}"), &value).await?),
            Some(batch) => {
                let oldest = format!("SELECT x.{key} FROM {from} ORDER BY x.{key} LIMIT {batch}");
                sql.run(&format!("DELETE FROM {table} WHERE {key} IN ({oldest})"), &value).await?
            }
        };
    }
    Ok(gone)
}

async fn incidents(sql: &mut dyn Sql, before: Timestamp, batch: Option<u32>) -> Result<u64, Fault> {
    let (from, value) = (from(INCIDENTS), [Value::int(micros(before))]);
    let Some(batch) = batch else {
        return Ok(uint(number(sql, &format!("SELECT count(*) FROM {from}"), &value).await?));
    };
    let found = sql.rows(&format!("SELECT x.id FROM {from} ORDER BY x.id LIMIT {batch}"), &value, &[Kind::Text]).await?;
    let ids: Vec<Value> = found.into_iter().flatten().collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let these = places(ids.len());
    let of_runs = format!("run_id IN (SELECT id FROM runs WHERE incident_id IN {these})");
    let of_incidents = format!("incident_id IN {these}");
    for (table, which) in [
        ("signals", &of_runs),
        ("journal", &of_runs),
        ("approvals", &of_incidents),
        ("runs", &of_incidents),
        ("intents", &of_incidents),
        ("outbox", &of_incidents),
        ("alert_words", &of_incidents),
        ("alerts", &of_incidents),
        ("incident_docs", &of_incidents),
    ] {
        sql.run(&format!("DELETE FROM {table} WHERE {which}"), &ids).await?;
    }
    Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
}

async fn chains(sql: &mut dyn Sql, before: Timestamp, batch: Option<u32>, now: Timestamp, actor: &str) -> Result<u64, Fault> {
    let (from, value) = (from(AUDIT), [Value::int(micros(before))]);
    let Some(batch) = batch else {
        return Ok(uint(number(sql, &format!("SELECT count(*) FROM {from}"), &value).await?));
    };
    let columns = [Kind::Text, Kind::Int, Kind::Text];
    let found = sql.rows(&format!("SELECT x.id, x.audit_seq, x.audit_hash FROM {from} ORDER BY x.id LIMIT {batch}"), &value, &columns).await?;
    let mut gone = 0;
    for row in &found {
        gone += u64::from(chain(sql, row, now, actor).await?);
    }
    Ok(gone)
}

/// Records the end of one chain, then removes it. One that does not end where its incident says is left alone: somebody has to look at it.
async fn chain(sql: &mut dyn Sql, row: &Row, now: Timestamp, actor: &str) -> Result<bool, Fault> {
    let [id, seq, hash] = row.as_slice() else { return Ok(false) };
    let of = std::slice::from_ref(id);
    let query = "SELECT seq, hash, at FROM audit WHERE incident_id = ? ORDER BY seq DESC LIMIT 1";
    let last = sql.rows(query, of, &[Kind::Int, Kind::Text, Kind::Int]).await?;
    let Some([last_seq, last_hash, last_at]) = last.first().map(Vec::as_slice) else { return Ok(false) };
    if last_seq != seq || last_hash != hash {
        tracing::error!(incident = id.as_text()?, "the audit chain does not end where its incident says; it is not purged; verify the audit");
        return Ok(false);
    }
    let rows = number(sql, "SELECT count(*) FROM audit WHERE incident_id = ?", of).await?;
    let before = sql.rows("SELECT seq, hash FROM audit_purges ORDER BY seq DESC LIMIT 1", &[], &[Kind::Int, Kind::Text]).await?;
    let (number, prev_hash) = match before.first().map(Vec::as_slice) {
        Some([seq, hash]) => (uint(seq.as_int()?), hash.as_text()?.to_owned()),
        _ => (0, GENESIS_HASH.to_owned()),
    };
    let mut record = PurgeRecord {
        seq: number + 1,
        incident_id: id.as_text()?.parse::<IncidentId>()?,
        rows: uint(rows),
        last_seq: uint(last_seq.as_int()?),
        last_hash: last_hash.as_text()?.to_owned(),
        last_at: time(last_at.as_int()?)?,
        at: time(micros(now))?,
        actor: actor.to_owned(),
        prev_hash,
        hash: String::new(),
    };
    record.hash = record.expected_hash();
    write(sql, &record).await?;
    sql.run("DELETE FROM audit WHERE incident_id = ?", of).await?;
    sql.run("DELETE FROM events WHERE incident_id = ?", of).await?;
    sql.run("DELETE FROM incidents WHERE id = ?", of).await?;
    Ok(true)
}

async fn write(sql: &mut dyn Sql, record: &PurgeRecord) -> Result<(), Fault> {
    let values = [
        Value::int(int(record.seq)),
        Value::text(record.incident_id.to_string()),
        Value::int(int(record.rows)),
        Value::int(int(record.last_seq)),
        Value::text(&record.last_hash),
        Value::int(micros(record.last_at)),
        Value::int(micros(record.at)),
        Value::text(&record.actor),
        Value::text(&record.prev_hash),
        Value::text(&record.hash),
    ];
    let statement = "INSERT INTO audit_purges (seq, incident_id, rows, last_seq, last_hash, last_at, at, actor, prev_hash, hash) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    sql.run(statement, &values).await?;
    Ok(())
}

/// Puts an incident under a legal hold; `false` if it is under one already.
pub(crate) async fn hold(sql: &mut dyn Sql, id: IncidentId, actor: &str, reason: &str, now: Timestamp) -> Result<bool, Fault> {
    let values = [Value::text(id.to_string()), Value::int(micros(now)), Value::text(actor), Value::text(reason)];
    let statement = "INSERT INTO legal_holds (incident_id, at, actor, reason) VALUES (?, ?, ?, ?) ON CONFLICT (incident_id) DO NOTHING";
    Ok(sql.run(statement, &values).await? == 1)
}

/// Ends a legal hold; `false` if there is none.
pub(crate) async fn release(sql: &mut dyn Sql, id: IncidentId) -> Result<bool, Fault> {
    Ok(sql.run("DELETE FROM legal_holds WHERE incident_id = ?", &[Value::text(id.to_string())]).await? == 1)
}

/// All legal holds, oldest first.
pub(crate) async fn holds(sql: &mut dyn Sql) -> Result<Vec<(IncidentId, Timestamp, String, String)>, Fault> {
    let columns = [Kind::Text, Kind::Int, Kind::Text, Kind::Text];
    let rows = sql.rows("SELECT incident_id, at, actor, reason FROM legal_holds ORDER BY at, incident_id", &[], &columns).await?;
    let read = |row: &Row| match row.as_slice() {
        [id, at, actor, reason] => {
            Ok((id.as_text()?.parse::<IncidentId>()?, time(at.as_int()?)?, actor.as_text()?.to_owned(), reason.as_text()?.to_owned()))
        }
        _ => Err(Fault::Value { what: "legal hold", value: String::new() }),
    };
    rows.iter().map(read).collect()
}
