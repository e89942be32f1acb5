//! Promises to act.

use kubernaut_core::{
    Error,
    model::{Execution, Intent, IntentState},
};
use sqlx::Row;

use super::{
    error::Fault,
    row::{decode, encode, micros, wire_name},
    tx::Tx,
};

pub(crate) async fn get(tx: &mut Tx, key: &str) -> Result<Option<Intent>, Fault> {
    let row = tx.optional(sqlx::query("SELECT doc FROM intents WHERE key = ?").bind(key)).await?;
    row.map(|row| decode("intent", key, row.try_get("doc")?)).transpose()
}

pub(crate) async fn open(tx: &mut Tx, intent: Intent) -> Result<Intent, Fault> {
    if let Some(existing) = get(tx, &intent.key).await? {
        return Ok(existing);
    }
    let query = sqlx::query("INSERT INTO intents (key, incident_id, state, at, doc) VALUES (?, ?, ?, ?, ?)")
        .bind(&intent.key)
        .bind(intent.incident_id.map(|id| id.to_string()))
        .bind(wire_name("intent", intent.state)?)
        .bind(micros(intent.at))
        .bind(encode("intent", &intent)?);
    tx.execute(query).await?;
    Ok(intent)
}

pub(crate) async fn close(tx: &mut Tx, key: &str, state: IntentState, execution: Option<Execution>) -> Result<Intent, Fault> {
    let unknown = || Error::not_found("ledger.close_intent", "no such intent").with("key", key);
    let intent = get(tx, key).await?.ok_or_else(unknown)?;
    let intent = Intent { state, execution: execution.or(intent.execution), ..intent };
    let query = sqlx::query("UPDATE intents SET state = ?, doc = ? WHERE key = ?");
    tx.execute(query.bind(wire_name("intent", state)?).bind(encode("intent", &intent)?).bind(key)).await?;
    Ok(intent)
}
