//! What an action is made of: its row in the registry, and two pure functions over what was read.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, Result,
    model::{ActionSpec, Object, ObjectRef, Precondition, RbacRule, Reversibility, Risk, well_known},
    port::PatchKind,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::alias;

/// What kind of effect an action has; the gate's ownership and blast-radius checks depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing in the cluster changes.
    Record,
    /// One pod is replaced.
    Evict,
    /// All pods of a workload are replaced, its template stays what it was but for a stamp.
    Restart,
    /// The pod template of a workload changes.
    Template,
    /// The replica count of a workload changes.
    Scale,
    /// Bounds of an autoscaler change.
    Autoscaler,
    /// A node stops taking pods.
    NodeClose,
    /// A node stops taking pods, and those on it go elsewhere.
    NodeDrain,
    /// A node takes pods again.
    NodeOpen,
    /// A label of a node changes.
    NodeMark,
    /// A Service chooses other pods.
    Reroute,
    /// Content of a ConfigMap changes.
    Config,
    /// Declared fields of another object change; no pod is taken down by it.
    Settings,
    /// The source that the object is kept by changes: a release, or files in a repository.
    Source,
    /// A pod is taken off the server, whether its containers ended or not.
    Force,
    /// A pod is taken out of the set that it belongs to, and kept.
    Isolate,
    /// A command runs inside of a pod; what is declared stays as it is.
    Inside,
    /// What is opened, weakened or final enough that a person is asked each time.
    Consult,
    /// An action of another executor; nothing is known of its effect.
    Other,
}

/// What an action reads beside its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// ReplicaSets owned by the target.
    ReplicaSets,
    /// Autoscalers of the target's namespace.
    Autoscalers,
    /// Limit ranges of the target's namespace.
    LimitRanges,
    /// All nodes.
    Nodes,
    /// Pods of the target's namespace.
    Pods,
    /// Services of the namespace that the parameter `to` names.
    PeerServices,
    /// All storage classes.
    StorageClasses,
    /// Secrets of the target's namespace, without their values.
    Secrets,
    /// Revisions owned by the target.
    Revisions,
    /// Claims of the target's namespace.
    Claims,
    /// Pods on the target node, in all namespaces.
    PodsOnNode,
    /// External secrets of the target's namespace.
    ExternalSecrets,
    /// Sealed secrets of the target's namespace.
    SealedSecrets,
    /// Certificates of the target's namespace.
    Certificates,
    /// What requests have put by in the target's namespace to go on after a crash.
    Kept,
    /// Memory that the containers of the target's namespace used: one object a container, with `pod`, `container`, `peak` and `last` in bytes.
    Usage,
}

impl Read {
    /// The kind that is listed.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::ReplicaSets => "ReplicaSet",
            Self::Autoscalers => "HorizontalPodAutoscaler",
            Self::LimitRanges => "LimitRange",
            Self::Nodes => "Node",
            Self::Pods | Self::PodsOnNode => "Pod",
            Self::Revisions => "ControllerRevision",
            Self::Claims => "PersistentVolumeClaim",
            Self::ExternalSecrets => "ExternalSecret",
            Self::SealedSecrets => "SealedSecret",
            Self::Certificates => "Certificate",
            Self::Kept => "ConfigMap",
            Self::Usage => "Usage",
            Self::PeerServices => "Service",
            Self::StorageClasses => "StorageClass",
            Self::Secrets => "Secret",
        }
    }
}

impl Read {
    /// The group of a kind that is not built in; the cluster need not serve it.
    pub(crate) fn foreign_group(self) -> Option<&'static str> {
        match self {
            Self::ExternalSecrets => Some("external-secrets.io"),
            Self::SealedSecrets => Some("bitnami.com"),
            Self::Certificates => Some("cert-manager.io"),
            _ => None,
        }
    }
}

/// The objects that an action decides on, as read just before.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) target: Object,
    pub(crate) related: BTreeMap<&'static str, Vec<Object>>,
}

