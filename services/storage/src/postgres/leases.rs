//! Incidents in the hands of workers.

use std::time::Duration;

use kubernaut_core::{
    Error, ErrorKind,
    model::{Incident, IncidentId, Timestamp},
    port::{Advance, Lease},
};

use super::{
    error::Fault,
    events, incidents, outbox,
    row::{IncidentRow, encode, incident_columns, int, micros, optional_micros, plus},
    tx::Tx,
};
use crate::rules::advance;

// `woken` outlives a transition that was computed before the wake-up: it is cleared by the claim that sees what it was about, not by `advance`.
// The claim keeps it as a wake time, so that it is not lost with a worker that vanishes.

/// The oldest of those that were woken and those whose time has come; each found by an index of its own, however many others sleep. What
/// another worker is claiming at the same moment is passed over.
pub(crate) async fn claim(tx: &mut Tx, worker: String, ttl: Duration) -> Result<Option<Lease>, Fault> {
    let query = sqlx::query(concat!(
        "WITH woken AS MATERIALIZED (SELECT id, opened_at FROM incidents WHERE open AND woken AND (lease_until IS NULL OR lease_until <= $1) \
         ORDER BY opened_at, id LIMIT 1 FOR UPDATE SKIP LOCKED), \
         due AS MATERIALIZED (SELECT id, opened_at FROM incidents WHERE open AND wake_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) \
         ORDER BY wake_at, opened_at, id LIMIT 1 FOR UPDATE SKIP LOCKED), \
         next AS MATERIALIZED (SELECT id FROM (SELECT * FROM woken UNION ALL SELECT * FROM due) AS both_of_them ORDER BY opened_at, id LIMIT 1) \
         UPDATE incidents i SET lease_worker = $2, lease_epoch = i.lease_epoch + 1, lease_until = $3, woken = FALSE, \
         wake_at = CASE WHEN i.woken THEN $1 ELSE i.wake_at END FROM next, incident_docs d WHERE i.id = next.id AND d.incident_id = i.id RETURNING ",
        incident_columns!()
    ));
    let until = plus(tx.now, ttl);
    let rows = tx.returning(query.bind(micros(tx.now)).bind(&worker).bind(micros(until))).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let IncidentRow { incident, epoch, .. } = IncidentRow::read(row)?;
    Ok(Some(Lease { incident, epoch, worker, until }))
}

pub(crate) async fn renew(tx: &mut Tx, id: IncidentId, epoch: u64, ttl: Duration) -> Result<Timestamp, Fault> {
    let until = plus(tx.now, ttl);
    let query = sqlx::query("UPDATE incidents SET lease_until = $1 WHERE id = $2 AND lease_epoch = $3 AND lease_until IS NOT NULL");
    if tx.execute(query.bind(micros(until)).bind(id.to_string()).bind(int(epoch))).await? == 1 {
        return Ok(until);
    }
    incidents::exists(tx, "ledger.renew", id).await?;
    Err(stale("ledger.renew", id, epoch).into())
}

/// The incident, locked, if the lease of this epoch still stands.
pub(crate) async fn held(tx: &mut Tx, operation: &'static str, id: IncidentId, epoch: u64) -> Result<IncidentRow, Fault> {
    let row = incidents::locked(tx, operation, id).await?;
    if row.epoch == epoch && row.leased { Ok(row) } else { Err(stale(operation, id, epoch).into()) }
}

pub(crate) fn stale(operation: &'static str, id: impl std::fmt::Display, epoch: u64) -> Error {
    Error::new(ErrorKind::StaleEpoch, operation, "the lease is no longer held; drop the work and claim again").with("id", id).with("epoch", epoch)
}

pub(crate) async fn advance(tx: &mut Tx, change: Advance) -> Result<Incident, Fault> {
    let id = change.incident.id;
    let row = held(tx, "ledger.advance", id, change.epoch).await?;
    let incident = advance::merged(&row.incident, change.incident, tx.now)?;
    let wake_at = if incident.phase.is_terminal() { None } else { Some(change.wake_at.unwrap_or(tx.now)) };
    store(tx, &incident, wake_at, change.release).await?;
    if !change.events.is_empty() {
        events::append(tx, id, change.events).await?;
    }
    outbox::insert(tx, &change.notifications).await?;
    Ok(incident)
}

/// Writes an incident that has been changed, apart from intake's columns.
pub(crate) async fn store(tx: &mut Tx, incident: &Incident, wake_at: Option<Timestamp>, release: bool) -> Result<(), Fault> {
    let query = sqlx::query(
        "WITH document AS (UPDATE incident_docs SET doc = $10 WHERE incident_id = $9) \
         UPDATE incidents SET fingerprint = $1, namespace = $2, phase = $3, open = $4, attempt = $5, closed_at = $6, wake_at = $7, \
         lease_worker = CASE WHEN $8 THEN NULL ELSE lease_worker END, lease_until = CASE WHEN $8 THEN NULL ELSE lease_until END WHERE id = $9",
    )
    .bind(&incident.fingerprint)
    .bind(&incident.target.namespace)
    .bind(incident.phase.as_str())
    .bind(!incident.phase.is_terminal())
    .bind(i64::from(incident.attempt))
    .bind(optional_micros(incident.closed_at))
    .bind(optional_micros(wake_at))
    .bind(release)
    .bind(incident.id.to_string())
    .bind(encode("incident", incident)?);
    tx.execute(query).await?;
    Ok(())
}
