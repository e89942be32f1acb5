//! Labels of a node.

use std::collections::BTreeMap;

use kubernaut_core::{
    Result,
    model::{Precondition, Reversibility, Risk},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    action::{Action, Current, Effect, Write, condition, typed},
    edit::{Edit, escape},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LabelParams {
    /// Labels to set, with their values; other labels stay.
    #[schemars(extend("minProperties" = 1))]
    labels: BTreeMap<String, String>,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static LABEL_NODE: Action = Action {
    name: "label_node",
    aliases: &[],
    family: "node",
    summary: "sets labels of a node",
    target_kinds: &["Node"],
    effect: Effect::NodeMark,
    risk: Risk::Medium,
    reversibility: Reversibility::Undo,
    preconditions: &["the labels are none that Kubernetes or Kubernaut give a meaning of their own"],
    parameters: || schema_for!(LabelParams),
    reads: &[],
    check,
    plan,
};

/// Labels by which Kubernetes tells what a node is, and by which Kubernaut tells what it may do.
fn is_reserved(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    ["kubernetes.io", "k8s.io", "kubernaut.ai"].iter().any(|d| domain == *d || domain.ends_with(&format!(".{d}")))
}

fn check(_: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let labels = typed::<LabelParams>(params)?.labels;
    let reserved: Vec<&str> = labels.keys().map(String::as_str).filter(|k| is_reserved(k)).collect();
    let text = if reserved.is_empty() {
        "the labels are none with a meaning of their own".to_owned()
    } else {
        format!("{} have a meaning of their own and are not set here", reserved.join(", "))
    };
    Ok(vec![condition(reserved.is_empty(), text)])
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let mut edit = Edit::of(&current.target);
    for (key, value) in typed::<LabelParams>(params)?.labels {
        edit.set(&format!("/metadata/labels/{}", escape(&key)), Some(json!(value)));
    }
    Ok(edit.finish(|| "the node has these labels already".into()))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;

    use super::*;

    fn world() -> Current {
        Current {
            target: Object::new(json!({"kind": "Node", "metadata": {"name": "n", "labels": {"disk": "hdd", "pool": "a"}}})),
            related: Default::default(),
        }
    }

    #[test]
    fn given_labels_are_set_and_others_stay() {
        let Write::Patch { body, .. } = plan(&world(), &json!({"labels": {"disk": "ssd", "pool": "a", "example.com/x": "y"}}), "k").unwrap() else {
            panic!("no patch")
        };
        assert_eq!(
            body,
            json!([{"op": "replace", "path": "/metadata/labels/disk", "value": "ssd"}, {"op": "add", "path": "/metadata/labels/example.com~1x", "value": "y"}])
        );
        assert!(matches!(plan(&world(), &json!({"labels": {"pool": "a"}}), "k").unwrap(), Write::None(_)));
    }

    #[test]
    fn labels_with_a_meaning_of_their_own_are_refused() {
        let holds = |key: &str| check(&world(), &json!({"labels": {key: "x"}})).unwrap()[0].holds;
        for (key, expected) in [
            ("disk", true),
            ("example.com/disk", true),
            ("mykubernetes.io/x", true),
            ("node-role.kubernetes.io/control-plane", false),
            ("topology.kubernetes.io/zone", false),
            ("kubernaut.ai/protected", false),
        ] {
            assert_eq!(holds(key), expected, "{key}");
        }
    }
}
