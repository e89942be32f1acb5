//! The page on the actions is made from the registry and these rows.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use kubernaut_core::model::{ActionSpec, Reversibility, Risk};
use kubernaut_executor::registry;

use crate::rows;

/// What no machine of the tests can show, and how it is tested instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("expand_pvc", "needs a provisioner that expands; tested on recorded objects"),
    ("restore_secret", "needs External Secrets, Sealed Secrets or cert-manager; tested on recorded objects"),
    ("no_action", "changes nothing"),
    ("escalate", "changes nothing"),
    ("notify_only", "changes nothing"),
];

fn page() -> String {
    let rows: BTreeMap<&str, rows::Row> = rows::all().into_iter().map(|r| (r.name, r)).collect();
    let mut text = String::from(
        "# Actions\n\nGenerated from the registry and the conformance rows by `cargo xtask gen`; do not edit.\n\n\
         `kubernaut actions` lists the same with the parameters. \"Real cluster\" says what the conformance test reads with kubectl on a real API server, with real\n\
         containers where the action is about pods.\n\n",
    );
    for spec in registry() {
        let _ = writeln!(text, "## {}\n\n{}.\n", spec.name, capital(&spec.summary));
        let _ = writeln!(text, "| | |\n|---|---|");
        line(&mut text, "Targets", &joined(&spec.target_kinds));
        line(&mut text, "Risk", risk(spec.risk));
        line(&mut text, "Taken back", reversibility(spec));
        line(&mut text, "Other names", &joined(&spec.aliases));
        line(&mut text, "Preconditions", &spec.preconditions.join("; "));
        line(&mut text, "Parameters", &parameters(spec));
        line(&mut text, "Real cluster", &shown(&rows, &spec.name));
        text.push('\n');
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(text, "| {name} | {} |", value.replace('|', "\\|"));
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn joined(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::None => "none",
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}

fn reversibility(spec: &ActionSpec) -> &'static str {
    match spec.reversibility {
        Reversibility::NotNeeded => "nothing to take back",
        Reversibility::Undo => "undo restores what was changed",
        Reversibility::Compensate => "by another action",
        Reversibility::Irreversible => "cannot be taken back",
    }
}

fn parameters(spec: &ActionSpec) -> String {
    let fields = spec.parameters["properties"].as_object();
    let required = spec.parameters["required"].as_array();
    let one = |name: &String| {
        let needed = required.is_some_and(|r| r.iter().any(|x| x == name));
        if needed { format!("`{name}` (required)") } else { format!("`{name}`") }
    };
    fields.into_iter().flatten().filter(|(name, _)| *name != "reason").map(|(name, _)| one(name)).collect::<Vec<_>>().join(", ")
}

fn shown(rows: &BTreeMap<&str, rows::Row>, name: &str) -> String {
    if let Some(row) = rows.get(name) {
        let undo = if row.undone.is_some() { "; undo read too" } else { "" };
        return format!("{}{undo}", row.reads);
    }
    ELSEWHERE.iter().find(|(n, _)| *n == name).map_or_else(|| "tested on recorded objects only".to_owned(), |(_, why)| (*why).to_owned())
}

#[test]
fn the_page_on_the_actions_is_what_the_registry_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/actions.md");
    let page = page();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
        return;
    }
    assert!(std::fs::read_to_string(&path).is_ok_and(|written| written == page), "docs/actions.md differs; run `cargo xtask gen`");
}

#[test]
fn each_row_is_about_an_action_that_is_offered() {
    for row in rows::all() {
        assert!(registry().iter().any(|s| s.name == row.name), "{}", row.name);
    }
}
