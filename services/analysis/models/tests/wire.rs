//! Each provider's wire format: the requests it must get, and the answers it gives, whole and streamed, cut at every byte.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests report by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::State, http::HeaderMap, response::Response, routing::post};
use bytes::Bytes;
use futures::StreamExt;
use kubernaut_core::{
    ErrorKind,
    port::{AnswerSchema, ChatMessage, ChatProgress, Completion, CompletionRequest, CompletionUsage, FinishReason, ToolCall, ToolChoice, ToolSpec},
    service::CallContext,
};
use kubernaut_models::{ProviderConfig, connect};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// What a fake provider answers.
#[derive(Clone)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    pieces: Vec<Bytes>,
    /// Stays silent after the pieces.
    hangs: bool,
}

impl Reply {
    fn whole(body: &Value) -> Self {
        Self { status: 200, headers: vec![], pieces: vec![body.to_string().into()], hangs: false }
    }

    fn stream(text: impl AsRef<[u8]>, every: usize) -> Self {
        Self { status: 200, headers: vec![], pieces: text.as_ref().chunks(every).map(Bytes::copy_from_slice).collect(), hangs: false }
    }
}

#[derive(Clone)]
struct Fake {
    reply: Arc<Mutex<Reply>>,
    seen: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
    url: String,
}

impl Fake {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { reply: Arc::new(Mutex::new(Reply::whole(&json!({})))), seen: Arc::default(), url };
        let app = Router::new().route("/{*path}", post(Self::answer)).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    async fn answer(State(fake): State<Self>, uri: axum::http::Uri, headers: HeaderMap, body: Bytes) -> Response {
        fake.seen.lock().unwrap().push((uri.to_string(), headers, serde_json::from_slice(&body).unwrap()));
        let reply = fake.reply.lock().unwrap().clone();
        let pieces = futures::stream::iter(reply.pieces.into_iter().map(Ok::<_, std::io::Error>));
        let silence = futures::stream::pending();
        let body = if reply.hangs { Body::from_stream(pieces.chain(silence)) } else { Body::from_stream(pieces) };
        let mut response = Response::builder().status(reply.status);
        for (name, value) in reply.headers {
            response = response.header(name, value);
        }
        response.body(body).unwrap()
    }

