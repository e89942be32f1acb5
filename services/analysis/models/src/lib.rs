//! AI analysis by language models: the providers behind the port [`kubernaut_core::port::ChatModel`], and an analyzer that asks one where
//! diagnosis cannot tell.
//!
//! A model never acts. What it answers is a proposal that has to pass the same checks as any other.
//!
//! ```
//! use kubernaut_models::{ProviderConfig, connect};
//!
//! # fn main() -> kubernaut_core::Result<()> {
//! let config: ProviderConfig = serde_json::from_value(serde_json::json!({
//!     "type": "ollama", "base_url": "http://127.0.0.1:11434", "model": "qwen3:4b"
//! }))
//! .expect("a configuration");
//! let model = connect("local", &config)?;
//! assert_eq!(model.describe().model, "qwen3:4b");
//! # Ok(())
//! # }
//! ```

mod agent;
mod config;
mod providers;
mod transport;

use std::sync::Arc;

use kubernaut_core::{Result, port::ChatModel};

pub use agent::{AgentConfig, ModelAnalyzer};
pub use config::{AnthropicConfig, AzureConfig, ConnectionConfig, OllamaConfig, OpenAiConfig, ProviderConfig};
pub use providers::{AnthropicModel, AzureModel, OllamaModel, OpenAiModel};

/// The model of a configuration; `name` is what it is called in reports.
///
/// # Errors
/// `InvalidInput` names what is wrong in the configuration. Nothing is sent yet.
pub fn connect(name: &str, config: &ProviderConfig) -> Result<Arc<dyn ChatModel>> {
    Ok(match config {
        ProviderConfig::Openai(config) => Arc::new(OpenAiModel::new(name, config)?),
        ProviderConfig::Azure(config) => Arc::new(AzureModel::new(name, config)?),
        ProviderConfig::Anthropic(config) => Arc::new(AnthropicModel::new(name, config)?),
        ProviderConfig::Ollama(config) => Arc::new(OllamaModel::new(name, config)?),
    })
}
