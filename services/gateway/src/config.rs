//! What can be configured.

use std::collections::BTreeMap;

use kubernaut_core::{
    Error, Result,
    model::{ExposeSecret, FingerprintStrategy, SecretString},
};
use serde::{Deserialize, Serialize, Serializer};

/// Configuration of the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Largest body in bytes, checked while reading. Default 4 MiB.
    pub body_limit_bytes: usize,
    /// What tells incidents apart. Default `owner`.
    pub fingerprint: FingerprintStrategy,
    /// For this many seconds after an incident ended `no_action`, alerts of it that go on are counted there instead of opening a new one; 0 turns
    /// it off.
    /// Default 86 400.
    pub quiet_after_no_action_s: u64,
    /// For this many seconds after an incident was handed to a person, alerts of the same owner are counted there while any of them fires, unless
    /// they are more severe; 0 turns it off. Default 3600.
    pub quiet_after_handover_s: u64,
    /// Alerts of one request whose targets are looked up at the same time, 1 to 256. Default 16.
    pub batch_concurrency: usize,
    /// The sources by name; the name is the last part of the route. Only those listed exist. Default `alertmanager` and `native`, both open.
    pub sources: BTreeMap<String, SourceConfig>,
    /// How targets and owners are found.
    pub target: TargetConfig,
    /// Where many alerts at once have one cause, they become one incident. Default none: each owner has an incident of its own.
    pub storms: Vec<StormConfig>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            body_limit_bytes: 4 * 1024 * 1024,
            fingerprint: FingerprintStrategy::default(),
            quiet_after_no_action_s: 86_400,
            quiet_after_handover_s: 3600,
            batch_concurrency: 16,
            sources: BTreeMap::from([
                ("alertmanager".to_owned(), SourceConfig { kind: SourceKind::Alertmanager, ..SourceConfig::default() }),
                ("native".to_owned(), SourceConfig { kind: SourceKind::Native, ..SourceConfig::default() }),
            ]),
            target: TargetConfig::default(),
            storms: Vec::new(),
        }
    }
}

impl GatewayConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// `InvalidInput` that names the first setting out of bounds.
    pub fn validate(&self) -> Result<()> {
        let bad = |setting: String, hint: &'static str| Err(Error::invalid("gateway.config", hint).with("setting", setting));
        if self.body_limit_bytes == 0 {
            return bad("body_limit_bytes".into(), "the body limit must be above 0");
        }
        if !(1..=256).contains(&self.batch_concurrency) {
            return bad("batch_concurrency".into(), "the concurrency must be within 1 and 256");
        }
        if self.target.lookup_concurrency == 0 {
            return bad("target.lookup_concurrency".into(), "the concurrency must be above 0");
        }
        for (at, storm) in self.storms.iter().enumerate() {
            if storm.owners < 2 || storm.window_s == 0 {
                return bad(format!("storms[{at}]"), "a storm needs at least 2 owners and a window above 0 seconds");
            }
        }
        for (name, source) in &self.sources {
            let empty = |secret: &Option<SecretString>| secret.as_ref().is_some_and(|s| s.expose_secret().is_empty());
            if empty(&source.hmac_secret) {
                return bad(format!("sources.{name}.hmac_secret"), "the secret is empty; set it or leave the setting out");
            }
            if empty(&source.bearer_token) {
                return bad(format!("sources.{name}.bearer_token"), "the token is empty; set it or leave the setting out");
            }
        }
        Ok(())
    }
}

/// The format that a source sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// The webhook of Prometheus Alertmanager, version 4.
    #[default]
    Alertmanager,
    /// Kubernaut's own JSON, see [`NativeBatch`](crate::NativeBatch).
    Native,
}

/// One source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// The format it sends. Default `alertmanager`.
    pub kind: SourceKind,
    /// If set, requests need the header `X-Kubernaut-Signature: sha256=<hex>`: HMAC-SHA256 with this secret over the body. Default none.
    #[serde(serialize_with = "hidden")]
    pub hmac_secret: Option<SecretString>,
    /// If set, requests need the header `Authorization: Bearer <token>`. With both settings, both are needed. Default none.
    #[serde(serialize_with = "hidden")]
    pub bearer_token: Option<SecretString>,
}

