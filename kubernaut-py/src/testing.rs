//! The behaviour suites, for `kubernaut.testing`.

use std::sync::Arc;

use kubernaut::{
    Error, Result,
    host::{
        self, HostCall, PluginKind,
        suites::{self, Worlds},
    },
};
use pyo3::prelude::*;
use serde_json::Value;

use crate::{bridge::PyHost, errors::raise};

/// Runs suites on plug-ins, and gives these the worlds they act in.
#[pyclass(frozen, module = "kubernaut._native")]
pub(crate) struct Suite {
    worlds: Arc<Worlds>,
    host: Arc<dyn HostCall>,
}

fn kind(name: &str) -> Result<PluginKind> {
    let unknown = |e| Error::invalid("testing.suite", "no such kind of plug-in").with("kind", name).source(e);
    serde_json::from_value(Value::from(name)).map_err(|e: serde_json::Error| unknown(e))
}

fn wait<T: Send + 'static>(py: Python<'_>, work: impl Future<Output = Result<T>> + Send + 'static) -> PyResult<T> {
    py.detach(|| host::block_on("testing.suite", work, || Ok(()))).map_err(|e| raise(py, &e))
}

#[pymethods]
impl Suite {
    #[new]
    fn new(dispatcher: Py<PyAny>) -> Self {
        Self { worlds: Arc::default(), host: Arc::new(PyHost::new(dispatcher)) }
    }

    /// Runs the suite of a kind on what the factory of that number makes.
    fn run(&self, py: Python<'_>, kind_name: &str, factory: u64) -> PyResult<()> {
        let kind = kind(kind_name).map_err(|e| raise(py, &e))?;
        wait(py, suites::run(kind, self.host.clone(), factory, self.worlds.clone()))
    }

    /// An operation of a world.
    fn call(&self, py: Python<'_>, world: u64, operation: String, params: String) -> PyResult<String> {
        let worlds = self.worlds.clone();
        wait(py, async move { worlds.call(world, &operation, &params).await })
    }
}
