//! Kinds that are not built in: asked of the cluster once, then remembered.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use http::Method;
use kubernaut_core::{Error, Result, model::well_known_kinds};
use serde_json::Value;

use super::{
    resource::Resource,
    rest::{Ask, Rest},
};

const AGGREGATED: &str =
    "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,application/json;v=v2beta1;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList";

/// Group and kind of a resource.
type GroupKind = (String, String);

/// Where kinds live. Only what was found is remembered: a kind that is absent now may be installed later.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    found: Mutex<HashMap<GroupKind, Resource>>,
}

impl Discovery {
    /// Where the kind lives. An empty group with a kind that is not built in stands for any group.
    pub(super) async fn resolve(&self, rest: &Rest, operation: &'static str, group: &str, kind: &str) -> Result<Resource> {
        if let Some(known) = well_known_kinds().iter().find(|k| k.kind == kind && k.group == group) {
            return Ok(known.into());
        }
        let key = (group.to_owned(), kind.to_owned());
        let remembered = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(resource) = remembered {
            return Ok(resource);
        }
        let ask = Ask { operation, method: Method::GET, path: "/apis", query: &[], body: None, accept: AGGREGATED };
        let groups = rest.request(ask).await?.json(operation)?;
        let unknown = || Error::unsupported(operation, "the cluster does not serve this kind").with("group", group).with("kind", kind);
        let resource = find(&groups, group, kind).ok_or_else(unknown)?;
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(key, resource.clone());
        Ok(resource)
    }
}

/// Finds a kind in an aggregated discovery document; the first version of a group is the preferred one.
fn find(groups: &Value, group: &str, kind: &str) -> Option<Resource> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    for entry in list(groups, "items") {
        let name = entry["metadata"]["name"].as_str().unwrap_or_default();
        if !group.is_empty() && name != group {
            continue;
        }
        for version in list(&entry, "versions") {
            for resource in list(&version, "resources") {
                if resource["responseKind"]["kind"] == kind {
                    return Some(Resource {
                        kind: kind.to_owned(),
                        api_version: format!("{name}/{}", version["version"].as_str()?),
                        plural: resource["resource"].as_str()?.to_owned(),
                        namespaced: resource["scope"] == "Namespaced",
                    });
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_found_in_its_group_or_in_any() {
        let resource = |name: &str, kind: &str, scope: &str| json!({"resource": name, "responseKind": {"kind": kind}, "scope": scope});
        let groups = json!({"items": [
            {"metadata": {"name": "a.example"}, "versions": [{"version": "v2", "resources": [resource("gates", "Gate", "Cluster")]}, {"version": "v1", "resources": [resource("gates", "Gate", "Cluster")]}]},
            {"metadata": {"name": "b.example"}, "versions": [{"version": "v1", "resources": [resource("doors", "Door", "Namespaced")]}]}]});
        let door = find(&groups, "", "Door").unwrap();
        assert_eq!((door.api_version.as_str(), door.plural.as_str(), door.namespaced), ("b.example/v1", "doors", true));
        assert_eq!(find(&groups, "a.example", "Gate").unwrap().api_version, "a.example/v2");
        assert_eq!(find(&groups, "a.example", "Door"), None);
    }
}