    fn says(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    fn heard(&self) -> (String, HeaderMap, Value) {
        self.seen.lock().unwrap().pop().expect("a request")
    }
}

fn provider(kind: &str, url: &str) -> ProviderConfig {
    let connection = json!({ "timeout_s": 20, "idle_timeout_s": 1 });
    let config = match kind {
        "openai" => json!({ "base_url": format!("{url}/v1"), "model": "gpt-x", "api_key": "key-1", "organization": "org-1" }),
        "azure" => json!({ "endpoint": url, "deployment": "our model", "api_key": "key-1" }),
        "anthropic" => json!({ "base_url": url, "model": "claude-x", "api_key": "key-1" }),
        _ => json!({ "base_url": url, "model": "qwen" }),
    };
    let Value::Object(mut config) = config else { unreachable!() };
    config.insert("type".into(), kind.into());
    config.insert("connection".into(), connection);
    serde_json::from_value(Value::Object(config)).unwrap()
}

const KINDS: [&str; 4] = ["openai", "azure", "anthropic", "ollama"];

fn conversation() -> CompletionRequest {
    let call = ToolCall { id: "c1".into(), name: "get_logs".into(), arguments: r#"{"pod":"web-1"}"#.into() };
    CompletionRequest {
        messages: vec![
            ChatMessage::System { text: "be brief".into() },
            ChatMessage::User { text: "why?".into() },
            ChatMessage::Assistant { text: String::new(), tool_calls: vec![call] },
            ChatMessage::Tool { call_id: "c1".into(), name: "get_logs".into(), text: "no such pod".into(), failed: true },
            ChatMessage::User { text: "go on".into() },
        ],
        tools: vec![ToolSpec { name: "get_logs".into(), description: "Logs of a pod.".into(), parameters: json!({ "type": "object" }) }],
        ..CompletionRequest::default()
    }
}

async fn ask(fake: &Fake, kind: &str, request: CompletionRequest, streamed: bool) -> (kubernaut_core::Result<Completion>, Vec<ChatProgress>) {
    let model = connect(kind, &provider(kind, &fake.url)).unwrap();
    let (send, mut receive) = mpsc::channel(1000);
    let answer = model.chat(CallContext::system("test"), request, streamed.then_some(send)).await;
    let mut told = Vec::new();
    while let Ok(piece) = receive.try_recv() {
        told.push(piece);
    }
    (answer, told)
}

#[tokio::test]
async fn requests_have_the_providers_form() {
    let fake = Fake::start().await;
    let (answer, _) = ask(&fake, "openai", conversation(), true).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Corrupt, "an empty object is no stream");
    let (uri, headers, body) = fake.heard();
    assert_eq!(
        (uri.as_str(), &headers["authorization"], &headers["openai-organization"]),
        ("/v1/chat/completions", &"Bearer key-1".parse().unwrap(), &"org-1".parse().unwrap())
    );
    let function = json!({ "name": "get_logs", "description": "Logs of a pod.", "parameters": { "type": "object" } });
    let tools = json!([{ "type": "function", "function": function }]);
    let messages = json!([
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": "why?" },
        { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "get_logs", "arguments": "{\"pod\":\"web-1\"}" } }] },
        { "role": "tool", "tool_call_id": "c1", "content": "no such pod" },
        { "role": "user", "content": "go on" }
    ]);
    assert_eq!(
        body,
        json!({ "model": "gpt-x", "messages": messages, "tools": tools, "stream": true, "stream_options": { "include_usage": true } }),
        "no sampling parameter"
    );

    let _ = ask(&fake, "azure", conversation(), false).await;
    let (uri, headers, body) = fake.heard();
    assert_eq!(uri, "/openai/deployments/our%20model/chat/completions?api-version=2024-10-21");
    assert_eq!(headers["api-key"], "key-1");
    assert_eq!(body, json!({ "messages": messages, "tools": tools }), "the deployment is the model");

    let _ = ask(&fake, "anthropic", conversation(), false).await;
    let (uri, headers, body) = fake.heard();
    assert_eq!(
        (uri.as_str(), &headers["x-api-key"], &headers["anthropic-version"]),
        ("/v1/messages", &"key-1".parse().unwrap(), &"2023-06-01".parse().unwrap())
    );
    let cached = json!({ "type": "ephemeral" });
    let expected = json!({
        "model": "claude-x", "max_tokens": 4096,
        "system": [{ "type": "text", "text": "be brief", "cache_control": cached }],
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "why?" }] },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "c1", "name": "get_logs", "input": { "pod": "web-1" } }] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "c1", "content": "no such pod", "is_error": true },
                { "type": "text", "text": "go on" }
            ] }
        ],
        "tools": [{ "name": "get_logs", "description": "Logs of a pod.", "input_schema": { "type": "object" }, "cache_control": cached }],
        "tool_choice": { "type": "auto" }
    });
    assert_eq!(body, expected);

    let _ = ask(&fake, "ollama", conversation(), false).await;
    let (uri, _, body) = fake.heard();
    assert_eq!(uri, "/api/chat");
    assert_eq!(body["messages"][2]["tool_calls"], json!([{ "function": { "name": "get_logs", "arguments": { "pod": "web-1" } } }]));
    assert_eq!(body["messages"][3], json!({ "role": "tool", "tool_name": "get_logs", "content": "no such pod" }));
    assert_eq!((&body["stream"], &body["options"], &body["tools"]), (&json!(false), &json!({ "num_ctx": 32768 }), &tools));
}

