//! What of an incident is compared. Pure.

use std::collections::{BTreeMap, BTreeSet};

use kubernaut_core::{
    model::{Category, Environment, HistoryEntry, well_known},
    port::{VectorFilter, VectorItem},
    service::RecallQuery,
};

/// The text of an entry that is embedded.
pub(super) fn of_entry(entry: &HistoryEntry) -> String {
    let category = entry.category.map_or("", Category::as_str).replace('_', " ");
    [entry.alert_name.as_str(), entry.resource.kind.as_str(), &category, &entry.text].join(" ")
}

/// The text of a query that is embedded; `None` if it asks for nothing similar.
pub(super) fn of_query(query: &RecallQuery) -> Option<String> {
    if let Some(text) = query.text.as_deref().filter(|text| text.chars().any(char::is_alphanumeric)) {
        return Some(text.to_owned());
    }
    let like = &query.like;
    let category = like.category.map_or("", Category::as_str).replace('_', " ");
    let kind = like.object.as_ref().map_or("", |object| object.kind.as_str());
    let words: Vec<&str> = [like.alert_name.as_deref().unwrap_or_default(), kind, &category].into_iter().filter(|w| !w.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// An entry as the index keeps it.
pub(super) fn item(entry: &HistoryEntry, vector: Vec<f32>) -> VectorItem {
    let labels = [
        ("tenant", Some(entry.tenant.clone())),
        ("cluster", entry.resource.cluster.clone()),
        ("namespace", entry.resource.namespace.clone()),
        ("environment", entry.environment.map(Environment::as_str).map(str::to_owned)),
        ("category", entry.category.map(Category::as_str).map(str::to_owned)),
    ];
    let labels: BTreeMap<String, String> = labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    VectorItem { id: entry.key(), vector, labels, at: entry.opened_at }
}

/// The rules of [`RecallQuery::admits`] in terms of the index.
pub(super) fn filter(tenant: &str, query: &RecallQuery) -> VectorFilter {
    let labels = [
        ("tenant", Some(tenant.to_owned())),
        ("cluster", query.cluster.clone()),
        ("namespace", query.namespace.clone()),
        ("environment", query.environment.map(Environment::as_str).map(str::to_owned)),
        ("category", query.category.map(Category::as_str).map(str::to_owned)),
    ];
    let labels = labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    VectorFilter { labels, since: query.since, until: query.until }
}

/// Words that programs say when they fail, whatever stands around them.
const PHRASES: &[&str] = &[
    "certificate has expired",
    "connection refused",
    "connection reset",
    "deadline exceeded",
    "disk full",
    "exec format error",
    "i/o timeout",
    "insufficient cpu",
    "insufficient memory",
    "manifest unknown",
    "no such file",
    "no such host",
    "no space left",
    "permission denied",
    "read-only file system",
    "too many open files",
    "unauthorized",
    "x509",
];

/// The marks of a failure that a text names: reasons such as `OOMKilled`, exit codes, and what programs say.
pub(super) fn signature(text: &str, alert_name: &str) -> BTreeSet<String> {
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let mut marks: BTreeSet<String> = words.iter().filter(|word| **word != alert_name && is_reason(word)).map(|word| (*word).to_owned()).collect();
    for three in words.windows(3) {
        if let [a, b, code] = three
            && a.eq_ignore_ascii_case("exit")
            && b.eq_ignore_ascii_case("code")
            && code.parse::<u8>().is_ok()
        {
            marks.insert(format!("exit code {code}"));
        }
    }
    let lower = text.to_lowercase();
    marks.extend(PHRASES.iter().filter(|phrase| lower.contains(**phrase)).map(|phrase| (*phrase).to_owned()));
    marks
}

/// A compound such as `CrashLoopBackOff` or a constant such as `ECONNREFUSED`, and no kind of object.
fn is_reason(word: &str) -> bool {
    let upper = word.chars().filter(|c| c.is_ascii_uppercase()).count();
    let lower = word.chars().filter(|c| c.is_ascii_lowercase()).count();
    let letters_only = upper + lower == word.len();
    let compound = upper >= 2 && lower >= 2 && word.starts_with(|c: char| c.is_ascii_uppercase());
    let constant = lower == 0 && upper >= 6;
    letters_only && (compound || constant) && well_known(word).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_reasons_codes_and_phrases_but_no_kinds_and_not_the_alert() {
        let text = "KubePodCrashLooping Deployment/shop/web\nStatefulSet OOMKilled with exit code 137; dial tcp: Connection refused (ECONNREFUSED)";
        let marks: Vec<_> = signature(text, "KubePodCrashLooping").into_iter().collect();
        assert_eq!(marks, ["ECONNREFUSED", "OOMKilled", "connection refused", "exit code 137"]);
        assert!(signature("web in shop is slow, code 5, exit code many", "").is_empty());
    }
}
