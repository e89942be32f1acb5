//! OpenAI, and servers that speak its Chat Completions.

use async_trait::async_trait;
use kubernaut_core::{
    Result,
    model::ExposeSecret,
    port::{ChatModel, ChatProgress, Completion, CompletionRequest, ModelInfo},
    service::CallContext,
};
use tokio::sync::mpsc;
use url::Url;

use super::{
    openai_wire::{self, Wire},
    with_extra,
};
use crate::{
    config::OpenAiConfig,
    transport::{Dialect, Transport, address},
};

/// A model behind `/chat/completions`.
#[derive(Debug)]
pub struct OpenAiModel {
    transport: Transport,
    url: Url,
    config: OpenAiConfig,
    info: ModelInfo,
}

impl OpenAiModel {
    /// A model; nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not http or https, a timeout of 0, or a CA file that cannot be read.
    pub fn new(name: &str, config: &OpenAiConfig) -> Result<Self> {
        let info = ModelInfo {
            provider: name.to_owned(),
            model: config.model.clone(),
            context_tokens: config.context_tokens,
            tools: config.tools,
            parallel_tools: config.parallel_tools,
            answer_schema: config.answer_schema,
        };
        let url = address(name, &config.base_url, "chat/completions")?;
        Ok(Self { transport: Transport::new(name, &config.connection, Dialect::OpenAi)?, url, config: config.clone(), info })
    }

    fn wire(&self) -> Wire {
        Wire {
            parallel_tools: self.config.parallel_tools,
            answer_schema: self.config.answer_schema,
            limit_field: if self.config.legacy_max_tokens { "max_tokens" } else { "max_completion_tokens" },
        }
    }
}

#[async_trait]
impl ChatModel for OpenAiModel {
    async fn chat(&self, ctx: CallContext, request: CompletionRequest, progress: Option<mpsc::Sender<ChatProgress>>) -> Result<Completion> {
        let mut body = openai_wire::body(&request, self.wire(), progress.is_some());
        body["model"] = self.config.model.as_str().into();
        let mut http = self.transport.post(&self.url);
        if let Some(key) = &self.config.api_key {
            http = http.bearer_auth(key.expose_secret());
        }
        if let Some(organization) = &self.config.organization {
            http = http.header("OpenAI-Organization", organization);
        }
        let answer = self.transport.send(&ctx, http, &with_extra(body, &self.config.extra)).await?;
        match progress {
            Some(progress) => openai_wire::read_stream(&ctx, answer, progress).await,
            None => openai_wire::read(&ctx, answer).await,
        }
    }

    fn describe(&self) -> ModelInfo {
        self.info.clone()
    }
}
