//! What the gate allows. The default allows nothing: no namespace is managed.

use std::path::PathBuf;

use kubernaut_core::{
    Error, Result, glob,
    model::{ActionSpec, ApprovalTerms, Environment, Risk},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calendar::{Freeze, Holidays, Window, applies};

const OPERATION: &str = "executor.gate_config";

/// What to do with a change to an object whose source is elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceRule {
    /// Refuse: the source would bring the old state back.
    Refuse,
    /// Ask a person each time.
    Ask,
    /// Allow.
    Allow,
}

/// A rule for environments. Every rule that matches counts, the strictest first; none of them opens what another check closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentRule {
    /// Environments that it is about; all where empty. One that is not known counts as production. Default: all.
    pub environments: Vec<Environment>,
    /// Names of actions, canonical ones; `*` stands for any text; all where empty. Default: all.
    pub actions: Vec<String>,
    /// Families of actions; all where empty. Default: all.
    pub families: Vec<String>,
    /// From this risk on. Default `none`: all.
    pub from_risk: Risk,
    /// What it says. Default: ask.
    pub rule: SourceRule,
    /// What agreement takes, where a person is asked. Default: one person.
    pub approval: ApprovalTerms,
}

impl Default for EnvironmentRule {
    fn default() -> Self {
        Self {
            environments: Vec::new(),
            actions: Vec::new(),
            families: Vec::new(),
            from_risk: Risk::None,
            rule: SourceRule::Ask,
            approval: ApprovalTerms::default(),
        }
    }
}

impl EnvironmentRule {
    /// Whether it is about this action there.
    pub(super) fn is_about(&self, spec: &ActionSpec, environment: Environment) -> bool {
        applies(&self.environments, environment)
            && spec.risk >= self.from_risk
            && (self.families.is_empty() || self.families.contains(&spec.family))
            && (self.actions.is_empty() || self.actions.iter().any(|pattern| glob::matches(pattern, &spec.name)))
    }
}

/// Policies in Rego.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Folder with `*.rego` files of the package `kubernaut.gate` and, where they need it, one `data.json`. Read anew whenever their content
    /// changes. Default: none.
    pub dir: Option<PathBuf>,
    /// Milliseconds that all policies together get for one answer. Default: 500.
    pub timeout_ms: u64,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { dir: None, timeout_ms: 500 }
    }
}

