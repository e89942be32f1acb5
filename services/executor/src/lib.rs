//! The action executor: typed actions on Kubernetes, and the gate that stands around every executor.
//!
//! - [`registry`]: the actions, with parameters as JSON Schema, risk, preconditions and rights.
//! - [`KubeExecutor`]: carries them out through the cluster ports, live or recorded.
//! - [`GatedExecutor`]: all checks, approval, lock and journal around any [`Executor`](kubernaut_core::service::Executor).
//!
//! # Composition
//!
//! ```
//! use std::sync::Arc;
//!
//! use kubernaut_core::{port::{Clock, ClusterRead, ClusterWrite, Ledger}, service::Executor};
//! use kubernaut_executor::{GateConfig, GateParts, GatedExecutor, KubeExecutor};
//!
//! fn executor(read: Arc<dyn ClusterRead>, write: Arc<dyn ClusterWrite>, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> Arc<dyn Executor> {
//!     let kube = KubeExecutor::new(read.clone(), write.clone(), clock.clone());
//!     let config = GateConfig { managed_namespaces: vec!["shop".into()], ..GateConfig::default() };
//!     Arc::new(GatedExecutor::new(Arc::new(kube), GateParts { read, write, ledger, clock }, config))
//! }
//! ```

mod action;
mod actions;
mod alias;
mod edit;
mod effect;
mod gate;
mod kube;
mod marks;
pub mod outside;
mod patient;
pub mod rbac;
mod registry;
mod router;

pub use gate::{
    EnvironmentRule, Freeze, GateConfig, GateParts, GatedExecutor, Holidays, PolicyConfig, SourceRule, StopFence, StoppableWrite, Window,
};
pub use kube::KubeExecutor;
pub use marks::{FIELD_MANAGER, LAST_ACTION, RECENT_ACTIONS};
pub use outside::{OutsideConfig, OutsideExecutor};
pub use registry::{find_spec, registry};
pub use router::ExecutorRouter;
