//! How similar an incident is, and why. Pure.

use std::{cmp::Ordering, collections::BTreeSet};

use kubernaut_core::{
    model::{HistoryEntry, ObjectRef},
    port::EmbedderInfo,
    service::{RecallQuery, Recalled, ScorePart},
};

use super::text;

/// The best that similarity can reach; 1 is for the same fingerprint.
pub(super) const BEST: f64 = 0.99;

/// What each part counts for, relative to the others that the query gives.
const VECTOR: f64 = 0.35;
const WORDS: f64 = 0.30;
const EVIDENCE: f64 = 0.15;
const ALERT: f64 = 0.10;
const CATEGORY: f64 = 0.10;
const OBJECT: f64 = 0.10;
/// How alike two objects are of which only the kind, or kind and namespace, are the same.
const SAME_KIND: f64 = 0.3;
const SAME_NAMESPACE: f64 = 0.6;

/// A query, read once for many entries.
#[derive(Debug)]
pub(super) struct Scale<'q> {
    query: &'q RecallQuery,
    embedder: Option<&'q EmbedderInfo>,
    signature: BTreeSet<String>,
}

/// What the searches found about one entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// Cosine, where it is among the nearest.
    pub(super) similarity: Option<f32>,
    /// Score of the search by words, as a share, and what it says.
    pub(super) words: Option<(f64, String)>,
}

impl<'q> Scale<'q> {
    /// `embedder` is what vectors were compared with; `None` if they could not be.
    pub(super) fn new(query: &'q RecallQuery, embedder: Option<&'q EmbedderInfo>) -> Self {
        let alert = query.like.alert_name.as_deref().unwrap_or_default();
        let signature = text::signature(query.text.as_deref().unwrap_or_default(), alert);
        Self { query, embedder, signature }
    }

    /// `None` if neither words nor vectors connect the entry with the query.
    pub(super) fn weigh(&self, entry: HistoryEntry, found: &Found) -> Option<Recalled> {
        let mut parts = Vec::new();
        let vector = self.embedder.map(|embedder| (embedder, self.vector(embedder, found.similarity)));
        let words = found.words.as_ref().map_or(0.0, |(share, _)| share.clamp(0.0, 1.0));
        if words <= 0.0 && vector.is_none_or(|(_, score)| score <= 0.0) {
            return None;
        }
        if let Some((embedder, score)) = vector {
            let detail = found.similarity.map(|s| format!("cosine {s:.2}")).unwrap_or_default();
            parts.push(part(embedder.basis.as_str(), score, VECTOR, detail));
        }
        let detail = found.words.as_ref().map(|(_, why)| why.trim_start_matches("words: ").to_owned());
        parts.push(part("words", words, WORDS, detail.unwrap_or_default()));
        parts.extend(self.evidence(&entry));
        parts.extend(self.structure(&entry));
        let total: f64 = parts.iter().map(|p| p.weight).sum();
        parts.iter_mut().for_each(|p| p.weight /= total);
        let score = BEST * parts.iter().map(|p| p.weight * p.score).sum::<f64>();
        Some(Recalled { why: why(&parts), score: score.clamp(0.0, BEST), entry, parts })
    }

    /// From 0 where texts begin to be related to 1 for the same text.
    fn vector(&self, embedder: &EmbedderInfo, similarity: Option<f32>) -> f64 {
        similarity.map_or(0.0, |s| f64::from((s - embedder.related) / (1.0 - embedder.related)).clamp(0.0, 1.0))
    }

    /// The share of the query's marks of failure that the entry has too.
    fn evidence(&self, entry: &HistoryEntry) -> Option<ScorePart> {
        if self.signature.is_empty() {
            return None;
        }
        let theirs = text::signature(&entry.text, &entry.alert_name);
        let shared: Vec<&str> = self.signature.intersection(&theirs).map(String::as_str).collect();
        #[expect(clippy::cast_precision_loss, reason = "a text has few marks")]
        let share = shared.len() as f64 / self.signature.len() as f64;
        Some(part("evidence", share, EVIDENCE, shared.join(", ")))
    }

    fn structure(&self, entry: &HistoryEntry) -> Vec<ScorePart> {
        let like = &self.query.like;
        let equal = |name: &str, same: bool, weight: f64, detail: &str| {
            part(name, if same { 1.0 } else { 0.0 }, weight, if same { detail.to_owned() } else { String::new() })
        };
        let alert = like.alert_name.as_ref().map(|name| equal("alert", *name == entry.alert_name, ALERT, name));
        let category = like.category.map(|c| equal("category", entry.category == Some(c), CATEGORY, c.as_str()));
        let object = like.object.as_ref().map(|object| {
            let score = objects(object, &entry.resource);
            part("object", score, OBJECT, if score > 0.0 { entry.resource.to_string() } else { String::new() })
        });
        [alert, category, object].into_iter().flatten().collect()
    }
}

fn part(name: &str, score: f64, weight: f64, detail: String) -> ScorePart {
    ScorePart { name: name.to_owned(), score, weight, detail }
}

fn objects(a: &ObjectRef, b: &ObjectRef) -> f64 {
    let cluster = a.cluster.is_none() || b.cluster.is_none() || a.cluster == b.cluster;
    match () {
        () if a.kind != b.kind || a.group != b.group => 0.0,
        () if a.namespace == b.namespace && a.name == b.name && cluster => 1.0,
        () if a.namespace == b.namespace && cluster => SAME_NAMESPACE,
        () => SAME_KIND,
    }
}

/// The parts that count, most first.
fn why(parts: &[ScorePart]) -> String {
    let mut counting: Vec<&ScorePart> = parts.iter().filter(|p| p.score > 0.0).collect();
    counting.sort_by(|a, b| (b.weight * b.score).total_cmp(&(a.weight * a.score)));
    let shown = counting.iter().map(|p| match (p.name.as_str(), p.detail.as_str()) {
        (name @ ("alert" | "category"), detail) => format!("same {name} {detail}"),
        ("object", detail) if p.score >= 1.0 => format!("same object {detail}"),
        ("object", _) => "same kind of object".to_owned(),
        (name, "") => name.to_owned(),
        (name, detail) => format!("{name}: {detail}"),
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// Best first, then newest.
pub(super) fn order(a: &Recalled, b: &Recalled) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| b.entry.opened_at.cmp(&a.entry.opened_at))
}