fn hidden<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "***").serialize(serializer)
}

/// When alerts of many owners are taken for one storm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StormConfig {
    /// Names of alerts that count together (`*` matches anything). Default all.
    pub alerts: Vec<String>,
    /// What the owners have in common. Default `namespace`.
    pub by: StormScope,
    /// Whether alerts of different names are different storms. Default true.
    pub per_alert: bool,
    /// From so many distinct owners within the window on it is a storm. Default 20.
    pub owners: usize,
    /// The window in seconds. Default 60.
    pub window_s: u64,
}

impl Default for StormConfig {
    fn default() -> Self {
        Self { alerts: vec!["*".to_owned()], by: StormScope::default(), per_alert: true, owners: 20, window_s: 60 }
    }
}

/// What the owners of a storm have in common; it becomes the storm's target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StormScope {
    /// The namespace.
    #[default]
    Namespace,
    /// The node, by the alert's label `node`.
    Node,
    /// Nothing but the cluster.
    Cluster,
}

/// How targets and owners are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetConfig {
    /// Time for all lookups of one request, in milliseconds. What is not found by then is taken from the labels alone; the worker walks to
    /// the owner later. Default 150.
    pub resolve_timeout_ms: u64,
    /// Lookups in the cluster at the same time, over all requests. Default 32.
    pub lookup_concurrency: usize,
    /// How long a target and an owner are remembered, in seconds. Objects that are not there are not remembered. Default 15.
    pub cache_ttl_s: u64,
    /// How long the owner of an object is remembered for the time after the object is gone (the end of an alert often comes then), in seconds.
    /// Default 86 400.
    pub gone_owner_ttl_s: u64,
    /// How many objects are remembered. Default 10 000.
    pub cache_entries: u64,
    /// Names of programs that report on other objects (`*` matches anything), compared with the labels `job`, `service` and `container`.
    /// It only decides where the cluster's state does not tell. Default: common exporters and agents.
    pub exporters: Vec<String>,
}

impl Default for TargetConfig {
    fn default() -> Self {
        let exporters = [
            "*kube-state-metrics*",
            "*exporter*",
            "*cadvisor*",
            "*metrics-server*",
            "*problem-detector*",
            "*otel-collector*",
            "*opentelemetry-collector*",
            "*prometheus*",
            "*pushgateway*",
            "*vmagent*",
            "*grafana-agent*",
            "*alloy*",
            "*telegraf*",
        ];
        Self {
            resolve_timeout_ms: 150,
            lookup_concurrency: 32,
            cache_ttl_s: 15,
            gone_owner_ttl_s: 86_400,
            cache_entries: 10_000,
            exporters: exporters.map(str::to_owned).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_secrets() -> GatewayConfig {
        let source = serde_json::from_value(serde_json::json!({"hmac_secret": "k3y", "bearer_token": "t0ken"})).unwrap();
        GatewayConfig { sources: BTreeMap::from([("am".to_owned(), source)]), ..GatewayConfig::default() }
    }

    #[test]
    fn secrets_show_neither_in_debug_nor_in_the_effective_configuration() {
        let config = with_secrets();
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("k3y") && !shown.contains("t0ken"), "{shown}");
        assert!(shown.contains("***"));
    }

    #[test]
    fn unknown_and_empty_settings_are_refused_by_name() {
        let unknown = serde_json::from_value::<GatewayConfig>(serde_json::json!({"body_limit": 1})).unwrap_err();
        assert!(unknown.to_string().contains("body_limit"));
        let mut config = with_secrets();
        assert!(config.validate().is_ok());
        config.sources.get_mut("am").unwrap().bearer_token = Some("".to_owned().into());
        assert!(config.validate().unwrap_err().to_string().contains("sources.am.bearer_token"));
    }
}
