//! What a model's answer must look like, and what of it counts.

use std::collections::BTreeMap;

use jsonschema::Validator;
use kubernaut_core::{
    model::{ActionSpec, Category, ObjectRef},
    port::AnswerSchema,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tools::reference;

/// Shortest quotation that counts: shorter ones are found in any text.
const SHORTEST_QUOTE: usize = 8;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    group: Option<String>,
    kind: String,
    #[serde(default)]
    namespace: Option<String>,
    name: String,
}

impl Named {
    pub(crate) fn reference(&self) -> ObjectRef {
        reference(&self.kind, self.namespace.as_deref(), &self.name, self.group.as_deref().filter(|g| !g.is_empty()))
    }
}

/// A piece of evidence: which answer of a tool, or which fact, and its words.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cited {
    pub(crate) source: String,
    pub(crate) quote: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Suggested {
    pub(crate) action: String,
    pub(crate) target: Named,
    #[serde(default)]
    pub(crate) params: Value,
    #[serde(default)]
    pub(crate) expected_effect: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Answer {
    pub(crate) category: String,
    pub(crate) object: Named,
    pub(crate) confidence: f64,
    pub(crate) summary: String,
    #[serde(default)]
    pub(crate) evidence: Vec<Cited>,
    #[serde(default)]
    pub(crate) action: Option<Suggested>,
}

/// The form that the model is held to.
pub(crate) fn schema(actions: &[ActionSpec]) -> AnswerSchema {
    let object = json!({
        "type": "object",
        "properties": { "group": { "type": "string" }, "kind": { "type": "string" }, "namespace": { "type": "string" }, "name": { "type": "string" } },
        "required": ["kind", "name"]
    });
    let categories: Vec<&str> = Category::ALL.iter().map(|c| c.as_str()).collect();
    let names: Vec<&str> = actions.iter().map(|a| a.name.as_str()).collect();
    let action = json!({
        "type": "object",
        "properties": {
            "action": { "type": "string", "enum": names }, "target": object, "params": { "type": "object" }, "expected_effect": { "type": "string" }
        },
        "required": ["action", "target", "params"]
    });
    let cited = json!({
        "type": "object",
        "properties": {
            "source": { "type": "string", "description": "the source's id between the marks, such as T3" },
            "quote": { "type": "string", "description": "its words, exactly" }
        },
        "required": ["source", "quote"]
    });
    let schema = json!({
        "type": "object",
        "properties": {
            "category": { "type": "string", "enum": categories },
            "object": object,
            "confidence": { "type": "number", "minimum": 0, "maximum": 1 },
            "summary": { "type": "string" },
            "evidence": { "type": "array", "items": cited },
            "action": action
        },
        "required": ["category", "object", "confidence", "summary", "evidence"]
    });
    AnswerSchema { name: "root_cause".into(), schema }
}

/// The answer within a text: models put words or a code fence around it.
pub(crate) fn parse(text: &str) -> Result<Answer, String> {
    let (Some(from), Some(to)) = (text.find('{'), text.rfind('}')) else { return Err("the answer is not a JSON object".into()) };
    let inner = text.get(from..=to).unwrap_or_default();
    // The parser's words say where it stopped, not what a secret was: the text went out redacted.
    serde_json::from_str(inner).map_err(|e| format!("the answer does not have the form asked for: {e}"))
}

/// What of an answer counts, and why the rest does not.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) category: Category,
    pub(crate) object: ObjectRef,
    pub(crate) quotes: Vec<Cited>,
    pub(crate) action: Option<(Suggested, ObjectRef)>,
    pub(crate) problems: Vec<String>,
}

/// Checks all that can be checked without the cluster: names, parameters, quotations. `sources` are the texts that the model was shown.
pub(crate) fn check(answer: &Answer, actions: &[ActionSpec], sources: &BTreeMap<String, String>) -> Checked {
    let mut problems = Vec::new();
    let category = answer.category.parse().unwrap_or_else(|_| {
        problems.push(format!("category {:?} does not exist", answer.category));
        Category::Unknown
    });
    if !(0.0..=1.0).contains(&answer.confidence) {
        problems.push(format!("confidence {} is not within 0 and 1", answer.confidence));
    }
    let (quotes, wrong): (Vec<Cited>, Vec<Cited>) = answer.evidence.iter().cloned().partition(|c| is_quoted(c, sources));
    problems.extend(wrong.iter().map(|c| format!("{} does not say {:?}", c.source, c.quote.chars().take(80).collect::<String>())));
    if quotes.is_empty() {
        problems.push("no evidence quotes what was read".into());
    }
    let mut action = None;
    if let Some(suggested) = &answer.action {
        match check_action(suggested, actions) {
            Ok(()) => action = Some((suggested.clone(), suggested.target.reference())),
            Err(problem) => problems.push(problem),
        }
    }
    Checked { category, object: answer.object.reference(), quotes, action, problems }
}

