//! Signals for the engines that drive runs.

use kubernaut_core::{model::RunId, service::Signal};
use sqlx::Row;

use super::{
    error::Fault,
    row::{decode, encode, int, micros, uint},
    runs,
    tx::Tx,
};

pub(crate) async fn push(tx: &mut Tx, run: RunId, signal: Signal) -> Result<u64, Fault> {
    // Unread signals make a run claimable, an ended one too. First, so that numbers of one run become visible in order.
    let counted = tx.execute(sqlx::query("UPDATE runs SET unread = unread + 1 WHERE id = $1").bind(run.to_string())).await?;
    if counted == 0 {
        return Err(runs::unknown("ledger.push_signal", run).into());
    }
    let query = sqlx::query("INSERT INTO signals (run_id, at, doc) VALUES ($1, $2, $3) RETURNING seq");
    let rows = tx.returning(query.bind(run.to_string()).bind(micros(tx.now)).bind(encode("signal", &signal)?)).await?;
    let number = rows.first().map(|row| row.try_get("seq")).transpose()?.unwrap_or(0);
    Ok(uint(number))
}

pub(crate) async fn unread(tx: &mut Tx, run: RunId) -> Result<Vec<(u64, Signal)>, Fault> {
    runs::exists(tx, "ledger.signals", run).await?;
    let query = sqlx::query("SELECT seq, doc FROM signals WHERE run_id = $1 AND NOT consumed ORDER BY seq").bind(run.to_string());
    let rows = tx.all(query).await?;
    rows.iter().map(|row| Ok((uint(row.try_get("seq")?), decode("signal", &run.to_string(), row.try_get("doc")?)?))).collect()
}

pub(crate) async fn consume(tx: &mut Tx, run: RunId, up_to: u64) -> Result<(), Fault> {
    let query = sqlx::query("UPDATE signals SET consumed = TRUE WHERE run_id = $1 AND NOT consumed AND seq <= $2");
    let read = tx.execute(query.bind(run.to_string()).bind(int(up_to))).await?;
    tx.execute(sqlx::query("UPDATE runs SET unread = unread - $1 WHERE id = $2").bind(int(read)).bind(run.to_string())).await?;
    Ok(())
}
