//! Which Secret a workload refers to. The Secrets themselves are neither read nor changed.

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{Object, Precondition},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::Value;

use super::container::{TEMPLATE, pod_spec_at, ready_for_change};
use crate::{
    action::{Action, Current, Read, Write, condition, typed},
    edit::{Edit, escape},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReferenceParams {
    /// Name of the Secret that is referred to now.
    #[schemars(length(min = 1, max = 253))]
    from: String,
    /// Name of the Secret to refer to instead.
    #[schemars(length(min = 1, max = 253))]
    to: String,
    /// Why; goes on record only.
    #[serde(rename = "reason")]
    #[schemars(length(max = 500))]
    _reason: Option<String>,
}

pub(super) static PATCH_SECRET_REFERENCE: Action = Action {
    name: "patch_secret_reference",
    summary: "lets a workload refer to another Secret, in variables, volumes and pull secrets",
    preconditions: &[
        "rollouts of the workload are not paused",
        "the workload refers to the Secret",
        "the other Secret exists and has the keys that are asked for",
    ],
    parameters: || schema_for!(ReferenceParams),
    reads: &[Read::Secrets],
    check,
    plan,
    ..TEMPLATE
};

/// One place that names a Secret, and the keys that it needs.
#[derive(Debug, PartialEq)]
struct Place {
    at: String,
    keys: Vec<String>,
}

/// All places in a pod spec that name the Secret.
fn places(workload: &Object, name: &str) -> Vec<Place> {
    let base = pod_spec_at(workload);
    let mut found = Vec::new();
    if let Some(spec) = workload.at(base) {
        walk(spec, base, "", name, &mut found);
    }
    found
}

fn walk(value: &Value, at: &str, field: &str, name: &str, found: &mut Vec<Place>) {
    match value {
        Value::Array(items) => {
            // Items of a list are known by the list's name.
            items.iter().enumerate().for_each(|(i, item)| walk(item, &format!("{at}/{i}"), field, name, found));
        }
        Value::Object(fields) => {
            let named = match field {
                "secretKeyRef" | "secretRef" | "imagePullSecrets" => Some("name"),
                "secret" if fields.contains_key("secretName") => Some("secretName"),
                // Within a projected volume.
                "secret" => Some("name"),
                _ => None,
            };
            if let Some(key) = named.filter(|k| value[*k] == name) {
                found.push(Place { at: format!("{at}/{key}"), keys: keys(field, value) });
            }
            for (key, inner) in fields {
                walk(inner, &format!("{at}/{}", escape(key)), key, name, found);
            }
        }
        _ => {}
    }
}

fn keys(field: &str, place: &Value) -> Vec<String> {
    if place["optional"] == true {
        return Vec::new();
    }
    let items = place["items"].as_array().into_iter().flatten().map(|i| &i["key"]);
    let all = items.chain((field == "secretKeyRef").then_some(&place["key"]));
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn check(current: &Current, params: &Value) -> Result<Vec<Precondition>> {
    let params: ReferenceParams = typed(params)?;
    let places = if params.from == params.to { Vec::new() } else { places(&current.target, &params.from) };
    let already = !self::places(&current.target, &params.to).is_empty();
    let mut all = ready_for_change(current);
    all.push(condition(!places.is_empty() || already, format!("the workload refers to Secret {} in {} places", params.from, places.len())));
    let other = current.related(Read::Secrets).iter().find(|s| s.name() == params.to);
    all.push(condition(other.is_some(), format!("Secret {} {}", params.to, if other.is_some() { "exists" } else { "does not exist" })));
    let has = |key: &str| other.is_some_and(|s| s.at("/data").and_then(|d| d.get(key)).is_some());
    let missing: Vec<&str> = places.iter().flat_map(|p| &p.keys).map(String::as_str).filter(|k| !has(k)).collect();
    if other.is_some() {
        all.push(condition(
            missing.is_empty(),
            if missing.is_empty() { "it has the keys that are asked for".to_owned() } else { format!("it lacks the keys {}", missing.join(", ")) },
        ));
    }
    Ok(all)
}

fn plan(current: &Current, params: &Value, _: &str) -> Result<Write> {
    let params: ReferenceParams = typed(params)?;
    let places = places(&current.target, &params.from);
    if places.is_empty() && self::places(&current.target, &params.to).is_empty() {
        return Err(Error::new(ErrorKind::Refused, "executor.secret", "the workload does not refer to the Secret").with("from", params.from));
    }
    let mut edit = Edit::of(&current.target);
    for place in places {
        edit.set(&place.at, Some(params.to.clone().into()));
    }
    Ok(edit.finish(|| format!("the workload refers to Secret {} already", params.to)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn world() -> Current {
        let env =
            json!([{"name": "secret", "value": "db-pass"}, {"name": "P", "valueFrom": {"secretKeyRef": {"name": "db-pass", "key": "password"}}}]);
        let volumes = json!([{"name": "v", "secret": {"secretName": "db-pass", "items": [{"key": "ca", "path": "ca"}]}}, {"name": "w", "projected": {"sources": [{"secret": {"name": "db-pass"}}]}}, {"name": "m", "configMap": {"name": "db-pass"}}]);
        let spec = json!({"containers": [{"name": "app", "env": env, "envFrom": [{"secretRef": {"name": "other"}}]}], "volumes": volumes, "imagePullSecrets": [{"name": "pull"}, {"name": "db-pass"}]});
        let secret = Object::new(json!({"kind": "Secret", "metadata": {"name": "db-password"}, "data": {"password": "", "ca": ""}}));
        let lacking = Object::new(json!({"kind": "Secret", "metadata": {"name": "lacking"}, "data": {"ca": ""}}));
        Current {
            target: Object::new(json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}})),
            related: [("Secret", vec![secret, lacking])].into(),
        }
    }

    #[test]
    fn every_reference_to_that_secret_changes_and_nothing_else() {
        let Write::Patch { body, .. } = plan(&world(), &json!({"from": "db-pass", "to": "db-password"}), "k").unwrap() else { panic!("no patch") };
        let mut paths: Vec<&str> =
            body.as_array().unwrap().iter().map(|o| o["path"].as_str().unwrap().trim_start_matches("/spec/template/spec/")).collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                "containers/0/env/1/valueFrom/secretKeyRef/name",
                "imagePullSecrets/1/name",
                "volumes/0/secret/secretName",
                "volumes/1/projected/sources/0/secret/name"
            ]
        );
    }

    #[test]
    fn the_other_secret_must_exist_with_the_keys() {
        let broken = |from: &str, to: &str| {
            check(&world(), &json!({"from": from, "to": to})).unwrap().into_iter().filter(|c| !c.holds).map(|c| c.text).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(broken("db-pass", "db-password"), "");
        assert_eq!(broken("db-pass", "none"), "Secret none does not exist");
        assert!(broken("db-pass", "lacking").contains("lacks the keys password"));
        assert!(broken("nobody", "db-password").contains("in 0 places"));
    }
}
