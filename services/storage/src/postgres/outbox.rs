//! Notifications on their way out.

use std::time::Duration;

use kubernaut_core::{
    Error,
    model::{Notification, NotificationId, Timestamp},
    port::OutboxItem,
};
use sqlx::{Row, postgres::PgRow};

use super::{
    error::Fault,
    incidents,
    row::{decode, encode, micros, optional_micros, plus, small},
    tx::Tx,
};

/// Adds notifications; one that is there already stays as it is.
pub(crate) async fn insert(tx: &mut Tx, notifications: &[Notification]) -> Result<(), Fault> {
    if notifications.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(
        "INSERT INTO outbox (id, incident_id, state, due_at, doc) SELECT k.id, k.incident, 'pending', $3, k.doc \
         FROM unnest($1::text[], $2::text[], $4::text[]) WITH ORDINALITY AS k (id, incident, doc, n) ORDER BY n ON CONFLICT (id) DO NOTHING",
    )
    .bind(notifications.iter().map(|n| n.id.to_string()).collect::<Vec<String>>())
    .bind(notifications.iter().map(|n| n.incident_id.to_string()).collect::<Vec<String>>())
    .bind(micros(tx.now))
    .bind(notifications.iter().map(|n| encode("notification", n)).collect::<Result<Vec<String>, Fault>>()?);
    tx.execute(query).await?;
    Ok(())
}

pub(crate) async fn enqueue(tx: &mut Tx, notification: Notification) -> Result<(), Fault> {
    incidents::exists(tx, "ledger.enqueue", notification.incident_id).await?;
    insert(tx, &[notification]).await
}

pub(crate) async fn claim(tx: &mut Tx, limit: u32, ttl: Duration) -> Result<Vec<OutboxItem>, Fault> {
    let query = sqlx::query(
        "WITH due AS MATERIALIZED (SELECT seq FROM outbox WHERE state = 'pending' AND due_at <= $1 ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED) \
         UPDATE outbox o SET attempts = o.attempts + 1, due_at = $3 FROM due WHERE o.seq = due.seq RETURNING o.seq, o.id, o.attempts, o.doc",
    );
    let mut rows = tx.returning(query.bind(micros(tx.now)).bind(i64::from(limit)).bind(micros(plus(tx.now, ttl)))).await?;
    rows.sort_by_key(|row| row.try_get::<i64, _>("seq").unwrap_or(0));
    rows.iter().map(item).collect()
}

fn item(row: &PgRow) -> Result<OutboxItem, Fault> {
    let id: &str = row.try_get("id")?;
    let attempts: i64 = row.try_get("attempts")?;
    Ok(OutboxItem { notification: decode("notification", id, row.try_get("doc")?)?, attempts: small(attempts - 1)? })
}

pub(crate) async fn settle(tx: &mut Tx, id: NotificationId, error: Option<String>, retry_at: Option<Timestamp>) -> Result<(), Fault> {
    let state = match (&error, retry_at) {
        (_, Some(_)) => "pending",
        (Some(_), None) => "dead",
        (None, None) => "delivered",
    };
    let settled_at = retry_at.is_none().then_some(micros(tx.now));
    let query = sqlx::query("UPDATE outbox SET state = $1, last_error = $2, settled_at = $3, due_at = coalesce($4, due_at) WHERE id = $5")
        .bind(state)
        .bind(error.map(|text| text.replace('\0', " ")))
        .bind(settled_at)
        .bind(optional_micros(retry_at))
        .bind(id.to_string());
    if tx.execute(query).await? == 0 {
        return Err(Error::not_found("ledger.settle_outbox", "no such notification").with("id", id).into());
    }
    Ok(())
}
