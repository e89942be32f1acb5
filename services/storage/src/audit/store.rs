//! Checkpoints and exports from a database.

use kubernaut_core::{
    Error,
    model::{AuditRow, GENESIS_HASH, IncidentId, Timestamp},
};

use super::{AuditKey, ChainHead, Checkpoint, PROOF_FORMAT, ProofLine, PurgeRecord};
use crate::{
    portable::{
        content,
        tables::{TABLES, Table},
    },
    shared::{
        fault::Fault,
        sql::{Kind, Row, Sql, Value, number, places},
        value::{decode, encode, int, micros, time, uint},
    },
};

/// Events that one checkpoint covers at most.
const EVENTS: i64 = 20_000;
/// Values in one statement at most.
const IDS: usize = 400;

fn id(value: &Value) -> Result<IncidentId, Fault> {
    Ok(value.as_text()?.parse::<IncidentId>()?)
}

/// Takes a checkpoint if there are events that none covers; answers with the last event covered, or `None` if there was nothing to do.
pub(crate) async fn take_checkpoint(sql: &mut dyn Sql, now: Timestamp, key: Option<&AuditKey>) -> Result<Option<u64>, Fault> {
    let columns = [Kind::Int, Kind::Int, Kind::Text];
    let last = sql.rows("SELECT seq, last_event, hash FROM audit_checkpoints ORDER BY seq DESC LIMIT 1", &[], &columns).await?;
    let (seq, covered, prev_hash) = match last.first().map(Vec::as_slice) {
        Some([seq, event, hash]) => (seq.as_int()?, event.as_int()?, hash.as_text()?.to_owned()),
        _ => (0, 0, GENESIS_HASH.to_owned()),
    };
    let newest =
        number(sql, "SELECT coalesce(max(seq), 0) FROM events WHERE seq > ? AND seq <= ?", &[Value::int(covered), Value::int(covered + EVENTS)])
            .await?;
    // Past a gap wider than one checkpoint, which purged events leave.
    let newest =
        if newest > 0 { newest } else { number(sql, "SELECT coalesce(min(seq), 0) FROM events WHERE seq > ?", &[Value::int(covered)]).await? };
    if newest <= covered {
        return Ok(None);
    }
    let grown = "SELECT DISTINCT incident_id FROM events WHERE seq > ? AND seq <= ? ORDER BY incident_id";
    let ids: Vec<Value> = sql.rows(grown, &[Value::int(covered), Value::int(newest)], &[Kind::Text]).await?.into_iter().flatten().collect();
    let mut heads = Vec::with_capacity(ids.len());
    for part in ids.chunks(IDS) {
        let query = format!("SELECT id, audit_seq, audit_hash FROM incidents WHERE id IN {} ORDER BY id", places(part.len()));
        for row in sql.rows(&query, part, &[Kind::Text, Kind::Int, Kind::Text]).await? {
            heads.push(head(&row)?);
        }
    }
    let purges = sql.rows("SELECT seq, hash FROM audit_purges ORDER BY seq DESC LIMIT 1", &[], &[Kind::Int, Kind::Text]).await?;
    let (purge_seq, purge_hash) = match purges.first().map(Vec::as_slice) {
        Some([seq, hash]) => (uint(seq.as_int()?), hash.as_text()?.to_owned()),
        _ => (0, GENESIS_HASH.to_owned()),
    };
    let mut checkpoint = Checkpoint {
        seq: uint(seq + 1),
        at: time(micros(now))?,
        last_event: uint(newest),
        heads,
        purge_seq,
        purge_hash,
        prev_hash,
        hash: String::new(),
        public_key: key.map(AuditKey::public),
        signature: None,
    };
    checkpoint.hash = checkpoint.expected_hash();
    checkpoint.signature = key.map(|key| key.sign(&checkpoint.hash));
    write(sql, &checkpoint).await?;
    Ok(Some(checkpoint.last_event))
}

fn head(row: &Row) -> Result<ChainHead, Fault> {
    match row.as_slice() {
        [incident, seq, hash] => Ok(ChainHead { incident_id: id(incident)?, seq: uint(seq.as_int()?), hash: hash.as_text()?.to_owned() }),
        _ => Err(Fault::Value { what: "end of an audit chain", value: String::new() }),
    }
}

async fn write(sql: &mut dyn Sql, checkpoint: &Checkpoint) -> Result<(), Fault> {
    let values = [
        Value::int(int(checkpoint.seq)),
        Value::int(micros(checkpoint.at)),
        Value::int(int(checkpoint.last_event)),
        Value::text(encode("checkpoint", &checkpoint.heads)?),
        Value::int(int(checkpoint.purge_seq)),
        Value::text(&checkpoint.purge_hash),
        Value::text(&checkpoint.prev_hash),
        Value::text(&checkpoint.hash),
        Value::Text(checkpoint.public_key.clone()),
        Value::Text(checkpoint.signature.clone()),
    ];
    let statement = "INSERT INTO audit_checkpoints (seq, at, last_event, heads, purge_seq, purge_hash, prev_hash, hash, public_key, signature) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    sql.run(statement, &values).await?;
    Ok(())
}