#[tokio::test]
async fn the_form_of_the_answer_is_asked_for_in_each_providers_way() {
    let fake = Fake::start().await;
    let schema = json!({ "type": "object", "required": ["cause"] });
    let answer = Some(AnswerSchema { name: "finding".into(), schema: schema.clone() });
    let request = CompletionRequest { answer, tool_choice: ToolChoice::None, max_output_tokens: Some(50), ..conversation() };
    let mut bodies = Vec::new();
    for kind in KINDS {
        let _ = ask(&fake, kind, request.clone(), false).await;
        bodies.push(fake.heard().2);
    }
    let [openai, azure, anthropic, ollama] = &bodies[..] else { unreachable!() };
    assert_eq!(openai["response_format"], json!({ "type": "json_schema", "json_schema": { "name": "finding", "schema": schema } }));
    assert_eq!((&openai["tool_choice"], &openai["max_completion_tokens"]), (&json!("none"), &json!(50)));
    assert_eq!(azure["response_format"], openai["response_format"]);
    assert_eq!(anthropic["tools"][1]["input_schema"], schema);
    assert_eq!((&anthropic["tool_choice"], &anthropic["max_tokens"]), (&json!({ "type": "tool", "name": "give_answer" }), &json!(50)));
    assert_eq!((&ollama["format"], &ollama["options"]["num_predict"], &ollama["tools"]), (&schema, &json!(50), &Value::Null));
}

/// One answer with text, two calls and usage, in each provider's form: whole, and as a stream.
fn answers(kind: &str) -> (Value, String) {
    let data = |events: &[Value]| events.iter().map(|e| format!("data: {e}\n\n")).collect::<String>();
    match kind {
        "openai" | "azure" => {
            let function = |name: &str, arguments: &str| json!({ "name": name, "arguments": arguments });
            let usage = json!({ "prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27, "prompt_tokens_details": { "cached_tokens": 5 }, "completion_tokens_details": { "reasoning_tokens": 2 } });
            let whole = json!({ "id": "1", "model": "m-1", "usage": usage, "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "caf\u{e9} \u{2713}", "tool_calls": [
                    { "id": "c1", "type": "function", "function": function("get_logs", "{\"pod\":\"a\"}") },
                    { "id": "c2", "type": "function", "function": function("list", "{}") }
                ] } }] });
            let delta = |delta: Value| json!({ "id": "1", "model": "m-1", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] });
            let calls = |calls: Value| delta(json!({ "tool_calls": calls }));
            let mut stream = data(&[
                json!({ "choices": [], "prompt_filter_results": [] }),
                delta(json!({ "role": "assistant", "content": "" })),
                delta(json!({ "content": "caf\u{e9} " })),
                delta(json!({ "content": "\u{2713}" })),
                calls(json!([{ "index": 0, "id": "c1", "type": "function", "function": function("get_logs", "") }])),
                calls(json!([{ "index": 0, "function": { "arguments": "{\"pod\":" } }])),
                calls(json!([{ "index": 0, "function": { "arguments": "\"a\"}" } }])),
                calls(json!([{ "index": 1, "id": "c2", "type": "function", "function": function("list", "{}") }])),
                json!({ "model": "m-1", "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] }),
                json!({ "model": "m-1", "choices": [], "usage": usage }),
            ]);
            stream.push_str("data: [DONE]\n\n");
            (whole, stream)
        }
        "anthropic" => {
            let usage = json!({ "input_tokens": 12, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 7 });
            let whole = json!({ "type": "message", "model": "m-1", "stop_reason": "tool_use", "usage": usage, "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "text", "text": "caf\u{e9} \u{2713}" },
                { "type": "tool_use", "id": "c1", "name": "get_logs", "input": { "pod": "a" } },
                { "type": "tool_use", "id": "c2", "name": "list", "input": {} }
            ] });
            let start = |index: u64, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
            let delta = |index: u64, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
            let json_delta = |index: u64, text: &str| delta(index, json!({ "type": "input_json_delta", "partial_json": text }));
            let mut first = usage.clone();
            first["output_tokens"] = 1.into();
            let events = [
                json!({ "type": "message_start", "message": { "model": "m-1", "content": [], "usage": first } }),
                start(0, json!({ "type": "thinking", "thinking": "" })),
                delta(0, json!({ "type": "thinking_delta", "thinking": "hm" })),
                json!({ "type": "ping" }),
                start(1, json!({ "type": "text", "text": "" })),
                delta(1, json!({ "type": "text_delta", "text": "caf\u{e9} " })),
                delta(1, json!({ "type": "text_delta", "text": "\u{2713}" })),
                json!({ "type": "content_block_stop", "index": 1 }),
                start(2, json!({ "type": "tool_use", "id": "c1", "name": "get_logs", "input": {} })),
                json_delta(2, ""),
                json_delta(2, "{\"pod\":"),
                json_delta(2, "\"a\"}"),
                start(3, json!({ "type": "tool_use", "id": "c2", "name": "list", "input": {} })),
                json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 7 } }),
                json!({ "type": "message_stop" }),
            ];
            let named = |e: &Value| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap());
            (whole, events.iter().map(named).collect())
        }
        _ => {
            let call = |name: &str, arguments: Value| json!({ "function": { "name": name, "arguments": arguments } });
            let calls = json!([call("get_logs", json!({ "pod": "a" })), call("list", json!({}))]);
            let end = json!({ "model": "m-1", "done": true, "done_reason": "stop", "prompt_eval_count": 20, "eval_count": 7 });
            let mut whole = end.clone();
            whole["message"] = json!({ "role": "assistant", "content": "caf\u{e9} \u{2713}", "tool_calls": calls });
            let part = |message: Value| json!({ "model": "m-1", "message": message, "done": false });
            let mut last = end;
            last["message"] = json!({ "role": "assistant", "content": "" });
            let parts = [
                part(json!({ "role": "assistant", "content": "caf\u{e9} " })),
                part(json!({ "content": "\u{2713}" })),
                part(json!({ "content": "", "tool_calls": calls })),
                last,
            ];
            (whole, parts.iter().map(|p| format!("{p}\n")).collect())
        }
    }
}

