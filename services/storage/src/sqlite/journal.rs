//! Journals of runs.

use kubernaut_core::model::{JournalEntry, RunId};

use super::{
    bulk,
    error::Fault,
    row::{documents, encode},
    runs,
    tx::Tx,
};

pub(crate) async fn append(tx: &mut Tx, run: RunId, entries: &[JournalEntry]) -> Result<(), Fault> {
    let docs: Vec<String> = entries.iter().map(|entry| encode("journal entry", entry)).collect::<Result<_, _>>()?;
    bulk::write(tx, "journal", &["run_id", "doc"], "", &docs, |to, doc| {
        to.push_bind(run.to_string());
        to.push_bind(doc.clone());
    })
    .await
}

pub(crate) async fn list(tx: &mut Tx, run: RunId) -> Result<Vec<JournalEntry>, Fault> {
    runs::exists(tx, "ledger.journal", run).await?;
    let query = sqlx::query("SELECT doc FROM journal WHERE run_id = ? ORDER BY seq").bind(run.to_string());
    documents("journal entry", &tx.all(query).await?)
}
