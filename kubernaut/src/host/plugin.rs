//! Parts that the host supplies: what is known of them, and the call with its limits.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kubernaut_core::{
    Error, ErrorKind, Result,
    service::{CallContext, Capability},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use super::{
    HostCall, HostRequest, Slot, WireContext,
    traits::{Method, TRAITS},
};

/// Which trait a plug-in implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PluginKind {
    /// `Classifier`.
    Classifier,
    /// `Analyzer`.
    Analyzer,
    /// `WorkflowEngine`.
    WorkflowEngine,
    /// `Executor`.
    Executor,
    /// `ContextStore`.
    ContextStore,
    /// `Notifier`.
    Notifier,
}

/// The plug-ins of an engine.
pub type Plugins = BTreeMap<PluginKind, PluginSpec>;

/// One object of the host that implements a trait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSpec {
    /// Number under which the host knows it.
    pub object: u64,
    /// Name for errors and logs, such as its class.
    pub name: String,
    /// Methods that it has. Optional ones become capabilities.
    pub methods: Vec<String>,
    /// Longest time for one call in milliseconds; an earlier deadline of the caller counts. Default 30 000.
    pub timeout_ms: u64,
    /// Largest answer in bytes. Default 4 MiB.
    pub max_answer_bytes: usize,
    /// Calls at once; a call that the host cannot end keeps its place. Default 64.
    pub max_concurrency: usize,
}

impl Default for PluginSpec {
    fn default() -> Self {
        Self { object: 0, name: "plug-in".into(), methods: Vec::new(), timeout_ms: 30_000, max_answer_bytes: 4 * 1024 * 1024, max_concurrency: 64 }
    }
}

/// An object of the host as a service: it implements each of the six service traits, whichever it is used for.
#[derive(Debug, Clone)]
pub struct Hosted {
    host: Arc<dyn HostCall>,
    spec: PluginSpec,
    slots: Arc<Semaphore>,
    capabilities: Vec<Capability>,
}

impl Hosted {
    /// Looks at whether the object has what the trait requires.
    ///
    /// # Errors
    /// `InvalidInput` that names the method that is missing or not of the trait.
    pub fn new(host: Arc<dyn HostCall>, kind: PluginKind, spec: PluginSpec) -> Result<Self> {
        let methods = TRAITS.iter().find(|t| t.kind == kind).map(|t| t.methods).unwrap_or_default();
        let invalid = |text: &'static str, method: &str| Error::invalid("host.plugin", text).with("plugin", &spec.name).with("method", method);
        if let Some(missing) = methods.iter().find(|m| m.capability.is_none() && m.required && !spec.methods.iter().any(|has| has == m.name)) {
            return Err(invalid("the plug-in lacks a method that its kind requires", missing.name));
        }
        if let Some(unknown) = spec.methods.iter().find(|has| !methods.iter().any(|m| m.name == *has)) {
            return Err(invalid("the plug-in names a method that its kind does not have", unknown));
        }
        let has = |m: &Method| spec.methods.iter().any(|has| has == m.name);
        // A capability of several methods takes all of them.
        let whole = |c: &Capability| methods.iter().filter(|m| m.capability == Some(*c)).all(has);
        let mut capabilities: Vec<Capability> = methods.iter().filter_map(|m| m.capability).filter(whole).collect();
        capabilities.dedup();
        let slots = Arc::new(Semaphore::new(spec.max_concurrency.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self { host, spec, slots, capabilities })
    }

    pub(super) fn offered(&self) -> Vec<Capability> {
        self.capabilities.clone()
    }

    /// Whether the object has a method.
    pub(super) fn has(&self, method: &'static Method) -> bool {
        self.spec.methods.iter().any(|has| has == method.name)
    }

    /// Calls an optional method; without its capability the host is not asked.
    pub(super) async fn optional<A: DeserializeOwned>(&self, method: &'static Method, ctx: CallContext, request: impl Serialize + Send) -> Result<A> {
        if method.capability.is_some_and(|c| self.capabilities.contains(&c)) {
            return self.ask(method, ctx, request).await;
        }
        Err(Error::unsupported(method.operation, "the plug-in does not have this method").with("plugin", &self.spec.name))
    }

    pub(super) async fn ask<A: DeserializeOwned>(&self, method: &'static Method, ctx: CallContext, request: impl Serialize + Send) -> Result<A> {
        let ctx = ctx.with_timeout(Duration::from_millis(self.spec.timeout_ms));
        let slots = self.slots.clone();
        let full = |_| Error::internal(method.operation, "the plug-in's places are closed");
        let slot = ctx.run(method.operation, async move { slots.acquire_owned().await.map_err(full) }).await.map_err(|e| self.late(method, e))?;
        let payload = serde_json::to_string(&Payload { context: WireContext::from(&ctx), request })
            .map_err(|e| Error::internal(method.operation, "the request cannot be written as JSON").source(e))?;
        let call = HostRequest { object: self.spec.object, method: method.name, payload, ctx: ctx.clone(), slot: Slot(Some(slot)) };
        let answer = ctx.run(method.operation, self.host.call(call)).await.map_err(|e| self.late(method, e))?;
        self.read(method, &answer)
    }

    /// Names the plug-in that did not answer in time.
    fn late(&self, method: &'static Method, error: Error) -> Error {
        if error.kind() != ErrorKind::Timeout || error.operation() != method.operation {
            return error;
        }
        Error::new(ErrorKind::Timeout, method.operation, "the plug-in did not answer in time; make it quicker or raise its timeout_ms")
            .with("plugin", &self.spec.name)
    }

    fn read<A: DeserializeOwned>(&self, method: &'static Method, answer: &str) -> Result<A> {
        if answer.len() > self.spec.max_answer_bytes {
            return Err(self.failed(method, "the plug-in's answer is too large; shorten it or raise max_answer_bytes").with("bytes", answer.len()));
        }
        let mut reader = serde_json::Deserializer::from_str(answer);
        serde_path_to_error::deserialize(&mut reader).map_err(|e| {
            let (field, cause) = (e.path().to_string(), e.inner().to_string());
            self.failed(method, "the plug-in's answer has a wrong shape").with("field", field).with("reason", cause)
        })
    }

    fn failed(&self, method: &'static Method, text: &'static str) -> Error {
        Error::new(ErrorKind::PluginFailed, method.operation, text).with("plugin", &self.spec.name)
    }
}

#[derive(Serialize)]
struct Payload<R> {
    context: WireContext,
    request: R,
}
