//! Environment variables of one container. Their values may be secrets: no message, condition or error tells one.

use std::collections::BTreeMap;

use kubernaut_core::{Error, ErrorKind, Result, model::Precondition};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::container::{Chosen, TEMPLATE, choose, given, ready_for_change};
use crate::{
    action::{Action, Current, Write, bad_params, condition, typed},
    edit::{Edit, Replaced, replace_word},
};

/// Give `set` and `unset`, or `name` with one of `value`, `restore`, or `replace` and `with`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EnvParams {
    /// Name of the container; may be left out where the workload has only one.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// Variables to set, with their values.
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// Variables to take away.
    #[serde(default)]
    unset: Vec<String>,
    /// The variable that `value`, `restore` or `replace` is about.
    #[schemars(length(min = 1, max = 253))]
    name: Option<String>,
    /// Its wanted value.
    value: Option<String>,
    /// The variable as it was in an earlier revision, with `value` or `valueFrom`; null if there was none.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Map<String, Value>>")]
    restore: Option<Option<Map<String, Value>>>,
    /// A word to replace in its value.
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

pub(super) static PATCH_ENV: Action = Action {
    name: "patch_env",
    summary: "sets or takes away variables of one container",
    preconditions: &["rollouts of the workload are not paused", "a word to replace stands in the variable"],
    parameters: || schema_for!(EnvParams),
    check,
    plan,
    ..TEMPLATE
};

/// One variable as it should be.
enum Wanted {
    Entry(String, Map<String, Value>),
    Gone(String),
    Word { name: String, from: String, to: String },
}

fn literal(value: String) -> Map<String, Value> {
    Map::from_iter([("value".to_owned(), Value::String(value))])
}

fn wanted(params: EnvParams) -> Result<Vec<Wanted>> {
    let many = !params.set.is_empty() || !params.unset.is_empty();
    let all = match (many, params.name, params.value, params.restore, params.replace, params.with) {
        (true, None, None, None, None, None) => {
            let set = params.set.into_iter().map(|(name, value)| Wanted::Entry(name, literal(value)));
            set.chain(params.unset.into_iter().map(Wanted::Gone)).collect()
        }
        (false, Some(name), Some(value), None, None, None) => vec![Wanted::Entry(name, literal(value))],
        (false, Some(name), None, Some(None), None, None) => vec![Wanted::Gone(name)],
        (false, Some(name), None, Some(Some(entry)), None, None) => vec![restored(name, entry)?],
        (false, Some(name), None, None, Some(from), Some(to)) => vec![Wanted::Word { name, from, to }],
        _ => return Err(bad_params("give set or unset, or name with one of value, restore, or replace and with")),
    };
    for wanted in &all {
        named(wanted.name())?;
    }
    Ok(all)
}

fn restored(name: String, mut entry: Map<String, Value>) -> Result<Wanted> {
    let other = entry.remove("name").is_some_and(|n| n != name.as_str());
    if other || entry.keys().any(|k| k != "value" && k != "valueFrom") {
        return Err(bad_params(format!("restore must be the variable {name}, with value or valueFrom")));
    }
    Ok(Wanted::Entry(name, entry))
}

fn named(name: &str) -> Result<()> {
    let fine = !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_graphic() && b != b'=');
    if fine { Ok(()) } else { Err(bad_params("the name of a variable must be 1 to 253 visible ASCII characters without =")) }
}

impl Wanted {
    fn name(&self) -> &str {
        match self {
            Self::Entry(name, _) | Self::Gone(name) | Self::Word { name, .. } => name,
        }
    }
}

/// The variables after one change; `None` if its word does not stand there.
fn apply(mut env: Vec<Value>, wanted: &Wanted) -> Option<Vec<Value>> {
    // Of two entries with one name the last one counts.
    let at = env.iter().rposition(|v| v["name"] == wanted.name());
    match (wanted, at) {
        (Wanted::Entry(name, fields), at) => {
            let mut entry = fields.clone();
            entry.insert("name".into(), json!(name));
            match at {
                Some(at) => env[at] = Value::Object(entry),
                None => env.insert(before_its_users(&env, name), Value::Object(entry)),
            }
        }
        (Wanted::Gone(name), _) => env.retain(|v| v["name"] != name.as_str()),
        (Wanted::Word { from, to, .. }, at) => {
            let entry = at.and_then(|at| env.get_mut(at))?.get_mut("value")?;
            match replace_word(entry.as_str()?, from, to) {
                Replaced::Done(text) => *entry = Value::String(text),
                Replaced::Already => {}
                Replaced::Absent => return None,
            }
        }
    }
    Some(env)
}

/// A variable is expanded only in those that come after it.
fn before_its_users(env: &[Value], name: &str) -> usize {
    let use_of = format!("$({name})");
    env.iter().position(|v| v["value"].as_str().is_some_and(|v| v.contains(&use_of))).unwrap_or(env.len())
}

fn read<'a>(current: &'a Current, params: &Value) -> Result<(Chosen<'a>, Vec<Wanted>)> {
    let params: EnvParams = typed(params)?;
    let chosen = choose(&current.target, params.container.as_deref())?;
    Ok((chosen, wanted(params)?))
}

