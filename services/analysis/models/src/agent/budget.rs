//! What an investigation has used, and whether it may go on. Pure.

use std::time::{Duration, Instant};

use kubernaut_core::port::{ChatMessage, CompletionRequest, CompletionUsage};

use super::AgentConfig;

/// Bytes a token, for texts that nobody has counted: code and JSON have fewer than prose.
const BYTES_PER_TOKEN: usize = 3;

/// What replaces the answer of a tool that no longer fits.
const LEFT_OUT: &str = "[left out, as the conversation grew too long; ask again if needed]";

#[derive(Debug)]
pub(crate) struct Budget {
    config: AgentConfig,
    started: Instant,
    turns: u32,
    used: CompletionUsage,
}

impl Budget {
    pub(crate) fn new(config: &AgentConfig) -> Self {
        Self { config: config.clone(), started: Instant::now(), turns: 0, used: CompletionUsage::default() }
    }

    /// Notes a turn; without the provider's count, an estimate stands in for it.
    pub(crate) fn turn(&mut self, request: &CompletionRequest, answer: &str, usage: Option<CompletionUsage>) {
        self.turns += 1;
        self.used += usage.unwrap_or_else(|| CompletionUsage {
            input: estimate(request),
            output: (answer.len() / BYTES_PER_TOKEN) as u64,
            ..CompletionUsage::default()
        });
    }

    /// Why no further turn may begin, except the closing one.
    pub(crate) fn spent(&self, next: &CompletionRequest) -> Option<&'static str> {
        let will_use = self.used.input + self.used.output + estimate(next) + u64::from(self.config.max_answer_tokens);
        if self.turns >= self.config.max_turns {
            Some("max_turns")
        } else if will_use > self.config.max_tokens {
            Some("max_tokens")
        } else if self.started.elapsed() >= Duration::from_secs(self.config.max_seconds) * 3 / 4 {
            // The rest is for the closing turn.
            Some("max_seconds")
        } else {
            None
        }
    }

    pub(crate) fn used(&self) -> CompletionUsage {
        self.used
    }
}

/// Tokens of a request, roughly and rather too many.
pub(crate) fn estimate(request: &CompletionRequest) -> u64 {
    let tools: usize = request.tools.iter().map(|t| t.name.len() + t.description.len() + t.parameters.to_string().len()).sum();
    let schema = request.answer.as_ref().map_or(0, |a| a.schema.to_string().len());
    let messages: usize = request.messages.iter().map(|m| size(m) + 16).sum();
    ((tools + schema + messages) / BYTES_PER_TOKEN) as u64
}

fn size(message: &ChatMessage) -> usize {
    match message {
        ChatMessage::System { text } | ChatMessage::User { text } | ChatMessage::Tool { text, .. } => text.len(),
        ChatMessage::Assistant { text, tool_calls } => text.len() + tool_calls.iter().map(|c| c.name.len() + c.arguments.len()).sum::<usize>(),
    }
}

/// Takes out the oldest answers of tools until the request fits; calls and questions stay, as providers refuse halves of a call.
pub(crate) fn fit(request: &mut CompletionRequest, tokens: u64) {
    for at in 0..request.messages.len() {
        if estimate(request) <= tokens {
            return;
        }
        if let ChatMessage::Tool { text, .. } = &mut request.messages[at]
            && text.len() > LEFT_OUT.len()
        {
            LEFT_OUT.clone_into(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(tools: usize) -> CompletionRequest {
        let tool = |at| ChatMessage::Tool { call_id: format!("{at}"), name: "t".into(), text: format!("{at}").repeat(3000), failed: false };
        let messages = std::iter::once(ChatMessage::User { text: "q".into() }).chain((0..tools).map(tool)).collect();
        CompletionRequest { messages, ..CompletionRequest::default() }
    }

    #[test]
    fn the_oldest_answers_go_first_and_only_as_many_as_needed() {
        let mut long = request(5);
        fit(&mut long, 2200);
        let kept: Vec<bool> = long.messages[1..].iter().map(|m| size(m) > 1000).collect();
        assert_eq!(kept, [false, false, false, true, true]);
        let mut short = request(1);
        fit(&mut short, 100_000);
        assert_eq!(short, request(1));
    }

    #[test]
    fn each_limit_ends_the_investigation() {
        let config = AgentConfig { max_turns: 2, max_tokens: 5_000, max_answer_tokens: 100, ..AgentConfig::default() };
        let mut budget = Budget::new(&config);
        assert_eq!(budget.spent(&request(1)), None);
        assert_eq!(budget.spent(&request(6)), Some("max_tokens"));
        budget.turn(&request(1), "a", None);
        budget.turn(&request(1), "a", None);
        assert_eq!(budget.spent(&request(0)), Some("max_turns"));
        assert!(budget.used().input > 1_000, "without a count there is an estimate");
        let late = Budget::new(&AgentConfig { max_seconds: 0, ..config });
        assert_eq!(late.spent(&request(0)), Some("max_seconds"));
    }
}
