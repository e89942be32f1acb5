//! The stop that holds for everything, and counts.

use kubernaut_core::port::LedgerStats;
use sqlx::{Row, postgres::PgRow};

use super::{
    error::Fault,
    row::{micros, uint},
    tx::Tx,
};

pub(crate) async fn stopped(tx: &mut Tx) -> Result<Option<String>, Fault> {
    let row = tx.optional(sqlx::query("SELECT actor, value FROM control WHERE key = 'stopped'")).await?;
    row.map(|row| Ok(format!("{}: {}", row.try_get::<&str, _>("actor")?, row.try_get::<&str, _>("value")?))).transpose()
}

pub(crate) async fn set_stopped(tx: &mut Tx, reason: Option<String>, actor: String) -> Result<(), Fault> {
    let query = match reason {
        Some(reason) => sqlx::query("INSERT INTO control (key, value, actor, at) VALUES ('stopped', $1, $2, $3) ON CONFLICT (key) DO UPDATE SET value = excluded.value, actor = excluded.actor, at = excluded.at")
            .bind(reason)
            .bind(actor)
            .bind(micros(tx.now)),
        None => sqlx::query("DELETE FROM control WHERE key = 'stopped'"),
    };
    tx.execute(query).await?;
    Ok(())
}

pub(crate) async fn stats(tx: &mut Tx) -> Result<LedgerStats, Fault> {
    let query = sqlx::query(
        "SELECT (SELECT count(*) FROM incidents WHERE open) AS open_incidents, \
         (SELECT count(*) FROM incidents WHERE phase = 'awaiting_approval') AS awaiting_approval, \
         (SELECT count(*) FROM alerts) AS alerts, \
         (SELECT count(*) FROM outbox WHERE state = 'pending') AS outbox, \
         (SELECT count(*) FROM outbox WHERE state = 'dead') AS outbox_dead, \
         (SELECT last FROM event_numbers) AS last_event",
    );
    let row = tx.optional(query).await?;
    row.as_ref().map_or(Ok(LedgerStats::default()), read)
}

fn read(row: &PgRow) -> Result<LedgerStats, Fault> {
    let number = |name: &str| -> Result<u64, Fault> { Ok(uint(row.try_get(name)?)) };
    Ok(LedgerStats {
        open_incidents: number("open_incidents")?,
        awaiting_approval: number("awaiting_approval")?,
        alerts: number("alerts")?,
        outbox: number("outbox")?,
        outbox_dead: number("outbox_dead")?,
        last_event: number("last_event")?,
    })
}
