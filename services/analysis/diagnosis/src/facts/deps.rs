//! What a workload needs: peers named in its environment, arguments and configuration.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use kubernaut_core::model::ObjectRef;
use serde_json::Value;

use super::{
    Facts,
    log::{Host, hosts_in},
    service::{self, Resolved},
    workload::Workload,
};

/// Where a workload names a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Env { container: String, name: String },
    Args { container: String },
    ConfigMap { name: String, key: String },
}

impl Source {
    /// The place in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Env { container, name } => format!("env {name} of container {container}"),
            Self::Args { container } => format!("command of container {container}"),
            Self::ConfigMap { name, key } => format!("key {key} of ConfigMap {name}"),
        }
    }
}

/// One peer that a workload names.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) host: Host,
    pub(crate) resolved: Resolved,
    pub(crate) source: Source,
}

impl Dependency {
    /// The Service it leads to, existing or not.
    pub(crate) fn service(&self) -> Option<&ObjectRef> {
        match &self.resolved {
            Resolved::Service(s) | Resolved::Missing(s) => Some(s),
            _ => None,
        }
    }
}

/// A setting: a text with the place it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) source: Source,
    pub(crate) text: String,
}

/// All settings of a workload: literal environment, arguments, and the ConfigMaps it reads.
pub(crate) fn settings(facts: &Facts, workload: &Workload<'_>) -> Vec<Setting> {
    let Some(spec) = workload.object.pod_spec() else { return Vec::new() };
    let namespace = workload.namespace();
    let mut found = Vec::new();
    for container in containers(spec) {
        let name = container["name"].as_str().unwrap_or_default();
        env_settings(facts, namespace, name, container, &mut found);
        let words = ["command", "args"].iter().flat_map(|k| container[*k].as_array().into_iter().flatten()).filter_map(Value::as_str);
        let text = words.collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            found.push(Setting { source: Source::Args { container: name.to_owned() }, text });
        }
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            let words = container[probe]["exec"]["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let text = words.collect::<Vec<_>>().join(" ");
            if !text.is_empty() {
                found.push(Setting { source: Source::Args { container: name.to_owned() }, text });
            }
        }
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let projected = volume["projected"]["sources"].as_array().into_iter().flatten().filter_map(|s| s["configMap"]["name"].as_str());
        for map in volume["configMap"]["name"].as_str().into_iter().chain(projected) {
            map_settings(facts, namespace, map, None, &mut found);
        }
    }
    found
}

/// Containers and init containers of a pod spec.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().flat_map(|list| spec[list].as_array().into_iter().flatten())
}

fn env_settings(facts: &Facts, namespace: Option<&str>, container: &str, spec: &Value, out: &mut Vec<Setting>) {
    for env in spec["env"].as_array().into_iter().flatten() {
        let Some(name) = env["name"].as_str() else { continue };
        if let Some(text) = env["value"].as_str() {
            out.push(Setting { source: Source::Env { container: container.to_owned(), name: name.to_owned() }, text: text.to_owned() });
        }
        let reference = &env["valueFrom"]["configMapKeyRef"];
        if let (Some(map), Some(key)) = (reference["name"].as_str(), reference["key"].as_str()) {
            map_settings(facts, namespace, map, Some(key), out);
        }
    }
    for from in spec["envFrom"].as_array().into_iter().flatten() {
        if let Some(map) = from["configMapRef"]["name"].as_str() {
            map_settings(facts, namespace, map, None, out);
        }
    }
}

fn map_settings(facts: &Facts, namespace: Option<&str>, map: &str, key: Option<&str>, out: &mut Vec<Setting>) {
    let Some(object) = facts.store.get("ConfigMap", namespace, map) else { return };
    for (k, text) in object.map_at("/data") {
        if key.is_none_or(|wanted| wanted == k) && text.len() <= 64 * 1024 {
            out.push(Setting { source: Source::ConfigMap { name: map.to_owned(), key: k.to_owned() }, text: text.to_owned() });
        }
    }
}

/// Peers by workload and clients by Service, kept while the objects that were read stay the same.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    objects: usize,
    peers: BTreeMap<String, Arc<Vec<Dependency>>>,
    clients: Option<Arc<Clients>>,
}

/// Clients with the dependency by which they name a Service.
type Clients = BTreeMap<String, Vec<(ObjectRef, Dependency)>>;

