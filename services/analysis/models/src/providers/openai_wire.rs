//! Bodies of OpenAI's Chat Completions, which Azure OpenAI and many servers share.

use kubernaut_core::{
    Result,
    port::{ChatMessage, ChatProgress, Completion, CompletionRequest, CompletionUsage, FinishReason, ToolCall, ToolChoice},
    service::CallContext,
};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{Growing, count, text_of};
use crate::transport::{Answer, ServerEvents};

/// Where servers differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub(super) parallel_tools: bool,
    pub(super) answer_schema: bool,
    pub(super) limit_field: &'static str,
}

/// The request's body, without the model.
pub(super) fn body(request: &CompletionRequest, wire: Wire, streamed: bool) -> Value {
    let mut body = Map::new();
    body.insert("messages".into(), request.messages.iter().map(message).collect());
    if !request.tools.is_empty() {
        let tool = |t: &kubernaut_core::port::ToolSpec| json!({ "type": "function", "function": { "name": t.name, "description": t.description, "parameters": t.parameters } });
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
        match request.tool_choice {
            ToolChoice::Auto => {}
            ToolChoice::None => drop(body.insert("tool_choice".into(), "none".into())),
            ToolChoice::Required => drop(body.insert("tool_choice".into(), "required".into())),
        }
        if !wire.parallel_tools {
            body.insert("parallel_tool_calls".into(), false.into());
        }
    }
    if let Some(answer) = &request.answer {
        let format = if wire.answer_schema {
            json!({ "type": "json_schema", "json_schema": { "name": answer.name, "schema": answer.schema } })
        } else {
            json!({ "type": "json_object" })
        };
        body.insert("response_format".into(), format);
    }
    if let Some(limit) = request.max_output_tokens {
        body.insert(wire.limit_field.into(), limit.into());
    }
    if streamed {
        body.insert("stream".into(), true.into());
        // Without it a stream says nothing of what it used.
        body.insert("stream_options".into(), json!({ "include_usage": true }));
    }
    Value::Object(body)
}

fn message(message: &ChatMessage) -> Value {
    match message {
        ChatMessage::System { text } => json!({ "role": "system", "content": text }),
        ChatMessage::User { text } => json!({ "role": "user", "content": text }),
        ChatMessage::Tool { call_id, text, .. } => json!({ "role": "tool", "tool_call_id": call_id, "content": text }),
        ChatMessage::Assistant { text, tool_calls } => {
            let content = if text.is_empty() && !tool_calls.is_empty() { Value::Null } else { json!(text) };
            let mut said = json!({ "role": "assistant", "content": content });
            if !tool_calls.is_empty() {
                let call = |c: &ToolCall| json!({ "id": c.id, "type": "function", "function": { "name": c.name, "arguments": c.arguments } });
                said["tool_calls"] = tool_calls.iter().map(call).collect();
            }
            said
        }
    }
}

/// The whole answer.
pub(super) async fn read(ctx: &CallContext, answer: Answer) -> Result<Completion> {
    let request_id = answer.header("x-request-id");
    let corrupt = answer.corrupt("the answer has no choices[0].message");
    let body = answer.json(ctx).await?;
    let choice = &body["choices"][0];
    let message = &choice["message"];
    if !message.is_object() {
        return Err(corrupt);
    }
    let calls = message["tool_calls"].as_array().into_iter().flatten().enumerate().map(|(at, c)| call(c, at)).collect::<Vec<_>>();
    let text = [&message["content"], &message["refusal"]].into_iter().find_map(Value::as_str).unwrap_or_default().to_owned();
    let finish = finish(choice["finish_reason"].as_str(), !calls.is_empty(), message["refusal"].is_string());
    Ok(Completion { text, tool_calls: calls, finish, usage: usage(&body["usage"]), model: text_of(&body["model"]).into(), request_id })
}

/// The answer of a stream, told of while it comes.
pub(super) async fn read_stream(ctx: &CallContext, mut answer: Answer, progress: mpsc::Sender<ChatProgress>) -> Result<Completion> {
    let request_id = answer.header("x-request-id");
    let mut stream = Stream { growing: Growing::new(Some(progress)), finish: None, refused: false, usage: None, model: String::new(), done: false };
    let mut events = ServerEvents::default();
    while !stream.done
        && let Some(piece) = answer.piece(ctx).await?
    {
        events.push(&piece);
        while let Some(event) = events.next() {
            stream.event(&answer, &event.data)?;
        }
    }
    let Some(reason) = stream.finish else { return Err(answer.corrupt("the stream ended before the answer did")) };
    let finish = finish(Some(&reason), !stream.growing.calls.is_empty(), stream.refused);
    let Growing { text, calls, .. } = stream.growing;
    Ok(Completion { text, tool_calls: calls, finish, usage: stream.usage, model: stream.model, request_id })
}

struct Stream {
    growing: Growing,
    finish: Option<String>,
    refused: bool,
    usage: Option<CompletionUsage>,
    model: String,
    done: bool,
}

impl Stream {
    fn event(&mut self, answer: &Answer, data: &str) -> Result<()> {
        if data == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(data).map_err(|_| answer.corrupt("an event of the stream is not JSON"))?;
        if chunk["error"].is_object() || chunk["error"].is_string() {
            return Err(answer.refused(&chunk));
        }
        if self.model.is_empty() {
            text_of(&chunk["model"]).clone_into(&mut self.model);
        }
        self.usage = usage(&chunk["usage"]).or(self.usage);
        // The last chunk, with the usage, has no choice; Azure's first has none either.
        let choice = &chunk["choices"][0];
        self.delta(&choice["delta"]);
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish = Some(reason.to_owned());
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Value) {
        self.growing.text(text_of(&delta["content"]));
        if let Some(refusal) = delta["refusal"].as_str() {
            self.refused = true;
            self.growing.text(refusal);
        }
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let calls = self.growing.calls.len();
            // Some servers leave the index out and send each call whole.
            let at = piece["index"].as_u64().map_or(calls, |at| usize::try_from(at).unwrap_or(calls));
            if at >= calls {
                self.growing.call(call(piece, calls));
            } else {
                self.growing.calls[at].arguments.push_str(text_of(&piece["function"]["arguments"]));
            }
        }
    }
}

/// A call; some servers give no id and arguments as an object.
fn call(call: &Value, at: usize) -> ToolCall {
    let function = &call["function"];
    let arguments = match &function["arguments"] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let id = call["id"].as_str().filter(|id| !id.is_empty()).map_or_else(|| format!("call_{at}"), str::to_owned);
    ToolCall { id, name: text_of(&function["name"]).into(), arguments }
}

fn finish(reason: Option<&str>, calls: bool, refused: bool) -> FinishReason {
    match reason {
        Some("length") => FinishReason::Length,
        Some("content_filter") => FinishReason::Filtered,
        _ if refused => FinishReason::Filtered,
        // Some servers say `stop` although they want tools called.
        _ if calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

fn usage(usage: &Value) -> Option<CompletionUsage> {
    usage.is_object().then(|| CompletionUsage {
        input: count(&usage["prompt_tokens"]),
        cached_input: count(&usage["prompt_tokens_details"]["cached_tokens"]),
        cache_written: 0,
        output: count(&usage["completion_tokens"]),
        reasoning: count(&usage["completion_tokens_details"]["reasoning_tokens"]),
    })
}
