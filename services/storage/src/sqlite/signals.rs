//! Signals for the engines that drive runs.

use kubernaut_core::{model::RunId, service::Signal};
use sqlx::Row;

use super::{
    error::Fault,
    row::{decode, encode, int, micros, uint},
    runs,
    tx::Tx,
};

pub(crate) async fn push(tx: &mut Tx, run: RunId, signal: &Signal) -> Result<u64, Fault> {
    runs::exists(tx, "ledger.push_signal", run).await?;
    let query = sqlx::query("INSERT INTO signals (run_id, at, doc) VALUES (?, ?, ?) RETURNING seq");
    let row = tx.optional(query.bind(run.to_string()).bind(micros(tx.now)).bind(encode("signal", signal)?)).await?;
    let number = row.map(|row| row.try_get("seq")).transpose()?.unwrap_or(0);
    // Unread signals make a run claimable, an ended one too.
    tx.execute(sqlx::query("UPDATE runs SET unread = unread + 1 WHERE id = ?").bind(run.to_string())).await?;
    Ok(uint(number))
}

pub(crate) async fn unread(tx: &mut Tx, run: RunId) -> Result<Vec<(u64, Signal)>, Fault> {
    runs::exists(tx, "ledger.signals", run).await?;
    let query = sqlx::query("SELECT seq, doc FROM signals WHERE run_id = ? AND consumed = 0 ORDER BY seq").bind(run.to_string());
    let rows = tx.all(query).await?;
    rows.iter().map(|row| Ok((uint(row.try_get("seq")?), decode("signal", &run.to_string(), row.try_get("doc")?)?))).collect()
}

pub(crate) async fn consume(tx: &mut Tx, run: RunId, up_to: u64) -> Result<(), Fault> {
    let query = sqlx::query("UPDATE signals SET consumed = 1 WHERE run_id = ? AND consumed = 0 AND seq <= ?");
    let read = tx.execute(query.bind(run.to_string()).bind(int(up_to))).await?;
    tx.execute(sqlx::query("UPDATE runs SET unread = unread - ? WHERE id = ?").bind(int(read)).bind(run.to_string())).await?;
    Ok(())
}
