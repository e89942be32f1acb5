#![doc = include_str!("docs.md")]

mod effects;

use std::path::Path;

use kubernaut_core::{Result, glob, model::Object};
use serde::Deserialize;
use serde_json::Value;

use super::documents::malformed;

pub(super) use effects::{Scope, apply, seconds};

/// What kind of write it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    Patch,
    Scale,
    Evict,
    Create,
    Delete,
}

/// A write that happened.
pub(super) struct Written<'a> {
    pub(super) operation: Operation,
    pub(super) before: &'a Object,
    /// `None` if the object is gone.
    pub(super) after: Option<&'a Object>,
}

/// One entry of `reactions.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reaction {
    when: When,
    #[serde(default)]
    pub(super) after_ms: u64,
    pub(super) then: Vec<Effect>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    on: Option<Operation>,
    kind: String,
    namespace: Option<String>,
    name: Option<String>,
    path: Option<String>,
    equals: Option<Value>,
    present: Option<bool>,
    changed: Option<bool>,
    #[serde(default)]
    all: Vec<Condition>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawCondition")]
struct Condition {
    path: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Equals(Value),
    Present(bool),
    Changed,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCondition {
    path: String,
    equals: Option<Value>,
    present: Option<bool>,
    changed: Option<bool>,
}

impl TryFrom<RawCondition> for Condition {
    type Error = String;

    fn try_from(raw: RawCondition) -> Result<Self, String> {
        let test = match (raw.equals, raw.present, raw.changed) {
            (Some(value), None, None) => Test::Equals(value),
            (None, Some(present), None) => Test::Present(present),
            (None, None, Some(true)) => Test::Changed,
            _ => return Err("a condition has exactly one of `equals`, `present` and `changed: true`".into()),
        };
        if !raw.path.starts_with('/') {
            return Err(format!("`path` must be a JSON pointer that starts with a slash, not {:?}", raw.path));
        }
        Ok(Self { path: raw.path, test })
    }
}

/// Which objects an effect is about; `*` in the name stands for any characters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// One thing that happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawEffect")]
pub(super) enum Effect {
    Merge(Target, Value),
    Delete(Target),
    Create(Value),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEffect {
    patch: Option<Target>,
    merge: Option<Value>,
    delete: Option<Target>,
    create: Option<Value>,
}

impl TryFrom<RawEffect> for Effect {
    type Error = String;

    fn try_from(raw: RawEffect) -> Result<Self, String> {
        match (raw.patch, raw.merge, raw.delete, raw.create) {
            (Some(target), Some(body), None, None) if body.is_object() => Ok(Self::Merge(target, body)),
            (None, None, Some(target), None) => Ok(Self::Delete(target)),
            (None, None, None, Some(object)) if object.pointer("/metadata/name").is_some_and(Value::is_string) && object["kind"].is_string() => {
                Ok(Self::Create(object))
            }
            _ => Err("an effect is `patch` with a `merge` map, or `delete`, or `create` with a whole object".into()),
        }
    }
}

/// Reads the file.
pub(super) fn parse(file: &Path, text: &str) -> Result<Vec<Reaction>> {
    let bad = |e: serde_yaml_ng::Error| malformed(file, e.location().map(|l| l.line()), format!("not a list of reactions: {e}"));
    let mut reactions: Vec<Reaction> = serde_yaml_ng::from_str::<Option<_>>(text).map_err(bad)?.unwrap_or_default();
    for (index, reaction) in reactions.iter_mut().enumerate() {
        reaction.when.fold().map_err(|e| malformed(file, None, format!("reaction {index}: {e}")))?;
    }
    Ok(reactions)
}

impl When {
    /// Turns the condition written directly under `when` into one of `all`.
    fn fold(&mut self) -> Result<(), String> {
        let (equals, present, changed) = (self.equals.take(), self.present.take(), self.changed.take());
        match self.path.take() {
            Some(path) => self.all.push(RawCondition { path, equals, present, changed }.try_into()?),
            None if equals.is_some() || present.is_some() || changed.is_some() => {
                return Err("`equals`, `present` and `changed` need a `path`".into());
            }
            None => {}
        }
        Ok(())
    }
}

impl Reaction {
    /// Whether this write sets it off.
    pub(super) fn follows(&self, written: &Written<'_>) -> bool {
        let object = written.after.unwrap_or(written.before);
        let when = &self.when;
        let named = when.kind == object.kind()
            && when.on.is_none_or(|on| on == written.operation)
            && when.namespace.as_deref().is_none_or(|n| object.namespace() == Some(n))
            && when.name.as_deref().is_none_or(|pattern| glob::matches(pattern, object.name()));
        named && self.conditions_became_true(written, object)
    }

    fn conditions_became_true(&self, written: &Written<'_>, object: &Object) -> bool {
        let changed = |c: &&Condition| matches!(c.test, Test::Changed);
        let changes_hold = self.when.all.iter().filter(changed).all(|c| written.before.at(&c.path) != object.at(&c.path));
        let edge = self.when.all.is_empty() || written.after.is_none() || self.when.all.iter().any(|c| changed(&c)) || !self.holds(written.before);
        changes_hold && self.holds(object) && edge
    }

    /// Whether `equals` and `present` hold for the object.
    pub(super) fn holds(&self, object: &Object) -> bool {
        self.when.all.iter().all(|c| match &c.test {
            Test::Equals(value) => object.at(&c.path) == Some(value),
            Test::Present(present) => object.at(&c.path).is_some() == *present,
            Test::Changed => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(image: &str, note: Option<&str>) -> Object {
        Object::new(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "s", "annotations": {"note": note}}, "spec": {"image": image}}),
        )
    }

    fn follows(when: &str, before: &Object, after: &Object) -> bool {
        let text = format!("- when: {when}\n  then: []\n");
        parse("reactions.yaml".as_ref(), &text).unwrap()[0].follows(&Written { operation: Operation::Patch, before, after: Some(after) })
    }

    #[test]
    fn a_reaction_follows_the_write_that_makes_its_conditions_true() {
        let (bad, good, noted) = (deployment("bad", None), deployment("good", None), deployment("good", Some("x")));
        let to_good = "{kind: Deployment, name: 'w*', path: /spec/image, equals: good}";
        assert!(follows(to_good, &bad, &good));
        assert!(!follows(to_good, &good, &noted), "held before");
        assert!(!follows(to_good, &good, &bad));
        assert!(follows("{kind: Deployment, path: /spec/image, changed: true}", &good, &bad));
        assert!(!follows("{kind: Deployment, path: /spec/image, changed: true}", &good, &noted));
        assert!(follows("{kind: Deployment, on: patch}", &good, &noted));
        assert!(!follows("{kind: Deployment, on: scale}", &good, &noted));
        assert!(!follows("{kind: Deployment, namespace: other}", &good, &noted));
        assert!(follows(
            "{kind: Deployment, path: /metadata/annotations/note, present: true, all: [{path: /spec/image, equals: good}]}",
            &good,
            &noted
        ));
    }

    #[test]
    fn a_mistake_in_the_file_is_named_with_its_line() {
        let error = |text: &str| parse("reactions.yaml".as_ref(), text).unwrap_err().to_string();
        let unknown = error("- when: {kind: Pod}\n  then:\n  - remove: {}\n");
        assert!(unknown.contains("unknown field `remove`") && unknown.contains("line=3"), "{unknown}");
        assert!(error("- when: {kind: Pod, path: spec, present: true}\n  then: []\n").contains("JSON pointer"));
        assert!(error("- when: {kind: Pod, equals: 1}\n  then: []\n").contains("need a `path`"));
    }
}
