//! Azure OpenAI.

use async_trait::async_trait;
use kubernaut_core::{
    Error, Result,
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
    config::AzureConfig,
    transport::{Dialect, Transport, address},
};

/// A deployment of Azure OpenAI.
#[derive(Debug)]
pub struct AzureModel {
    transport: Transport,
    url: Url,
    config: AzureConfig,
    info: ModelInfo,
}

impl AzureModel {
    /// A model; nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not http or https, an empty name of the deployment, a key and a token at once, a timeout of 0, or
    /// a CA file that cannot be read.
    pub fn new(name: &str, config: &AzureConfig) -> Result<Self> {
        let bad = |message: &'static str| Error::invalid("models.config", message).with("provider", name);
        if config.api_key.is_some() && config.bearer_token.is_some() {
            return Err(bad("set either api_key or bearer_token"));
        }
        let mut url = address(name, &config.endpoint, "openai/deployments")?;
        if config.deployment.is_empty() {
            return Err(bad("deployment is empty; it is the name given to the model in Azure"));
        }
        url.path_segments_mut().map_err(|()| bad("the endpoint cannot have a path"))?.extend([config.deployment.as_str(), "chat", "completions"]);
        url.query_pairs_mut().append_pair("api-version", &config.api_version);
        let info = ModelInfo {
            provider: name.to_owned(),
            model: config.deployment.clone(),
            context_tokens: config.context_tokens,
            tools: true,
            parallel_tools: config.parallel_tools,
            answer_schema: true,
        };
        Ok(Self { transport: Transport::new(name, &config.connection, Dialect::OpenAi)?, url, config: config.clone(), info })
    }
}

#[async_trait]
impl ChatModel for AzureModel {
    async fn chat(&self, ctx: CallContext, request: CompletionRequest, progress: Option<mpsc::Sender<ChatProgress>>) -> Result<Completion> {
        let wire = Wire { parallel_tools: self.config.parallel_tools, answer_schema: true, limit_field: "max_completion_tokens" };
        let body = with_extra(openai_wire::body(&request, wire, progress.is_some()), &self.config.extra);
        let mut http = self.transport.post(&self.url);
        if let Some(key) = &self.config.api_key {
            http = http.header("api-key", key.expose_secret());
        }
        if let Some(token) = &self.config.bearer_token {
            http = http.bearer_auth(token.expose_secret());
        }
        let answer = self.transport.send(&ctx, http, &body).await?;
        match progress {
            Some(progress) => openai_wire::read_stream(&ctx, answer, progress).await,
            None => openai_wire::read(&ctx, answer).await,
        }
    }

    fn describe(&self) -> ModelInfo {
        self.info.clone()
    }
}
