//! The memory of incidents.
//!
//! One process at a time writes, so that whoever goes through the entries by their numbers misses none.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use kubernaut_core::{
    Error, Result,
    model::{HistoryEntry, IncidentId, ObjectRef, Timestamp},
    service::{CallContext, Capability, ContextStore, HistoryPage, OutcomeUpdate, RecallQuery, Recalled},
};
use sqlx::{Postgres, QueryBuilder, Row};

use super::{
    backend::Backend,
    error::Fault,
    row::{decode, documents, encode, limit, micros, uint},
    tx::Tx,
};
use crate::rules::recall::{WordQuery, active_at, is_about, order, recalled, searched_text, words, words_to_index};

/// Candidates that a query by words looks at.
const CANDIDATES: i64 = 200;

/// Remembers incidents in the ledger's database: found by fingerprint, by resource, and by words.
///
/// A query by words scores an entry by the share of the query's words that occur in it, rare words counting more. An entry without an
/// incident id (as in a recorded history) is remembered once, however often it is offered.
#[derive(Debug, Clone)]
pub struct PostgresContextStore {
    backend: Arc<Backend>,
}

impl PostgresContextStore {
    pub(crate) fn new(backend: Arc<Backend>) -> Self {
        Self { backend }
    }
}

#[async_trait]
impl ContextStore for PostgresContextStore {
    async fn remember(&self, ctx: CallContext, entry: HistoryEntry) -> Result<()> {
        let entry = HistoryEntry { tenant: ctx.tenant.to_string(), ..entry };
        self.backend.shared.write(&ctx, "context_store.remember", |tx| Box::pin(remember(tx, entry.clone()))).await
    }

    async fn recall(&self, ctx: CallContext, query: RecallQuery) -> Result<Vec<Recalled>> {
        let tenant = ctx.tenant.clone();
        self.backend.shared.read(&ctx, "context_store.recall", |tx| Box::pin(recall(tx, tenant.clone(), query.clone()))).await
    }

    async fn history(&self, ctx: CallContext, resource: ObjectRef, since: Timestamp) -> Result<Vec<HistoryEntry>> {
        let tenant = ctx.tenant.clone();
        self.backend.shared.read(&ctx, "context_store.history", |tx| Box::pin(history(tx, tenant.clone(), resource.clone(), since))).await
    }

    async fn forget(&self, ctx: CallContext, id: IncidentId) -> Result<()> {
        let tenant = ctx.tenant.clone();
        self.backend.shared.write(&ctx, "context_store.forget", |tx| Box::pin(forget(tx, tenant.clone(), format!("i:{id}")))).await
    }

    async fn outcome(&self, ctx: CallContext, update: OutcomeUpdate) -> Result<()> {
        let tenant = ctx.tenant.clone();
        self.backend.shared.write(&ctx, "context_store.outcome", |tx| Box::pin(outcome(tx, tenant.clone(), update.clone()))).await
    }

    async fn scan(&self, ctx: CallContext, after: u64, most: u32) -> Result<HistoryPage> {
        self.backend.shared.read(&ctx, "context_store.scan", |tx| Box::pin(scan(tx, after, most))).await
    }

    async fn fetch(&self, ctx: CallContext, keys: Vec<String>) -> Result<Vec<HistoryEntry>> {
        let tenant = ctx.tenant.clone();
        self.backend.shared.read(&ctx, "context_store.fetch", |tx| Box::pin(fetch(tx, tenant.clone(), keys.clone()))).await
    }

    fn capabilities(&self) -> Vec<Capability> {
        vec![Capability::Forget, Capability::Outcome, Capability::Scan]
    }
}

/// Held until the end of the transaction by whoever writes.
async fn lock(tx: &mut Tx) -> Result<(), Fault> {
    tx.optional(sqlx::query("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.memory'))")).await.map(drop)
}

