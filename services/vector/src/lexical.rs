//! Vectors from wording alone: no model, no weights, microseconds a text.

use std::collections::HashMap;

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    port::{Embedder, EmbedderInfo, EmbeddingBasis},
    service::CallContext,
};

use crate::dot::unit;

const DIMENSIONS: usize = 512;
/// Most characters of a text that count.
const MOST: usize = 8_192;
/// Weights of what a text is made of.
const WORD: f32 = 1.0;
const PAIR: f32 = 0.5;
const PIECE: f32 = 0.35;
/// What words count for that nearly every incident has.
const COMMON: f32 = 0.15;
/// Sorted.
const COMMON_WORDS: &[&str] = &[
    "a",
    "an",
    "and",
    "apps",
    "are",
    "at",
    "be",
    "by",
    "container",
    "containers",
    "daemonset",
    "default",
    "deployment",
    "for",
    "from",
    "has",
    "have",
    "in",
    "is",
    "it",
    "its",
    "job",
    "kube",
    "kubernetes",
    "namespace",
    "no",
    "node",
    "not",
    "of",
    "on",
    "or",
    "pod",
    "pods",
    "replicaset",
    "service",
    "set",
    "statefulset",
    "status",
    "svc",
    "that",
    "the",
    "this",
    "to",
    "was",
    "were",
    "with",
];

/// Embeds by words, pairs of words, and pieces of words, each hashed to a place of the vector.
///
/// Two texts are alike as far as they use the same or similarly spelt words; it knows nothing of meaning, so `killed for memory` and `OOM` are
/// strangers to it. Frequent words count less than in proportion, and words that nearly every incident has count little.
#[derive(Debug, Clone, Copy, Default)]
pub struct LexicalEmbedder;

#[async_trait]
impl Embedder for LexicalEmbedder {
    async fn embed(&self, _ctx: CallContext, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| embed(text)).collect())
    }

    fn describe(&self) -> EmbedderInfo {
        EmbedderInfo {
            name: "lexical".into(),
            version: "1".into(),
            dimensions: DIMENSIONS,
            basis: EmbeddingBasis::Wording,
            related: 0.22,
            about: "compares wording, not meaning: hashed words, pairs and pieces of words; needs no weights".into(),
        }
    }
}

fn embed(text: &str) -> Vec<f32> {
    let mut features: HashMap<u64, (f32, f32)> = HashMap::new();
    let mut count = |kind: u8, text: &str, weight: f32| {
        features.entry(hash(kind, text)).and_modify(|(times, _)| *times += 1.0).or_insert((1.0, weight));
    };
    let mut before: Option<String> = None;
    for (word, part) in words(text) {
        let weight = if COMMON_WORDS.binary_search(&word.as_str()).is_ok() { COMMON } else { WORD };
        count(0, &word, weight);
        for piece in pieces(&word) {
            count(1, &piece, weight * PIECE);
        }
        // A part of a compound stands for the same place as the compound.
        if part {
            continue;
        }
        if let Some(before) = before.replace(word.clone()) {
            count(2, &format!("{before} {word}"), weight * PAIR);
        }
    }
    let mut vector = vec![0.0; DIMENSIONS];
    // In a fixed order, for sums of fractions depend on it.
    let mut features: Vec<_> = features.into_iter().collect();
    features.sort_unstable_by_key(|(hash, _)| *hash);
    for (hash, (times, weight)) in features {
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        let place = usize::try_from(hash % DIMENSIONS as u64).unwrap_or(0);
        if let Some(cell) = vector.get_mut(place) {
            *cell += sign * weight * (1.0 + times.ln());
        }
    }
    unit(vector).unwrap_or_else(|| vec![0.0; DIMENSIONS])
}

/// Words in lower case; after a compound (`OOMKilled`) its parts, marked as such.
fn words(text: &str) -> Vec<(String, bool)> {
    let text: String = text.chars().take(MOST).collect();
    let mut words = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && !is_random(word)) {
        words.push((word.to_lowercase(), false));
        let parts = humps(word);
        if parts.len() > 1 {
            words.extend(parts.into_iter().map(|part| (part.to_lowercase(), true)));
        }
    }
    words
}

/// Hashes and ids, as in names of pods, tell nothing about what happened.
fn is_random(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.chars().filter(char::is_ascii_alphabetic).count();
    digits > 4 || (digits > 1 && letters > 2 && word.len() >= 5 && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase()))
}

/// The parts of a compound: `OOMKilled` is `OOM` and `Killed`.
fn humps(word: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let mut cuts = vec![0];
    for at in 1..chars.len() {
        let (Some((_, before)), Some((index, here))) = (chars.get(at - 1), chars.get(at)) else { break };
        let next_is_lower = chars.get(at + 1).is_some_and(|(_, c)| c.is_lowercase());
        if here.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && next_is_lower)) {
            cuts.push(*index);
        }
    }
    cuts.push(word.len());
    cuts.windows(2).filter_map(|cut| word.get(*cut.first()?..*cut.last()?)).filter(|part| !part.is_empty()).collect()
}

/// Pieces of four characters, the word's ends marked.
fn pieces(word: &str) -> Vec<String> {
    const LONG: usize = 4;
    let marked: Vec<char> = std::iter::once('<').chain(word.chars()).chain(std::iter::once('>')).collect();
    if marked.len() <= LONG + 1 { Vec::new() } else { marked.windows(LONG).map(|piece| piece.iter().collect()).collect() }
}

/// FNV-1a with a final mix; part of [`EmbedderInfo::version`], so it may not change silently.
fn hash(kind: u8, text: &str) -> u64 {
    let mut hash =
        std::iter::once(kind).chain(text.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot::dot;

    fn alike(a: &str, b: &str) -> f32 {
        dot(&embed(a), &embed(b))
    }

    #[test]
    fn similar_wording_is_nearer_than_other_wording() {
        let oom = "PodCrashLooping Deployment/shop/checkout OOMKilled exit code 137, memory limit 256Mi";
        assert!(
            alike(oom, "container cart was OOMKilled, limit of memory 512Mi") > alike(oom, "certificate has expired: x509 handshake failed") + 0.2
        );
        assert!(alike("ImagePullBackOff", "image pull failed") > 0.2, "parts of compounds count");
        assert!(alike("unschedulable", "scheduling") > 0.05, "pieces of words count");
        let common = alike("OOMKilled in the pod of a namespace", "certificate has expired in the pod of a namespace");
        assert!(common < LexicalEmbedder.describe().related, "common words alone relate nothing: {common}");
    }

    #[test]
    fn ids_do_not_count_but_exit_codes_do() {
        assert!(alike("web-6d4cf56db6-x7k2p crashed", "web-58b7d9c6f4-q9z4w crashed") > 0.99);
        assert!(alike("exit code 137", "exit code 1") < 0.95);
        assert_eq!(embed("6d4cf56db6"), vec![0.0; DIMENSIONS]);
    }

    #[test]
    fn compounds_are_cut_at_their_humps() {
        assert_eq!(humps("OOMKilled"), ["OOM", "Killed"]);
        assert_eq!(humps("CrashLoopBackOff"), ["Crash", "Loop", "Back", "Off"]);
        assert_eq!(humps("plain"), ["plain"]);
        assert_eq!(humps("größeÄndern"), ["größe", "Ändern"]);
    }

    #[test]
    fn the_list_of_common_words_is_sorted() {
        assert!(COMMON_WORDS.is_sorted());
    }
}
