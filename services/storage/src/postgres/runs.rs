//! Runs of plans in the hands of engines.

use std::time::Duration;

use kubernaut_core::{
    Error,
    model::{Run, RunId, RunState, Timestamp},
    port::{RunChange, RunLease},
    service::RunFilter,
};
use sqlx::{Postgres, QueryBuilder};

use super::{
    approvals,
    error::Fault,
    events, incidents, journal, leases, outbox,
    row::{RunRow, encode, int, limit, micros, optional_micros, plus},
    signals,
    tx::Tx,
};

pub(crate) fn unknown(operation: &'static str, id: RunId) -> Error {
    Error::not_found(operation, "no such run").with("id", id)
}

async fn find(tx: &mut Tx, id: RunId) -> Result<Option<RunRow>, Fault> {
    let query = sqlx::query("SELECT id, lease_epoch, lease_until, doc FROM runs WHERE id = $1").bind(id.to_string());
    tx.optional(query).await?.map(|row| RunRow::read(&row)).transpose()
}

pub(crate) async fn row(tx: &mut Tx, operation: &'static str, id: RunId) -> Result<RunRow, Fault> {
    find(tx, id).await?.ok_or_else(|| unknown(operation, id).into())
}

pub(crate) async fn exists(tx: &mut Tx, operation: &'static str, id: RunId) -> Result<(), Fault> {
    let found = tx.optional(sqlx::query("SELECT 1 FROM runs WHERE id = $1").bind(id.to_string())).await?;
    found.map(drop).ok_or_else(|| unknown(operation, id).into())
}

pub(crate) async fn create(tx: &mut Tx, run: Run) -> Result<Run, Fault> {
    if let Some(existing) = find(tx, run.id).await? {
        return Ok(existing.run);
    }
    incidents::exists(tx, "ledger.create_run", run.incident_id).await?;
    let wake_at = wake_time(run.state, None, tx.now);
    // A second one at the same moment waits here, breaks the primary key, and finds the run when it is tried again.
    let query = sqlx::query("INSERT INTO runs (id, incident_id, state, ended, created_at, wake_at, doc) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(run.id.to_string())
        .bind(run.incident_id.to_string())
        .bind(run.state.as_str())
        .bind(run.state.is_terminal())
        .bind(micros(run.created_at))
        .bind(optional_micros(wake_at))
        .bind(encode("run", &run)?);
    tx.execute(query).await?;
    Ok(run)
}

fn wake_time(state: RunState, wanted: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    if state.is_terminal() { None } else { Some(wanted.unwrap_or(now)) }
}

pub(crate) async fn list(tx: &mut Tx, filter: RunFilter) -> Result<Vec<Run>, Fault> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("SELECT id, lease_epoch, lease_until, doc FROM runs WHERE true");
    if let Some(incident) = filter.incident_id {
        query.push(" AND incident_id = ").push_bind(incident.to_string());
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit(filter.limit, 100, 1000));
    tx.all(query.build()).await?.iter().map(|row| Ok(RunRow::read(row)?.run)).collect()
}

/// As [`leases::claim`].
pub(crate) async fn claim(tx: &mut Tx, worker: String, ttl: Duration) -> Result<Option<RunLease>, Fault> {
    let query = sqlx::query(
        "WITH woken AS MATERIALIZED (SELECT id, created_at FROM runs WHERE (unread > 0 OR (woken AND NOT ended)) \
         AND (lease_until IS NULL OR lease_until <= $1) ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED), \
         due AS MATERIALIZED (SELECT id, created_at FROM runs WHERE NOT ended AND wake_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) \
         ORDER BY wake_at, created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED), \
         next AS MATERIALIZED (SELECT id FROM (SELECT * FROM woken UNION ALL SELECT * FROM due) AS both_of_them ORDER BY created_at, id LIMIT 1) \
         UPDATE runs r SET lease_worker = $2, lease_epoch = r.lease_epoch + 1, lease_until = $3, woken = FALSE, \
         wake_at = CASE WHEN r.woken THEN $1 ELSE r.wake_at END FROM next WHERE r.id = next.id RETURNING r.id, r.lease_epoch, r.lease_until, r.doc",
    );
    let until = plus(tx.now, ttl);
    let rows = tx.returning(query.bind(micros(tx.now)).bind(worker).bind(micros(until))).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let RunRow { run, epoch, .. } = RunRow::read(row)?;
    Ok(Some(RunLease { run, epoch, until }))
}

