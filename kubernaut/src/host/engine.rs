//! The handle that a binding holds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kubernaut_core::{
    Error, ErrorKind, Result,
    service::{Actor, CallContext},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{HostCall, Hosted, PluginKind, Plugins, operations, params, reader};
use crate::{Config, Kubernaut};

/// What goes with a call besides its parameters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallOptions {
    /// Milliseconds until the answer is no longer wanted. Default: no limit.
    pub timeout_ms: Option<u64>,
    /// Tracking id for logs. Default: none.
    pub trace: Option<String>,
    /// Name of the program or person that calls. Default: the host.
    pub actor: Option<String>,
}

impl CallOptions {
    fn context(&self, cancellation: CancellationToken) -> CallContext {
        let actor = self.actor.as_deref().map_or_else(|| Actor::system("host"), Actor::user);
        let mut ctx = CallContext::new(actor).with_cancellation(cancellation);
        if let Some(limit) = self.timeout_ms {
            ctx = ctx.with_timeout(Duration::from_millis(limit));
        }
        if let Some(trace) = &self.trace {
            ctx = ctx.with_trace(trace);
        }
        ctx
    }
}

#[derive(Debug)]
struct Inner {
    config: Config,
    workers: bool,
    host: Option<Arc<dyn HostCall>>,
    plugins: Vec<(PluginKind, Hosted)>,
    opened: OnceCell<Kubernaut>,
    /// The process that opened it; 0 while nobody did.
    process: AtomicU32,
    ended: CancellationToken,
}

/// An engine for a host program. Cheap to clone. It opens ledger and cluster at the first call, not before: what was made before a fork can be
/// used after it.
#[derive(Debug, Clone)]
pub struct Host(Arc<Inner>);

impl Host {
    /// Checks configuration and plug-ins; nothing is opened yet. With `workers` the engine works on incidents once it is open.
    ///
    /// # Errors
    /// `InvalidInput` that names the field or method.
    pub fn new(config: &Value, workers: bool, plugins: Plugins, host: Option<Arc<dyn HostCall>>) -> Result<Self> {
        let config = operations::config(config)?;
        let mut hosted = Vec::with_capacity(plugins.len());
        for (kind, spec) in plugins {
            let host = host.clone().ok_or_else(|| Error::invalid("host.plugin", "a plug-in needs a way to call it"))?;
            hosted.push((kind, Hosted::new(host, kind, spec)?));
        }
        let ended = CancellationToken::new();
        let inner = Inner { config, workers, host, plugins: hosted, opened: OnceCell::new(), process: AtomicU32::new(0), ended };
        Ok(Self(Arc::new(inner)))
    }

    /// Carries out one operation with parameters as JSON text, and answers in JSON text. Must be called on the runtime.
    ///
    /// # Errors
    /// `NotFound` for an unknown operation, `InvalidInput` that names the field, the operation's own errors, `Timeout` and `Cancelled`.
    pub async fn call(&self, operation: String, params: String, options: CallOptions, cancellation: CancellationToken) -> Result<String> {
        let ctx = options.context(cancellation);
        if operations::is_library(&operation) {
            return library_call(ctx, operation, params).await;
        }
        let this = self.clone();
        let within = ctx.clone();
        if operations::carries_on(&operation) {
            let task = tokio::spawn(async move { this.engine_call(within, &operation, &params).await });
            return ctx.run("host.call", async { task.await.map_err(broke_off)? }).await;
        }
        ctx.run("host.call", this.engine_call(within, &operation, &params)).await
    }

    /// The same on a thread of the host that may wait; `interrupted` is asked every now and then and can end the wait.
    ///
    /// # Errors
    /// As [`Host::call`], and `BlockingInAsync` on a thread of the runtime.
    pub fn call_blocking(&self, operation: String, params: String, options: CallOptions, interrupted: impl FnMut() -> Result<()>) -> Result<String> {
        let this = self.clone();
        let cancellation = CancellationToken::new();
        let _cancel_when_left = cancellation.clone().drop_guard();
        super::block_on("host.call", async move { this.call(operation, params, options, cancellation).await }, interrupted)
    }

