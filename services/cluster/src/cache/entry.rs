//! One object in memory.
//!
//! As text, because a JSON tree takes about ten times the room: every small map of it reserves place for eleven keys. Labels stand beside
//! the text, so that a selector costs no parsing; so does the list of field managers, which only a `get` gives back.

use kubernaut_core::{
    Error, Result,
    model::{Object, selector_matches},
};
use serde_json::Value;

/// Places in maps, counters of the shared pointer, and what the allocator rounds up, for one object; measured.
const OVERHEAD: usize = 320;
/// The same for one label.
const LABEL_OVERHEAD: usize = 48;

#[derive(Debug)]
pub(super) struct Entry {
    text: Box<str>,
    /// `managedFields`; empty without any.
    managers: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
}

impl Entry {
    pub(super) fn pack(mut value: Value) -> Self {
        let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
        let managers = metadata.and_then(|m| m.remove("managedFields")).map(|m| m.to_string()).unwrap_or_default();
        let labels = value["metadata"]["labels"].as_object().into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into()))).collect();
        Self { text: value.to_string().into(), managers: managers.into(), labels }
    }

    /// About how many bytes it takes, its places in maps included.
    pub(super) fn bytes(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(key, value)| key.len() + value.len() + LABEL_OVERHEAD).sum();
        // The allocator loses about a tenth on pieces of this size.
        OVERHEAD + (self.text.len() + self.managers.len()) / 10 * 11 + labels
    }

    pub(super) fn matches(&self, selector: &Value) -> bool {
        selector.is_null() || selector_matches(selector, &self.labels.iter().map(|(key, value)| (&**key, &**value)).collect())
    }

    /// The object as a live list gives it: without field managers.
    pub(super) fn listed(&self) -> Result<Object> {
        Ok(Object::new(parse(&self.text)?))
    }

    /// The whole object.
    pub(super) fn whole(&self) -> Result<Object> {
        let mut value: Value = parse(&self.text)?;
        if !self.managers.is_empty() {
            value["metadata"]["managedFields"] = parse(&self.managers)?;
        }
        Ok(Object::new(value))
    }
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|e| Error::internal("cluster.cache", "a kept object cannot be read back").source(e))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {"weight": 0.1}, "metadata": {"name": "web-1", "namespace": "shop",
            "labels": {"app": "web"}, "managedFields": [{"manager": "kubectl"}]}})
    }

    #[test]
    fn an_object_comes_back_whole_and_a_list_leaves_its_managers_out() {
        let entry = Entry::pack(pod());
        assert_eq!(entry.whole().unwrap(), Object::new(pod()));
        let listed = entry.listed().unwrap();
        assert_eq!((listed.at("/metadata/managedFields"), listed.name()), (None, "web-1"));
        let bare = json!({"kind": "Pod", "metadata": {"name": "x"}});
        assert_eq!(Entry::pack(bare.clone()).whole().unwrap(), Object::new(bare));
    }

    #[test]
    fn a_selector_is_answered_from_the_labels() {
        let entry = Entry::pack(pod());
        for (selector, expected) in [
            (Value::Null, true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "api"}}), false),
            (json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), true),
        ] {
            assert_eq!(entry.matches(&selector), expected, "{selector}");
        }
    }
}
