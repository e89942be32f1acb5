//! The behaviour suites, for `kubernaut/testing`.

use std::sync::Arc;

use kubernaut::{
    Error, Result,
    host::{
        HostCall, PluginKind,
        suites::{self, Worlds},
    },
};
use napi::{Env, bindgen_prelude::Object};
use napi_derive::napi;
use serde_json::Value;

use crate::{
    bridge::{Dispatch, NodeHost},
    engine::promise,
};

/// Runs suites on plug-ins, and gives these the worlds they act in.
#[napi]
pub struct Suite {
    worlds: Arc<Worlds>,
    host: Arc<dyn HostCall>,
}

fn kind(name: &str) -> Result<PluginKind> {
    serde_json::from_value(Value::from(name)).map_err(|e| Error::invalid("testing.suite", "no such kind of plug-in").with("kind", name).source(e))
}

#[napi]
impl Suite {
    /// Calls factories and plug-ins by this function.
    #[napi(constructor)]
    #[must_use]
    pub fn new(dispatch: Dispatch) -> Self {
        Self { worlds: Arc::default(), host: Arc::new(NodeHost::new(dispatch)) }
    }

    /// Runs the suite of a kind on what the factory of that number makes.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn run<'env>(&self, env: &'env Env, kind_name: String, factory: u32) -> napi::Result<Object<'env>> {
        let (host, worlds) = (self.host.clone(), self.worlds.clone());
        promise(env, async move {
            suites::run(kind(&kind_name)?, host, u64::from(factory), worlds).await?;
            Ok("null".to_owned())
        })
    }

    /// An operation of a world.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn call<'env>(&self, env: &'env Env, world: u32, operation: String, params: String) -> napi::Result<Object<'env>> {
        let worlds = self.worlds.clone();
        promise(env, async move { worlds.call(u64::from(world), &operation, &params).await })
    }
}
