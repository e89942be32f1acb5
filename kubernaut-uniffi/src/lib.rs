//! Kubernaut for Kotlin, Swift and Ruby.
//!
//! Operations take and give JSON text; the libraries around it make methods of them. Parts of one's own are reached through [`Dispatcher`].

// The macros of uniffi write the exported functions.
#![allow(unsafe_code, reason = "what uniffi's macros write to export functions")]

use std::sync::Arc;

use kubernaut::{
    Error, Result,
    host::{self, CallOptions, Host, HostCall},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

mod bridge;
mod error;

pub use bridge::Dispatcher;
pub use error::KubernautError;

uniffi::setup_scaffolding!();

/// An engine, or what needs none.
#[derive(Debug, uniffi::Object)]
pub struct Engine {
    host: Host,
    bridge: Option<Arc<bridge::ForeignHost>>,
}

/// One call that runs.
#[derive(Debug, uniffi::Object)]
pub struct Task {
    cancellation: CancellationToken,
    running: tokio::sync::Mutex<Option<tokio::task::JoinHandle<Result<String>>>>,
}

fn read<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::invalid("host.call", "not the JSON that was expected").with("what", what).with("reason", e))
}

#[uniffi::export]
impl Engine {
    /// Checks configuration and plug-ins, both JSON text; nothing is opened before the first call.
    #[uniffi::constructor]
    pub fn new(config: String, workers: bool, plugins: String, dispatcher: Option<Arc<dyn Dispatcher>>) -> Result<Arc<Self>, KubernautError> {
        let bridge = dispatcher.map(|d| Arc::new(bridge::ForeignHost::new(d)));
        let host =
            Host::new(&read::<Value>("config", &config)?, workers, read("plugins", &plugins)?, bridge.clone().map(|b| b as Arc<dyn HostCall>))?;
        Ok(Arc::new(Self { host, bridge }))
    }

    /// For operations that need no engine.
    #[uniffi::constructor]
    pub fn library() -> Arc<Self> {
        Arc::new(Self { host: Host::default(), bridge: None })
    }

    /// Begins one operation; parameters and options are JSON text.
    pub fn start(&self, operation: String, params: String, options: String) -> Result<Arc<Task>, KubernautError> {
        let options: CallOptions = read("options", &options)?;
        let cancellation = CancellationToken::new();
        let (host, token) = (self.host.clone(), cancellation.clone());
        let running = host::runtime()?.spawn(async move { host.call(operation, params, options, token).await });
        Ok(Arc::new(Task { cancellation, running: tokio::sync::Mutex::new(Some(running)) }))
    }

    /// The answer of one call of a plug-in: JSON text, or a description `{kind, name, message}` of what was raised.
    pub fn reply(&self, call: u64, ok: bool, answer: String) {
        if let Some(bridge) = &self.bridge {
            bridge.reply(call, ok, &answer);
        }
    }
}

#[uniffi::export]
impl Task {
    /// The answer, as JSON text. The first that asks gets it.
    pub async fn answer(&self) -> Result<String, KubernautError> {
        let running = self.running.lock().await.take();
        let running = running.ok_or_else(|| Error::conflict("host.call", "the answer was taken before"))?;
        let answer = running.await.map_err(|e| Error::internal("host.call", "the call broke off; its log says why").source(e))?;
        Ok(answer?)
    }

    /// Nobody waits for the answer any more.
    pub fn cancel(&self) {
        self.cancellation.cancel();
    }
}

/// The description of operations, plug-ins, errors and types that this library was built with, as JSON text.
#[uniffi::export]
pub fn interface_description() -> String {
    host::interface().to_string()
}
