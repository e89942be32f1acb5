//! The language model beside diagnosis, where one is configured.

use std::sync::Arc;

use kubernaut_core::{Result, model::ActionSpec, port::ClusterRead, service::Analyzer};
use kubernaut_models::{AgentConfig, ModelAnalyzer, ProviderConfig, connect};
use serde::{Deserialize, Serialize};

/// A language model that is asked where diagnosis cannot tell. It reads and proposes; it never acts, and what it proposes a person has to approve.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Its name in reports. Default: `model`.
    #[serde(default = "name")]
    pub name: String,
    /// How it is reached.
    pub provider: ProviderConfig,
    /// How far it may go.
    #[serde(default)]
    pub agent: AgentConfig,
}

fn name() -> String {
    "model".into()
}

/// `diagnosis`, with a model behind it that may propose `actions`.
pub(crate) fn behind(
    diagnosis: Arc<dyn Analyzer>,
    config: &ModelConfig,
    cluster: Arc<dyn ClusterRead>,
    actions: Vec<ActionSpec>,
) -> Result<Arc<dyn Analyzer>> {
    let model = connect(&config.name, &config.provider)?;
    Ok(Arc::new(ModelAnalyzer::new(diagnosis, model, cluster, actions, config.agent.clone())))
}
