//! A live cluster over the Kubernetes API.
//!
//! Reads are not served from a cache: what a gate or a verification sees is what the API server has. Only who owns an owner is remembered
//! for a short while, by uid, because it does not change. Evidence may come from [`crate::CachedCluster`] instead.

mod config;
mod create;
mod discovery;
mod error;
mod exec;
mod logs;
mod prometheus;
mod read;
mod resource;
mod rest;
pub(crate) mod selector;
pub(crate) mod watch;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use ::kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use kubernaut_core::{
    Error, Result,
    model::{Object, ObjectRef},
};
use moka::future::Cache;

pub use config::KubeConfig;

use crate::owners::Step;
use discovery::Discovery;
use prometheus::Prometheus;
use rest::Rest;

/// How many owners are remembered at most.
const OWNERS_REMEMBERED: u64 = 10_000;

/// A live cluster. Cheap to clone.
#[derive(Clone)]
pub struct KubeCluster(Arc<Inner>);

struct Inner {
    id: String,
    rest: Rest,
    discovery: Discovery,
    owners: Cache<String, Arc<Step>>,
    prometheus: Option<Prometheus>,
}

impl KubeCluster {
    /// Reads the credentials and prepares a client. The server is not asked yet, so that a program can start before its cluster.
    ///
    /// # Errors
    /// `InvalidInput` if the kubeconfig cannot be read or has no such context, `Unauthorized` if its credentials are unusable.
    pub async fn connect(config: KubeConfig) -> Result<Self> {
        let (mut client, name) = credentials(&config).await?;
        // A write must not be repeated behind the caller's back, and a refused eviction answers with a code that asks for another try.
        client.default_retry = false;
        client.connect_timeout = Some(Duration::from_secs(5));
        let client = Client::try_from(client).map_err(|e| error::transport("cluster.connect", e))?;
        Self::over(client, config.cluster_id.clone().unwrap_or(name), &config)
    }

    pub(crate) fn over(client: Client, id: String, config: &KubeConfig) -> Result<Self> {
        let ttl = Duration::from_secs(config.owner_cache_s);
        Ok(Self(Arc::new(Inner {
            id,
            rest: Rest::new(client, Duration::from_secs(config.request_timeout_s.max(1))),
            discovery: Discovery::default(),
            owners: Cache::builder().max_capacity(OWNERS_REMEMBERED).time_to_live(ttl).build(),
            prometheus: config.prometheus_url.clone().map(Prometheus::new).transpose()?,
        })))
    }

    /// The cluster's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

impl fmt::Debug for KubeCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeCluster").field("id", &self.0.id).field("rest", &self.0.rest).finish_non_exhaustive()
    }
}

/// The client's configuration, and the name it goes by.
async fn credentials(config: &KubeConfig) -> Result<(Config, String)> {
    let bad = |message: &'static str| Error::invalid("cluster.connect", message);
    let read = match &config.kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path);
            Some(read.map_err(|e| bad("cannot read the kubeconfig; give the path of a valid file").with("file", path.display()).source(e))?)
        }
        None if config.context.is_some() => {
            Some(Kubeconfig::read().map_err(|e| bad("cannot read the kubeconfig that the context is to come from").source(e))?)
        }
        None => Kubeconfig::read().ok(),
    };
    match read {
        Some(kubeconfig) => {
            let name = config.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_else(|| "default".into());
            let options = KubeConfigOptions { context: config.context.clone(), ..KubeConfigOptions::default() };
            let made = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            Ok((made.map_err(|e| bad("the kubeconfig has no usable context of that name").with("context", &name).source(e))?, name))
        }
        None => {
            let made = Config::incluster();
            let help = "no kubeconfig found and not inside a pod; set KUBECONFIG or give the file";
            Ok((made.map_err(|e| bad(help).source(e))?, "in-cluster".into()))
        }
    }
}

/// An object of an answer, complete and without secret values.
fn object(value: serde_json::Value, resource: &resource::Resource) -> Object {
    Object::new(complete(value, resource))
}

fn complete(mut value: serde_json::Value, resource: &resource::Resource) -> serde_json::Value {
    if let Some(map) = value.as_object_mut() {
        map.entry("apiVersion").or_insert_with(|| resource.api_version.clone().into());
        map.entry("kind").or_insert_with(|| resource.kind.clone().into());
    }
    crate::secrets::blank(&mut value);
    value
}

fn needs_namespace(operation: &'static str, reference: &ObjectRef) -> Error {
    Error::invalid(operation, "objects of this kind live in a namespace; name it").with("object", reference)
}

#[cfg(test)]
mod tests;
