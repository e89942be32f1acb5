//! Errors of the engine as Python exceptions, and the other way round.

use kubernaut::{
    Error, ErrorKind,
    host::{ErrorBody, kind_from},
};
use pyo3::{exceptions::PyRuntimeError, prelude::*};

/// The exception of an error. What a plug-in raised is its `__cause__`.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let made = || -> PyResult<PyErr> {
        let factory = py.import("kubernaut._errors")?.getattr("from_native")?;
        let exception = PyErr::from_value(factory.call1((ErrorBody::from(error).to_json(),))?);
        exception.set_cause(py, raised(error).map(|cause| cause.clone_ref(py)));
        Ok(exception)
    };
    made().unwrap_or_else(|_| PyRuntimeError::new_err(error.to_string()))
}

/// What a plug-in raised, if that is behind the error.
fn raised(error: &Error) -> Option<&PyErr> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(exception) = cause.downcast_ref::<PyErr>() {
            return Some(exception);
        }
        next = cause.source();
    }
    None
}

/// An exception that a plug-in raised. One of Kubernaut's own keeps its kind.
pub(crate) fn from_exception(py: Python<'_>, method: &'static str, exception: PyErr) -> Error {
    let value = exception.value(py);
    let kind = value.getattr("kind").and_then(|kind| kind.extract::<String>()).ok().and_then(|name| kind_from(&name));
    let name = exception.get_type(py).name().map_or_else(|_| "exception".to_owned(), |name| name.to_string());
    let text: String = value.str().map(|text| text.to_string()).unwrap_or_default().chars().take(2000).collect();
    let kind = kind.unwrap_or(if name == "CancelledError" { ErrorKind::Cancelled } else { ErrorKind::PluginFailed });
    Error::new(kind, "plugin.call", format!("{name}: {text}")).with("method", method).source(exception)
}
