//! The memory of incidents.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use kubernaut_core::{
    Error, Result,
    model::{HistoryEntry, IncidentId, ObjectRef, Timestamp},
    service::{CallContext, Capability, ContextStore, HistoryPage, OutcomeUpdate, RecallQuery, Recalled},
};
use sqlx::{QueryBuilder, Row, Sqlite};

use super::{
    backend::Backend,
    bulk,
    error::Fault,
    row::{decode, documents, encode, limit, micros, uint},
    tx::Tx,
};
use crate::rules::recall::{WordQuery, active_at, is_about, order, recalled, searched_text, words};

/// Candidates that a query by words looks at.
const CANDIDATES: i64 = 200;

/// Remembers incidents in the ledger's database: found by fingerprint, by resource, and by words.
///
/// A query by words scores an entry by the share of the query's words that occur in it, rare words counting more. An entry without an
/// incident id (as in a recorded history) is remembered once, however often it is offered.
#[derive(Debug, Clone)]
pub struct SqlContextStore {
    backend: Arc<Backend>,
}

impl SqlContextStore {
    pub(crate) fn new(backend: Arc<Backend>) -> Self {
        Self { backend }
    }
}

#[async_trait]
impl ContextStore for SqlContextStore {
    async fn remember(&self, ctx: CallContext, entry: HistoryEntry) -> Result<()> {
        let entry = HistoryEntry { tenant: ctx.tenant.to_string(), ..entry };
        self.backend.write(&ctx, "context_store.remember", |tx| Box::pin(remember(tx, entry))).await
    }

    async fn recall(&self, ctx: CallContext, query: RecallQuery) -> Result<Vec<Recalled>> {
        let tenant = ctx.tenant.clone();
        self.backend.read(&ctx, "context_store.recall", move |tx| Box::pin(recall(tx, tenant, query))).await
    }

    async fn history(&self, ctx: CallContext, resource: ObjectRef, since: Timestamp) -> Result<Vec<HistoryEntry>> {
        let tenant = ctx.tenant.clone();
        self.backend.read(&ctx, "context_store.history", move |tx| Box::pin(history(tx, tenant, resource, since))).await
    }

    async fn forget(&self, ctx: CallContext, id: IncidentId) -> Result<()> {
        let tenant = ctx.tenant.clone();
        self.backend.write(&ctx, "context_store.forget", move |tx| Box::pin(forget(tx, tenant, format!("i:{id}")))).await
    }

    async fn outcome(&self, ctx: CallContext, update: OutcomeUpdate) -> Result<()> {
        let tenant = ctx.tenant.clone();
        self.backend.write(&ctx, "context_store.outcome", move |tx| Box::pin(outcome(tx, tenant, update))).await
    }

    async fn scan(&self, ctx: CallContext, after: u64, most: u32) -> Result<HistoryPage> {
        self.backend.read(&ctx, "context_store.scan", move |tx| Box::pin(scan(tx, after, most))).await
    }

    async fn fetch(&self, ctx: CallContext, keys: Vec<String>) -> Result<Vec<HistoryEntry>> {
        let tenant = ctx.tenant.clone();
        self.backend.read(&ctx, "context_store.fetch", move |tx| Box::pin(fetch(tx, tenant, keys))).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        vec![Capability::Forget, Capability::Outcome, Capability::Scan]
    }
}

async fn remember(tx: &mut Tx, entry: HistoryEntry) -> Result<(), Fault> {
    let doc = encode("history entry", &entry)?;
    let key = entry.key();
    forget(tx, entry.tenant.as_str().into(), key.clone()).await?;
    let query = sqlx::query(
        "INSERT INTO memory (key, incident_id, fingerprint, category, opened_at, active_at, resource_kind, resource_ns, resource_name, doc) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
    )
    .bind(key)
    .bind(entry.incident_id.map(|id| id.to_string()))
    .bind(&entry.fingerprint)
    .bind(entry.category.map(kubernaut_core::model::Category::as_str))
    .bind(micros(entry.opened_at))
    .bind(micros(active_at(&entry)))
    .bind(&entry.resource.kind)
    .bind(entry.resource.namespace.clone().unwrap_or_default())
    .bind(&entry.resource.name)
    .bind(doc);
    let row = tx.optional(query).await?;
    let seq: i64 = row.map(|row| row.try_get("seq")).transpose()?.unwrap_or(0);
    tx.execute(sqlx::query("INSERT INTO memory_words (rowid, text) VALUES (?, ?)").bind(seq).bind(searched_text(&entry))).await?;
    Ok(())
}

