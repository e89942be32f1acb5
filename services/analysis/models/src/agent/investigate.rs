//! The loop: the model asks, tools answer, until it gives an answer that holds or a limit is reached.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use kubernaut_core::{
    Error, ErrorKind, Result,
    model::ActionSpec,
    port::{AnswerSchema, ChatMessage, ChatModel, Completion, CompletionRequest, CompletionUsage, FinishReason, ToolCall, ToolChoice, ToolSpec},
    service::CallContext,
};
use serde_json::{Value, json};

use super::{
    AgentConfig,
    answer::{self, Answer, Checked},
    budget::{self, Budget},
    guard,
    tools::{self, Toolbox},
};

/// Most calls of one turn that are carried out.
const CALLS_A_TURN: usize = 6;

/// What an investigation brought.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) answer: Answer,
    pub(crate) checked: Checked,
    /// Texts that the model was shown, by their ids.
    pub(crate) sources: BTreeMap<String, String>,
    pub(crate) used: CompletionUsage,
    /// What the reader should know: limits reached, orders found in data.
    pub(crate) notes: Vec<String>,
}

pub(crate) struct Investigation<'a> {
    pub(crate) model: &'a dyn ChatModel,
    pub(crate) tools: &'a Toolbox,
    pub(crate) actions: &'a [ActionSpec],
    pub(crate) config: &'a AgentConfig,
    pub(crate) ctx: CallContext,
    messages: Vec<ChatMessage>,
    sources: BTreeMap<String, String>,
    notes: Vec<String>,
    budget: Budget,
    asked: HashSet<(String, String)>,
    repaired: bool,
}

impl<'a> Investigation<'a> {
    pub(crate) fn new(model: &'a dyn ChatModel, tools: &'a Toolbox, actions: &'a [ActionSpec], config: &'a AgentConfig, ctx: CallContext) -> Self {
        let ctx = ctx.with_timeout(Duration::from_secs(config.max_seconds.max(1)));
        Self {
            model,
            tools,
            actions,
            config,
            ctx,
            messages: Vec::new(),
            sources: BTreeMap::new(),
            notes: Vec::new(),
            budget: Budget::new(config),
            asked: HashSet::new(),
            repaired: false,
        }
    }

    /// Investigates from `system` and `question`; `facts` are citable as the source `facts`.
    pub(crate) async fn run(mut self, system: String, question: &str, facts: String) -> Result<Finding> {
        let text = format!("{question}\n\n{}", guard::fenced("facts", &facts));
        self.watch("facts", &facts);
        self.sources.insert("facts".into(), facts);
        self.messages = vec![ChatMessage::System { text: system }, ChatMessage::User { text }];
        loop {
            let request = self.request();
            if let Some(limit) = self.budget.spent(&request) {
                self.notes.push(format!("the investigation was ended by {limit}"));
                return self.close().await;
            }
            let said = self.ask(request).await?;
            if said.finish == FinishReason::Length && said.tool_calls.is_empty() {
                self.notes.push("an answer of the model was cut short".into());
                return self.close().await;
            }
            let calls = self.calls(&said);
            self.messages
                .push(ChatMessage::Assistant { text: said.text.clone(), tool_calls: if self.serial() { Vec::new() } else { calls.clone() } });
            if calls.is_empty() {
                match self.judge(&said.text) {
                    Ok(finding) => return Ok(finding),
                    Err(problem) => self.repair(&problem)?,
                }
            } else {
                self.look(calls).await;
            }
        }
    }

    fn serial(&self) -> bool {
        !self.model.describe().tools
    }

    fn request(&self) -> CompletionRequest {
        let info = self.model.describe();
        let mut request = CompletionRequest {
            messages: self.messages.clone(),
            tools: if self.serial() { Vec::new() } else { tools::specs() },
            answer: self.serial().then(|| serial_schema(self.actions)),
            max_output_tokens: Some(self.config.max_answer_tokens),
            ..CompletionRequest::default()
        };
        if self.repaired {
            // It had its say; what is asked now is the form.
            request.tool_choice = ToolChoice::None;
            request.answer = Some(answer::schema(self.actions));
        }
        budget::fit(&mut request, u64::from(info.context_tokens.saturating_sub(self.config.max_answer_tokens)));
        request
    }

    async fn ask(&mut self, request: CompletionRequest) -> Result<Completion> {
        let request = guard::outgoing(request);
        let said = self.model.chat(self.ctx.clone(), request.clone(), None).await?;
        self.budget.turn(&request, &said.text, said.usage);
        Ok(said)
    }

