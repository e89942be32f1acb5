//! Notifications on their way out.

use std::time::Duration;

use kubernaut_core::{
    Error,
    model::{Notification, NotificationId, Timestamp},
    port::OutboxItem,
};
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    bulk,
    error::Fault,
    incidents,
    row::{decode, encode, micros, optional_micros, plus},
    tx::Tx,
};

/// Adds notifications; one that is there already stays as it is.
pub(crate) async fn insert(tx: &mut Tx, notifications: &[Notification]) -> Result<(), Fault> {
    let now = micros(tx.now);
    let docs: Vec<(&Notification, String)> = notifications.iter().map(|n| Ok((n, encode("notification", n)?))).collect::<Result<_, Fault>>()?;
    let columns = &["id", "incident_id", "state", "due_at", "doc"];
    bulk::write(tx, "outbox", columns, "ON CONFLICT (id) DO NOTHING", &docs, |to, (notification, doc)| {
        to.push_bind(notification.id.to_string());
        to.push_bind(notification.incident_id.to_string());
        to.push_bind("pending");
        to.push_bind(now);
        to.push_bind(doc.clone());
    })
    .await
}

pub(crate) async fn enqueue(tx: &mut Tx, notification: Notification) -> Result<(), Fault> {
    incidents::exists(tx, "ledger.enqueue", notification.incident_id).await?;
    insert(tx, &[notification]).await
}

pub(crate) async fn claim(tx: &mut Tx, limit: u32, ttl: Duration) -> Result<Vec<OutboxItem>, Fault> {
    let now = micros(tx.now);
    let query = sqlx::query("SELECT seq, id, attempts, doc FROM outbox WHERE state = 'pending' AND due_at <= ? ORDER BY seq LIMIT ?");
    let rows = tx.all(query.bind(now).bind(i64::from(limit))).await?;
    let Some(last) = rows.last() else { return Ok(Vec::new()) };
    let last: i64 = last.try_get("seq")?;
    // The same rows again: those that are due, up to the last one.
    let taken = sqlx::query("UPDATE outbox SET attempts = attempts + 1, due_at = ? WHERE state = 'pending' AND due_at <= ? AND seq <= ?");
    tx.execute(taken.bind(micros(plus(tx.now, ttl))).bind(now).bind(last)).await?;
    rows.iter().map(item).collect()
}

fn item(row: &SqliteRow) -> Result<OutboxItem, Fault> {
    let id: &str = row.try_get("id")?;
    Ok(OutboxItem { notification: decode("notification", id, row.try_get("doc")?)?, attempts: row.try_get("attempts")? })
}

pub(crate) async fn settle(tx: &mut Tx, id: NotificationId, error: Option<String>, retry_at: Option<Timestamp>) -> Result<(), Fault> {
    let state = match (&error, retry_at) {
        (_, Some(_)) => "pending",
        (Some(_), None) => "dead",
        (None, None) => "delivered",
    };
    let settled_at = retry_at.is_none().then_some(micros(tx.now));
    let query = sqlx::query("UPDATE outbox SET state = ?, last_error = ?, settled_at = ?, due_at = coalesce(?, due_at) WHERE id = ?")
        .bind(state)
        .bind(error)
        .bind(settled_at)
        .bind(optional_micros(retry_at))
        .bind(id.to_string());
    if tx.execute(query).await? == 0 {
        return Err(Error::not_found("ledger.settle_outbox", "no such notification").with("id", id).into());
    }
    Ok(())
}
