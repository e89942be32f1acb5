use std::collections::BTreeMap;

use kubernaut_core::model::Environment;
use serde::{Deserialize, Serialize};

/// How environments are classified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifyConfig {
    /// Label and annotation keys that name the environment, strongest first. Default: `kubernaut.ai/environment`,
    /// `app.kubernetes.io/environment`, `organization.io/environment`, `environment`, `env`.
    pub keys: Vec<String>,
    /// Words of your own for an environment, such as `blue: production`. Default: none; the usual words are known.
    pub words: BTreeMap<String, Environment>,
    /// Rules for namespaces without label and annotation; the first that matches counts. Default: none.
    pub rules: Vec<EnvironmentRule>,
    /// Labels of the alert that name the environment. Default: `environment`, `env`.
    pub alert_labels: Vec<String>,
    /// The environment if nothing says anything. Default `unknown`, which policy treats as production.
    pub default: Environment,
    /// Where business context is read, key by key. Default: team, owner, criticality, business_unit and sla_tier under `kubernaut.ai/`,
    /// `organization.io/` and their plain names.
    pub business: BTreeMap<String, Vec<String>>,
}

/// One configured rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentRule {
    /// Namespace; `*` stands for any characters.
    pub namespace: String,
    /// Its environment.
    pub environment: Environment,
}

impl Default for ClassifyConfig {
    fn default() -> Self {
        let keys = ["kubernaut.ai/environment", "app.kubernetes.io/environment", "organization.io/environment", "environment", "env"];
        let business = [
            ("team", "team"),
            ("owner", "service-owner"),
            ("criticality", "criticality"),
            ("business_unit", "business-unit"),
            ("sla_tier", "sla-tier"),
        ];
        Self {
            keys: keys.map(str::to_owned).to_vec(),
            words: BTreeMap::new(),
            rules: Vec::new(),
            alert_labels: vec!["environment".into(), "env".into()],
            default: Environment::Unknown,
            business: business
                .map(|(name, key)| (name.to_owned(), vec![format!("kubernaut.ai/{key}"), format!("organization.io/{key}"), key.to_owned()]))
                .into(),
        }
    }
}

impl ClassifyConfig {
    /// The environment that one word names.
    pub(crate) fn word(&self, word: &str) -> Option<Environment> {
        self.words.get(&word.trim().to_ascii_lowercase()).copied().or_else(|| Environment::from_token(word))
    }
}
