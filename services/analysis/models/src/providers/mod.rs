//! The providers, one file each.

mod anthropic;
mod azure;
mod ollama;
mod openai;
mod openai_wire;

use kubernaut_core::port::{ChatProgress, ToolCall};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

pub use anthropic::AnthropicModel;
pub use azure::AzureModel;
pub use ollama::OllamaModel;
pub use openai::OpenAiModel;

/// An answer that is put together from pieces, and told of while it grows.
#[derive(Debug, Default)]
struct Growing {
    text: String,
    calls: Vec<ToolCall>,
    progress: Option<mpsc::Sender<ChatProgress>>,
}

impl Growing {
    fn new(progress: Option<mpsc::Sender<ChatProgress>>) -> Self {
        Self { progress, ..Self::default() }
    }

    fn text(&mut self, more: &str) {
        if !more.is_empty() {
            self.text.push_str(more);
            self.tell(ChatProgress::Text(more.to_owned()));
        }
    }

    fn call(&mut self, call: ToolCall) {
        self.tell(ChatProgress::ToolCall(call.name.clone()));
        self.calls.push(call);
    }

    /// A receiver that is gone or full loses this piece; the answer must not wait for it.
    fn tell(&self, piece: ChatProgress) {
        if let Some(progress) = &self.progress {
            let _ = progress.try_send(piece);
        }
    }
}

/// Puts configured fields into a body; they win.
fn with_extra(mut body: Value, extra: &Map<String, Value>) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.extend(extra.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    body
}

/// A text field; empty if it is absent.
fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A number of tokens; 0 if it is absent.
fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// Arguments as an object, for wire formats that carry them as JSON; what is not an object is passed on under a name, so that it is not lost.
fn arguments_as_object(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ if arguments.trim().is_empty() => Value::Object(Map::new()),
        _ => serde_json::json!({ "unreadable_arguments": arguments }),
    }
}