impl Cache {
    fn with<T>(&self, facts: &Facts, act: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.objects != facts.store.len() {
            *known = Known { objects: facts.store.len(), ..Known::default() };
        }
        act(&mut known)
    }
}

/// Peers that a workload names, each host and port once.
pub(crate) fn dependencies(facts: &Facts, workload: &Workload<'_>) -> Arc<Vec<Dependency>> {
    let key = workload.reference().to_string();
    if let Some(found) = facts.peers.with(facts, |k| k.peers.get(&key).cloned()) {
        return found;
    }
    let found = Arc::new(read_dependencies(facts, workload));
    facts.peers.with(facts, |k| k.peers.insert(key, Arc::clone(&found)));
    found
}

fn read_dependencies(facts: &Facts, workload: &Workload<'_>) -> Vec<Dependency> {
    let namespace = workload.namespace().unwrap_or_default();
    let own: Vec<_> = service::of_workload(facts, workload).iter().map(|s| s.reference().to_string()).collect();
    let mut found: Vec<Dependency> = Vec::new();
    for setting in settings(facts, workload) {
        for host in hosts_of(facts, &setting, namespace) {
            let resolved = service::resolve(facts, &host, namespace);
            let is_own = matches!(&resolved, Resolved::Service(s) if own.contains(&s.to_string()));
            let seen = found.iter().any(|d| d.host.name == host.name && d.host.port == host.port);
            if !is_own && !seen && resolved != Resolved::Unknown {
                found.push(Dependency { host, resolved, source: setting.source.clone() });
            }
        }
    }
    found
}

/// Hosts in a setting. A bare word counts only if it is the whole value (or one argument) and names a Service.
fn hosts_of(facts: &Facts, setting: &Setting, namespace: &str) -> Vec<Host> {
    let mut found: Vec<Host> = setting.text.lines().take(2000).flat_map(hosts_in).collect();
    let bare: Vec<&str> = match &setting.source {
        Source::Env { .. } => vec![setting.text.trim()],
        Source::Args { .. } => setting.text.split([' ', '=', ',', ';', '"', '\'']).collect(),
        Source::ConfigMap { .. } if !setting.text.trim().contains(char::is_whitespace) => vec![setting.text.trim()],
        Source::ConfigMap { .. } => setting.text.split(|c: char| c.is_whitespace() || "=,;\"'".contains(c)).collect(),
    };
    for word in bare {
        let host = Host { name: word.to_ascii_lowercase(), port: None, certain: false };
        if !word.is_empty() && !found.iter().any(|h| h.name == host.name) && matches!(service::resolve(facts, &host, namespace), Resolved::Service(_))
        {
            found.push(host);
        }
    }
    found
}

/// The setting in which a word stands by itself, such as the name of a host that does not exist.
pub(crate) fn place_of(facts: &Facts, workload: &Workload<'_>, word: &str) -> Option<Source> {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let holds = |text: &str| text.split(|c| !part_of_name(c)).any(|w| w.eq_ignore_ascii_case(word));
    settings(facts, workload).into_iter().find(|s| holds(&s.text)).map(|s| s.source)
}

/// Workloads of the namespaces that were read which name a Service.
pub(crate) fn clients<'a>(facts: &'a Facts, target: &ObjectRef) -> Vec<(Workload<'a>, Dependency)> {
    let index = facts.peers.with(facts, |k| k.clients.clone()).unwrap_or_else(|| {
        let built = Arc::new(index(facts));
        facts.peers.with(facts, |k| k.clients = Some(Arc::clone(&built)));
        built
    });
    let named = index.get(&target.to_string()).map_or(&[][..], Vec::as_slice);
    named.iter().filter_map(|(client, dependency)| Some((Workload::find(facts, client)?, dependency.clone()))).collect()
}

fn index(facts: &Facts) -> Clients {
    let mut clients = Clients::new();
    for namespace in facts.store.namespaces() {
        for workload in super::workload::all_in(facts, namespace) {
            let mut seen = std::collections::BTreeSet::new();
            for dependency in dependencies(facts, &workload).iter() {
                let Some(service) = dependency.service().map(ToString::to_string) else { continue };
                if seen.insert(service.clone()) {
                    clients.entry(service).or_default().push((ObjectRef { uid: None, ..workload.reference() }, dependency.clone()));
                }
            }
        }
    }
    clients
}
