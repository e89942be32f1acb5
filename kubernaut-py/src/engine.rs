//! From Python into the engine.

use kubernaut::{
    Error, Result,
    host::{self, CallOptions, Host, HostCall},
};
use pyo3::prelude::*;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use crate::{bridge::PyHost, errors::raise};

/// An engine, or what needs none.
#[pyclass(frozen, module = "kubernaut._native")]
pub(crate) struct Engine {
    host: Host,
}

/// A call that runs.
#[pyclass(frozen, module = "kubernaut._native")]
pub(crate) struct Call {
    cancellation: CancellationToken,
}

#[pymethods]
impl Call {
    /// Nobody waits for the answer any more.
    fn cancel(&self) {
        self.cancellation.cancel();
    }
}

fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::invalid("host.call", "not the JSON that was expected").with("what", what).with("reason", e))
}

#[pymethods]
impl Engine {
    /// Checks configuration and plug-ins; nothing is opened before the first call.
    #[new]
    fn new(py: Python<'_>, config: &str, workers: bool, plugins: &str, dispatcher: Option<Py<PyAny>>) -> PyResult<Self> {
        let made = || -> Result<Host> {
            let host = dispatcher.map(|d| Arc::new(PyHost::new(d)) as Arc<dyn HostCall>);
            Host::new(&read("config", config)?, workers, read("plugins", plugins)?, host)
        };
        Ok(Self { host: made().map_err(|e| raise(py, &e))? })
    }

    /// For operations that need no engine.
    #[staticmethod]
    fn library() -> Self {
        Self { host: Host::default() }
    }

    /// Carries out one operation and waits for it, without the interpreter's lock.
    fn call(&self, py: Python<'_>, operation: String, params: String, options: &str) -> PyResult<String> {
        let options: CallOptions = read("options", options).map_err(|e| raise(py, &e))?;
        let mut signal = None;
        let done = py.detach(|| {
            self.host.call_blocking(operation, params, options, || match Python::attach(|py| py.check_signals()) {
                Ok(()) => Ok(()),
                Err(exception) => {
                    signal = Some(exception);
                    Err(Error::new(kubernaut::ErrorKind::Cancelled, "host.call", "interrupted"))
                }
            })
        });
        match signal {
            Some(exception) => Err(exception),
            None => done.map_err(|e| raise(py, &e)),
        }
    }

    /// Begins one operation; `done(ok, answer)` is called on another thread with JSON text or an exception.
    fn start(&self, py: Python<'_>, operation: String, params: String, options: &str, done: Py<PyAny>) -> PyResult<Call> {
        let begun = || -> Result<Call> {
            let options: CallOptions = read("options", options)?;
            let cancellation = CancellationToken::new();
            let (host, token) = (self.host.clone(), cancellation.clone());
            host::runtime()?.spawn(async move {
                let answer = host.call(operation, params, options, token).await;
                tokio::task::spawn_blocking(move || {
                    // An interpreter that is ending, or a loop that is closed, has nobody who waits.
                    let _ = Python::try_attach(|py| match answer {
                        Ok(text) => done.call1(py, (true, text)).map(drop),
                        Err(error) => done.call1(py, (false, raise(py, &error).into_value(py))).map(drop),
                    });
                });
            });
            Ok(Call { cancellation })
        };
        begun().map_err(|e| raise(py, &e))
    }
}

/// The description of operations, plug-ins, errors and types that this module was built with, as JSON text.
#[pyfunction]
pub(crate) fn interface() -> String {
    host::interface().to_string()
}
