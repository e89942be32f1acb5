//! Anthropic's Messages.

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    model::ExposeSecret,
    port::{ChatMessage, ChatModel, ChatProgress, Completion, CompletionRequest, CompletionUsage, FinishReason, ModelInfo, ToolCall, ToolChoice},
    service::CallContext,
};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use url::Url;

use super::{Growing, arguments_as_object, count, text_of, with_extra};
use crate::{
    config::AnthropicConfig,
    transport::{Answer, Dialect, ServerEvents, Transport, address},
};

/// The tool that an answer with a schema is given through: calling it is the answer.
const ANSWER_TOOL: &str = "give_answer";

/// A model behind `/v1/messages`.
#[derive(Debug)]
pub struct AnthropicModel {
    transport: Transport,
    url: Url,
    config: AnthropicConfig,
    info: ModelInfo,
}

impl AnthropicModel {
    /// A model; nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not http or https, a timeout of 0, or a CA file that cannot be read.
    pub fn new(name: &str, config: &AnthropicConfig) -> Result<Self> {
        let info = ModelInfo {
            provider: name.to_owned(),
            model: config.model.clone(),
            context_tokens: config.context_tokens,
            tools: true,
            parallel_tools: config.parallel_tools,
            answer_schema: true,
        };
        let url = address(name, &config.base_url, "v1/messages")?;
        Ok(Self { transport: Transport::new(name, &config.connection, Dialect::Anthropic)?, url, config: config.clone(), info })
    }
}

#[async_trait]
impl ChatModel for AnthropicModel {
    async fn chat(&self, ctx: CallContext, request: CompletionRequest, progress: Option<mpsc::Sender<ChatProgress>>) -> Result<Completion> {
        let body = with_extra(body(&request, &self.config, progress.is_some()), &self.config.extra);
        let mut http = self.transport.post(&self.url).header("anthropic-version", &self.config.version);
        if let Some(key) = &self.config.api_key {
            http = http.header("x-api-key", key.expose_secret());
        }
        let answer = self.transport.send(&ctx, http, &body).await?;
        let response = match progress {
            Some(progress) => read_stream(&ctx, answer, progress).await?,
            None => read(&ctx, answer).await?,
        };
        Ok(if request.answer.is_some() { unwrapped(response) } else { response })
    }

    fn describe(&self) -> ModelInfo {
        self.info.clone()
    }
}

fn body(request: &CompletionRequest, config: &AnthropicConfig, streamed: bool) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), config.model.as_str().into());
    body.insert("max_tokens".into(), request.max_output_tokens.unwrap_or(config.max_output_tokens).into());
    let system: Vec<&str> =
        request.messages.iter().filter_map(|m| if let ChatMessage::System { text } = m { Some(text.as_str()) } else { None }).collect();
    if !system.is_empty() {
        let mut block = json!({ "type": "text", "text": system.join("\n\n") });
        mark(&mut block, config.prompt_cache);
        body.insert("system".into(), json!([block]));
    }
    body.insert("messages".into(), Value::Array(turns(&request.messages)));
    let tools = tools(request, config.prompt_cache);
    if !tools.is_empty() {
        body.insert("tools".into(), Value::Array(tools));
        body.insert("tool_choice".into(), choice(request, config.parallel_tools));
    }
    if streamed {
        body.insert("stream".into(), true.into());
    }
    Value::Object(body)
}

fn mark(block: &mut Value, cached: bool) {
    if cached {
        block["cache_control"] = json!({ "type": "ephemeral" });
    }
}

fn tools(request: &CompletionRequest, cached: bool) -> Vec<Value> {
    let mut tools: Vec<Value> =
        request.tools.iter().map(|t| json!({ "name": t.name, "description": t.description, "input_schema": t.parameters })).collect();
    if let Some(answer) = &request.answer {
        tools.push(json!({ "name": ANSWER_TOOL, "description": "Gives the final answer.", "input_schema": answer.schema }));
    }
    if let Some(last) = tools.last_mut() {
        mark(last, cached);
    }
    tools
}

fn choice(request: &CompletionRequest, parallel: bool) -> Value {
    let mut choice = match (request.tool_choice, &request.answer) {
        // With a form to keep to, the answer itself is a call: nothing else may be called, or something has to be.
        (ToolChoice::None, Some(_)) => json!({ "type": "tool", "name": ANSWER_TOOL }),
        (ToolChoice::Auto, Some(_)) if request.tools.is_empty() => json!({ "type": "tool", "name": ANSWER_TOOL }),
        (ToolChoice::None, None) => return json!({ "type": "none" }),
        (ToolChoice::Required, _) | (ToolChoice::Auto, Some(_)) => json!({ "type": "any" }),
        (ToolChoice::Auto, None) => json!({ "type": "auto" }),
    };
    if !parallel {
        choice["disable_parallel_tool_use"] = true.into();
    }
    choice
}

