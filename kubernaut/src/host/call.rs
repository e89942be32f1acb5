//! The one way from the engine into the host's language.

use std::{cell::Cell, fmt::Debug};

use async_trait::async_trait;
use kubernaut_core::{Result, service::CallContext};
use tokio::sync::OwnedSemaphorePermit;

/// Keeps a place among the calls that a plug-in may have at once. Hold it as long as the host works on the call, even if nobody waits any more.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "held, never read")] pub(super) Option<OwnedSemaphorePermit>);

/// One call of a method of an object of the host.
#[derive(Debug)]
pub struct HostRequest {
    /// Which object, as the host numbered it.
    pub object: u64,
    /// Which method, such as `classify`.
    pub method: &'static str,
    /// JSON text `{"context": WireContext, "request": …}`.
    pub payload: String,
    /// The context of the call. Its deadline and cancellation are watched by the caller: the future is dropped then, and what the host does for
    /// it should be cancelled.
    pub ctx: CallContext,
    /// The call's place; see [`Slot`].
    pub slot: Slot,
}

/// Calls objects of the host's language.
#[async_trait]
pub trait HostCall: Debug + Send + Sync + 'static {
    /// Calls one method and returns its answer as JSON text.
    ///
    /// Rules: an exception of the host becomes an error: one of Kubernaut's own keeps its kind, any other is `PluginFailed` and names the
    /// exception's type and text; dropping the future cancels what the host does, as far as its language can.
    ///
    /// # Errors
    /// As above.
    async fn call(&self, request: HostRequest) -> Result<String>;
}

thread_local! {
    static IN_PLUGIN: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs a plug-in, and so may wait.
pub(super) fn in_plugin() -> bool {
    IN_PLUGIN.get()
}

impl HostRequest {
    /// Runs a plug-in's code on this thread, which must be one that may block. Blocking calls back into the engine are allowed meanwhile.
    pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
        struct Reset(bool);
        impl Drop for Reset {
            fn drop(&mut self) {
                IN_PLUGIN.set(self.0);
            }
        }
        let _reset = Reset(IN_PLUGIN.replace(true));
        work()
    }
}
