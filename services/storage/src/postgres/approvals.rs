//! Requests for approval and their answers.

use kubernaut_core::{
    Error,
    model::{Approval, ApprovalDecision, ApprovalId, Timestamp},
    port::NewEvent,
};
use serde_json::json;
use sqlx::Row;

use super::{
    error::Fault,
    events, incidents,
    row::{decode, documents, encode, micros},
    runs,
    tx::Tx,
};
use crate::rules::approval::{as_of, decide, may_replace, state_name};

async fn stored(tx: &mut Tx, id: ApprovalId) -> Result<Option<Approval>, Fault> {
    let row = tx.optional(sqlx::query("SELECT doc FROM approvals WHERE id = $1").bind(id.to_string())).await?;
    row.map(|row| decode("approval", &id.to_string(), row.try_get("doc")?)).transpose()
}

pub(crate) async fn get(tx: &mut Tx, operation: &'static str, id: ApprovalId) -> Result<Approval, Fault> {
    let approval = stored(tx, id).await?.ok_or_else(|| Error::not_found(operation, "no such approval").with("id", id))?;
    Ok(as_of(approval, tx.now))
}

pub(crate) async fn list(tx: &mut Tx, pending_only: bool) -> Result<Vec<Approval>, Fault> {
    let query = if pending_only {
        sqlx::query("SELECT doc FROM approvals WHERE state = 'pending' AND expires_at > $1 ORDER BY id DESC LIMIT 1000").bind(micros(tx.now))
    } else {
        sqlx::query("SELECT doc FROM approvals ORDER BY id DESC LIMIT 1000")
    };
    let found: Vec<Approval> = documents("approval", &tx.all(query).await?)?;
    Ok(found.into_iter().map(|approval| as_of(approval, tx.now)).collect())
}

/// Opens a request, or writes how it ended; an answer that came meanwhile stays.
pub(crate) async fn put(tx: &mut Tx, approval: &Approval) -> Result<(), Fault> {
    match stored(tx, approval.id).await? {
        None => insert(tx, approval).await,
        Some(before) if !may_replace(&before, approval) => {
            let error = Error::conflict("ledger.advance_run", "the request was answered meanwhile; read the approval and the run again");
            Err(error.with("approval", approval.id).with("state", state_name(before.state)).into())
        }
        Some(before) if before.state == approval.state => Ok(()),
        Some(_) => update(tx, approval).await,
    }
}

async fn insert(tx: &mut Tx, approval: &Approval) -> Result<(), Fault> {
    let query =
        sqlx::query("INSERT INTO approvals (id, incident_id, run_id, state, requested_at, expires_at, doc) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(approval.id.to_string())
            .bind(approval.incident_id.to_string())
            .bind(approval.run_id.to_string())
            .bind(state_name(approval.state))
            .bind(micros(approval.requested_at))
            .bind(micros(approval.expires_at))
            .bind(encode("approval", approval)?);
    tx.execute(query).await?;
    Ok(())
}

async fn update(tx: &mut Tx, approval: &Approval) -> Result<(), Fault> {
    let query = sqlx::query("UPDATE approvals SET state = $1, doc = $2 WHERE id = $3");
    tx.execute(query.bind(state_name(approval.state)).bind(encode("approval", approval)?).bind(approval.id.to_string())).await?;
    Ok(())
}

pub(crate) async fn answer(tx: &mut Tx, id: ApprovalId, decision: ApprovalDecision) -> Result<Approval, Fault> {
    const OPERATION: &str = "ledger.decide_approval";
    let before = get(tx, OPERATION, id).await?;
    incidents::lock(tx, OPERATION, before.incident_id).await?;
    // Read anew: an engine or another person may have written it while this one waited.
    let approval = get(tx, OPERATION, id).await?;
    let now: Timestamp = tx.now;
    let decided = decide(approval, &decision, now)?;
    update(tx, &decided).await?;
    let data = json!({
        "approval_id": id,
        "run_id": decided.run_id,
        "step": decided.step_id,
        "approved": decision.approve,
        "state": state_name(decided.state),
        "by": decision.by,
        "digest": decided.digest,
        "comment": decision.comment,
    });
    events::append(tx, decided.incident_id, vec![NewEvent { kind: "approval.decided", actor: decision.by, data }]).await?;
    runs::wake(tx, decided.run_id).await?;
    Ok(decided)
}