/// Gives all lines of an export to `take`, in order.
pub(crate) async fn prove(
    sql: &mut dyn Sql,
    now: Timestamp,
    take: &mut (dyn FnMut(ProofLine) -> kubernaut_core::Result<()> + Send),
) -> Result<(), Fault> {
    take(ProofLine::Header { format: PROOF_FORMAT.to_owned(), at: now })?;
    let mut lines = 0;
    for (name, read) in [("audit_purges", purge_line as fn(&Row) -> Result<ProofLine, Fault>), ("audit_checkpoints", checkpoint_line)] {
        lines += each(sql, table(name)?, read, take).await?;
    }
    let heads =
        Table { name: "incidents", columns: &[("id", Kind::Text), ("audit_seq", Kind::Int), ("audit_hash", Kind::Text)], key: 1, numbered: false };
    lines += each(sql, &heads, |row| Ok(ProofLine::Head(head(row)?)), take).await?;
    lines += each(sql, table("audit")?, row_line, take).await?;
    take(ProofLine::End { lines })?;
    Ok(())
}

fn table(name: &str) -> Result<&'static Table, Fault> {
    TABLES.iter().find(|table| table.name == name).ok_or_else(|| Error::internal("audit.export", "unknown table").into())
}

async fn each(
    sql: &mut dyn Sql,
    table: &Table,
    read: fn(&Row) -> Result<ProofLine, Fault>,
    take: &mut (dyn FnMut(ProofLine) -> kubernaut_core::Result<()> + Send),
) -> Result<u64, Fault> {
    let (mut lines, mut last) = (0, None);
    loop {
        let rows = content::page(sql, table, last.as_ref()).await?;
        for row in &rows {
            take(read(row)?)?;
            lines += 1;
        }
        match rows.into_iter().last() {
            Some(row) => last = Some(row),
            None => return Ok(lines),
        }
    }
}

fn shape() -> Fault {
    Fault::Value { what: "row of the audit", value: String::new() }
}

fn purge_line(row: &Row) -> Result<ProofLine, Fault> {
    let [seq, incident, rows, last_seq, last_hash, last_at, at, actor, prev_hash, hash] = row.as_slice() else { return Err(shape()) };
    Ok(ProofLine::Purge(PurgeRecord {
        seq: uint(seq.as_int()?),
        incident_id: id(incident)?,
        rows: uint(rows.as_int()?),
        last_seq: uint(last_seq.as_int()?),
        last_hash: last_hash.as_text()?.to_owned(),
        last_at: time(last_at.as_int()?)?,
        at: time(at.as_int()?)?,
        actor: actor.as_text()?.to_owned(),
        prev_hash: prev_hash.as_text()?.to_owned(),
        hash: hash.as_text()?.to_owned(),
    }))
}

fn checkpoint_line(row: &Row) -> Result<ProofLine, Fault> {
    let [seq, at, last_event, heads, purge_seq, purge_hash, prev_hash, hash, public_key, signature] = row.as_slice() else { return Err(shape()) };
    Ok(ProofLine::Checkpoint(Checkpoint {
        seq: uint(seq.as_int()?),
        at: time(at.as_int()?)?,
        last_event: uint(last_event.as_int()?),
        heads: decode("checkpoint", "", heads.as_text()?)?,
        purge_seq: uint(purge_seq.as_int()?),
        purge_hash: purge_hash.as_text()?.to_owned(),
        prev_hash: prev_hash.as_text()?.to_owned(),
        hash: hash.as_text()?.to_owned(),
        public_key: public_key.as_text().ok().map(str::to_owned),
        signature: signature.as_text().ok().map(str::to_owned),
    }))
}

fn row_line(row: &Row) -> Result<ProofLine, Fault> {
    let [incident, seq, at, actor, action, data, prev_hash, hash] = row.as_slice() else { return Err(shape()) };
    Ok(ProofLine::Row(AuditRow {
        incident_id: id(incident)?,
        seq: uint(seq.as_int()?),
        at: time(at.as_int()?)?,
        actor: actor.as_text()?.to_owned(),
        action: action.as_text()?.to_owned(),
        data: decode("audit row", incident.as_text()?, data.as_text()?)?,
        prev_hash: prev_hash.as_text()?.to_owned(),
        hash: hash.as_text()?.to_owned(),
    }))
}
