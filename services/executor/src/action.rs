//! What an action is made of: its row in the registry, and two pure functions over what was read.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, Result,
    model::{ActionSpec, Object, Precondition, RbacRule, Reversibility, Risk, well_known},
    port::PatchKind,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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
}

impl Read {
    /// The kind that is listed.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::ReplicaSets => "ReplicaSet",
            Self::Autoscalers => "HorizontalPodAutoscaler",
            Self::LimitRanges => "LimitRange",
            Self::Nodes => "Node",
            Self::Pods => "Pod",
            Self::PeerServices => "Service",
            Self::StorageClasses => "StorageClass",
            Self::Secrets => "Secret",
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
            aliases: alias::all(self.name, self.aliases, |name| crate::registry::is_own_name(name)),
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

    fn rbac(&self) -> Vec<RbacRule> {
        let mut rules = Vec::new();
        for kind in self.target_kinds {
            if self.effect == Effect::Evict {
                rules.extend([rule(kind, "", &["get"]), rule(kind, "/eviction", &["create"])].into_iter().flatten());
            } else {
                rules.extend(rule(kind, "", &["get", "patch"]));
            }
        }
        rules.extend(self.reads.iter().filter_map(|read| rule(read.kind(), "", &["list"])));
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
