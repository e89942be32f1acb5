//! The pure decision: which environment, on what basis, how sure.

use std::collections::BTreeMap;

use kubernaut_core::{
    glob,
    model::{Attributed, Basis, Environment, Object},
};

use super::{ClassifyConfig, name::from_name};

/// Below this the strictest plausible environment is used.
const SURE: f64 = 0.8;
/// The key that people set for Kubernaut: nothing else overrides it.
const EXPLICIT: &str = "kubernaut.ai/environment";

mod confidence {
    pub(super) const EXPLICIT: f64 = 0.99;
    pub(super) const LABEL: f64 = 0.95;
    pub(super) const RULE: f64 = 0.95;
    pub(super) const ANNOTATION: f64 = 0.9;
    /// A word within a longer value, such as `qa-eu`.
    pub(super) const PART: f64 = 0.85;
    pub(super) const NAME: f64 = 0.75;
    /// Another source names a stricter environment.
    pub(super) const CONTRADICTED: f64 = 0.75;
    pub(super) const ALERT: f64 = 0.6;
    pub(super) const DEFAULT: f64 = 0.3;
    /// A node carries what is scheduled now; tomorrow it may carry something else.
    pub(super) const CARRIED: f64 = 0.9;
}

/// What is known about the alerted object's surroundings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) namespace: &'a str,
    pub(super) object: Option<&'a Object>,
    pub(super) alert_labels: &'a BTreeMap<String, String>,
}

pub(super) fn environment(facts: &Facts<'_>, config: &ClassifyConfig) -> Attributed<Environment> {
    let named = from_name(facts.namespace, config);
    let alerted = alert_label(facts, config);
    if let Some(stated) = facts.object.and_then(|o| stated(o, config)).or_else(|| rule(facts.namespace, config)) {
        let hints = named.iter().map(|(e, _)| *e).chain(alerted.iter().map(|a| a.value));
        return contradict(stated, hints);
    }
    if let Some((value, word)) = named {
        return attributed(value, Basis::NamespaceName, format!("word {word} in namespace name {}", facts.namespace), confidence::NAME);
    }
    if let Some(alerted) = alerted {
        return alerted;
    }
    let detail = match facts.object.and_then(|o| unrecognised(o, config)) {
        Some(text) => text,
        None if facts.object.is_none() => format!("namespace {} does not exist or is not recorded", facts.namespace),
        None => format!("nothing names the environment of namespace {}; label it {EXPLICIT}", facts.namespace),
    };
    attributed(config.default, Basis::Default, detail, confidence::DEFAULT)
}

/// What labels, else annotations, of an object say.
pub(super) fn stated(object: &Object, config: &ClassifyConfig) -> Option<Attributed<Environment>> {
    let labels = keyed("label", Basis::NamespaceLabel, confidence::LABEL, config, |key| object.label(key));
    labels.or_else(|| keyed("annotation", Basis::NamespaceAnnotation, confidence::ANNOTATION, config, |key| object.annotation(key)))
}

fn keyed<'a>(
    what: &str,
    basis: Basis,
    sure: f64,
    config: &ClassifyConfig,
    read: impl Fn(&str) -> Option<&'a str>,
) -> Option<Attributed<Environment>> {
    let mut found = config.keys.iter().filter_map(|key| {
        let text = read(key)?;
        let (value, whole) = value(text, config)?;
        let confidence = match (key.as_str(), whole) {
            (EXPLICIT, true) => confidence::EXPLICIT,
            (_, true) => sure,
            (_, false) => confidence::PART,
        };
        Some(attributed(value, basis, format!("{what} {key}={text}"), confidence))
    });
    let first = found.next()?;
    Some(contradict(first, found.map(|other| other.value)))
}

/// The environment that a value names, and whether the whole value does.
fn value(text: &str, config: &ClassifyConfig) -> Option<(Environment, bool)> {
    config.word(text).map(|e| (e, true)).or_else(|| from_name(text, config).map(|(e, _)| (e, false)))
}

fn unrecognised(object: &Object, config: &ClassifyConfig) -> Option<String> {
    let read = |key: &String| Some((key.clone(), object.label(key).or_else(|| object.annotation(key))?.to_owned()));
    let (key, value) = config.keys.iter().find_map(read)?;
    Some(format!("{key}={value} is no known environment; use one of production, staging, testing, development, or configure the word"))
}

fn rule(namespace: &str, config: &ClassifyConfig) -> Option<Attributed<Environment>> {
    let rule = config.rules.iter().find(|r| glob::matches(&r.namespace, namespace))?;
    Some(attributed(rule.environment, Basis::Rule, format!("rule {} -> {}", rule.namespace, rule.environment), confidence::RULE))
}

fn alert_label(facts: &Facts<'_>, config: &ClassifyConfig) -> Option<Attributed<Environment>> {
    config.alert_labels.iter().find_map(|key| {
        let text = facts.alert_labels.get(key)?;
        let (value, _) = value(text, config)?;
        Some(attributed(value, Basis::AlertLabel, format!("alert label {key}={text}"), confidence::ALERT))
    })
}

/// An answer that a weaker source contradicts with a stricter environment is no longer sure, unless it was given for Kubernaut.
fn contradict(stated: Attributed<Environment>, others: impl Iterator<Item = Environment>) -> Attributed<Environment> {
    let stricter = others.filter(|e| *e > stated.value).max();
    match stricter {
        Some(other) if stated.confidence < confidence::EXPLICIT => {
            let detail = format!("{}, but another source says {other}", stated.detail);
            let confidence = stated.confidence.min(confidence::CONTRADICTED);
            // Two answers are plausible, so the stricter of them counts.
            Attributed { treated_as: other, ..attributed(stated.value, stated.basis, detail, confidence) }
        }
        _ => stated,
    }
}

/// The strictest of what lives on a cluster-scoped object. One namespace that is not known makes the whole unsure.
pub(super) fn strictest(answers: &[(&str, Attributed<Environment>)], config: &ClassifyConfig) -> Attributed<Environment> {
    let known = answers.iter().filter(|(_, a)| a.value != Environment::Unknown).max_by_key(|(_, a)| a.value);
    let Some((namespace, strictest)) = known else {
        return attributed(config.default, Basis::Default, "cluster-scoped, and nothing on it names an environment".into(), confidence::DEFAULT);
    };
    let weakest = answers.iter().map(|(_, a)| a.confidence).fold(1.0, f64::min) * confidence::CARRIED;
    let detail = format!("strictest of {} namespace(s) it serves: {namespace}, {}", answers.len(), strictest.detail);
    attributed(strictest.value, strictest.basis, detail, weakest)
}

pub(super) fn unreadable(what: &str) -> Attributed<Environment> {
    attributed(Environment::Unknown, Basis::Default, format!("{what} cannot be read"), 0.0)
}

fn attributed(value: Environment, basis: Basis, detail: String, confidence: f64) -> Attributed<Environment> {
    let strict = confidence < SURE || value == Environment::Unknown;
    Attributed { value, treated_as: if strict { Environment::Production } else { value }, basis, detail, confidence }
}
