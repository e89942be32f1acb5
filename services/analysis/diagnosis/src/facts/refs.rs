//! References of a pod template to other objects, and whether these exist.

use kubernaut_core::model::ObjectRef;
use serde_json::Value;

use super::{Facts, deps::containers};

/// One reference to a ConfigMap, Secret, claim or account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) object: ObjectRef,
    /// The key that is wanted.
    pub(crate) key: Option<String>,
    /// Where it stands.
    pub(crate) place: String,
    pub(crate) optional: bool,
    pub(crate) container: Option<String>,
    /// Path where it is mounted, with the file of a sub-path.
    pub(crate) mounts: Vec<String>,
}

/// All references of a pod spec.
pub(crate) fn references(spec: &Value, namespace: Option<&str>) -> Vec<Reference> {
    let mut out = Vec::new();
    for container in containers(spec) {
        let name = container["name"].as_str().unwrap_or_default();
        for env in container["env"].as_array().into_iter().flatten() {
            let place = format!("env {} of container {name}", env["name"].as_str().unwrap_or_default());
            for (field, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
                push(&mut out, kind, namespace, &env["valueFrom"][field], "name", &place, Some(name));
            }
        }
        for from in container["envFrom"].as_array().into_iter().flatten() {
            let place = format!("envFrom of container {name}");
            push(&mut out, "ConfigMap", namespace, &from["configMapRef"], "name", &place, Some(name));
            push(&mut out, "Secret", namespace, &from["secretRef"], "name", &place, Some(name));
        }
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let start = out.len();
        let name = volume["name"].as_str().unwrap_or_default();
        let place = format!("volume {name}");
        push(&mut out, "ConfigMap", namespace, &volume["configMap"], "name", &place, None);
        push(&mut out, "Secret", namespace, &volume["secret"], "secretName", &place, None);
        push(&mut out, "PersistentVolumeClaim", namespace, &volume["persistentVolumeClaim"], "claimName", &place, None);
        for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
            push(&mut out, "ConfigMap", namespace, &source["configMap"], "name", &place, None);
            push(&mut out, "Secret", namespace, &source["secret"], "name", &place, None);
        }
        let mounts = mounts_of(spec, name);
        out[start..].iter_mut().for_each(|r| r.mounts.clone_from(&mounts));
    }
    for secret in spec["imagePullSecrets"].as_array().into_iter().flatten() {
        push(&mut out, "Secret", namespace, secret, "name", "imagePullSecrets", None);
    }
    out
}

fn push(out: &mut Vec<Reference>, kind: &str, namespace: Option<&str>, source: &Value, name_field: &str, place: &str, container: Option<&str>) {
    let Some(name) = source[name_field].as_str() else { return };
    let items = source["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let keys: Vec<Option<String>> = match source["key"].as_str() {
        Some(key) => vec![Some(key.to_owned())],
        None if items.is_empty() => vec![None],
        None => items.iter().map(|i| i["key"].as_str().map(str::to_owned)).collect(),
    };
    for key in keys {
        out.push(Reference {
            object: ObjectRef::new(kind, namespace, name),
            key,
            place: place.to_owned(),
            optional: source["optional"] == true,
            container: container.map(str::to_owned),
            mounts: Vec::new(),
        });
    }
}

fn mounts_of(spec: &Value, volume: &str) -> Vec<String> {
    let mounts = containers(spec).flat_map(|c| c["volumeMounts"].as_array().into_iter().flatten());
    mounts.filter(|m| m["name"] == volume).filter_map(|m| m["mountPath"].as_str().map(str::to_owned)).collect()
}

/// What is wrong with a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    Absent,
    KeyAbsent(String),
}

/// Whether it is certain that the reference leads nowhere.
pub(crate) fn broken(facts: &Facts, reference: &Reference) -> Option<Broken> {
    if reference.optional {
        return None;
    }
    let (kind, namespace, name) = (&reference.object.kind, reference.object.namespace.as_deref(), &reference.object.name);
    let Some(object) = facts.store.get(kind, namespace, name) else {
        return facts.store.is_absent(kind, namespace, name).then_some(Broken::Absent);
    };
    let key = reference.key.as_ref()?;
    let has = ["/data", "/stringData", "/binaryData"].iter().any(|p| object.at(p).is_some_and(|d| d.get(key).is_some()));
    (!has).then(|| Broken::KeyAbsent(key.clone()))
}

/// The reference whose mount contains a path, the longest mount first.
pub(crate) fn mounted_at<'a>(references: &'a [Reference], path: &str) -> Option<&'a Reference> {
    let inside = |mount: &str| path == mount || path.starts_with(&format!("{}/", mount.trim_end_matches('/')));
    let longest = |r: &&Reference| r.mounts.iter().filter(|m| inside(m)).map(String::len).max();
    references.iter().filter(|r| longest(r).is_some()).max_by_key(longest)
}
