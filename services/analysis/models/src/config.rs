//! How a provider is reached.

use std::path::PathBuf;

use kubernaut_core::model::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A provider of language models.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ProviderConfig {
    /// OpenAI's Chat Completions, and every server that speaks it.
    Openai(OpenAiConfig),
    /// Azure OpenAI.
    Azure(AzureConfig),
    /// Anthropic's Messages.
    Anthropic(AnthropicConfig),
    /// Ollama's own `/api/chat`.
    Ollama(OllamaConfig),
}

/// What every provider's connection has.
///
/// Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionConfig {
    /// Seconds to connect in. Default 5.
    pub connect_timeout_s: u64,
    /// Seconds for a whole answer; the caller's deadline may be earlier. Default 120.
    pub timeout_s: u64,
    /// Seconds of silence after which a streamed answer counts as lost. Default 30.
    pub idle_timeout_s: u64,
    /// Largest answer in bytes. Default 8 MiB.
    pub max_response_bytes: usize,
    /// File with more certificate authorities, PEM.
    pub ca_file: Option<PathBuf>,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self { connect_timeout_s: 5, timeout_s: 120, idle_timeout_s: 30, max_response_bytes: 8 << 20, ca_file: None }
    }
}

/// OpenAI's Chat Completions, and every server that speaks it (vLLM, llama.cpp, LiteLLM, OpenRouter …).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiConfig {
    /// Address up to and including the version, such as `https://api.openai.com/v1` (the default).
    #[serde(default = "openai_url")]
    pub base_url: String,
    /// The model.
    pub model: String,
    /// Sent as `Authorization: Bearer`; absent for servers without login.
    #[serde(default, skip_serializing)]
    pub api_key: Option<SecretString>,
    /// Sent as `OpenAI-Organization`.
    #[serde(default)]
    pub organization: Option<String>,
    /// Tokens that a conversation with its answer may have. Default 128,000.
    #[serde(default = "context_128k")]
    pub context_tokens: u32,
    /// Whether it calls tools. Default true.
    #[serde(default = "yes")]
    pub tools: bool,
    /// Whether it may call several tools in a turn; false sends `parallel_tool_calls: false`. Default true.
    #[serde(default = "yes")]
    pub parallel_tools: bool,
    /// Whether it holds answers to a JSON Schema; else only to JSON. Default true.
    #[serde(default = "yes")]
    pub answer_schema: bool,
    /// Whether the limit of the answer is called `max_tokens`, as older servers do, not `max_completion_tokens`. Default false.
    #[serde(default)]
    pub legacy_max_tokens: bool,
    /// Fields put into every request as they are, such as `{"temperature": 0}` or `{"reasoning_effort": "low"}`. Default none.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// The connection.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

/// Azure OpenAI: the same bodies at an address per deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureConfig {
    /// The resource's address, such as `https://NAME.openai.azure.com`.
    pub endpoint: String,
    /// Name of the deployment.
    pub deployment: String,
    /// Version of the API. Default `2024-10-21`.
    #[serde(default = "azure_version")]
    pub api_version: String,
    /// Sent as `api-key`.
    #[serde(default, skip_serializing)]
    pub api_key: Option<SecretString>,
    /// Sent as `Authorization: Bearer` in place of a key: a token of Microsoft Entra ID.
    #[serde(default, skip_serializing)]
    pub bearer_token: Option<SecretString>,
    /// Tokens that a conversation with its answer may have. Default 128,000.
    #[serde(default = "context_128k")]
    pub context_tokens: u32,
    /// Whether it may call several tools in a turn. Default true.
    #[serde(default = "yes")]
    pub parallel_tools: bool,
    /// Fields put into every request as they are. Default none.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// The connection.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

/// Anthropic's Messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnthropicConfig {
    /// Address without the version. Default `https://api.anthropic.com`.
    #[serde(default = "anthropic_url")]
    pub base_url: String,
    /// The model.
    pub model: String,
    /// Sent as `x-api-key`.
    #[serde(default, skip_serializing)]
    pub api_key: Option<SecretString>,
    /// Sent as `anthropic-version`. Default `2023-06-01`.
    #[serde(default = "anthropic_version")]
    pub version: String,
    /// Tokens that a conversation with its answer may have. Default 200,000.
    #[serde(default = "context_200k")]
    pub context_tokens: u32,
    /// Most tokens of an answer where the request names none; the API requires a number. Default 4,096.
    #[serde(default = "anthropic_output")]
    pub max_output_tokens: u32,
    /// Whether it may call several tools in a turn. Default true.
    #[serde(default = "yes")]
    pub parallel_tools: bool,
    /// Whether system text and tools are marked for the provider's cache. Default true.
    #[serde(default = "yes")]
    pub prompt_cache: bool,
    /// Fields put into every request as they are. Default none.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// The connection.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

/// Ollama's own `/api/chat`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OllamaConfig {
    /// Address. Default `http://127.0.0.1:11434`.
    #[serde(default = "ollama_url")]
    pub base_url: String,
    /// The model.
    pub model: String,
    /// Tokens that a conversation with its answer may have, sent as `num_ctx`: the server's own default is small and cuts silently. Default 32,768.
    #[serde(default = "context_32k")]
    pub context_tokens: u32,
    /// Whether it calls tools. Default true.
    #[serde(default = "yes")]
    pub tools: bool,
    /// How long the model stays loaded, such as `10m`; the server's default if absent.
    #[serde(default)]
    pub keep_alive: Option<String>,
    /// More `options`, such as `{"temperature": 0}`. Default none.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// The connection.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

fn openai_url() -> String {
    "https://api.openai.com/v1".into()
}

fn azure_version() -> String {
    "2024-10-21".into()
}

fn anthropic_url() -> String {
    "https://api.anthropic.com".into()
}

fn anthropic_version() -> String {
    "2023-06-01".into()
}

fn ollama_url() -> String {
    "http://127.0.0.1:11434".into()
}

fn context_32k() -> u32 {
    32_768
}

fn context_128k() -> u32 {
    128_000
}

fn context_200k() -> u32 {
    200_000
}

fn anthropic_output() -> u32 {
    4_096
}

fn yes() -> bool {
    true
}
