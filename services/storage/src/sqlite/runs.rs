//! Runs of plans in the hands of engines.

use std::time::Duration;

use kubernaut_core::{
    Error,
    model::{Run, RunId, RunState, Timestamp},
    port::{RunChange, RunLease},
    service::RunFilter,
};
use sqlx::{QueryBuilder, Row, Sqlite};

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
    let query = sqlx::query("SELECT id, lease_epoch, lease_until, doc FROM runs WHERE id = ?").bind(id.to_string());
    tx.optional(query).await?.map(|row| RunRow::read(&row)).transpose()
}

pub(crate) async fn row(tx: &mut Tx, operation: &'static str, id: RunId) -> Result<RunRow, Fault> {
    find(tx, id).await?.ok_or_else(|| unknown(operation, id).into())
}

pub(crate) async fn exists(tx: &mut Tx, operation: &'static str, id: RunId) -> Result<(), Fault> {
    let found = tx.optional(sqlx::query("SELECT 1 FROM runs WHERE id = ?").bind(id.to_string())).await?;
    found.map(drop).ok_or_else(|| unknown(operation, id).into())
}

pub(crate) async fn create(tx: &mut Tx, run: Run) -> Result<Run, Fault> {
    if let Some(existing) = find(tx, run.id).await? {
        return Ok(existing.run);
    }
    incidents::exists(tx, "ledger.create_run", run.incident_id).await?;
    let wake_at = wake_time(run.state, None, tx.now);
    let query = sqlx::query("INSERT INTO runs (id, incident_id, state, ended, created_at, wake_at, doc) VALUES (?, ?, ?, ?, ?, ?, ?)")
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
    let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("SELECT id, lease_epoch, lease_until, doc FROM runs WHERE true");
    if let Some(incident) = filter.incident_id {
        query.push(" AND incident_id = ").push_bind(incident.to_string());
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit(filter.limit, 100, 1000));
    tx.all(query.build()).await?.iter().map(|row| Ok(RunRow::read(row)?.run)).collect()
}

/// The one that has signals, was woken or is due for longest; as for incidents.
pub(super) const CLAIM: &str = "SELECT id FROM (\
     SELECT * FROM (SELECT created_at AS due, id FROM runs INDEXED BY runs_unread WHERE unread > 0 \
         AND (lease_until IS NULL OR lease_until <= ?1) ORDER BY created_at, id LIMIT 1) \
     UNION ALL \
     SELECT * FROM (SELECT created_at AS due, id FROM runs INDEXED BY runs_woken WHERE ended = 0 AND woken = 1 \
         AND (lease_until IS NULL OR lease_until <= ?1) ORDER BY created_at, id LIMIT 1) \
     UNION ALL \
     SELECT * FROM (SELECT wake_at AS due, id FROM runs INDEXED BY runs_due WHERE ended = 0 AND wake_at <= ?1 \
         AND (lease_until IS NULL OR lease_until <= ?1) ORDER BY wake_at, created_at, id LIMIT 1)) ORDER BY due, id LIMIT 1";

pub(crate) async fn claim(tx: &mut Tx, worker: String, ttl: Duration) -> Result<Option<RunLease>, Fault> {
    let query = sqlx::query(CLAIM);
    let Some(found) = tx.optional(query.bind(micros(tx.now))).await? else { return Ok(None) };
    let id: RunId = found.try_get::<&str, _>("id")?.parse()?;
    let until = plus(tx.now, ttl);
    let taken = sqlx::query(
        "UPDATE runs SET lease_worker = ?, lease_epoch = lease_epoch + 1, lease_until = ?, woken = 0, \
         wake_at = CASE WHEN woken = 1 THEN ? ELSE wake_at END WHERE id = ?",
    );
    tx.execute(taken.bind(worker).bind(micros(until)).bind(micros(tx.now)).bind(id.to_string())).await?;
    let RunRow { run, epoch, .. } = row(tx, "ledger.claim_run", id).await?;
    Ok(Some(RunLease { run, epoch, until }))
}

pub(crate) async fn renew(tx: &mut Tx, id: RunId, epoch: u64, ttl: Duration) -> Result<Timestamp, Fault> {
    let until = plus(tx.now, ttl);
    let query = sqlx::query("UPDATE runs SET lease_until = ? WHERE id = ? AND lease_epoch = ? AND lease_until IS NOT NULL");
    if tx.execute(query.bind(micros(until)).bind(id.to_string()).bind(int(epoch))).await? == 1 {
        return Ok(until);
    }
    exists(tx, "ledger.renew_run", id).await?;
    Err(leases::stale("ledger.renew_run", id, epoch).into())
}

pub(crate) async fn advance(tx: &mut Tx, change: RunChange) -> Result<Run, Fault> {
    const OPERATION: &str = "ledger.advance_run";
    let id = change.run.id;
    let stored = row(tx, OPERATION, id).await?;
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
    events::append(tx, run.incident_id, change.events).await?;
    outbox::insert(tx, &change.notifications).await?;
    if run.state != before.state {
        incidents::wake(tx, OPERATION, run.incident_id).await?;
    }
    Ok(run)
}

async fn store(tx: &mut Tx, run: &Run, wake_at: Option<Timestamp>, release: bool) -> Result<(), Fault> {
    let wake_at = wake_time(run.state, wake_at, tx.now);
    let query = sqlx::query(
        "UPDATE runs SET state = ?, ended = ?, wake_at = ?, doc = ?, lease_worker = CASE WHEN ?5 THEN NULL ELSE lease_worker END, \
         lease_until = CASE WHEN ?5 THEN NULL ELSE lease_until END WHERE id = ?6",
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
    tx.execute(sqlx::query("UPDATE runs SET woken = 1 WHERE id = ?").bind(id.to_string())).await?;
    Ok(())
}
