//! From JavaScript into the engine.

use std::sync::Arc;

use kubernaut::{
    Error, Result,
    host::{self, ErrorBody, Host, HostCall},
};
use napi::{Env, bindgen_prelude::Object};
use napi_derive::napi;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::bridge::{Dispatch, NodeHost};

/// The reason of a rejection is JSON text; the package makes its error of it.
pub(crate) fn rejection(error: &Error) -> napi::Error {
    napi::Error::from_reason(ErrorBody::from(error).to_json())
}

pub(crate) fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::invalid("host.call", "not the JSON that was expected").with("what", what).with("reason", e))
}

type Resolver = Box<dyn FnOnce(Env) -> napi::Result<String> + Send>;

/// A promise that settles with what runs on the runtime.
pub(crate) fn promise<'env>(env: &'env Env, work: impl Future<Output = Result<String>> + Send + 'static) -> napi::Result<Object<'env>> {
    let (deferred, promise) = env.create_deferred::<String, Resolver>()?;
    let runtime = host::runtime().map_err(|e| rejection(&e))?;
    runtime.spawn(async move {
        match work.await {
            Ok(text) => deferred.resolve(Box::new(move |_| Ok(text))),
            Err(error) => deferred.reject(rejection(&error)),
        }
    });
    Ok(promise)
}

/// Ends a call before its answer.
#[napi]
#[derive(Default)]
pub struct Cancellation {
    token: CancellationToken,
}

#[napi]
impl Cancellation {
    /// Not fired yet.
    #[napi(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nobody waits for the answer any more.
    #[napi]
    pub fn cancel(&self) {
        self.token.cancel();
    }
}

/// An engine, or what needs none.
#[napi]
pub struct Engine {
    host: Host,
}

#[napi]
impl Engine {
    /// Checks configuration and plug-ins; nothing is opened before the first call.
    #[napi(constructor)]
    pub fn new(config: String, workers: bool, plugins: String, dispatch: Dispatch) -> napi::Result<Self> {
        let made = || -> Result<Host> {
            let host: Arc<dyn HostCall> = Arc::new(NodeHost::new(dispatch));
            Host::new(&read("config", &config)?, workers, read("plugins", &plugins)?, Some(host))
        };
        Ok(Self { host: made().map_err(|e| rejection(&e))? })
    }

    /// For operations that need no engine.
    #[napi(factory)]
    #[must_use]
    pub fn library() -> Self {
        Self { host: Host::default() }
    }

    /// Carries out one operation.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn call<'env>(
        &self,
        env: &'env Env,
        operation: String,
        params: String,
        options: String,
        cancellation: &Cancellation,
    ) -> napi::Result<Object<'env>> {
        let (host, token) = (self.host.clone(), cancellation.token.clone());
        promise(env, async move { host.call(operation, params, read("options", &options)?, token).await })
    }
}

/// The description of operations, plug-ins, errors and types that this module was built with, as JSON text.
#[napi]
#[must_use]
pub fn interface_description() -> String {
    host::interface().to_string()
}
