//! The native module of the Python package `kubernaut`. It is private: the package around it gives names, types and exceptions.

use pyo3::prelude::*;

mod bridge;
mod engine;
mod errors;
mod logging;
mod testing;

/// Private: use the package `kubernaut`.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<bridge::Reply>()?;
    module.add_class::<engine::Call>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<testing::Suite>()?;
    module.add_function(wrap_pyfunction!(engine::interface, module)?)?;
    module.add_function(wrap_pyfunction!(logging::forward_logs, module)?)?;
    module.add("version", env!("CARGO_PKG_VERSION"))
}
