//! From the engine into JavaScript: plug-ins.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use kubernaut::{
    Error, ErrorKind, Result,
    host::{HostCall, HostRequest, Slot, kind_from},
};
use napi::{
    Status,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue},
};
use napi_derive::napi;
use serde_json::Value;
use tokio::sync::oneshot;

/// Weak, so that a program which has nothing else to do can end. Its answer is ignored: plug-ins answer by [`reply`].
pub(crate) type Dispatch = ThreadsafeFunction<String, UnknownReturnValue, String, Status, false, true>;

static NEXT: AtomicU64 = AtomicU64::new(1);
static WAITING: LazyLock<Mutex<HashMap<u64, Waiting>>> = LazyLock::new(Mutex::default);

struct Waiting {
    method: &'static str,
    answer: oneshot::Sender<Result<String>>,
    /// A call that JavaScript does not end keeps its place.
    _slot: Slot,
}

fn waiting() -> MutexGuard<'static, HashMap<u64, Waiting>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer of one call of a plug-in: JSON text, or a description of what was thrown.
#[napi]
pub fn reply(call: f64, ok: bool, answer: String) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers that this module gave out, far below 2^53")]
    let found = waiting().remove(&(call as u64));
    if let Some(found) = found {
        let answer = if ok { Ok(answer) } else { Err(thrown(found.method, &answer)) };
        // Nobody waits any more after a deadline.
        let _ = found.answer.send(answer);
    }
}

/// An error that a plug-in threw. One of Kubernaut's own keeps its kind.
fn thrown(method: &'static str, description: &str) -> Error {
    let body: Value = serde_json::from_str(description).unwrap_or_default();
    let kind = body["kind"].as_str().and_then(kind_from).unwrap_or(ErrorKind::PluginFailed);
    let text: String = body["message"].as_str().unwrap_or("the plug-in failed").chars().take(2000).collect();
    let name = body["name"].as_str().unwrap_or("Error");
    Error::new(kind, "plugin.call", format!("{name}: {text}")).with("method", method)
}

/// The package's dispatcher: it knows the plug-ins by their numbers.
#[derive(Clone)]
pub(crate) struct NodeHost(Arc<Dispatch>);

impl Debug for NodeHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeHost").finish_non_exhaustive()
    }
}

impl NodeHost {
    pub(crate) fn new(dispatch: Dispatch) -> Self {
        Self(Arc::new(dispatch))
    }

    fn send(&self, message: String) -> Result<()> {
        match self.0.call(message, ThreadsafeFunctionCallMode::NonBlocking) {
            Status::Ok => Ok(()),
            status => Err(Error::new(ErrorKind::Unavailable, "plugin.call", "the JavaScript environment is ending").with("status", status)),
        }
    }
}

/// Tells the dispatcher that nobody waits for a call any more.
struct Abandon {
    host: NodeHost,
    call: u64,
    armed: bool,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if self.armed {
            // An environment that is ending has nothing to cancel.
            let _ = self.host.send(format!("{{\"cancel\":{}}}", self.call));
        }
    }
}

#[async_trait]
impl HostCall for NodeHost {
    async fn call(&self, request: HostRequest) -> Result<String> {
        let HostRequest { object, method, payload, slot, .. } = request;
        let (sender, answer) = oneshot::channel();
        let call = NEXT.fetch_add(1, Ordering::Relaxed);
        waiting().insert(call, Waiting { method, answer: sender, _slot: slot });
        let sent = self.send(format!("{{\"call\":{call},\"object\":{object},\"method\":\"{method}\",\"payload\":{payload}}}"));
        if let Err(error) = sent {
            waiting().remove(&call);
            return Err(error);
        }
        let mut abandon = Abandon { host: self.clone(), call, armed: true };
        let answer = answer.await;
        abandon.armed = false;
        answer.map_err(|_| Error::new(ErrorKind::Unavailable, "plugin.call", "the JavaScript environment is ending"))?
    }
}
