//! Who owns which field, read from `managedFields`.

use kubernaut_core::model::{Object, Timestamp};
use serde_json::Value;

use super::{pod::time, revision::Change};

/// One manager's last write to spec or data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Write<'a> {
    pub(crate) manager: &'a str,
    pub(crate) at: Option<Timestamp>,
    pub(crate) fields: &'a Value,
}

/// Writes to spec, data and metadata, status writes left out.
pub(crate) fn writes(object: &Object) -> impl Iterator<Item = Write<'_>> {
    object.list_at("/metadata/managedFields").iter().filter(|m| m["subresource"] != "status").map(|m| Write {
        manager: m["manager"].as_str().unwrap_or_default(),
        at: time(&m["time"]),
        fields: &m["fieldsV1"],
    })
}

/// The last write by anything but a controller of Kubernetes itself.
pub(crate) fn last_write(object: &Object) -> Option<Write<'_>> {
    let system = |m: &str| matches!(m, "kube-controller-manager" | "kube-scheduler" | "kubelet" | "kube-apiserver");
    writes(object).filter(|w| !system(w.manager)).max_by_key(|w| w.at)
}

/// When data or spec was last changed; the creation where nothing tells.
pub(crate) fn changed_at(object: &Object) -> Option<Timestamp> {
    last_write(object).and_then(|w| w.at).max(object.created_at())
}

/// What `kubectl apply` wrote last.
pub(crate) fn applied(object: &Object) -> Option<Value> {
    object.annotation("kubectl.kubernetes.io/last-applied-configuration").and_then(|text| serde_json::from_str(text).ok())
}

/// Whether the data that `kubectl apply` wrote last had a key.
pub(crate) fn was_applied_with(object: &Object, key: &str) -> bool {
    applied(object).is_some_and(|a| ["data", "stringData", "binaryData"].iter().any(|part| a[part].get(key).is_some()))
}

/// The keys of a ConfigMap whose content is no longer what `kubectl apply` wrote last, with what it was.
pub(crate) fn edited_since_applied(map: &Object) -> Vec<(String, String)> {
    let applied = applied(map).unwrap_or_default();
    let data = map.map_at("/data");
    let before = applied["data"].as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
    before.filter(|(k, v)| data.get(k.as_str()).copied() != Some(v.as_str())).collect()
}

/// The manager that owns the field of a template change.
pub(crate) fn owner_of_change(object: &Object, change: &Change) -> Option<String> {
    let field = change.path.rsplit('.').next().unwrap_or_default();
    let field = field.split('[').next().unwrap_or_default();
    let latest = writes(object).filter(|w| owns(w, change.container.as_deref(), field)).max_by_key(|w| w.at)?;
    Some(latest.manager.to_owned())
}

/// The last manager of a field of one container's template.
pub(crate) fn owner_of_container_field<'a>(object: &'a Object, container: &str, field: &str) -> Option<Write<'a>> {
    writes(object).filter(|w| owns(w, Some(container), field)).max_by_key(|w| w.at)
}

fn owns(write: &Write<'_>, container: Option<&str>, field: &str) -> bool {
    let spec = &write.fields["f:spec"]["f:template"]["f:spec"];
    let field = format!("f:{field}");
    match container {
        None => spec.get(&field).is_some(),
        Some(name) => {
            let item = format!("k:{{\"name\":\"{name}\"}}");
            ["f:containers", "f:initContainers"].iter().any(|list| spec[*list][&item].get(&field).is_some())
        }
    }
}