impl Current {
    /// Whether the target is there, rather than only named.
    pub(crate) fn exists(&self) -> bool {
        self.target.uid().is_some() || self.target.resource_version().is_some()
    }

    /// Related objects of that kind, as far as the action asked for them.
    pub(crate) fn related(&self, read: Read) -> &[Object] {
        self.related.get(read.kind()).map_or(&[], Vec::as_slice)
    }
}

/// What is to be written, without marks and preconditions: those are added where the write is made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// Nothing: the object is as wanted. Says why.
    None(String),
    /// One patch of the target. `reads` are the fields it rests on: while they stay the same, the patch means the same.
    Patch { kind: PatchKind, body: Value, reads: Vec<String> },
    /// One eviction of the target.
    Evict { grace_period_s: Option<u32> },
    /// Several writes, in order. All but the last are such that they do no harm alone and can be made again.
    Steps { steps: Vec<Step>, then: Then },
    /// All pods leave the target node.
    Drain(Drain),
    /// A file is made inside of the target pod and kept in the archive.
    Dump(Dump),
    /// What is known of the target is written into the archive.
    Collect { logs: bool, events: bool, tail_lines: usize },
}

/// One of several writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// A new object.
    Create(Value),
    /// A new Secret with the values of another one.
    CopySecret { source: ObjectRef, object: Value },
    /// An object goes, the one of that uid.
    Delete { object: Object, grace_period_s: Option<u32> },
    /// A merge patch of another object than the target.
    Touch { target: ObjectRef, body: Value },
    /// A patch of the target.
    Patch { kind: PatchKind, body: Value },
    /// New values for keys of the target, a Secret; neither shown nor kept.
    Fill { keys: Vec<String>, length: usize },
}

/// What follows the writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// The end of the Job that was created is waited for, and its logs are kept.
    AwaitJob { name: String, limit_s: u32 },
}

/// How a node is emptied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drain {
    pub(crate) grace_period_s: Option<u32>,
    /// Whether pods with data on the node go too; the data is lost.
    pub(crate) delete_local_data: bool,
    /// Whether pods that nothing replaces go too.
    pub(crate) force: bool,
    pub(crate) limit_s: u32,
}

/// A file from inside of a pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dump {
    pub(crate) container: String,
    pub(crate) command: Vec<String>,
    pub(crate) path: String,
    pub(crate) keep: bool,
}

impl Step {
    /// Steps without anything after them.
    pub(crate) fn only(steps: Vec<Self>) -> Write {
        Write::Steps { steps, then: Then::Nothing }
    }
}

/// What sets an action apart from one that patches its target.
pub(crate) struct Extra {
    /// Whether its target comes into being by it, so that it need not exist.
    pub(crate) creates: bool,
    /// Verbs on the kinds of the target.
    pub(crate) verbs: &'static [&'static str],
    /// Rights beyond these: group, resource, verbs.
    pub(crate) rights: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// Seconds after which it takes itself back.
    pub(crate) lasts: fn(&Value) -> Option<u64>,
    /// Whether it runs a Job, by which its effect is told.
    pub(crate) runs_job: bool,
    /// Whether its target goes by it.
    pub(crate) removes: bool,
}

impl Extra {
    /// An action that patches its target.
    pub(crate) const NONE: Self = Self { creates: false, verbs: &["get", "patch"], rights: &[], lasts: |_| None, runs_job: false, removes: false };
}

impl Write {
    pub(crate) fn merge(body: Value, reads: &[&str]) -> Self {
        Self::Patch { kind: PatchKind::Merge, body, reads: reads.iter().map(|r| (*r).to_owned()).collect() }
    }
}

type Check = fn(&Current, &Value) -> Result<Vec<Precondition>>;
type Plan = fn(&Current, &Value, &str) -> Result<Write>;