async fn forget(tx: &mut Tx, tenant: Arc<str>, key: String) -> Result<(), Fault> {
    let query = sqlx::query("SELECT seq FROM memory WHERE key = ? AND coalesce(json_extract(doc, '$.tenant'), '') = ?");
    let Some(row) = tx.optional(query.bind(key).bind(tenant.to_string())).await? else { return Ok(()) };
    let seq: i64 = row.try_get("seq")?;
    tx.execute(sqlx::query("DELETE FROM memory_words WHERE rowid = ?").bind(seq)).await?;
    tx.execute(sqlx::query("DELETE FROM memory WHERE seq = ?").bind(seq)).await?;
    Ok(())
}

async fn outcome(tx: &mut Tx, tenant: Arc<str>, update: OutcomeUpdate) -> Result<(), Fault> {
    let id = update.incident_id;
    let key = format!("i:{id}");
    let unknown = || Error::not_found("context_store.outcome", "the incident was never remembered").with("id", id);
    let row = tx.optional(sqlx::query("SELECT doc FROM memory WHERE key = ?").bind(&key)).await?.ok_or_else(unknown)?;
    let entry: HistoryEntry = decode("history entry", &key, row.try_get("doc")?)?;
    if *entry.tenant != *tenant {
        return Err(unknown().into());
    }
    let effectiveness = update.effectiveness.or(entry.effectiveness);
    let entry = HistoryEntry { outcome: Some(update.outcome), effectiveness, closed_at: Some(update.closed_at), ..entry };
    let query = sqlx::query("UPDATE memory SET active_at = ?, doc = ? WHERE key = ?");
    tx.execute(query.bind(micros(active_at(&entry))).bind(encode("history entry", &entry)?).bind(key)).await?;
    Ok(())
}

async fn scan(tx: &mut Tx, after: u64, most: u32) -> Result<HistoryPage, Fault> {
    let query = sqlx::query("SELECT seq, doc FROM memory WHERE seq > ? ORDER BY seq LIMIT ?");
    let rows = tx.all(query.bind(i64::try_from(after).unwrap_or(i64::MAX)).bind(i64::from(most))).await?;
    let next = rows.last().map(|row| row.try_get("seq")).transpose()?.map_or(after, uint);
    Ok(HistoryPage { entries: documents("history entry", &rows)?, next })
}

async fn fetch(tx: &mut Tx, tenant: Arc<str>, keys: Vec<String>) -> Result<Vec<HistoryEntry>, Fault> {
    let head = "SELECT m.doc FROM (";
    let rows = bulk::read(tx, head, 1, ") k CROSS JOIN memory m ON m.key = k.column1", &keys, |to, key| {
        to.push_bind(key.clone());
    })
    .await?;
    let mut entries: Vec<HistoryEntry> = documents("history entry", &rows)?;
    entries.retain(|entry| *entry.tenant == *tenant);
    Ok(entries)
}

async fn history(tx: &mut Tx, tenant: Arc<str>, resource: ObjectRef, since: Timestamp) -> Result<Vec<HistoryEntry>, Fault> {
    let query = sqlx::query(
        "SELECT doc FROM memory WHERE resource_kind = ? AND resource_ns = ? AND resource_name = ? AND active_at >= ? ORDER BY active_at DESC, seq DESC",
    )
    .bind(&resource.kind)
    .bind(resource.namespace.clone().unwrap_or_default())
    .bind(&resource.name)
    .bind(micros(since));
    let entries: Vec<HistoryEntry> = documents("history entry", &tx.all(query).await?)?;
    Ok(entries.into_iter().filter(|entry| *entry.tenant == *tenant && is_about(entry, &resource)).collect())
}

