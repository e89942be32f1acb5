//! What a namespace's name says.

use kubernaut_core::model::Environment;

use super::ClassifyConfig;

/// Words that name an environment but have an everyday meaning too: they count only as the whole name.
const AMBIGUOUS: &[&str] = &["live", "local", "ci", "stage", "develop"];
/// Words that turn the next one around.
const NEGATIONS: &[&str] = &["non", "not", "no"];

/// The strictest environment that a word of the name names, with that word.
pub(super) fn from_name(name: &str, config: &ClassifyConfig) -> Option<(Environment, String)> {
    if let Some(environment) = config.word(name) {
        return Some((environment, name.to_owned()));
    }
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let before = |i: usize| i.checked_sub(1).and_then(|p| words.get(p)).map(|w| w.to_ascii_lowercase());
    let found = words.iter().enumerate().filter_map(|(i, word)| {
        let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if AMBIGUOUS.contains(&bare.to_ascii_lowercase().as_str()) && !config.words.contains_key(&bare.to_ascii_lowercase()) {
            return None;
        }
        let environment = config.word(word).or_else(|| config.word(bare))?;
        match before(i) {
            Some(previous) if NEGATIONS.contains(&previous.as_str()) => None,
            Some(previous) if previous == "pre" && environment == Environment::Production => Some((Environment::Staging, format!("pre-{word}"))),
            _ => Some((environment, (*word).to_owned())),
        }
    });
    found.max_by_key(|(environment, _)| *environment)
}
