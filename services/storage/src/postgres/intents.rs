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

pub(crate) async fn get(tx: &mut Tx, key: String) -> Result<Option<Intent>, Fault> {
    let row = tx.optional(sqlx::query("SELECT doc FROM intents WHERE key = $1").bind(&key)).await?;
    row.map(|row| decode("intent", &key, row.try_get("doc")?)).transpose()
}

pub(crate) async fn open(tx: &mut Tx, intent: Intent) -> Result<Intent, Fault> {
    if let Some(existing) = get(tx, intent.key.clone()).await? {
        return Ok(existing);
    }
    // A second one at the same moment waits here, breaks the primary key, and finds the intent when it is tried again.
    let query = sqlx::query("INSERT INTO intents (key, incident_id, state, at, doc) VALUES ($1, $2, $3, $4, $5)")
        .bind(&intent.key)
        .bind(intent.incident_id.map(|id| id.to_string()))
        .bind(wire_name("intent", intent.state)?)
        .bind(micros(intent.at))
        .bind(encode("intent", &intent)?);
    tx.execute(query).await?;
    Ok(intent)
}

pub(crate) async fn close(tx: &mut Tx, key: String, state: IntentState, execution: Option<Execution>) -> Result<Intent, Fault> {
    tx.optional(sqlx::query("SELECT 1 FROM intents WHERE key = $1 FOR UPDATE").bind(&key)).await?;
    let unknown = || Error::not_found("ledger.close_intent", "no such intent").with("key", &key);
    let intent = get(tx, key.clone()).await?.ok_or_else(unknown)?;
    let intent = Intent { state, execution: execution.or(intent.execution), ..intent };
    let query = sqlx::query("UPDATE intents SET state = $1, doc = $2 WHERE key = $3");
    tx.execute(query.bind(wire_name("intent", state)?).bind(encode("intent", &intent)?).bind(&key)).await?;
    Ok(intent)
}
