//! How similar a remembered incident is.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashMap, HashSet},
};

use kubernaut_core::{
    model::{HistoryEntry, ObjectRef, Timestamp},
    service::Recalled,
};

/// Most words of a query that are looked at.
const MAX_WORDS: usize = 64;
/// Most words that candidates are fetched by: the rarest, so that a common word does not fetch everything.
const MAX_SEARCHED: usize = 12;
/// Most words named in an explanation.
const MAX_NAMED: usize = 6;
/// The best that words alone can reach; 1 is for the same fingerprint.
const BEST_BY_WORDS: f64 = 0.99;

/// The words of a text, lower-case, each once, in order; single characters are left out.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| w.chars().nth(1).is_some())
        .map(str::to_lowercase)
        .filter(|w| seen.insert(w.clone()))
        .take(MAX_WORDS)
        .collect()
}

/// The words of a text that is to be found by them, each once; where an index has to be told them.
#[cfg(feature = "postgres")]
pub(crate) fn words_to_index(text: &str) -> Vec<String> {
    const MOST: usize = 2_000;
    let all: BTreeSet<String> = text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.chars().nth(1).is_some()).map(str::to_lowercase).collect();
    all.into_iter().take(MOST).collect()
}

/// A query by words, with how telling each of them is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WordQuery {
    /// Words with their weight, rarest first.
    weighted: Vec<(String, f64)>,
}

impl WordQuery {
    /// `found_in` says in how many of `total` entries a word occurs; a word that is absent there occurs in none.
    pub(crate) fn new(words: Vec<String>, found_in: &HashMap<String, u64>, total: u64) -> Self {
        let mut weighted: Vec<(String, f64)> = words
            .into_iter()
            .map(|word| {
                let found = found_in.get(&word).copied().unwrap_or(0);
                (word, weight(found, total))
            })
            .collect();
        weighted.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self { weighted }
    }

    /// The words to search by: the rarest that occur at all.
    pub(crate) fn search_words(&self, found_in: &HashMap<String, u64>) -> Vec<&str> {
        self.weighted.iter().map(|(w, _)| w.as_str()).filter(|w| found_in.contains_key(*w)).take(MAX_SEARCHED).collect()
    }

    /// The weighted share of the query's words that occur in a text, and these words.
    pub(crate) fn score(&self, text: &str) -> (f64, Vec<&str>) {
        let lower = text.to_lowercase();
        let present: HashSet<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
        let total: f64 = self.weighted.iter().map(|(_, w)| w).sum();
        let hits: Vec<&(String, f64)> = self.weighted.iter().filter(|(word, _)| present.contains(word.as_str())).collect();
        let share = if total > 0.0 { hits.iter().map(|(_, w)| w).sum::<f64>() / total } else { 0.0 };
        (share.clamp(0.0, 1.0) * BEST_BY_WORDS, hits.iter().map(|(word, _)| word.as_str()).collect())
    }
}

/// Inverse document frequency, always positive.
fn weight(found: u64, total: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of entries stay far below 2^52")]
    let (found, total) = (found as f64, total.max(found) as f64);
    (1.0 + (total - found + 0.5) / (found + 0.5)).ln()
}

/// The text of an entry that is searched.
pub(crate) fn searched_text(entry: &HistoryEntry) -> String {
    let mut parts: BTreeSet<String> = BTreeSet::new();
    parts.insert(entry.resource.to_string());
    parts.extend(entry.cause.as_ref().map(ToString::to_string));
    let category = entry.category.map_or("", kubernaut_core::model::Category::as_str);
    let head: Vec<String> = parts.into_iter().collect();
    [entry.alert_name.as_str(), category, &category.replace('_', " "), &head.join(" "), &entry.text].join(" ")
}

/// One candidate with its score; `None` if a query by words does not touch it.
pub(crate) fn recalled(entry: HistoryEntry, same_fingerprint: bool, query: Option<&WordQuery>) -> Option<Recalled> {
    if same_fingerprint {
        return Some(Recalled { entry, score: 1.0, why: "same fingerprint".to_owned(), parts: Vec::new() });
    }
    let Some(query) = query else {
        return Some(Recalled { entry, score: 0.0, why: "recent".to_owned(), parts: Vec::new() });
    };
    let (score, words) = query.score(&searched_text(&entry));
    let named: Vec<&str> = words.into_iter().take(MAX_NAMED).collect();
    let why = format!("words: {}", named.join(", "));
    (score > 0.0).then_some(Recalled { entry, score, why, parts: Vec::new() })
}

/// Best first, then newest.
pub(crate) fn order(a: &Recalled, b: &Recalled) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| b.entry.opened_at.cmp(&a.entry.opened_at))
}

/// When an entry was last active: its end, else its beginning.
pub(crate) fn active_at(entry: &HistoryEntry) -> Timestamp {
    entry.closed_at.unwrap_or(entry.opened_at)
}

/// Whether an entry is about a resource: the same object, in the same cluster where both name one. A successor of the same name counts,
/// because what was done to its predecessor tells about it.
pub(crate) fn is_about(entry: &HistoryEntry, resource: &ObjectRef) -> bool {
    let other = &entry.resource;
    let same_cluster = !matches!((&other.cluster, &resource.cluster), (Some(a), Some(b)) if a != b);
    same_cluster
        && other.kind == resource.kind
        && other.group == resource.group
        && other.namespace == resource.namespace
        && other.name == resource.name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str, found_in: &[(&str, u64)], total: u64) -> WordQuery {
        let found_in = found_in.iter().map(|(w, n)| ((*w).to_owned(), *n)).collect();
        WordQuery::new(words(text), &found_in, total)
    }

    #[test]
    fn a_rare_word_counts_more_than_a_common_one() {
        let query = query("pod oomkilled", &[("pod", 90), ("oomkilled", 2)], 100);
        assert!(query.score("container OOMKilled").0 > query.score("pod not ready").0);
        assert!(query.score("pod OOMKilled").0 < 1.0, "1 is for the same fingerprint");
        assert_eq!(query.score("nothing alike"), (0.0, vec![]));
    }

    #[test]
    fn words_are_split_at_punctuation_and_kept_once() {
        assert_eq!(words("exit-code: 137, Exit 1 (Größe)"), ["exit", "code", "137", "größe"]);
    }
}