fn expected(kind: &str) -> Completion {
    let id = |at: usize| if kind == "ollama" { format!("call_{at}") } else { format!("c{}", at + 1) };
    let call = |at: usize, name: &str, arguments: &str| ToolCall { id: id(at), name: name.into(), arguments: arguments.into() };
    let usage = match kind {
        "anthropic" => CompletionUsage { input: 20, cached_input: 5, cache_written: 3, output: 7, reasoning: 0 },
        "ollama" => CompletionUsage { input: 20, output: 7, ..CompletionUsage::default() },
        _ => CompletionUsage { input: 20, cached_input: 5, output: 7, reasoning: 2, ..CompletionUsage::default() },
    };
    Completion {
        text: "caf\u{e9} \u{2713}".into(),
        tool_calls: vec![call(0, "get_logs", r#"{"pod":"a"}"#), call(1, "list", "{}")],
        finish: FinishReason::ToolCalls,
        usage: Some(usage),
        model: "m-1".into(),
        request_id: None,
    }
}

#[tokio::test]
async fn an_answer_is_the_same_whole_and_streamed_however_it_is_cut() {
    let fake = Fake::start().await;
    for kind in KINDS {
        let (whole, stream) = answers(kind);
        fake.says(Reply::whole(&whole));
        assert_eq!(ask(&fake, kind, conversation(), false).await.0.unwrap(), expected(kind), "{kind}, whole");
        for every in [1, 2, 3, 7, 64, usize::MAX] {
            fake.says(Reply::stream(&stream, every));
            let (answer, told) = ask(&fake, kind, conversation(), true).await;
            assert_eq!(answer.unwrap(), expected(kind), "{kind}, cut at every {every}");
            let text = told.iter().filter_map(|p| if let ChatProgress::Text(t) = p { Some(t.as_str()) } else { None }).collect::<String>();
            assert_eq!(text, expected(kind).text, "{kind}: what was told is what was said");
            assert_eq!(told.iter().filter(|p| matches!(p, ChatProgress::ToolCall(_))).count(), 2);
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_error_wherever_it_does() {
    let fake = Fake::start().await;
    for kind in KINDS {
        let stream = answers(kind).1;
        // Up to the event that announces the end.
        let end = match kind {
            "anthropic" => stream.find("event: message_stop").unwrap(),
            "ollama" => stream.find("\"done\":true").unwrap(),
            _ => stream.find("\"finish_reason\":\"tool_calls\"").unwrap(),
        };
        for cut in (0..end).step_by(29) {
            fake.says(Reply::stream(&stream.as_bytes()[..cut], usize::MAX));
            let (answer, _) = ask(&fake, kind, conversation(), true).await;
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::Corrupt, "{kind}, cut at {cut}");
        }
    }
}

#[tokio::test]
async fn silence_in_the_middle_ends_by_itself() {
    let fake = Fake::start().await;
    for kind in KINDS {
        let stream = answers(kind).1;
        fake.says(Reply { hangs: true, ..Reply::stream(&stream.as_bytes()[..40], usize::MAX) });
        let began = std::time::Instant::now();
        let (answer, _) = ask(&fake, kind, conversation(), true).await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout, "{kind}");
        assert!(began.elapsed() < Duration::from_secs(10), "{kind} took {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn errors_are_told_apart_and_name_the_provider() {
    let fake = Fake::start().await;
    for kind in KINDS {
        fake.says(Reply { status: 429, headers: vec![("retry-after", "7")], ..Reply::whole(&json!({ "error": { "message": "slow down" } })) });
        let error = ask(&fake, kind, conversation(), false).await.0.unwrap_err();
        assert_eq!((error.kind(), error.retry_delay()), (ErrorKind::Overloaded, Some(Duration::from_secs(7))), "{kind}");
        assert!(error.to_string().contains(&format!("provider={kind}")), "{error}");
        fake.says(Reply { status: 302, headers: vec![("location", "http://127.0.0.1:9/")], ..Reply::whole(&json!({})) });
        assert_eq!(ask(&fake, kind, conversation(), false).await.0.unwrap_err().kind(), ErrorKind::InvalidInput, "{kind}: no redirect is followed");
        fake.says(Reply::stream("<html>", usize::MAX));
        assert_eq!(ask(&fake, kind, conversation(), false).await.0.unwrap_err().kind(), ErrorKind::Corrupt, "{kind}: garbage");
    }
    let gone = connect("gone", &provider("openai", "http://127.0.0.1:1")).unwrap();
    let error = gone.chat(CallContext::system("test"), conversation(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("key-1"), "{error:?}");
}

#[tokio::test]
async fn an_error_within_a_stream_is_an_error() {
    let fake = Fake::start().await;
    let cases = [
        ("openai", "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\"}}\n\n", ErrorKind::Unavailable),
        (
            "anthropic",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
            ErrorKind::Overloaded,
        ),
        ("ollama", "{\"error\":\"model runner has stopped\"}\n", ErrorKind::Unavailable),
    ];
    for (kind, stream, expected) in cases {
        fake.says(Reply::stream(stream, 5));
        assert_eq!(ask(&fake, kind, conversation(), true).await.0.unwrap_err().kind(), expected, "{kind}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_short_says_so() {
    let fake = Fake::start().await;
    let cut = [
        ("openai", json!({ "choices": [{ "finish_reason": "length", "message": { "content": "it is" } }] })),
        ("anthropic", json!({ "stop_reason": "max_tokens", "content": [{ "type": "text", "text": "it is" }] })),
        ("ollama", json!({ "done": true, "done_reason": "length", "message": { "content": "it is" } })),
    ];
    for (kind, body) in cut {
        fake.says(Reply::whole(&body));
        let answer = ask(&fake, kind, conversation(), false).await.0.unwrap();
        assert_eq!((answer.finish, answer.text.as_str(), answer.usage), (FinishReason::Length, "it is", None), "{kind}");
    }
}

#[test]
fn a_wrong_configuration_is_named_without_its_secrets() {
    let config = |base: &str| serde_json::from_value::<ProviderConfig>(json!({ "type": "openai", "model": "m", "base_url": base })).unwrap();
    for base in ["ftp://u:hunter2@host/v1", "u:hunter2@host", ""] {
        let error = connect("main", &config(base)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("provider=main") && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let both = json!({ "type": "azure", "endpoint": "https://a", "deployment": "d", "api_key": "a", "bearer_token": "b" });
    assert!(connect("main", &serde_json::from_value(both).unwrap()).is_err());
    let shown = serde_json::to_string(&provider("openai", "http://h")).unwrap() + &format!("{:?}", provider("openai", "http://h"));
    assert!(!shown.contains("key-1"), "{shown}");
}
