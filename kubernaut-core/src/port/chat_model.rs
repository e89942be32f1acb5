//! Language models that answer a conversation.

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    Result,
    service::{CallContext, delegate},
};

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum ChatMessage {
    /// What the model is to be and to keep to.
    System {
        /// The text.
        text: String,
    },
    /// What is asked.
    User {
        /// The text.
        text: String,
    },
    /// What the model said.
    Assistant {
        /// The text; may be empty beside tool calls.
        #[serde(default)]
        text: String,
        /// Tools it wants called.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
    },
    /// What a tool answered.
    Tool {
        /// [`ToolCall::id`] of the call.
        call_id: String,
        /// The tool's name.
        name: String,
        /// The answer.
        text: String,
        /// Whether it is an error message.
        #[serde(default)]
        failed: bool,
    },
}

/// A call that the model asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// Unique within the conversation.
    pub id: String,
    /// The tool's name as the model wrote it.
    pub name: String,
    /// The arguments as the model wrote them; meant to be a JSON object, but nobody has checked.
    pub arguments: String,
}

/// A tool that the model may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolSpec {
    /// Name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// When to use it and what it answers.
    pub description: String,
    /// JSON Schema of the arguments; an object.
    pub parameters: Value,
}

/// Whether tools may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// None may be called; they stay declared, as the conversation may hold earlier calls.
    None,
    /// At least one must be called.
    Required,
}

/// The form an answer must have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerSchema {
    /// Name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// JSON Schema; an object.
    pub schema: Value,
}

/// A conversation to be continued.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CompletionRequest {
    /// The conversation so far, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Tools on offer.
    #[serde(default)]
    pub tools: Vec<ToolSpec>,
    /// Whether they may be called.
    #[serde(default)]
    pub tool_choice: ToolChoice,
    /// The form of the answer; free text if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerSchema>,
    /// Most tokens of the answer; the model's own limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It wants tools called.
    ToolCalls,
    /// The answer is cut short: the limit of tokens, or of the conversation, was reached.
    Length,
    /// The provider withheld the answer.
    Filtered,
}

/// What a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CompletionUsage {
    /// Tokens read, those from the provider's cache included.
    pub input: u64,
    /// Those of `input` that came from the provider's cache.
    pub cached_input: u64,
    /// Those of `input` that were written into the provider's cache.
    pub cache_written: u64,
    /// Tokens written, those of hidden reasoning included.
    pub output: u64,
    /// Those of `output` that are hidden reasoning.
    pub reasoning: u64,
}

impl std::ops::AddAssign for CompletionUsage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cached_input += other.cached_input;
        self.cache_written += other.cache_written;
        self.output += other.output;
        self.reasoning += other.reasoning;
    }
}

/// What the model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Completion {
    /// The text; may be empty beside tool calls.
    pub text: String,
    /// Tools it wants called, in its order.
    pub tool_calls: Vec<ToolCall>,
    /// Why it stopped.
    pub finish: FinishReason,
    /// What it used; `None` if the provider does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<CompletionUsage>,
    /// The model that answered, as the provider names it.
    pub model: String,
    /// The provider's id of the call, for its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A piece of an answer that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatProgress {
    /// More of the text.
    Text(String),
    /// A tool call began.
    ToolCall(String),
}

/// What a model is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelInfo {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Tokens that a conversation with its answer may have.
    pub context_tokens: u32,
    /// Whether it calls tools.
    pub tools: bool,
    /// Whether it may call several tools in one turn.
    pub parallel_tools: bool,
    /// Whether the provider holds the answer to a schema.
    pub answer_schema: bool,
}

/// A language model.
#[async_trait]
pub trait ChatModel: Debug + Send + Sync + 'static {
    /// Continues a conversation.
    ///
    /// Rules: one call is one request, tried once; no sampling parameter is sent unless configured. With `progress` the answer is streamed and
    /// its pieces are sent there as they come; a receiver that is gone or full loses pieces and never delays the answer. The response is the same either
    /// way. An answer that ends before its end was announced is an error, never a short answer.
    ///
    /// # Errors
    /// `InvalidInput` for what the provider does not take, `Unauthorized`, `Forbidden` (no access, no credit), `NotFound` (no such model),
    /// `PayloadTooLarge` (the conversation is too long), `Overloaded` with the time to wait, `Unavailable`, `Timeout`, `Cancelled`, `Corrupt`
    /// (an answer that cannot be read). No error holds a credential.
    async fn chat(&self, ctx: CallContext, request: CompletionRequest, progress: Option<mpsc::Sender<ChatProgress>>) -> Result<Completion>;

    /// What it is.
    fn describe(&self) -> ModelInfo;
}

delegate!(ChatModel {
    async fn chat(&self, ctx: CallContext, request: CompletionRequest, progress: Option<mpsc::Sender<ChatProgress>>) -> Result<Completion>;
} sync { fn describe(&self) -> ModelInfo; });
