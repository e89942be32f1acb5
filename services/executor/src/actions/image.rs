//! The image of one container.

use kubernaut_core::{Result, model::Precondition};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use super::container::{TEMPLATE, choose, ready_for_change};
use crate::{
    action::{Action, Current, Read, Write, condition, typed},
    edit::Edit,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImageParams {
    /// Name of the container; may be left out where the workload has only one.
    #[schemars(length(min = 1, max = 63))]
    container: Option<String>,
    /// Wanted image, with tag or digest.
    #[schemars(length(max = 500), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$"))]
    image: String,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static FIX_IMAGE_REFERENCE: Action = Action {
    name: "fix_image_reference",
    aliases: &["patch_image"],
    summary: "sets the image of one container",
    preconditions: &["rollouts of the workload are not paused", "the image comes from the same registry, or the cluster knows it"],
    parameters: || schema_for!(ImageParams),
    reads: &[Read::ReplicaSets, Read::Nodes],
    check,
    plan,
    ..TEMPLATE
};

/// The registry of an image, as a container runtime reads the name.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// Where the image was used before, if anywhere.
fn known(current: &Current, image: &str) -> Option<String> {
    let in_set = |set: &&kubernaut_core::model::Object| {
        let lists = ["containers", "initContainers"].map(|list| set.list_at(&format!("/spec/template/spec/{list}")));
        lists.iter().flat_map(|l| l.iter()).any(|c| c["image"] == image)
    };
    let on_node = |node: &&kubernaut_core::model::Object| {
        node.list_at("/status/images").iter().any(|i| i["names"].as_array().is_some_and(|n| n.iter().any(|n| n == image)))
    };
    let set = current.related(Read::ReplicaSets).iter().find(in_set).map(|s| format!("revision {}", s.name()));
    set.or_else(|| current.related(Read::Nodes).iter().find(on_node).map(|n| format!("node {}", n.name())))
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: ImageParams = typed(params)?;
    let chosen = choose(&current.target, params.container.as_deref())?;
    let (was, will) = (registry(chosen.value["image"].as_str().unwrap_or_default()), registry(&params.image));
    let mut all = ready_for_change(current);
    all.push(match known(current, &params.image) {
        Some(place) => condition(true, format!("{} is known: {place} has it", params.image)),
        None if was == will => condition(true, format!("{} comes from {was}, as the image now", params.image)),
        None => condition(false, format!("{} comes from {will}, the image now from {was}, and nothing in the cluster has used it", params.image)),
    });
    Ok(all)
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: ImageParams = typed(params)?;
    let chosen = choose(&current.target, params.container.as_deref())?;
    let mut edit = Edit::of(&current.target);
    edit.rests_on(format!("{}/name", chosen.at));
    edit.set(&format!("{}/image", chosen.at), Some(params.image.clone().into()));
    Ok(edit.finish(|| format!("container {} has the image {} already", chosen.name, params.image)))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::Object;
    use serde_json::json;

    use super::*;

    fn world() -> Current {
        let set = Object::new(
            json!({"kind": "ReplicaSet", "metadata": {"name": "web-1"}, "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "other.example/web:1"}]}}}}),
        );
        let node = Object::new(json!({"kind": "Node", "metadata": {"name": "n"}, "status": {"images": [{"names": ["third.example/web:1"]}]}}));
        let target = Object::new(
            json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "one.example/wbe:2"}, {"name": "side", "image": "s"}]}}}}),
        );
        Current { target, related: [("ReplicaSet", vec![set]), ("Node", vec![node])].into() }
    }

    #[test]
    fn another_registry_needs_an_image_that_the_cluster_knows() {
        let holds = |image: &str| check(&world(), &json!({"container": "app", "image": image})).unwrap()[1].holds;
        assert!(holds("one.example/web:2"));
        assert!(holds("other.example/web:1"), "an earlier revision");
        assert!(holds("third.example/web:1"), "on a node");
        assert!(!holds("evil.example/web:2"));
        assert!(!holds("web:2"), "no host is a host of its own");
    }
}
