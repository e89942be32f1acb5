//! From the engine into Python: plug-ins.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use kubernaut::{
    Error, ErrorKind, Result,
    host::{HostCall, HostRequest, Slot},
};
use pyo3::prelude::*;
use tokio::{runtime::Handle, sync::oneshot};

use crate::errors::from_exception;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// The package's dispatcher: it knows the plug-ins by their numbers.
#[derive(Debug, Clone)]
pub(crate) struct PyHost(Arc<Py<PyAny>>);

impl PyHost {
    pub(crate) fn new(dispatcher: Py<PyAny>) -> Self {
        Self(Arc::new(dispatcher))
    }
}

#[derive(Debug)]
struct Waiting {
    method: &'static str,
    /// Taken by the first answer. The slot goes with it: a call that Python does not end keeps its place.
    answer: Mutex<Option<(oneshot::Sender<Result<String>>, Slot)>>,
}

impl Waiting {
    fn answer(&self, answer: Result<String>) {
        let taken = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((sender, _slot)) = taken {
            // Nobody waits any more after a deadline.
            let _ = sender.send(answer);
        }
    }
}

/// Takes the answer of one call of a plug-in.
#[pyclass(frozen, module = "kubernaut._native")]
pub(crate) struct Reply {
    /// Number of the call.
    #[pyo3(get)]
    id: u64,
    waiting: Arc<Waiting>,
}

#[pymethods]
impl Reply {
    /// The answer, as JSON text.
    fn ok(&self, answer: String) {
        self.waiting.answer(Ok(answer));
    }

    /// What was raised instead.
    fn fail(&self, py: Python<'_>, exception: Bound<'_, PyAny>) {
        let error = from_exception(py, self.waiting.method, PyErr::from_value(exception));
        self.waiting.answer(Err(error));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let text = "the plug-in ended without an answer";
        self.waiting.answer(Err(Error::new(ErrorKind::PluginFailed, "plugin.call", text).with("method", self.waiting.method)));
    }
}

/// Tells the dispatcher that nobody waits for a call any more.
struct Abandon {
    host: PyHost,
    id: u64,
    armed: bool,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let (host, id) = (self.host.clone(), self.id);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || {
                // An interpreter that is ending has nothing to cancel; an error has nobody to go to.
                let _ = Python::try_attach(|py| host.0.bind(py).call_method1("cancel", (id,)).map(drop));
            });
        }
    }
}

#[async_trait]
impl HostCall for PyHost {
    async fn call(&self, request: HostRequest) -> Result<String> {
        let HostRequest { object, method, payload, slot, .. } = request;
        let (sender, answer) = oneshot::channel();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let waiting = Arc::new(Waiting { method, answer: Mutex::new(Some((sender, slot))) });
        let mut abandon = Abandon { host: self.clone(), id, armed: true };
        let host = self.clone();
        // Python may hold its lock for long, and a plug-in may block: not on a thread of the runtime.
        tokio::task::spawn_blocking(move || {
            let attached = HostRequest::blocking(|| Python::try_attach(|py| host.invoke(py, id, object, payload, &waiting)));
            if attached.is_none() {
                waiting.answer(Err(Error::new(ErrorKind::Unavailable, "plugin.call", "the interpreter is ending")));
            }
        });
        let answer = answer.await;
        abandon.armed = false;
        answer.map_err(|_| Error::new(ErrorKind::Unavailable, "plugin.call", "the interpreter is ending"))?
    }
}

impl PyHost {
    fn invoke(&self, py: Python<'_>, id: u64, object: u64, payload: String, waiting: &Arc<Waiting>) {
        let reply = Reply { id, waiting: waiting.clone() };
        let invoked = self.0.bind(py).call_method1("invoke", (object, waiting.method, payload, reply));
        if let Err(exception) = invoked {
            waiting.answer(Err(from_exception(py, waiting.method, exception)));
        }
    }
}