/// Turns must alternate, so messages of one side that follow each other become one turn.
fn turns(messages: &[ChatMessage]) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages {
        let (role, blocks) = match message {
            ChatMessage::System { .. } => continue,
            ChatMessage::User { text } => ("user", vec![json!({ "type": "text", "text": text })]),
            ChatMessage::Tool { call_id, text, failed, .. } => {
                let mut block = json!({ "type": "tool_result", "tool_use_id": call_id, "content": text });
                if *failed {
                    block["is_error"] = true.into();
                }
                ("user", vec![block])
            }
            ChatMessage::Assistant { text, tool_calls } => {
                // An empty text block is refused.
                let text = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
                let call = |c: &ToolCall| json!({ "type": "tool_use", "id": c.id, "name": c.name, "input": arguments_as_object(&c.arguments) });
                ("assistant", text.into_iter().chain(tool_calls.iter().map(call)).collect())
            }
        };
        match turns.last_mut() {
            Some((last, held)) if *last == role => held.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns.into_iter().filter(|(_, b)| !b.is_empty()).map(|(role, content)| json!({ "role": role, "content": content })).collect()
}

async fn read(ctx: &CallContext, answer: Answer) -> Result<Completion> {
    let request_id = answer.header("request-id");
    let corrupt = answer.corrupt("the answer has no content");
    let body = answer.json(ctx).await?;
    let Some(blocks) = body["content"].as_array() else { return Err(corrupt) };
    let mut growing = Growing::default();
    for block in blocks {
        match text_of(&block["type"]) {
            "text" => growing.text(text_of(&block["text"])),
            "tool_use" => growing.call(call(block, block["input"].to_string())),
            _ => {}
        }
    }
    let usage = body["usage"].is_object().then(|| usage(&body["usage"]));
    let finish = finish(text_of(&body["stop_reason"]));
    Ok(Completion { text: growing.text, tool_calls: growing.calls, finish, usage, model: text_of(&body["model"]).into(), request_id })
}

async fn read_stream(ctx: &CallContext, mut answer: Answer, progress: mpsc::Sender<ChatProgress>) -> Result<Completion> {
    let request_id = answer.header("request-id");
    let mut stream = Stream { growing: Growing::new(Some(progress)), ..Stream::default() };
    let mut events = ServerEvents::default();
    while !stream.done
        && let Some(piece) = answer.piece(ctx).await?
    {
        events.push(&piece);
        while let Some(event) = events.next() {
            stream.event(&answer, &event.data)?;
        }
    }
    if !stream.done {
        return Err(answer.corrupt("the stream ended before the answer did"));
    }
    let Stream { growing: Growing { text, mut calls, .. }, finish, usage, model, .. } = stream;
    for call in &mut calls {
        if call.arguments.is_empty() {
            call.arguments.push_str("{}");
        }
    }
    Ok(Completion { text, tool_calls: calls, finish: self::finish(&finish), usage, model, request_id })
}

#[derive(Default)]
struct Stream {
    growing: Growing,
    /// Index of a content block to the place among the calls.
    blocks: Vec<(u64, usize)>,
    finish: String,
    usage: Option<CompletionUsage>,
    model: String,
    done: bool,
}

impl Stream {
    fn event(&mut self, answer: &Answer, data: &str) -> Result<()> {
        let event: Value = serde_json::from_str(data).map_err(|_| answer.corrupt("an event of the stream is not JSON"))?;
        match text_of(&event["type"]) {
            "message_start" => {
                let message = &event["message"];
                text_of(&message["model"]).clone_into(&mut self.model);
                self.usage = Some(usage(&message["usage"]));
            }
            "content_block_start" => self.block(&event),
            "content_block_delta" => self.delta(&event),
            "message_delta" => {
                text_of(&event["delta"]["stop_reason"]).clone_into(&mut self.finish);
                // Counts here are totals, not additions.
                if let (Some(usage), Some(output)) = (&mut self.usage, event["usage"]["output_tokens"].as_u64()) {
                    usage.output = output;
                }
            }
            "message_stop" => self.done = true,
            "error" => return Err(answer.refused(&event)),
            _ => {}
        }
        Ok(())
    }

    fn block(&mut self, event: &Value) {
        let block = &event["content_block"];
        match text_of(&block["type"]) {
            "text" => self.growing.text(text_of(&block["text"])),
            "tool_use" => {
                self.blocks.push((count(&event["index"]), self.growing.calls.len()));
                self.growing.call(call(block, String::new()));
            }
            _ => {}
        }
    }

    fn delta(&mut self, event: &Value) {
        let delta = &event["delta"];
        match text_of(&delta["type"]) {
            "text_delta" => self.growing.text(text_of(&delta["text"])),
            "input_json_delta" => {
                let index = count(&event["index"]);
                let at = self.blocks.iter().find(|(block, _)| *block == index).map(|(_, at)| *at);
                if let Some(call) = at.and_then(|at| self.growing.calls.get_mut(at)) {
                    call.arguments.push_str(text_of(&delta["partial_json"]));
                }
            }
            _ => {}
        }
    }
}

fn call(block: &Value, arguments: String) -> ToolCall {
    ToolCall { id: text_of(&block["id"]).into(), name: text_of(&block["name"]).into(), arguments }
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "tool_use" => FinishReason::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => FinishReason::Length,
        "refusal" => FinishReason::Filtered,
        _ => FinishReason::Stop,
    }
}

/// `input_tokens` leaves out what the cache read and wrote.
fn usage(usage: &Value) -> CompletionUsage {
    let cached_input = count(&usage["cache_read_input_tokens"]);
    let cache_written = count(&usage["cache_creation_input_tokens"]);
    CompletionUsage {
        input: count(&usage["input_tokens"]) + cached_input + cache_written,
        cached_input,
        cache_written,
        output: count(&usage["output_tokens"]),
        reasoning: 0,
    }
}

/// The call that gives the answer, as the answer.
fn unwrapped(mut response: Completion) -> Completion {
    if let Some(at) = response.tool_calls.iter().position(|c| c.name == ANSWER_TOOL) {
        response.text = response.tool_calls.swap_remove(at).arguments;
        response.tool_calls.clear();
        if response.finish == FinishReason::ToolCalls {
            response.finish = FinishReason::Stop;
        }
    }
    response
}
