//! A recording that lacks a part may know less, but proposes nothing harmful for it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;

use kubernaut::eval::{grade_case, load_truths};
use serde_json::Value;
use support::{Incident, cases};

fn without(incident: &Incident) -> Vec<(String, Incident)> {
    let kinds: BTreeSet<&str> = incident.objects.iter().filter_map(|o| o["kind"].as_str()).collect();
    let mut out: Vec<_> = kinds
        .into_iter()
        .map(|kind| {
            let mut less = incident.clone();
            less.objects.retain(|o| o["kind"] != kind);
            (format!("without {kind}s"), less)
        })
        .collect();
    let mut change = |name: &str, edit: fn(&mut Incident)| {
        let mut less = incident.clone();
        edit(&mut less);
        out.push((name.to_owned(), less));
    };
    change("without events", |i| i.events.clear());
    change("without logs", |i| i.logs.clear());
    change("without metrics", |i| i.metrics = None);
    change("without history", |i| i.history = None);
    change("without who wrote what", |i| i.objects.iter_mut().for_each(|o| o["metadata"]["managedFields"] = Value::Null));
    change("with logs cut in the middle of a line", |i| {
        for text in i.logs.values_mut() {
            let end = text.char_indices().nth(text.chars().count() * 2 / 3).map_or(0, |(at, _)| at);
            text.truncate(end);
        }
    });
    out
}

/// Harm that a part's absence may hide: history tells of fixes that did not last, and nothing else does.
fn needs_the_part(name: &str, id: &str) -> bool {
    name == "without history" && (id.starts_with("external-drift") || id.starts_with("memory-leak"))
}

#[tokio::test]
async fn a_missing_part_never_leads_to_a_harmful_proposal() {
    let dir = tempfile::tempdir().unwrap();
    let half = cases("development");
    let mut harmful = Vec::new();
    let mut tried = 0;
    // Every fourth case, so that all families are met in a few seconds.
    for truth in load_truths(&half.join("expected")).unwrap().into_iter().step_by(4) {
        let incident = Incident::read(&half.join("bundles").join(&truth.id));
        for (name, less) in without(&incident) {
            // A target that is not in the recording may be an error that says so.
            let Ok(answer) = less.answer(dir.path()).await else { continue };
            tried += 1;
            let grade = grade_case(&truth, Some(&answer));
            if !grade.violations.is_empty() && !needs_the_part(&name, &truth.id) {
                harmful.push(format!("{} {name}: {}", truth.id, grade.violations.join("; ")));
            }
        }
    }
    assert!(tried > 200, "{tried}");
    assert!(harmful.is_empty(), "{} of {tried}:\n{}", harmful.len(), harmful.join("\n"));
}