pub(crate) async fn renew(tx: &mut Tx, id: RunId, epoch: u64, ttl: Duration) -> Result<Timestamp, Fault> {
    let until = plus(tx.now, ttl);
    let query = sqlx::query("UPDATE runs SET lease_until = $1 WHERE id = $2 AND lease_epoch = $3 AND lease_until IS NOT NULL");
    if tx.execute(query.bind(micros(until)).bind(id.to_string()).bind(int(epoch))).await? == 1 {
        return Ok(until);
    }
    exists(tx, "ledger.renew_run", id).await?;
    Err(leases::stale("ledger.renew_run", id, epoch).into())
}

/// Locks the incident of a run, then the run; in this order everywhere.
async fn locked(tx: &mut Tx, operation: &'static str, id: RunId) -> Result<RunRow, Fault> {
    let query = sqlx::query("SELECT 1 FROM incidents WHERE id = (SELECT incident_id FROM runs WHERE id = $1) FOR UPDATE");
    tx.optional(query.bind(id.to_string())).await?;
    let query = sqlx::query("SELECT id, lease_epoch, lease_until, doc FROM runs WHERE id = $1 FOR UPDATE").bind(id.to_string());
    let row = tx.optional(query).await?.ok_or_else(|| unknown(operation, id))?;
    RunRow::read(&row)
}

pub(crate) async fn advance(tx: &mut Tx, change: RunChange) -> Result<Run, Fault> {
    const OPERATION: &str = "ledger.advance_run";
    let id = change.run.id;
    let stored = locked(tx, OPERATION, id).await?;
    if stored.epoch != change.epoch || !stored.leased {
        return Err(leases::stale(OPERATION, id, change.epoch).into());
    }
    let before = stored.run;
    let run = Run { incident_id: before.incident_id, created_at: before.created_at, updated_at: tx.now, ..change.run };
    store(tx, &run, change.wake_at, change.release).await?;
    journal::append(tx, id, &change.journal).await?;
    if let Some(approval) = change.approval {
        approvals::put(tx, &approval).await?;
    }
    if let Some(up_to) = change.consumed_signals {
        signals::consume(tx, id, up_to).await?;
    }
    if !change.events.is_empty() {
        events::append(tx, run.incident_id, change.events).await?;
    }
    outbox::insert(tx, &change.notifications).await?;
    if run.state != before.state {
        incidents::wake(tx, OPERATION, run.incident_id).await?;
    }
    Ok(run)
}

async fn store(tx: &mut Tx, run: &Run, wake_at: Option<Timestamp>, release: bool) -> Result<(), Fault> {
    let wake_at = wake_time(run.state, wake_at, tx.now);
    let query = sqlx::query(
        "UPDATE runs SET state = $1, ended = $2, wake_at = $3, doc = $4, lease_worker = CASE WHEN $5 THEN NULL ELSE lease_worker END, \
         lease_until = CASE WHEN $5 THEN NULL ELSE lease_until END WHERE id = $6",
    )
    .bind(run.state.as_str())
    .bind(run.state.is_terminal())
    .bind(optional_micros(wake_at))
    .bind(encode("run", run)?)
    .bind(release)
    .bind(run.id.to_string());
    tx.execute(query).await?;
    Ok(())
}

/// Lets an engine look at a run now, whatever its wake time.
pub(crate) async fn wake(tx: &mut Tx, id: RunId) -> Result<(), Fault> {
    tx.execute(sqlx::query("UPDATE runs SET woken = TRUE WHERE id = $1").bind(id.to_string())).await?;
    Ok(())
}
