//! Incidents in the hands of workers.

use std::time::Duration;

use kubernaut_core::{
    Error, ErrorKind,
    model::{Incident, IncidentId, Timestamp},
    port::{Advance, Lease},
};
use sqlx::Row;

use super::{
    error::Fault,
    events, incidents, outbox,
    row::{IncidentRow, encode, int, micros, optional_micros, plus},
    tx::Tx,
};
use crate::rules::advance;

// `woken` outlives a transition that was computed before the wake-up: it is cleared by the claim that sees what it was about, not by `advance`.
// The claim keeps it as a wake time, so that it is not lost with a worker that vanishes.

/// The one that was woken or is due for longest. Each half is one look into its index, however many incidents wait for their time.
pub(super) const CLAIM: &str = "SELECT id FROM (\
     SELECT * FROM (SELECT opened_at AS due, id FROM incidents INDEXED BY incidents_woken WHERE open = 1 AND woken = 1 \
         AND (lease_until IS NULL OR lease_until <= ?1) ORDER BY opened_at, id LIMIT 1) \
     UNION ALL \
     SELECT * FROM (SELECT wake_at AS due, id FROM incidents INDEXED BY incidents_due WHERE open = 1 AND wake_at <= ?1 \
         AND (lease_until IS NULL OR lease_until <= ?1) ORDER BY wake_at, opened_at, id LIMIT 1)) ORDER BY due, id LIMIT 1";

pub(crate) async fn claim(tx: &mut Tx, worker: String, ttl: Duration) -> Result<Option<Lease>, Fault> {
    let query = sqlx::query(CLAIM);
    let Some(found) = tx.optional(query.bind(micros(tx.now))).await? else { return Ok(None) };
    let id: IncidentId = found.try_get::<&str, _>("id")?.parse()?;
    let until = plus(tx.now, ttl);
    let taken = sqlx::query(
        "UPDATE incidents SET lease_worker = ?, lease_epoch = lease_epoch + 1, lease_until = ?, woken = 0, \
         wake_at = CASE WHEN woken = 1 THEN ? ELSE wake_at END WHERE id = ?",
    );
    tx.execute(taken.bind(&worker).bind(micros(until)).bind(micros(tx.now)).bind(id.to_string())).await?;
    let IncidentRow { incident, epoch, .. } = incidents::row(tx, "ledger.claim", id).await?;
    Ok(Some(Lease { incident, epoch, worker, until }))
}

pub(crate) async fn renew(tx: &mut Tx, id: IncidentId, epoch: u64, ttl: Duration) -> Result<Timestamp, Fault> {
    let until = plus(tx.now, ttl);
    let query = sqlx::query("UPDATE incidents SET lease_until = ? WHERE id = ? AND lease_epoch = ? AND lease_until IS NOT NULL");
    if tx.execute(query.bind(micros(until)).bind(id.to_string()).bind(int(epoch))).await? == 1 {
        return Ok(until);
    }
    incidents::exists(tx, "ledger.renew", id).await?;
    Err(stale("ledger.renew", id, epoch).into())
}

/// The incident, if the lease of this epoch still stands.
pub(crate) async fn held(tx: &mut Tx, operation: &'static str, id: IncidentId, epoch: u64) -> Result<IncidentRow, Fault> {
    let row = incidents::row(tx, operation, id).await?;
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
    events::append(tx, id, change.events).await?;
    outbox::insert(tx, &change.notifications).await?;
    Ok(incident)
}

/// Writes an incident that has been changed, apart from intake's columns.
pub(crate) async fn store(tx: &mut Tx, incident: &Incident, wake_at: Option<Timestamp>, release: bool) -> Result<(), Fault> {
    let query = sqlx::query(
        "UPDATE incidents SET fingerprint = ?, namespace = ?, phase = ?, open = ?, attempt = ?, closed_at = ?, wake_at = ?, \
         lease_worker = CASE WHEN ?8 THEN NULL ELSE lease_worker END, lease_until = CASE WHEN ?8 THEN NULL ELSE lease_until END WHERE id = ?9",
    )
    .bind(&incident.fingerprint)
    .bind(&incident.target.namespace)
    .bind(incident.phase.as_str())
    .bind(!incident.phase.is_terminal())
    .bind(incident.attempt)
    .bind(optional_micros(incident.closed_at))
    .bind(optional_micros(wake_at))
    .bind(release)
    .bind(incident.id.to_string());
    tx.execute(query).await?;
    let doc = encode("incident", incident)?;
    tx.execute(sqlx::query("UPDATE incident_docs SET doc = ? WHERE incident_id = ?").bind(doc).bind(incident.id.to_string())).await?;
    Ok(())
}
