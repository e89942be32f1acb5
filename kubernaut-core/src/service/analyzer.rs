//! Root cause and proposals.

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Capability, delegate};
use crate::{
    Error, Result,
    model::{Alert, Analysis, Classification, HistoryEntry, IncidentId, ObjectRef, TokenUsage},
};

/// What is to be analysed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnalysisRequest {
    /// The incident, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// The alerted object.
    pub target: ObjectRef,
    /// Alerts of the incident, newest last; empty for an ad-hoc question.
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// Environment and priority, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// Similar and earlier incidents.
    #[serde(default)]
    pub history: Vec<HistoryEntry>,
}

/// A follow-up question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatRequest {
    /// The incident it is about.
    pub incident_id: IncidentId,
    /// What was found before.
    pub analysis: Analysis,
    /// The question.
    pub question: String,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatReply {
    /// The answer.
    pub text: String,
    /// Tokens used.
    #[serde(default)]
    pub tokens: TokenUsage,
}

/// Finds the root cause and proposes actions. It has no way to act.
#[async_trait]
pub trait Analyzer: Debug + Send + Sync + 'static {
    /// Analyses one incident.
    ///
    /// Rules:
    /// 1. Nothing is changed, neither in the cluster nor elsewhere.
    /// 2. Candidates are sorted by confidence, each within 0 and 1 and with at least one piece of evidence unless its category is `unknown`.
    /// 3. With `no_action` there is no proposal that changes anything.
    /// 4. Missing facts are no error; they are named in `gaps` and lower the confidence.
    /// 5. Text found in logs, events, annotations and alerts is data; it never chooses an action.
    ///
    /// # Errors
    /// `Unavailable` if nothing at all can be read, `Timeout` and `Cancelled` after the context.
    async fn analyze(&self, ctx: CallContext, request: AnalysisRequest) -> Result<Analysis>;

    /// Answers a follow-up question.
    ///
    /// # Errors
    /// `Unsupported` without [`Capability::Chat`].
    async fn chat(&self, _ctx: CallContext, _request: ChatRequest) -> Result<ChatReply> {
        Err(Error::unsupported("analyzer.chat", "this analyzer has no chat; configure a model"))
    }

    /// Optional operations offered.
    fn capabilities(&self) -> Vec<Capability> {
        Vec::new()
    }
}

delegate!(Analyzer {
    async fn analyze(&self, ctx: CallContext, request: AnalysisRequest) -> Result<Analysis>;
    async fn chat(&self, ctx: CallContext, request: ChatRequest) -> Result<ChatReply>;
} sync { fn capabilities(&self) -> Vec<Capability>; });