/// One action: a row of the registry.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) family: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) target_kinds: &'static [&'static str],
    pub(crate) effect: Effect,
    pub(crate) risk: Risk,
    pub(crate) reversibility: Reversibility,
    pub(crate) preconditions: &'static [&'static str],
    pub(crate) parameters: fn() -> schemars::Schema,
    pub(crate) reads: &'static [Read],
    /// What must hold, with the values read. Pure.
    pub(crate) check: Check,
    /// What to write. Pure.
    pub(crate) plan: Plan,
}

impl Action {
    /// The row as other services see it.
    pub(crate) fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: self.name.into(),
            aliases: alias::all(self.name, self.aliases, crate::registry::is_own_name),
            family: self.family.into(),
            summary: self.summary.into(),
            version: 1,
            parameters: (self.parameters)().to_value(),
            target_kinds: owned(self.target_kinds),
            risk: self.risk,
            reversibility: self.reversibility,
            preconditions: owned(self.preconditions),
            rbac: self.rbac(),
        }
    }

    /// What sets it apart from an action that patches its target.
    pub(crate) fn extra(&self) -> &'static Extra {
        crate::actions::extra(self.name)
    }

    /// Whether an action that changes nothing reads its target.
    pub(crate) fn reads_target(&self) -> bool {
        !self.target_kinds.is_empty()
    }

    fn rbac(&self) -> Vec<RbacRule> {
        let mut rules = Vec::new();
        let extra = self.extra();
        for kind in self.target_kinds {
            if self.effect == Effect::Evict {
                rules.extend([rule(kind, "", &["get"]), rule(kind, "/eviction", &["create"])].into_iter().flatten());
            } else if !extra.verbs.is_empty() {
                rules.extend(rule(kind, "", extra.verbs));
            }
        }
        rules.extend(self.reads.iter().filter_map(|read| rule(read.kind(), "", &["list"])));
        rules.extend(extra.rights.iter().map(|(group, resource, verbs)| RbacRule {
            group: (*group).into(),
            resource: (*resource).into(),
            verbs: owned(verbs),
        }));
        rules
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

fn rule(kind: &str, subresource: &str, verbs: &[&str]) -> Option<RbacRule> {
    let known = well_known(kind)?;
    Some(RbacRule { group: known.group.into(), resource: format!("{}{subresource}", known.plural), verbs: owned(verbs) })
}

/// What stands for an object that is only named.
pub(crate) fn placeholder(reference: &ObjectRef) -> Object {
    let version = well_known(&reference.kind).map_or_else(|| format!("{}/v1", reference.group), |known| known.api_version());
    let mut metadata = Map::from_iter([("name".to_owned(), Value::from(reference.name.clone()))]);
    if let Some(namespace) = &reference.namespace {
        metadata.insert("namespace".into(), Value::from(namespace.clone()));
    }
    Object::new(serde_json::json!({"apiVersion": version, "kind": reference.kind, "metadata": metadata}))
}

/// A name for an object that belongs to one request: the base, and what tells the key apart.
pub(crate) fn name_for(base: &str, key: &str) -> String {
    let end = base.char_indices().nth(45).map_or(base.len(), |(at, _)| at);
    format!("{}-{}", base[..end].trim_end_matches(['-', '.']), stamp(key))
}

/// Eight characters that stand for a key.
pub(crate) fn stamp(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    hex::encode(&digest[..4])
}

/// Reads parameters as their type; absent ones count as `{}`.
pub(crate) fn typed<T: DeserializeOwned>(params: &Value) -> Result<T> {
    let value = if params.is_null() { Value::Object(Map::new()) } else { params.clone() };
    serde_json::from_value(value).map_err(|e| Error::invalid("executor.params", format!("parameters do not fit the action: {e}")))
}

/// A condition that holds or not.
pub(crate) fn condition(holds: bool, text: impl Into<String>) -> Precondition {
    Precondition { text: text.into(), holds }
}

/// An error about parameters that the schema cannot express.
pub(crate) fn bad_params(message: impl Into<String>) -> Error {
    Error::invalid("executor.params", message.into())
}