fn is_quoted(cited: &Cited, sources: &BTreeMap<String, String>) -> bool {
    let quote = squeezed(&cited.quote);
    quote.len() >= SHORTEST_QUOTE && sources.get(cited.source.trim()).is_some_and(|text| squeezed(text).contains(&quote))
}

/// Without white space and the escapes of JSON, which models add and drop.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\\').collect()
}

fn check_action(suggested: &Suggested, actions: &[ActionSpec]) -> Result<(), String> {
    let name = &suggested.action;
    let spec = actions.iter().find(|a| &a.name == name || a.aliases.contains(name)).ok_or_else(|| format!("action {name:?} does not exist"))?;
    if !spec.target_kinds.is_empty() && !spec.target_kinds.contains(&suggested.target.kind) {
        return Err(format!("{name} cannot be aimed at a {}", suggested.target.kind));
    }
    let params = if suggested.params.is_null() { json!({}) } else { suggested.params.clone() };
    let validator: Validator = jsonschema::validator_for(&spec.parameters).map_err(|_| format!("{name} has no readable schema"))?;
    let wrong: Vec<String> = validator.iter_errors(&params).take(3).map(|e| format!("{}: {e}", e.instance_path())).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("parameters of {name}: {}", wrong.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ActionSpec {
        serde_json::from_value(json!({
            "name": "scale_deployment", "aliases": ["scale"], "family": "workload", "summary": "s", "version": 1,
            "parameters": { "type": "object", "properties": { "replicas": { "type": "integer", "minimum": 0 } }, "required": ["replicas"], "additionalProperties": false },
            "target_kinds": ["Deployment"], "risk": "low", "reversibility": "undo", "preconditions": [], "rbac": []
        }))
        .unwrap()
    }

    fn checked(category: &str, source: &str, quote: &str, action: &str, kind: &str, params: &Value) -> Checked {
        let target = json!({ "kind": kind, "namespace": "a", "name": "b" });
        let answer = json!({
            "category": category, "object": target, "confidence": 0.9, "summary": "s", "evidence": [{ "source": source, "quote": quote }],
            "action": { "action": action, "target": target, "params": params }
        });
        let sources = BTreeMap::from([("T1".to_owned(), "line one\nfatal:  cannot open \"/etc/x\"".to_owned())]);
        check(&parse(&format!("Here you are:\n```json\n{answer}\n```")).unwrap(), &[spec()], &sources)
    }

    #[test]
    fn only_what_can_be_checked_counts() {
        let good = checked("config_error", "T1", "fatal: cannot open \\\"/etc/x\\\"", "scale", "Deployment", &json!({ "replicas": 2 }));
        assert!(good.problems.is_empty() && good.action.is_some() && good.quotes.len() == 1, "{good:?}");
        let cases = [
            checked("gremlins", "T1", "fatal: cannot open", "scale", "Deployment", &json!({ "replicas": 2 })),
            checked("config_error", "T2", "fatal: cannot open", "scale", "Deployment", &json!({ "replicas": 2 })),
            checked("config_error", "T1", "fatal: out of memory", "scale", "Deployment", &json!({ "replicas": 2 })),
            checked("config_error", "T1", "fatal", "scale", "Deployment", &json!({ "replicas": 2 })),
            checked("config_error", "T1", "fatal: cannot open", "delete_everything", "Deployment", &json!({})),
            checked("config_error", "T1", "fatal: cannot open", "scale", "Node", &json!({ "replicas": 2 })),
            checked("config_error", "T1", "fatal: cannot open", "scale", "Deployment", &json!({ "replicas": -1 })),
            checked("config_error", "T1", "fatal: cannot open", "scale", "Deployment", &json!({ "replicas": 1, "force": true })),
        ];
        for (at, case) in cases.iter().enumerate() {
            assert!(!case.problems.is_empty(), "case {at}: {case:?}");
        }
        assert!(cases[4..].iter().all(|c| c.action.is_none()), "a wrong action is dropped");
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for text in ["", "I do not know", "[1]", "{", "}{", "{\"category\": 3}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
