//! Bounds of an investigation.

use serde::{Deserialize, Serialize};

/// How far a model may go. At a limit it gets one closing turn, so that there is always an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// The model is asked where diagnosis is less sure than this. Default 0.8.
    pub ask_below: f64,
    /// Turns of the model, the closing one not counted. Default 10.
    pub max_turns: u32,
    /// Tokens read and written over all turns. Default 60,000.
    pub max_tokens: u64,
    /// Seconds over all turns; the caller's deadline may be earlier. Default 90.
    pub max_seconds: u64,
    /// Tokens of one answer. Default 2,000.
    pub max_answer_tokens: u32,
    /// Bytes of one tool's answer. Default 6,000.
    pub tool_bytes: usize,
    /// Namespaces that tools may read, `*` allowed; all where empty. Default empty.
    pub namespaces: Vec<String>,
    /// Highest confidence that a model alone can reach: its own number is no measurement. Default 0.75.
    pub max_confidence: f64,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            ask_below: 0.8,
            max_turns: 10,
            max_tokens: 60_000,
            max_seconds: 90,
            max_answer_tokens: 2_000,
            tool_bytes: 6_000,
            namespaces: Vec::new(),
            max_confidence: 0.75,
        }
    }
}