fn variables(container: &Value) -> Vec<Value> {
    container["env"].as_array().cloned().unwrap_or_default()
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let (chosen, all) = read(current, params)?;
    let mut conditions = ready_for_change(current);
    for word in all.iter().filter(|w| matches!(w, Wanted::Word { .. })) {
        let found = apply(variables(chosen.value), word).is_some();
        let text = if found { "holds" } else { "has no value of its own that holds" };
        conditions.push(condition(found, format!("variable {} of container {} {text} the word to replace", word.name(), chosen.name)));
    }
    Ok(conditions)
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let (chosen, all) = read(current, params)?;
    let mut env = variables(chosen.value);
    for wanted in &all {
        let absent = || {
            Error::new(ErrorKind::Refused, "executor.env", "the variable has no value of its own that holds the word to replace")
                .with("variable", wanted.name())
        };
        env = apply(env, wanted).ok_or_else(absent)?;
    }
    let mut edit = Edit::of(&current.target);
    edit.rests_on(format!("{}/name", chosen.at));
    if env != variables(chosen.value) {
        edit.set(&format!("{}/env", chosen.at), Some(env).filter(|e| !e.is_empty()).map(Value::Array));
    }
    Ok(edit.finish(|| format!("the variables of container {} are as wanted already", chosen.name)))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;
    use proptest::prelude::*;

    use super::*;

    fn world() -> Current {
        let env = json!([{"name": "URL", "value": "$(HOST):80"}, {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}}, {"name": "DB", "value": "db:5432"}]);
        let target = Object::new(
            json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "app", "env": env}, {"name": "side", "env": [{"name": "DB", "value": "x"}]}]}}}}),
        );
        Current { target, related: Default::default() }
    }

    /// The variables of `app` after the action.
    fn after(params: Value) -> Result<Value> {
        Ok(match plan(&world(), &params, "k")? {
            Write::Patch { body, .. } => {
                assert_eq!((body.as_array().map(Vec::len), &body[0]["path"]), (Some(1), &json!("/spec/template/spec/containers/0/env")));
                body[0]["value"].clone()
            }
            _ => Value::Null,
        })
    }

    #[test]
    fn a_variable_keeps_its_place_and_a_new_one_comes_before_those_that_use_it() {
        let names = |env: &Value| env.as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let env = after(json!({"container": "app", "set": {"DB": "store", "HOST": "h", "X": "1"}, "unset": ["PASSWORD"]})).unwrap();
        assert_eq!(names(&env), ["HOST", "URL", "DB", "X"]);
        assert_eq!(env[2]["value"], "store");
    }

    #[test]
    fn the_ways_of_asking() {
        let restored =
            after(json!({"container": "app", "name": "DB", "restore": {"name": "DB", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}})).unwrap();
        assert_eq!(restored[2], json!({"name": "DB", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}));
        assert_eq!(after(json!({"container": "app", "name": "DB", "restore": null})).unwrap().as_array().map(Vec::len), Some(2));
        assert_eq!(after(json!({"container": "app", "name": "DB", "replace": "db", "with": "store"})).unwrap()[2]["value"], "store:5432");
        assert!(after(json!({"container": "app", "name": "DB", "value": "db:5432"})).unwrap().is_null(), "as it is");
        assert!(after(json!({"container": "app", "unset": ["NONE"]})).unwrap().is_null(), "as it is");
        assert!(!check(&world(), &json!({"container": "app", "name": "PASSWORD", "replace": "a", "with": "b"})).unwrap()[1].holds);
        for wrong in [
            json!({"container": "app", "name": "DB"}),
            json!({"container": "app", "set": {"A=B": "c"}}),
            json!({"container": "app", "name": "DB", "restore": {"name": "URL"}}),
        ] {
            assert!(after(wrong.clone()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_told_holds_a_value(name in "(DB|URL|PASSWORD|NEW)", secret in "s3cr[a-z0-9]{6}") {
            let ways = [
                json!({"container": "app", "name": name, "value": secret}),
                json!({"container": "app", "name": name, "replace": secret, "with": secret}),
                json!({"container": "app", "name": name, "restore": {"value": secret, "more": secret}}),
                json!({"container": "app", "set": {"A": secret}, "name": name, "value": secret}),
            ];
            for params in ways {
                let told = [format!("{:?}", check(&world(), &params)), plan(&world(), &params, "k").map_or_else(|e| format!("{e} {e:?}"), |_| String::new())];
                prop_assert!(told.iter().all(|t| !t.contains(&secret)), "{:?}", told);
            }
        }

        #[test]
        fn other_variables_are_untouched(name in "(DB|URL|PASSWORD|NEW)", value in "[a-z]{1,5}") {
            let env = after(json!({"container": "app", "name": name, "value": value})).unwrap();
            let others = |env: &Value| env.as_array().unwrap().iter().filter(|v| v["name"] != name.as_str()).cloned().collect::<Vec<_>>();
            prop_assert_eq!(others(&env), others(&json!(variables(choose(&world().target, Some("app")).unwrap().value))));
        }
    }
}