async fn remember(tx: &mut Tx, entry: HistoryEntry) -> Result<(), Fault> {
    let doc = encode("history entry", &entry)?;
    let key = entry.key();
    forget(tx, entry.tenant.as_str().into(), key.clone()).await?;
    let query = sqlx::query(
        "INSERT INTO memory (key, incident_id, fingerprint, category, opened_at, active_at, resource_kind, resource_ns, resource_name, doc) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING seq",
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
    let rows = tx.returning(query).await?;
    let seq: i64 = rows.first().map(|row| row.try_get("seq")).transpose()?.unwrap_or(0);
    index(tx, seq, &entry).await
}

/// Makes an entry findable by its words.
pub(crate) async fn index(tx: &mut Tx, seq: i64, entry: &HistoryEntry) -> Result<(), Fault> {
    let terms = words_to_index(&searched_text(entry));
    let query = sqlx::query(
        "WITH indexed AS (INSERT INTO memory_words (term, entry) SELECT term, $2 FROM unnest($1::text[]) AS k (term)) \
         INSERT INTO memory_vocabulary (term, doc) SELECT term, 1 FROM unnest($1::text[]) AS k (term) \
         ON CONFLICT (term) DO UPDATE SET doc = memory_vocabulary.doc + 1",
    );
    tx.execute(query.bind(terms).bind(seq)).await?;
    Ok(())
}

async fn forget(tx: &mut Tx, tenant: Arc<str>, key: String) -> Result<(), Fault> {
    lock(tx).await?;
    let query = sqlx::query("SELECT seq FROM memory WHERE key = $1 AND coalesce(doc::json ->> 'tenant', '') = $2");
    let Some(row) = tx.optional(query.bind(key).bind(tenant.to_string())).await? else { return Ok(()) };
    let seq: i64 = row.try_get("seq")?;
    let counted = sqlx::query("UPDATE memory_vocabulary SET doc = doc - 1 WHERE term IN (SELECT term FROM memory_words WHERE entry = $1)");
    tx.execute(counted.bind(seq)).await?;
    let unused = sqlx::query("DELETE FROM memory_vocabulary WHERE doc <= 0 AND term IN (SELECT term FROM memory_words WHERE entry = $1)");
    tx.execute(unused.bind(seq)).await?;
    tx.execute(sqlx::query("DELETE FROM memory WHERE seq = $1").bind(seq)).await?;
    Ok(())
}

async fn outcome(tx: &mut Tx, tenant: Arc<str>, update: OutcomeUpdate) -> Result<(), Fault> {
    let id = update.incident_id;
    let key = format!("i:{id}");
    let unknown = || Error::not_found("context_store.outcome", "the incident was never remembered").with("id", id);
    lock(tx).await?;
    let row = tx.optional(sqlx::query("SELECT doc FROM memory WHERE key = $1").bind(&key)).await?.ok_or_else(unknown)?;
    let entry: HistoryEntry = decode("history entry", &key, row.try_get("doc")?)?;
    if *entry.tenant != *tenant {
        return Err(unknown().into());
    }
    let effectiveness = update.effectiveness.or(entry.effectiveness);
    let entry = HistoryEntry { outcome: Some(update.outcome), effectiveness, closed_at: Some(update.closed_at), ..entry };
    let query = sqlx::query("UPDATE memory SET active_at = $1, doc = $2 WHERE key = $3");
    tx.execute(query.bind(micros(active_at(&entry))).bind(encode("history entry", &entry)?).bind(key)).await?;
    Ok(())
}

async fn scan(tx: &mut Tx, after: u64, most: u32) -> Result<HistoryPage, Fault> {
    let query = sqlx::query("SELECT seq, doc FROM memory WHERE seq > $1 ORDER BY seq LIMIT $2");
    let rows = tx.all(query.bind(i64::try_from(after).unwrap_or(i64::MAX)).bind(i64::from(most))).await?;
    let next = rows.last().map(|row| row.try_get("seq")).transpose()?.map_or(after, uint);
    Ok(HistoryPage { entries: documents("history entry", &rows)?, next })
}

async fn fetch(tx: &mut Tx, tenant: Arc<str>, keys: Vec<String>) -> Result<Vec<HistoryEntry>, Fault> {
    let rows = tx.all(sqlx::query("SELECT doc FROM memory WHERE key = ANY($1)").bind(keys)).await?;
    let mut entries: Vec<HistoryEntry> = documents("history entry", &rows)?;
    entries.retain(|entry| *entry.tenant == *tenant);
    Ok(entries)
}

async fn history(tx: &mut Tx, tenant: Arc<str>, resource: ObjectRef, since: Timestamp) -> Result<Vec<HistoryEntry>, Fault> {
    let query = sqlx::query(
        "SELECT doc FROM memory WHERE resource_kind = $1 AND resource_ns = $2 AND resource_name = $3 AND active_at >= $4 ORDER BY active_at DESC, seq DESC",
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
    let rows = tx.all(sqlx::query("SELECT term, doc FROM memory_vocabulary WHERE term = ANY($1)").bind(&words)).await?;
    let found_in: HashMap<String, u64> =
        rows.iter().map(|row| Ok((row.try_get("term")?, uint(row.try_get("doc")?)))).collect::<Result<_, Fault>>()?;
    let total = tx.optional(sqlx::query("SELECT count(*) AS n FROM memory")).await?;
    let total: i64 = total.map(|row| row.try_get("n")).transpose()?.unwrap_or(0);
    Ok((WordQuery::new(words, &found_in, uint(total)), found_in))
}

/// Candidates: those with most of the words first, a word counting more the fewer entries have it.
async fn by_text(tx: &mut Tx, tenant: &str, query: &RecallQuery, search: &[&str]) -> Result<Vec<HistoryEntry>, Fault> {
    if search.is_empty() {
        return Ok(Vec::new());
    }
    let search: Vec<String> = search.iter().map(|word| (*word).to_owned()).collect();
    let mut sql: QueryBuilder<Postgres> = QueryBuilder::new(
        "SELECT m.doc FROM (SELECT w.entry, sum(1.0 / (1 + v.doc)) AS rank FROM memory_words w JOIN memory_vocabulary v ON v.term = w.term \
         WHERE w.term = ANY(",
    );
    sql.push_bind(search).push(") GROUP BY w.entry) r JOIN memory m ON m.seq = r.entry WHERE true");
    push_filters(&mut sql, tenant, query);
    sql.push(" ORDER BY r.rank DESC, m.seq DESC LIMIT ").push_bind(CANDIDATES);
    documents("history entry", &tx.all(sql.build()).await?)
}

async fn by_filters(tx: &mut Tx, tenant: &str, query: &RecallQuery, most: i64) -> Result<Vec<HistoryEntry>, Fault> {
    let mut sql: QueryBuilder<Postgres> = QueryBuilder::new("SELECT m.doc FROM memory m WHERE true");
    push_filters(&mut sql, tenant, query);
    sql.push(" ORDER BY m.opened_at DESC, m.seq DESC LIMIT ").push_bind(most);
    documents("history entry", &tx.all(sql.build()).await?)
}

/// The rules of [`RecallQuery::admits`], for the caller's tenant.
fn push_filters(sql: &mut QueryBuilder<Postgres>, tenant: &str, query: &RecallQuery) {
    sql.push(" AND coalesce(m.doc::json ->> 'tenant', '') = ").push_bind(tenant.to_owned());
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
        sql.push(" AND m.doc::json -> 'resource' ->> 'cluster' = ").push_bind(cluster.clone());
    }
    if let Some(environment) = query.environment {
        sql.push(" AND m.doc::json ->> 'environment' = ").push_bind(environment.as_str());
    }
    if let Some(since) = query.since {
        sql.push(" AND m.opened_at >= ").push_bind(micros(since));
    }
    if let Some(until) = query.until {
        sql.push(" AND m.opened_at < ").push_bind(micros(until));
    }
}
