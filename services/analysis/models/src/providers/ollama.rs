//! Ollama.

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    port::{ChatMessage, ChatModel, ChatProgress, Completion, CompletionRequest, CompletionUsage, FinishReason, ModelInfo, ToolCall, ToolChoice},
    service::CallContext,
};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use url::Url;

use super::{Growing, arguments_as_object, count, text_of};
use crate::{
    config::OllamaConfig,
    transport::{Answer, Dialect, Lines, Transport, address},
};

/// A model behind `/api/chat`.
#[derive(Debug)]
pub struct OllamaModel {
    transport: Transport,
    url: Url,
    config: OllamaConfig,
    info: ModelInfo,
}

impl OllamaModel {
    /// A model; nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not http or https, a timeout of 0, or a CA file that cannot be read.
    pub fn new(name: &str, config: &OllamaConfig) -> Result<Self> {
        let info = ModelInfo {
            provider: name.to_owned(),
            model: config.model.clone(),
            context_tokens: config.context_tokens,
            tools: config.tools,
            parallel_tools: config.tools,
            answer_schema: true,
        };
        let url = address(name, &config.base_url, "api/chat")?;
        Ok(Self { transport: Transport::new(name, &config.connection, Dialect::Ollama)?, url, config: config.clone(), info })
    }
}

#[async_trait]
impl ChatModel for OllamaModel {
    async fn chat(&self, ctx: CallContext, request: CompletionRequest, progress: Option<mpsc::Sender<ChatProgress>>) -> Result<Completion> {
        let body = body(&request, &self.config, progress.is_some());
        let answer = self.transport.send(&ctx, self.transport.post(&self.url), &body).await?;
        read(&ctx, answer, progress).await
    }

    fn describe(&self) -> ModelInfo {
        self.info.clone()
    }
}

fn body(request: &CompletionRequest, config: &OllamaConfig, streamed: bool) -> Value {
    let mut options = Map::from_iter([("num_ctx".to_owned(), config.context_tokens.into())]);
    if let Some(limit) = request.max_output_tokens {
        options.insert("num_predict".into(), limit.into());
    }
    options.extend(config.options.clone());
    let mut body = json!({
        "model": config.model,
        "messages": request.messages.iter().map(message).collect::<Vec<_>>(),
        "stream": streamed,
        "options": options
    });
    // It has no way to forbid or demand calls; without tools none is made.
    if !request.tools.is_empty() && request.tool_choice != ToolChoice::None {
        let tool = |t: &kubernaut_core::port::ToolSpec| json!({ "type": "function", "function": { "name": t.name, "description": t.description, "parameters": t.parameters } });
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    if let Some(answer) = &request.answer {
        body["format"] = answer.schema.clone();
    }
    if let Some(keep) = &config.keep_alive {
        body["keep_alive"] = keep.as_str().into();
    }
    body
}

fn message(message: &ChatMessage) -> Value {
    match message {
        ChatMessage::System { text } => json!({ "role": "system", "content": text }),
        ChatMessage::User { text } => json!({ "role": "user", "content": text }),
        ChatMessage::Tool { name, text, .. } => json!({ "role": "tool", "tool_name": name, "content": text }),
        ChatMessage::Assistant { text, tool_calls } => {
            let mut said = json!({ "role": "assistant", "content": text });
            if !tool_calls.is_empty() {
                let call = |c: &ToolCall| json!({ "function": { "name": c.name, "arguments": arguments_as_object(&c.arguments) } });
                said["tool_calls"] = tool_calls.iter().map(call).collect();
            }
            said
        }
    }
}

/// A whole answer is one line, a streamed one many.
async fn read(ctx: &CallContext, mut answer: Answer, progress: Option<mpsc::Sender<ChatProgress>>) -> Result<Completion> {
    let mut growing = Growing::new(progress);
    let mut lines = Lines::default();
    while let Some(piece) = answer.piece(ctx).await? {
        lines.push(&piece);
        while let Some(line) = lines.next() {
            if let Some(last) = part(&answer, &mut growing, &line)? {
                return Ok(whole(growing, &last));
            }
        }
    }
    match part(&answer, &mut growing, &lines.rest())? {
        Some(last) => Ok(whole(growing, &last)),
        None => Err(answer.corrupt("the stream ended before the answer did")),
    }
}

/// Takes one part in; gives it back if it is the last.
fn part(answer: &Answer, growing: &mut Growing, line: &[u8]) -> Result<Option<Value>> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let part: Value = serde_json::from_slice(line).map_err(|_| answer.corrupt("the answer is not JSON"))?;
    if part["error"].is_string() {
        return Err(answer.refused(&part));
    }
    growing.text(text_of(&part["message"]["content"]));
    for call in part["message"]["tool_calls"].as_array().into_iter().flatten() {
        let id = format!("call_{}", growing.calls.len());
        let arguments = call["function"]["arguments"].to_string();
        growing.call(ToolCall { id, name: text_of(&call["function"]["name"]).into(), arguments });
    }
    Ok((part["done"] == true).then_some(part))
}

fn whole(growing: Growing, last: &Value) -> Completion {
    let Growing { text, calls, .. } = growing;
    let finish = match text_of(&last["done_reason"]) {
        "length" => FinishReason::Length,
        _ if !calls.is_empty() => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    };
    // A prompt that the server still held in memory is not counted, so the field may be absent.
    let usage = last["eval_count"].is_u64().then(|| CompletionUsage {
        input: count(&last["prompt_eval_count"]),
        output: count(&last["eval_count"]),
        ..CompletionUsage::default()
    });
    Completion { text, tool_calls: calls, finish, usage, model: text_of(&last["model"]).into(), request_id: None }
}
