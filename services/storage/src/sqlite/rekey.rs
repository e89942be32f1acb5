//! The true owner of an incident, and the merge it can lead to.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, ErrorKind,
    model::{Incident, IncidentId, ObjectRef},
    port::NewEvent,
};
use serde_json::json;
use sqlx::Row;

use super::{
    bulk,
    error::Fault,
    events, incidents, intake, leases,
    row::{micros, time},
    tx::Tx,
};
use crate::rules::{
    intake::counts_of,
    merge::{self, Word},
};

const OPERATION: &str = "ledger.rekey";

pub(crate) async fn rekey(
    tx: &mut Tx,
    id: IncidentId,
    epoch: u64,
    owner: ObjectRef,
    fingerprint: String,
    actor: String,
) -> Result<Option<IncidentId>, Fault> {
    let incident = leases::held(tx, OPERATION, id, epoch).await?.incident;
    let other = if incident.phase.is_terminal() { None } else { open_twin(tx, &incident, &fingerprint).await? };
    match other {
        Some(other) => {
            merge_into(tx, incident, other, actor).await?;
            Ok(Some(other))
        }
        None => {
            rename(tx, incident, owner, fingerprint, actor).await?;
            Ok(None)
        }
    }
}

async fn open_twin(tx: &mut Tx, incident: &Incident, fingerprint: &str) -> Result<Option<IncidentId>, Fault> {
    let query = sqlx::query("SELECT id FROM incidents WHERE tenant = ? AND cluster = ? AND fingerprint = ? AND open = 1 AND id <> ?")
        .bind(&incident.tenant)
        .bind(&incident.cluster)
        .bind(fingerprint)
        .bind(incident.id.to_string());
    let row = tx.optional(query).await?;
    row.map(|row| Ok(row.try_get::<&str, _>("id")?.parse()?)).transpose()
}

async fn rename(tx: &mut Tx, incident: Incident, owner: ObjectRef, fingerprint: String, actor: String) -> Result<(), Fault> {
    let data = json!({ "owner": owner.to_string(), "fingerprint": fingerprint, "before": incident.owner.to_string() });
    let renamed = Incident { owner, fingerprint, owner_resolved: true, updated_at: tx.now, ..incident };
    let wake_at = (!renamed.phase.is_terminal()).then_some(tx.now);
    leases::store(tx, &renamed, wake_at, false).await?;
    events::append(tx, renamed.id, vec![NewEvent { kind: "incident.rekeyed", actor, data }]).await
}

async fn merge_into(tx: &mut Tx, incident: Incident, other: IncidentId, actor: String) -> Result<(), Fault> {
    let id = incident.id;
    let into = incidents::row(tx, OPERATION, other).await?.incident;
    let words = merge::words(last_words(tx, other).await?, last_words(tx, id).await?);
    let counts = merge::counts(counts_of(&into), counts_of(&incident), &words, tx.now);
    tx.execute(sqlx::query("UPDATE alerts SET incident_id = ? WHERE incident_id = ?").bind(other.to_string()).bind(id.to_string())).await?;
    move_words(tx, id, other, words).await?;
    intake::recount(tx, true, &[(other, counts)]).await?;
    let ended = merge::ended(incident, other, tx.now);
    intake::recount(tx, true, &[(id, counts_of(&ended))]).await?;
    leases::store(tx, &ended, None, true).await?;
    let moved = counts_of(&into).occurrences;
    let gone = NewEvent { kind: "incident.merged", actor: actor.clone(), data: json!({ "into": other }) };
    events::append(tx, id, vec![gone]).await?;
    let data = json!({ "from": id, "occurrences_before": moved, "occurrences": counts.occurrences });
    events::append(tx, other, vec![NewEvent { kind: "incident.merged", actor, data }]).await
}

/// Moves those that can be moved into another one.
pub(crate) async fn absorb(tx: &mut Tx, into: IncidentId, from: Vec<IncidentId>, actor: String) -> Result<Vec<IncidentId>, Fault> {
    const OPERATION: &str = "ledger.absorb";
    let target = incidents::row(tx, OPERATION, into).await?.incident;
    if target.phase.is_terminal() {
        return Err(Error::conflict(OPERATION, "the incident that is to hold the others has ended").with("id", into).into());
    }
    let mut moved = Vec::new();
    for id in from {
        let incident = match incidents::row(tx, OPERATION, id).await {
            Ok(row) => row.incident,
            Err(Fault::Public(error)) if error.kind() == ErrorKind::NotFound => continue,
            Err(fault) => return Err(fault),
        };
        if merge::may_move(&incident, &target) {
            merge_into(tx, incident, into, actor.clone()).await?;
            moved.push(id);
        }
    }
    Ok(moved)
}

async fn last_words(tx: &mut Tx, id: IncidentId) -> Result<BTreeMap<String, Word>, Fault> {
    let rows = tx.all(sqlx::query("SELECT alert_key, firing, at FROM alert_words WHERE incident_id = ?").bind(id.to_string())).await?;
    rows.iter().map(|row| Ok((row.try_get("alert_key")?, Word { firing: row.try_get("firing")?, at: time(row.try_get("at")?)? }))).collect()
}

async fn move_words(tx: &mut Tx, from: IncidentId, into: IncidentId, words: BTreeMap<String, Word>) -> Result<(), Fault> {
    tx.execute(sqlx::query("DELETE FROM alert_words WHERE incident_id = ?").bind(from.to_string())).await?;
    let words: Vec<(String, Word)> = words.into_iter().collect();
    let columns = &["incident_id", "alert_key", "firing", "at"];
    let tail = "ON CONFLICT (incident_id, alert_key) DO UPDATE SET firing = excluded.firing, at = excluded.at";
    bulk::write(tx, "alert_words", columns, tail, &words, |to, (key, word)| {
        to.push_bind(into.to_string());
        to.push_bind(key.clone());
        to.push_bind(word.firing);
        to.push_bind(micros(word.at));
    })
    .await
}
