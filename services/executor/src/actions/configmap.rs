//! Single keys of a ConfigMap. Content may hold secrets: no message, condition or error tells any.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    action::{Action, Current, Effect, Write, bad_params, condition, typed},
    edit::{Edit, Replaced, escape, replace_word},
};

/// Give `data`, or `key` with one of `value`, `remove_line`, or `replace` and `with`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConfigParams {
    /// Keys to set, with their content; other keys stay.
    #[serde(default)]
    data: BTreeMap<String, String>,
    /// The key that `value`, `remove_line` or `replace` is about.
    #[schemars(length(min = 1, max = 253))]
    key: Option<String>,
    /// Its wanted content.
    value: Option<String>,
    /// A line to take out of its content.
    #[schemars(length(min = 1, max = 4000))]
    remove_line: Option<String>,
    /// A word to replace wherever it stands in its content.
    #[schemars(length(min = 1, max = 500))]
    replace: Option<String>,
    /// What to put in its place.
    #[schemars(length(min = 1, max = 500))]
    with: Option<String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_CONFIGMAP: Action = Action {
    name: "patch_configmap",
    aliases: &["update_configmap"],
    family: "config",
    summary: "sets or corrects single keys of a ConfigMap",
    target_kinds: &["ConfigMap"],
    effect: Effect::Config,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &[
        "the ConfigMap is not immutable",
        "the key is text",
        "a line to take out stands in it at most once, a word to replace at least once",
    ],
    parameters: || schema_for!(ConfigParams),
    reads: &[],
    check,
    plan,
};

enum Edition {
    Content(String),
    WithoutLine(String),
    Word { from: String, to: String },
}

fn editions(params: ConfigParams) -> Result<Vec<(String, Edition)>> {
    let all: Vec<_> = match (params.data.is_empty(), params.key, params.value, params.remove_line, params.replace, params.with) {
        (false, None, None, None, None, None) => params.data.into_iter().map(|(key, content)| (key, Edition::Content(content))).collect(),
        (true, Some(key), Some(content), None, None, None) => vec![(key, Edition::Content(content))],
        (true, Some(key), None, Some(line), None, None) => vec![(key, Edition::WithoutLine(line))],
        (true, Some(key), None, None, Some(from), Some(to)) => vec![(key, Edition::Word { from, to })],
        _ => return Err(bad_params("give data, or key with one of value, remove_line, or replace and with")),
    };
    let fine = |key: &str| (1..=253).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match all.iter().find(|(key, _)| !fine(key)) {
        Some(_) => Err(bad_params("a key must be 1 to 253 letters, digits, dashes, underscores or dots")),
        None => Ok(all),
    }
}

/// The content after the edition, or what speaks against it.
fn apply(now: Option<&str>, edition: &Edition) -> Result<String, String> {
    if let Edition::Content(content) = edition {
        return Ok(content.clone());
    }
    let now = now.ok_or("does not exist")?;
    match edition {
        Edition::WithoutLine(line) => {
            let is_meant = |l: &&str| l.trim_end_matches(['\r', '\n']) == line.trim_end_matches(['\r', '\n']);
            match now.split_inclusive('\n').filter(is_meant).count() {
                0 | 1 => Ok(now.split_inclusive('\n').filter(|l| !is_meant(l)).collect()),
                n => Err(format!("has the line {n} times")),
            }
        }
        Edition::Word { from, to } => match replace_word(now, from, to) {
            Replaced::Done(text) => Ok(text),
            Replaced::Already => Ok(now.to_owned()),
            Replaced::Absent => Err("does not hold the word to replace".into()),
        },
        Edition::Content(content) => Ok(content.clone()),
    }
}

fn pointer(key: &str) -> String {
    format!("/data/{}", escape(key))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let fixed = current.target.bool_at("/immutable") == Some(true);
    let mut all = vec![condition(!fixed, if fixed { "the ConfigMap is immutable" } else { "the ConfigMap is not immutable" })];
    for (key, edition) in editions(typed(params)?)? {
        let binary = current.target.at(&format!("/binaryData/{}", escape(&key))).is_some();
        all.push(match apply(current.target.str_at(&pointer(&key)), &edition) {
            _ if binary => condition(false, format!("key {key} is not text")),
            Ok(_) => condition(true, format!("key {key} can be changed")),
            Err(why) => condition(false, format!("key {key} {why}")),
        });
    }
    Ok(all)
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let mut edit = Edit::of(&current.target);
    for (key, edition) in editions(typed(params)?)? {
        let content = apply(current.target.str_at(&pointer(&key)), &edition);
        let content = content.map_err(|why| Error::new(ErrorKind::Refused, "executor.configmap", format!("the key {why}")).with("key", &key))?;
        edit.set(&pointer(&key), Some(content.into()));
    }
    Ok(edit.finish(|| "the keys are as wanted already".into()))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;
    use serde_json::json;

    use super::*;

    fn world() -> Current {
        let data = json!({"app.conf": "a = 1\n  bad: x\r\nurl=http://db:80\n", "twice": "x\nx\n"});
        Current { target: Object::new(json!({"kind": "ConfigMap", "data": data, "binaryData": {"logo": "AA=="}})), related: Default::default() }
    }

    fn body(params: Value) -> Result<Value> {
        Ok(match plan(&world(), &params, "k")? {
            Write::Patch { body, .. } => body,
            _ => Value::Null,
        })
    }

    #[test]
    fn only_the_given_keys_change() {
        let replaced = |content: &str| json!([{"op": "replace", "path": "/data/app.conf", "value": content}]);
        assert_eq!(body(json!({"key": "app.conf", "remove_line": "  bad: x"})).unwrap(), replaced("a = 1\nurl=http://db:80\n"));
        assert_eq!(
            body(json!({"key": "app.conf", "replace": "db:80", "with": "db:5432"})).unwrap(),
            replaced("a = 1\n  bad: x\r\nurl=http://db:5432\n")
        );
        assert_eq!(body(json!({"data": {"new": "1", "twice": "x\nx\n"}})).unwrap(), json!([{"op": "add", "path": "/data/new", "value": "1"}]));
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        for params in [
            json!({"key": "app.conf", "remove_line": "gone"}),
            json!({"key": "twice", "value": "x\nx\n"}),
            json!({"key": "app.conf", "replace": "store:80", "with": "db:80"}),
        ] {
            assert!(body(params.clone()).unwrap().is_null(), "{params}");
        }
    }

    #[test]
    fn what_cannot_be_changed_for_certain_is_refused_without_telling_content() {
        for (params, why) in [
            (json!({"key": "twice", "remove_line": "x"}), "2 times"),
            (json!({"key": "app.conf", "replace": "s3cret", "with": "y"}), "does not hold"),
            (json!({"key": "none", "remove_line": "s3cret"}), "does not exist"),
            (json!({"key": "logo", "value": "s3cret"}), "not text"),
        ] {
            let broken: Vec<_> = check(&world(), &params).unwrap().into_iter().filter(|c| !c.holds).map(|c| c.text).collect();
            assert!(broken.len() == 1 && broken[0].contains(why) && !broken[0].contains("s3cret"), "{broken:?}");
        }
        let fixed = Current { target: Object::new(json!({"kind": "ConfigMap", "immutable": true, "data": {"a": "b"}})), ..world() };
        assert!(!check(&fixed, &json!({"data": {"a": "c"}})).unwrap()[0].holds);
        assert!(body(json!({"data": {"a/b": "c"}})).is_err() && body(json!({})).is_err());
    }
}
