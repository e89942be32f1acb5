//! Changing single fields by JSON patch, and words inside of texts. Pure.
//!
//! The write carries the resource version that was read, so an index still means the item it meant then.

use kubernaut_core::{model::Object, port::PatchKind};
use serde_json::{Map, Value, json};

use crate::action::Write;

/// A growing patch of one object; every field that is set is a field the patch rests on.
#[derive(Debug)]
pub(crate) struct Edit {
    after: Value,
    operations: Vec<Value>,
    reads: Vec<String>,
}

impl Edit {
    pub(crate) fn of(target: &Object) -> Self {
        Self { after: target.value().clone(), operations: Vec::new(), reads: Vec::new() }
    }

    /// Names a field that must stay the same for the patch to mean the same.
    pub(crate) fn rests_on(&mut self, path: impl Into<String>) {
        self.reads.push(path.into());
    }

    /// Sets the field at a JSON pointer, or takes it away. Nothing else in the object changes.
    pub(crate) fn set(&mut self, path: &str, wanted: Option<Value>) {
        self.reads.push(path.to_owned());
        let now = self.after.pointer(path).filter(|v| !v.is_null());
        if now == wanted.as_ref() {
            return;
        }
        match wanted {
            Some(value) => self.write(path, value),
            None => self.remove(path),
        }
    }

    fn write(&mut self, path: &str, value: Value) {
        let (mut path, mut value) = (path, value);
        while let Some((parent, key)) = path.rsplit_once('/') {
            match self.after.pointer_mut(parent) {
                Some(Value::Object(fields)) => {
                    let op = if fields.insert(unescape(key), value.clone()).is_some() { "replace" } else { "add" };
                    self.operations.push(json!({"op": op, "path": path, "value": value}));
                    return;
                }
                Some(Value::Array(items)) => {
                    if let Some(item) = key.parse().ok().and_then(|at: usize| items.get_mut(at)) {
                        item.clone_from(&value);
                        self.operations.push(json!({"op": "replace", "path": path, "value": value}));
                    }
                    return;
                }
                // The parent is absent: it comes with the field.
                _ => value = Value::Object(Map::from_iter([(unescape(key), value)])),
            }
            path = parent;
        }
    }

    fn remove(&mut self, path: &str) {
        let Some((parent, key)) = path.rsplit_once('/') else { return };
        if let Some(Value::Object(fields)) = self.after.pointer_mut(parent)
            && fields.remove(&unescape(key)).is_some()
        {
            self.operations.push(json!({"op": "remove", "path": path}));
        }
    }

    /// The write; nothing to do, with that reason, if no field differs.
    pub(crate) fn finish(self, same: impl FnOnce() -> String) -> Write {
        if self.operations.is_empty() {
            return Write::None(same());
        }
        Write::Patch { kind: PatchKind::Json, body: Value::Array(self.operations), reads: self.reads }
    }
}

/// A key as a segment of a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// What became of a text in which a word was to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// The text with all of its occurrences replaced.
    Done(String),
    /// The new word stands there already, and the old one only as part of it.
    Already,
    /// Neither stands there.
    Absent,
}

/// Replaces a word, never a part of a longer name: `db` is not replaced in `db-replica` or `db.shop`.
pub(crate) fn replace_word(text: &str, from: &str, to: &str) -> Replaced {
    let new = !to.is_empty() && words(text, to).next().is_some();
    if new && words(&text.replace(to, " "), from).next().is_none() {
        return Replaced::Already;
    }
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for at in words(text, from) {
        out.push_str(&text[end..at]);
        out.push_str(to);
        end = at + from.len();
    }
    if end == 0 {
        return Replaced::Absent;
    }
    out.push_str(&text[end..]);
    Replaced::Done(out)
}

/// Where a word stands by itself.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let (begins, ends) = (word.starts_with(part), word.ends_with(part));
    let alone = move |(at, _): &(usize, &str)| {
        let before = text[..*at].chars().next_back().is_some_and(part);
        let after = text[at + word.len()..].chars().next().is_some_and(part);
        !(begins && before || ends && after)
    };
    text.match_indices(word).filter(move |_| !word.is_empty()).filter(alone).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(object: &Value, edit: impl FnOnce(&mut Edit)) -> Value {
        let mut patch = Edit::of(&Object::new(object.clone()));
        edit(&mut patch);
        match patch.finish(String::new) {
            Write::Patch { body, .. } => body,
            _ => Value::Null,
        }
    }

    #[test]
    fn absent_parents_come_with_the_first_field_and_stay_for_the_next() {
        let body = operations(&json!({"data": null}), |e| {
            e.set("/data/a~1b", Some(json!(1)));
            e.set("/data/c", Some(json!(2)));
        });
        assert_eq!(body, json!([{"op": "replace", "path": "/data", "value": {"a/b": 1}}, {"op": "add", "path": "/data/c", "value": 2}]));
    }

    #[test]
    fn equal_and_absent_fields_are_left_alone() {
        let object = json!({"spec": {"a": [1, 2], "n": null}});
        assert!(operations(&object, |e| e.set("/spec/a/1", Some(json!(2)))).is_null());
        assert!(operations(&object, |e| e.set("/spec/n", None)).is_null());
        assert!(operations(&object, |e| e.set("/spec/x/y", None)).is_null());
        assert_eq!(operations(&object, |e| e.set("/spec/a", None)), json!([{"op": "remove", "path": "/spec/a"}]));
    }

    #[test]
    fn only_whole_words_are_replaced_and_only_once() {
        let done = |text: &str| Replaced::Done(text.to_owned());
        assert_eq!(replace_word("http://db:80/ db-replica db.shop xdb", "db", "store"), done("http://store:80/ db-replica db.shop xdb"));
        assert_eq!(replace_word("db:80 db:8080", "db:80", "db:81"), done("db:81 db:8080"));
        assert_eq!(replace_word("db", "db", "db:5432"), done("db:5432"));
        assert_eq!(replace_word("db:5432", "db", "db:5432"), Replaced::Already);
        assert_eq!(replace_word("other", "db", "store"), Replaced::Absent);
        assert_eq!(replace_word("any", "", "store"), Replaced::Absent);
    }
}