    async fn engine_call(&self, ctx: CallContext, operation: &str, params: &str) -> Result<String> {
        if operation == "shutdown" {
            return operations::answer(self.shutdown(operations::parse(operation, params)?).await);
        }
        let engine = self.open().await?;
        let ctx = ctx.with_mode(engine.config().mode);
        if operations::is_cluster(operation) {
            return reader::read(&**engine.cluster(), ctx, operation, params).await;
        }
        if operation == "events" {
            let page = operations::events(engine, ctx, operations::parse::<params::Events>(operation, params)?, &self.0.ended).await;
            return operations::answer(page);
        }
        if self.0.ended.is_cancelled() && operation == "ingest" {
            return Err(Error::new(ErrorKind::Unavailable, "host.call", "the engine has shut down; open a new one"));
        }
        operations::engine(engine, ctx, operation, params).await
    }

    async fn open(&self) -> Result<&Kubernaut> {
        let process = std::process::id();
        match self.0.process.compare_exchange(0, process, Ordering::AcqRel, Ordering::Acquire) {
            Err(owner) if owner != process => {
                let text = "the engine was opened before this process was forked; make the first call, or the engine, in the worker process";
                Err(Error::conflict("host.open", text).with("opened_by", owner).with("process", process))
            }
            _ => self.0.opened.get_or_try_init(|| self.build()).await,
        }
    }

    async fn build(&self) -> Result<Kubernaut> {
        let mut builder = Kubernaut::builder(self.0.config.clone());
        for (kind, plugin) in &self.0.plugins {
            let plugin = Arc::new(plugin.clone());
            builder = match kind {
                PluginKind::Classifier => builder.classifier(plugin),
                PluginKind::Analyzer => builder.analyzer(plugin),
                PluginKind::WorkflowEngine => builder.engine(plugin),
                PluginKind::Executor => builder.executor(plugin),
                PluginKind::ContextStore => builder.context_store(plugin),
                PluginKind::Notifier => builder.notifier(plugin),
            };
        }
        let engine = builder.build().await?;
        if self.0.workers {
            engine.start();
        }
        Ok(engine)
    }

    async fn shutdown(&self, p: params::Shutdown) -> Result<()> {
        self.0.ended.cancel();
        if self.0.process.load(Ordering::Acquire) != std::process::id() {
            return Ok(());
        }
        match self.0.opened.get() {
            Some(engine) => engine.shutdown(Duration::from_millis(p.limit_ms)).await,
            None => Ok(()),
        }
    }

    /// Opens the engine, for programs in Rust that give a host's parts.
    ///
    /// # Errors
    /// Errors of opening ledger and cluster.
    pub async fn kubernaut(&self) -> Result<Kubernaut> {
        self.open().await.cloned()
    }

    /// The way into the host's language, if it was given.
    #[must_use]
    pub fn host(&self) -> Option<&Arc<dyn HostCall>> {
        self.0.host.as_ref()
    }
}

/// Carries out an operation that needs no engine. Reading files is work for a thread that may block; here it is short and bounded.
async fn library_call(ctx: CallContext, operation: String, params: String) -> Result<String> {
    let within = ctx.clone();
    ctx.run("host.call", operations::library(within, &operation, &params)).await
}

fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::internal("host.call", "the call broke off; its log says why").source(error)
}

/// An engine without configuration, for operations that need none.
impl Default for Host {
    fn default() -> Self {
        let ended = CancellationToken::new();
        Self(Arc::new(Inner {
            config: Config::default(),
            workers: false,
            host: None,
            plugins: Vec::new(),
            opened: OnceCell::new(),
            process: AtomicU32::new(0),
            ended,
        }))
    }
}