    /// The calls of a turn; a model without tools names one in its answer.
    fn calls(&self, said: &Completion) -> Vec<ToolCall> {
        if !self.serial() {
            return said.tool_calls.clone();
        }
        let Ok(step) = serde_json::from_str::<Value>(said.text.trim()) else { return Vec::new() };
        match step["tool"].as_str() {
            Some(name) if name != "answer" => {
                vec![ToolCall { id: format!("s{}", self.messages.len()), name: name.to_owned(), arguments: step["arguments"].to_string() }]
            }
            _ => Vec::new(),
        }
    }

    async fn look(&mut self, calls: Vec<ToolCall>) {
        for (at, call) in calls.into_iter().enumerate() {
            let (text, failed) = match self.answer_to(at, &call).await {
                Ok(text) => (text, false),
                Err(text) => (text, true),
            };
            self.messages.push(if self.serial() {
                ChatMessage::User { text }
            } else {
                ChatMessage::Tool { call_id: call.id, name: call.name, text, failed }
            });
        }
    }

    async fn answer_to(&mut self, at: usize, call: &ToolCall) -> std::result::Result<String, String> {
        if at >= CALLS_A_TURN {
            return Err(format!("not carried out: at most {CALLS_A_TURN} calls a turn"));
        }
        if !self.asked.insert((call.name.clone(), call.arguments.clone())) {
            return Err("not carried out: the same was asked before; see the answer above".into());
        }
        let text = self.tools.call(&self.ctx, call).await?;
        let id = format!("T{}", self.sources.len());
        self.watch(&format!("{} {}", call.name, call.arguments), &text);
        let shown = guard::fenced(&id, &text);
        self.sources.insert(id, text);
        Ok(shown)
    }

    /// Notes what reads like orders to a model: somebody may have written it to be read by one.
    fn watch(&mut self, source: &str, text: &str) {
        for order in guard::orders(text) {
            tracing::warn!(%source, "data of the cluster holds text that reads like orders to a model; it is treated as data");
            self.notes.push(format!("{source} holds text that reads like orders to a model: {order:?}"));
        }
    }

    /// The closing turn: no tools, the form of the answer required.
    async fn close(mut self) -> Result<Finding> {
        self.messages.push(ChatMessage::User { text: "No more tools. Give your best answer now, in the form asked for.".into() });
        let mut request = self.request();
        request.tool_choice = ToolChoice::None;
        request.answer = Some(answer::schema(self.actions));
        let said = self.ask(request).await?;
        match self.judge(&said.text) {
            Ok(finding) => Ok(finding),
            Err(problem) => Err(unusable(&problem)),
        }
    }

    /// The finding, if the answer holds; after one repair, whatever of it holds.
    fn judge(&mut self, text: &str) -> std::result::Result<Finding, String> {
        let text = self.serial().then(|| unwrapped(text)).flatten().unwrap_or_else(|| text.to_owned());
        let answer = answer::parse(&text)?;
        let checked = answer::check(&answer, self.actions, &self.sources);
        if !checked.problems.is_empty() && !self.repaired {
            return Err(checked.problems.join("; "));
        }
        self.notes.extend(checked.problems.iter().map(|p| format!("of the model's answer did not count: {p}")));
        Ok(Finding { answer, checked, sources: std::mem::take(&mut self.sources), used: self.budget.used(), notes: std::mem::take(&mut self.notes) })
    }

    fn repair(&mut self, problem: &str) -> Result<()> {
        if std::mem::replace(&mut self.repaired, true) {
            return Err(unusable(problem));
        }
        self.messages.push(ChatMessage::User { text: format!("That answer cannot be used: {problem}. Correct it; quote evidence word for word.") });
        Ok(())
    }
}

fn unusable(problem: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "models.investigate", format!("the model gave no usable answer: {problem}"))
}

/// For models that call no tools: each answer is either one call or the final answer.
fn serial_schema(actions: &[ActionSpec]) -> AnswerSchema {
    let mut forms: Vec<Value> = tools::specs().into_iter().map(|ToolSpec { name, parameters, .. }| form(&name, &parameters)).collect();
    forms.push(form("answer", &answer::schema(actions).schema));
    AnswerSchema { name: "step".into(), schema: json!({ "type": "object", "oneOf": forms }) }
}

fn form(tool: &str, arguments: &Value) -> Value {
    json!({ "properties": { "tool": { "const": tool }, "arguments": arguments }, "required": ["tool", "arguments"] })
}

/// The final answer within a step.
fn unwrapped(text: &str) -> Option<String> {
    let step: Value = serde_json::from_str(text.trim()).ok()?;
    (step["tool"] == "answer").then(|| step["arguments"].to_string())
}
