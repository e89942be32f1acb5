//! Reading incidents, waking and cancelling them.

use kubernaut_core::{
    Error,
    model::{Alert, Incident, IncidentId},
    port::{IncidentFilter, NewEvent},
};
use serde_json::json;
use sqlx::{Postgres, QueryBuilder};

use super::{
    error::Fault,
    events,
    row::{IncidentRow, documents, incident_columns, limit, select_incident},
    tx::Tx,
};

pub(crate) fn unknown(operation: &'static str, id: IncidentId) -> Error {
    Error::not_found(operation, "no such incident").with("id", id)
}

/// One incident with what is kept beside it.
pub(crate) async fn row(tx: &mut Tx, operation: &'static str, id: IncidentId) -> Result<IncidentRow, Fault> {
    let query = sqlx::query(select_incident!("WHERE i.id = $1")).bind(id.to_string());
    let row = tx.optional(query).await?.ok_or_else(|| unknown(operation, id))?;
    IncidentRow::read(&row)
}

/// The same, and nobody else changes it until this transaction ends.
pub(crate) async fn locked(tx: &mut Tx, operation: &'static str, id: IncidentId) -> Result<IncidentRow, Fault> {
    lock(tx, operation, id).await?;
    // Apart, because a query that had to wait for the lock would read the document as it was before.
    row(tx, operation, id).await
}

/// Nobody else changes the incident, its runs and approvals until this transaction ends.
pub(crate) async fn lock(tx: &mut Tx, operation: &'static str, id: IncidentId) -> Result<(), Fault> {
    let found = tx.optional(sqlx::query("SELECT 1 FROM incidents WHERE id = $1 FOR UPDATE").bind(id.to_string())).await?;
    found.map(drop).ok_or_else(|| unknown(operation, id).into())
}

pub(crate) async fn exists(tx: &mut Tx, operation: &'static str, id: IncidentId) -> Result<(), Fault> {
    let found = tx.optional(sqlx::query("SELECT 1 FROM incidents WHERE id = $1").bind(id.to_string())).await?;
    found.map(drop).ok_or_else(|| unknown(operation, id).into())
}

pub(crate) async fn list(tx: &mut Tx, filter: IncidentFilter) -> Result<Vec<Incident>, Fault> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(select_incident!("WHERE true"));
    if !filter.phases.is_empty() {
        let phases: Vec<String> = filter.phases.iter().map(|phase| phase.as_str().to_owned()).collect();
        query.push(" AND i.phase = ANY(").push_bind(phases).push(")");
    }
    if let Some(open) = filter.open {
        query.push(" AND i.open = ").push_bind(open);
    }
    if let Some(fingerprint) = filter.fingerprint {
        query.push(" AND i.fingerprint = ").push_bind(fingerprint);
    }
    if let Some(namespace) = filter.namespace {
        query.push(" AND i.namespace = ").push_bind(namespace);
    }
    if let Some(before) = filter.before {
        query.push(" AND i.id < ").push_bind(before.to_string());
    }
    query.push(" ORDER BY i.id DESC LIMIT ").push_bind(limit(filter.limit, 100, 1000));
    tx.all(query.build()).await?.iter().map(|row| Ok(IncidentRow::read(row)?.incident)).collect()
}

pub(crate) async fn alerts(tx: &mut Tx, id: IncidentId) -> Result<Vec<Alert>, Fault> {
    exists(tx, "ledger.alerts", id).await?;
    let query = sqlx::query("SELECT doc FROM alerts WHERE incident_id = $1 ORDER BY seq").bind(id.to_string());
    documents("alert", &tx.all(query).await?)
}

pub(crate) async fn wake(tx: &mut Tx, operation: &'static str, id: IncidentId) -> Result<(), Fault> {
    let woken = tx.execute(sqlx::query("UPDATE incidents SET woken = TRUE WHERE id = $1").bind(id.to_string())).await?;
    if woken == 0 { Err(unknown(operation, id).into()) } else { Ok(()) }
}

pub(crate) async fn cancel(tx: &mut Tx, id: IncidentId, actor: String) -> Result<(), Fault> {
    const OPERATION: &str = "ledger.cancel_incident";
    let row = locked(tx, OPERATION, id).await?;
    if row.incident.phase.is_terminal() {
        return Err(Error::conflict(OPERATION, "the incident has ended already").with("id", id).with("phase", row.incident.phase).into());
    }
    if row.cancel_requested {
        return Ok(());
    }
    tx.execute(sqlx::query("UPDATE incidents SET cancel_requested = TRUE, woken = TRUE WHERE id = $1").bind(id.to_string())).await?;
    events::append(tx, id, vec![NewEvent { kind: "incident.cancel_requested", actor, data: json!({}) }]).await
}
