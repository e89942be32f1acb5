//! From the engine into the foreign language: plug-ins.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use kubernaut::{
    Error, ErrorKind, Result,
    host::{HostCall, HostRequest, Slot, kind_from},
};
use serde_json::Value;
use tokio::sync::oneshot;

/// Calls plug-ins for the engine. Both return at once: the work goes elsewhere, its answer to `Engine.reply`.
#[uniffi::export(with_foreign)]
pub trait Dispatcher: Debug + Send + Sync {
    /// Begin a call of a method of the object of that number; `payload` is JSON text `{"context": …, "request": …}`.
    fn invoke(&self, call: u64, object: u64, method: String, payload: String);
    /// Nobody waits for a call any more.
    fn cancel(&self, call: u64);
}

struct Waiting {
    method: &'static str,
    answer: oneshot::Sender<Result<String>>,
    _slot: Slot,
}

pub(crate) struct ForeignHost {
    dispatcher: Arc<dyn Dispatcher>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
}

impl Debug for ForeignHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignHost").finish_non_exhaustive()
    }
}

impl ForeignHost {
    pub(crate) fn new(dispatcher: Arc<dyn Dispatcher>) -> Self {
        Self { dispatcher, next: AtomicU64::new(1), waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reply(&self, call: u64, ok: bool, answer: &str) {
        let found = self.waiting().remove(&call);
        if let Some(found) = found {
            let answer = if ok { Ok(answer.to_owned()) } else { Err(raised(found.method, answer)) };
            // Nobody waits any more after a deadline.
            let _ = found.answer.send(answer);
        }
    }
}

fn raised(method: &'static str, description: &str) -> Error {
    let body: Value = serde_json::from_str(description).unwrap_or_default();
    let kind = body["kind"].as_str().and_then(kind_from).unwrap_or(ErrorKind::PluginFailed);
    let text: String = body["message"].as_str().unwrap_or("the plug-in failed").chars().take(2000).collect();
    Error::new(kind, "plugin.call", format!("{}: {text}", body["name"].as_str().unwrap_or("error"))).with("method", method)
}

struct Abandon {
    dispatcher: Arc<dyn Dispatcher>,
    call: u64,
    armed: bool,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let (true, Ok(runtime)) = (self.armed, tokio::runtime::Handle::try_current()) {
            let (dispatcher, call) = (self.dispatcher.clone(), self.call);
            runtime.spawn_blocking(move || dispatcher.cancel(call));
        }
    }
}

#[async_trait]
impl HostCall for ForeignHost {
    async fn call(&self, request: HostRequest) -> Result<String> {
        let HostRequest { object, method, payload, slot, .. } = request;
        let (sender, answer) = oneshot::channel();
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting().insert(call, Waiting { method, answer: sender, _slot: slot });
        let dispatcher = self.dispatcher.clone();
        // The foreign language may hold a lock of its own for long.
        tokio::task::spawn_blocking(move || dispatcher.invoke(call, object, method.to_owned(), payload));
        let mut abandon = Abandon { dispatcher: self.dispatcher.clone(), call, armed: true };
        let answer = answer.await;
        abandon.armed = false;
        answer.map_err(|_| Error::new(ErrorKind::Unavailable, "plugin.call", "the program is ending"))?
    }
}
