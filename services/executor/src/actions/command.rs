//! Command and arguments of one container.

use kubernaut_core::{Error, ErrorKind, Result, model::Precondition};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use super::container::{Chosen, TEMPLATE, choose, given, ready_for_change};
use crate::{
    action::{Action, Current, Write, bad_params, condition, typed},
    edit::{Edit, Replaced, replace_word},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Field {
    Command,
    Args,
}

impl Field {
    fn name(self) -> &'static str {
        if self == Self::Command { "command" } else { "args" }
    }
}

/// Give `command` and `args`, or `field` with `restore`, or `replace` with `with`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandParams {
    /// Name of the container; may be left out where the workload has only one.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// Wanted command; as it is where absent.
    #[schemars(length(min = 1, max = 200))]
    command: Option<Vec<String>>,
    /// Wanted arguments; as they are where absent.
    #[schemars(length(max = 200))]
    args: Option<Vec<String>>,
    /// The field that `restore` is about.
    field: Option<Field>,
    /// The field as it was in an earlier revision; null if it had none.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<String>>")]
    restore: Option<Option<Vec<String>>>,
    /// A word to replace wherever it stands in the command or its arguments.
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

pub(super) static PATCH_COMMAND: Action = Action {
    name: "patch_command",
    summary: "sets command or arguments of one container",
    preconditions: &["rollouts of the workload are not paused", "a word to replace stands in the command"],
    parameters: || schema_for!(CommandParams),
    check,
    plan,
    ..TEMPLATE
};

/// Fields with the value that each should have; none for a field that should go.
type Fields = Vec<(Field, Option<Value>)>;

/// The wanted fields of the container; `None` for a word that does not stand there.
fn wanted(params: CommandParams, container: &Value) -> Result<Option<Fields>> {
    let whole = params.command.is_some() || params.args.is_some();
    let list = |list: Vec<String>| Some(list).filter(|l| !l.is_empty()).map(|l| json!(l));
    match (whole, params.field, params.restore, params.replace, params.with) {
        (true, None, None, None, None) => {
            let fields = [(Field::Command, params.command), (Field::Args, params.args)];
            Ok(Some(fields.into_iter().filter_map(|(field, value)| Some((field, list(value?)))).collect()))
        }
        (false, Some(field), Some(before), None, None) => Ok(Some(vec![(field, before.and_then(list))])),
        (false, None, None, Some(from), Some(to)) => Ok(replaced(container, &from, &to)),
        _ => Err(bad_params("give command or args, or field with restore, or replace with with")),
    }
}

fn replaced(container: &Value, from: &str, to: &str) -> Option<Fields> {
    let mut found = false;
    let mut fields = Vec::new();
    for field in [Field::Command, Field::Args] {
        let Some(items) = container[field.name()].as_array() else { continue };
        let item = |item: &Value| match replace_word(item.as_str().unwrap_or_default(), from, to) {
            Replaced::Done(text) => (true, json!(text)),
            Replaced::Already => (true, item.clone()),
            Replaced::Absent => (false, item.clone()),
        };
        let (hits, items): (Vec<bool>, Vec<Value>) = items.iter().map(item).unzip();
        if hits.contains(&true) {
            found = true;
            fields.push((field, Some(Value::Array(items))));
        }
    }
    found.then_some(fields)
}

fn read<'a>(current: &'a Current, params: &Value) -> Result<(Chosen<'a>, CommandParams)> {
    let params: CommandParams = typed(params)?;
    Ok((choose(&current.target, params.container.as_deref())?, params))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let (chosen, params) = read(current, params)?;
    let mut all = ready_for_change(current);
    let by_word = params.replace.is_some();
    let found = wanted(params, chosen.value)?.is_some();
    if by_word {
        all.push(condition(
            found,
            format!("the command of container {} {} the word to replace", chosen.name, if found { "holds" } else { "does not hold" }),
        ));
    }
    Ok(all)
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let (chosen, params) = read(current, params)?;
    let fields = wanted(params, chosen.value)?;
    let fields = fields.ok_or_else(|| {
        Error::new(ErrorKind::Refused, "executor.command", "the command does not hold the word to replace").with("container", chosen.name)
    })?;
    let mut edit = Edit::of(&current.target);
    edit.rests_on(format!("{}/name", chosen.at));
    for (field, value) in fields {
        edit.set(&format!("{}/{}", chosen.at, field.name()), value);
    }
    Ok(edit.finish(|| format!("container {} has this command already", chosen.name)))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    fn world() -> Current {
        let app = json!({"name": "app", "command": ["serve"], "args": ["--db=db:5432", "--log=db-log"]});
        let target = Object::new(
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "side"}, app]}}}}}}),
        );
        Current { target, related: Default::default() }
    }

    fn body(params: Value) -> Value {
        match plan(&world(), &params, "k") {
            Ok(Write::Patch { body, .. }) => body,
            Ok(_) => Value::Null,
            Err(error) => json!(error.to_string()),
        }
    }

    const AT: &str = "/spec/jobTemplate/spec/template/spec/containers/1";

    #[test]
    fn each_way_of_asking_changes_only_what_is_meant() {
        let op = |op: &str, field: &str, value: Value| json!([{"op": op, "path": format!("{AT}/{field}"), "value": value}]);
        assert_eq!(body(json!({"container": "app", "command": ["run"]})), op("replace", "command", json!(["run"])));
        assert_eq!(
            body(json!({"container": "app", "replace": "db:5432", "with": "store:5432"})),
            op("replace", "args", json!(["--db=store:5432", "--log=db-log"]))
        );
        assert_eq!(body(json!({"container": "app", "field": "args", "restore": ["x"]})), op("replace", "args", json!(["x"])));
        assert_eq!(
            body(json!({"container": "app", "field": "command", "restore": null})),
            json!([{"op": "remove", "path": format!("{AT}/command")}])
        );
        assert!(body(json!({"container": "app", "command": ["serve"]})).is_null());
        assert!(body(json!({"container": "app"})).as_str().is_some_and(|e| e.contains("field with restore")));
    }

    #[test]
    fn a_word_that_is_not_there_is_a_broken_precondition() {
        let params = json!({"container": "app", "replace": "cache", "with": "store"});
        assert!(!check(&world(), &params).unwrap()[1].holds);
        assert!(body(params).as_str().is_some_and(|e| e.contains("does not hold")));
    }
}
