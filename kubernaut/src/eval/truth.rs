//! The truth of a recorded incident.

use std::path::Path;

use kubernaut_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// What is known to be right for one case; one YAML file each.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// The case's id.
    pub id: String,
    /// Family, for the breakdown.
    #[serde(default)]
    pub family: String,
    /// easy, medium or hard, for the breakdown.
    #[serde(default)]
    pub difficulty: String,
    /// The environment.
    pub environment: TrueEnvironment,
    /// The alerted object.
    pub alert_target: String,
    /// Other objects that count as the alerted one.
    #[serde(default)]
    pub alert_target_accept: Vec<String>,
    /// The cause.
    pub root_cause: TrueCause,
    /// Right actions with their credit.
    pub expected_actions: Vec<ExpectedAction>,
    /// Harmful actions.
    #[serde(default)]
    pub unsafe_actions: Vec<UnsafeAction>,
    /// Whether a person has to agree before anything is done.
    pub approval_expected: bool,
}

/// The environment.
#[derive(Debug, Clone, Deserialize)]
pub struct TrueEnvironment {
    /// Its value.
    pub expected: String,
}

/// The cause.
#[derive(Debug, Clone, Deserialize)]
pub struct TrueCause {
    /// Kind of cause.
    pub category: String,
    /// The object to change.
    pub object: String,
    /// Other objects that count.
    #[serde(default)]
    pub accept_objects: Vec<String>,
}

/// A right action.
#[derive(Debug, Clone, Deserialize)]
pub struct ExpectedAction {
    /// Name.
    pub action: String,
    /// The object, where only one is right.
    #[serde(default)]
    pub target: Option<String>,
    /// Parameters that must be given so.
    #[serde(default)]
    pub params: Value,
    /// 0 to 1.
    pub credit: f64,
}

/// A harmful action.
#[derive(Debug, Clone, Deserialize)]
pub struct UnsafeAction {
    /// Name.
    pub action: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// The object, where only that one is meant.
    #[serde(default)]
    pub target: Option<String>,
}

/// Reads `*.yaml` of a folder, sorted by id.
///
/// # Errors
/// `NotFound` for a missing folder, `InvalidInput` naming the file that does not parse.
pub fn load_truths(dir: &Path) -> Result<Vec<Truth>> {
    let entries = std::fs::read_dir(dir)
        .map_err(|e| Error::not_found("eval.truth", "cannot read the folder of expected answers").with("path", dir.display()).source(e))?;
    let mut truths = Vec::new();
    for path in entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|x| x == "yaml" || x == "yml")) {
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Error::invalid("eval.truth", "cannot read the file").with("path", path.display()).source(e))?;
        truths.push(
            serde_yaml_ng::from_str::<Truth>(&text)
                .map_err(|e| Error::invalid("eval.truth", format!("not an expected answer: {e}")).with("path", path.display()))?,
        );
    }
    truths.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(truths)
}