async fn recall(tx: &mut Tx, tenant: Arc<str>, query: RecallQuery) -> Result<Vec<Recalled>, Fault> {
    let most = limit(query.limit, 10, 100);
    // Entries of unknown fingerprint are not of the same one.
    if query.fingerprint.as_deref() == Some("") {
        return Ok(Vec::new());
    }
    let by_words = match query.text.as_deref().map(words) {
        Some(words) if query.fingerprint.is_none() && !words.is_empty() => Some(weigh(tx, words).await?),
        _ => None,
    };
    let entries = match &by_words {
        Some((words, found_in)) => by_text(tx, &tenant, &query, &words.search_words(found_in)).await?,
        None => by_filters(tx, &tenant, &query, most).await?,
    };
    let same = query.fingerprint.is_some();
    let words = by_words.as_ref().map(|(words, _)| words);
    let mut found: Vec<Recalled> = entries.into_iter().filter_map(|entry| recalled(entry, same, words)).collect();
    found.sort_by(order);
    found.truncate(usize::try_from(most).unwrap_or(0));
    Ok(found)
}

/// How telling the words of a query are, given what is remembered.
async fn weigh(tx: &mut Tx, words: Vec<String>) -> Result<(WordQuery, HashMap<String, u64>), Fault> {
    let head = "SELECT v.term, v.doc FROM (";
    let rows = bulk::read(tx, head, 1, ") k CROSS JOIN memory_vocabulary v ON v.term = k.column1", &words, |to, word| {
        to.push_bind(word.clone());
    })
    .await?;
    let found_in: HashMap<String, u64> =
        rows.iter().map(|row| Ok((row.try_get("term")?, uint(row.try_get("doc")?)))).collect::<Result<_, Fault>>()?;
    let total = tx.optional(sqlx::query("SELECT count(*) AS n FROM memory")).await?;
    let total: i64 = total.map(|row| row.try_get("n")).transpose()?.unwrap_or(0);
    Ok((WordQuery::new(words, &found_in, uint(total)), found_in))
}

async fn by_text(tx: &mut Tx, tenant: &str, query: &RecallQuery, search: &[&str]) -> Result<Vec<HistoryEntry>, Fault> {
    if search.is_empty() {
        return Ok(Vec::new());
    }
    // Words hold letters and digits only, so quoting them is enough.
    let any: Vec<String> = search.iter().map(|word| format!("\"{word}\"")).collect();
    let mut sql: QueryBuilder<Sqlite> =
        QueryBuilder::new("SELECT m.doc FROM memory_words JOIN memory m ON m.seq = memory_words.rowid WHERE memory_words MATCH ");
    sql.push_bind(any.join(" OR "));
    push_filters(&mut sql, tenant, query);
    sql.push(" ORDER BY rank LIMIT ").push_bind(CANDIDATES);
    documents("history entry", &tx.all(sql.build()).await?)
}

async fn by_filters(tx: &mut Tx, tenant: &str, query: &RecallQuery, most: i64) -> Result<Vec<HistoryEntry>, Fault> {
    let mut sql: QueryBuilder<Sqlite> = QueryBuilder::new("SELECT m.doc FROM memory m WHERE true");
    push_filters(&mut sql, tenant, query);
    sql.push(" ORDER BY m.opened_at DESC, m.seq DESC LIMIT ").push_bind(most);
    documents("history entry", &tx.all(sql.build()).await?)
}

/// The rules of [`RecallQuery::admits`], for the caller's tenant.
fn push_filters(sql: &mut QueryBuilder<Sqlite>, tenant: &str, query: &RecallQuery) {
    sql.push(" AND coalesce(json_extract(m.doc, '$.tenant'), '') = ").push_bind(tenant.to_owned());
    if let Some(fingerprint) = &query.fingerprint {
        sql.push(" AND m.fingerprint = ").push_bind(fingerprint.clone());
    }
    if let Some(category) = query.category {
        sql.push(" AND m.category = ").push_bind(category.as_str());
    }
    if let Some(namespace) = &query.namespace {
        sql.push(" AND m.resource_ns <> '' AND m.resource_ns = ").push_bind(namespace.clone());
    }
    if let Some(cluster) = &query.cluster {
        sql.push(" AND json_extract(m.doc, '$.resource.cluster') = ").push_bind(cluster.clone());
    }
    if let Some(environment) = query.environment {
        sql.push(" AND json_extract(m.doc, '$.environment') = ").push_bind(environment.as_str());
    }
    if let Some(since) = query.since {
        sql.push(" AND m.opened_at >= ").push_bind(micros(since));
    }
    if let Some(until) = query.until {
        sql.push(" AND m.opened_at < ").push_bind(micros(until));
    }
}
