//! The window on Kubernetes: recorded incident bundles and live clusters through the same ports.
//!
//! - [`BundleCluster`]: a folder that records a cluster's state, with simulated writes.
//! - [`KubeCluster`]: a live cluster.
//! - [`CachedCluster`]: a live cluster whose busiest kinds are kept in memory, within bounds; for evidence, not for decisions to act.
//! - [`record`]: makes a bundle of a namespace of either.
//!
//! # Reading a bundle
//!
//! ```no_run
//! use kubernaut_cluster::BundleCluster;
//! use kubernaut_core::{port::{ClusterRead, ListQuery}, service::CallContext};
//!
//! # async fn run() -> kubernaut_core::Result<()> {
//! let cluster = BundleCluster::open("examples/bundles/crashing-release".as_ref())?;
//! for pod in cluster.list(CallContext::system("example"), ListQuery::of("Pod", None)).await? {
//!     println!("{}", pod.reference());
//! }
//! # Ok(())
//! # }
//! ```

mod bundle;
mod cache;
mod event;
mod kube;
mod log_tail;
mod owners;
mod patch;
mod record;
mod secrets;
mod series;

pub use self::{
    bundle::BundleCluster,
    cache::{CacheConfig, CachedCluster},
    kube::{KubeCluster, KubeConfig},
    record::{RecordOptions, RecordSummary, record},
};
