//! Journals of runs.

use kubernaut_core::model::{JournalEntry, RunId};

use super::{
    error::Fault,
    row::{documents, encode},
    runs,
    tx::Tx,
};

pub(crate) async fn append(tx: &mut Tx, run: RunId, entries: &[JournalEntry]) -> Result<(), Fault> {
    if entries.is_empty() {
        return Ok(());
    }
    let docs: Vec<String> = entries.iter().map(|entry| encode("journal entry", entry)).collect::<Result<_, _>>()?;
    let query = sqlx::query("INSERT INTO journal (run_id, doc) SELECT $1, k.doc FROM unnest($2::text[]) WITH ORDINALITY AS k (doc, n) ORDER BY n");
    tx.execute(query.bind(run.to_string()).bind(docs)).await?;
    Ok(())
}

pub(crate) async fn list(tx: &mut Tx, run: RunId) -> Result<Vec<JournalEntry>, Fault> {
    runs::exists(tx, "ledger.journal", run).await?;
    let query = sqlx::query("SELECT doc FROM journal WHERE run_id = $1 ORDER BY seq").bind(run.to_string());
    documents("journal entry", &tx.all(query).await?)
}