/// Settings of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// Namespaces that are opted in beside those with the label `kubernaut.ai/managed=true`; `*` stands for any text. Default: none.
    /// The label `kubernaut.ai/managed=false` on a namespace or object opts out in any case.
    pub managed_namespaces: Vec<String>,
    /// Namespaces in which nothing is ever changed; `*` stands for any text. Default: `kube-system`, `kube-public`, `kube-node-lease`.
    pub protected_namespaces: Vec<String>,
    /// Labels or annotations that protect what carries them, as `key` or `key=value`, beside `kubernaut.ai/protected=true`. What Kubernaut itself
    /// consists of (`app.kubernetes.io/part-of` or `app.kubernetes.io/name` is `kubernaut`) is always protected. Default: none.
    pub protected_labels: Vec<String>,
    /// The namespace that Kubernaut itself runs in; protected as well. Default: none.
    pub own_namespace: Option<String>,
    /// Whether nodes may be changed (cordon, uncordon, taints). Default: false.
    pub allow_node_actions: bool,
    /// Families that are off unless listed here: `rbac`, `webhook`, `secret`, `run_job`. Default: none.
    pub enabled_families: Vec<String>,
    /// Changes to objects of a Helm release. Default: ask.
    pub helm: SourceRule,
    /// Changes to objects that Argo CD, Flux or another GitOps tool keeps as they are in its source. Default: refuse.
    pub gitops: SourceRule,
    /// A person is asked if an action takes more than this share of a workload's ready replicas at once. Default: 50.
    pub max_unavailable_percent: u32,
    /// A person is asked if a number of replicas grows to more than this many times. Default: 4.
    pub max_growth_factor: u32,
    /// At most this many nodes may be cordoned at once, those cordoned by others included. Default: 1.
    pub max_cordoned_nodes: u32,
    /// A drain is refused unless this share of what the other nodes offer stays free afterwards, of processor time and of memory. Default: 10.
    pub min_free_percent: u32,
    /// At most this many namespaces are changed within `settle_s`; 0 for no limit. Default: 5.
    pub max_namespaces: u32,
    /// At most this many actions in the whole cluster within `settle_s`; 0 for no limit. Default: 20.
    pub max_actions: u32,
    /// At most this many actions per namespace (and for all nodes together) within `settle_s`; 0 for no limit. Default: 5.
    pub max_actions_per_namespace: u32,
    /// Seconds for which an action counts as under way. Default: 30.
    pub settle_s: u64,
    /// Actions are allowed in these hours only; always where empty. Default: empty.
    pub windows: Vec<Window>,
    /// Nothing is changed in these times. Default: none.
    pub freezes: Vec<Freeze>,
    /// Days on which nothing is changed. Default: none.
    pub holidays: Vec<Holidays>,
    /// Rules for environments. Default: none.
    pub rules: Vec<EnvironmentRule>,
    /// What agreement takes wherever a person is asked. Default: one person who did not ask for it.
    pub approval: ApprovalTerms,
    /// Policies in Rego. Default: none.
    pub policy: PolicyConfig,
    /// Seconds after which the lock of a crashed process on a target ends; also bounds the time of one action. At least 10. Default: 60.
    pub lock_ttl_s: u64,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            managed_namespaces: Vec::new(),
            protected_namespaces: ["kube-system", "kube-public", "kube-node-lease"].map(str::to_owned).to_vec(),
            protected_labels: Vec::new(),
            own_namespace: None,
            allow_node_actions: false,
            enabled_families: Vec::new(),
            helm: SourceRule::Ask,
            gitops: SourceRule::Refuse,
            max_unavailable_percent: 50,
            max_growth_factor: 4,
            max_cordoned_nodes: 1,
            min_free_percent: 10,
            max_namespaces: 5,
            max_actions: 20,
            max_actions_per_namespace: 5,
            settle_s: 30,
            windows: Vec::new(),
            freezes: Vec::new(),
            holidays: Vec::new(),
            rules: Vec::new(),
            approval: ApprovalTerms::default(),
            policy: PolicyConfig::default(),
            lock_ttl_s: 60,
        }
    }
}

impl GateConfig {
    /// Checks what the types cannot express. The gate also fails closed on what is wrong here.
    ///
    /// # Errors
    /// `InvalidInput` that names the setting.
    pub fn validate(&self) -> Result<()> {
        for window in &self.windows {
            window.hours()?;
        }
        for holidays in &self.holidays {
            holidays.on(jiff::Timestamp::UNIX_EPOCH)?;
        }
        if self.policy.dir.is_some() && !cfg!(feature = "policy") {
            return Err(Error::invalid(OPERATION, "policy.dir is set, but this build has no policies; build with the feature `policy`"));
        }
        if self.policy.dir.is_some() && self.policy.timeout_ms == 0 {
            return Err(Error::invalid(OPERATION, "policy.timeout_ms must be at least 1"));
        }
        if self.lock_ttl_s < 10 {
            return Err(Error::invalid(OPERATION, "lock_ttl_s must be at least 10").with("value", self.lock_ttl_s));
        }
        if let Some(freeze) = self.freezes.iter().find(|f| f.until <= f.from) {
            return Err(Error::invalid(OPERATION, "a freeze must end after it begins").with("from", freeze.from).with("until", freeze.until));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_windows_and_freezes_are_named() {
        for window in [
            Window { from: "25:00".into(), ..Window::default() },
            Window { days: vec!["someday".into()], ..Window::default() },
            Window { timezone: "Mars/Base".into(), ..Window::default() },
        ] {
            assert!(GateConfig { windows: vec![window], ..GateConfig::default() }.validate().is_err());
        }
        assert!(GateConfig::default().validate().is_ok());
        assert!(serde_json::from_str::<GateConfig>(r#"{"surprise": 1}"#).is_err());
    }
}
