//! Kubernaut: from a Kubernetes alert to a verified fix.
//!
//! [`Kubernaut::builder`] puts the default services together; each can be replaced by one of your own that implements the trait of
//! `kubernaut-core`. The gate, approvals and the journal stay around whatever is replaced.
//!
//! ```no_run
//! # async fn example() -> kubernaut::Result<()> {
//! use kubernaut::{Config, Kubernaut, service::CallContext};
//!
//! let mut config = Config::default();
//! config.cluster.bundle = Some("examples/bundles/crashing-release".into());
//! let kubernaut = Kubernaut::builder(config).build().await?;
//! kubernaut.start();
//! let report = kubernaut.analyze(CallContext::system("example"), "Deployment/shop/web".parse()?).await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```

mod adhoc;
mod builder;
mod config;
pub mod eval;
mod handle;
pub mod host;
mod language_model;
mod markdown;
mod memory;
mod report;
mod scan;
mod stop_file;

pub use adhoc::analyze_bundle;
pub use builder::Builder;
pub use config::{CONFIG_VERSION, ClusterConfig, Config};
pub use handle::Kubernaut;
pub use kubernaut_core::{Error, ErrorKind, Result, async_trait, model, port, service};
pub use language_model::ModelConfig;
pub use memory::{EmbedderConfig, IndexConfig, MemoryConfig};
pub use report::{Report, ReportAction, ReportCandidate, ReportEnvironment, ReportEvidence, yaml};
pub use scan::{Finding as ScanFinding, Scan, ScanOptions};

/// The default services, for hosts that put them together themselves.
pub mod services {
    pub use kubernaut_cluster as cluster;
    pub use kubernaut_diagnosis as diagnosis;
    pub use kubernaut_embed as embed;
    pub use kubernaut_executor as executor;
    pub use kubernaut_gateway as gateway;
    pub use kubernaut_models as models;
    pub use kubernaut_monitor as monitor;
    pub use kubernaut_notify as notify;
    pub use kubernaut_processor as processor;
    pub use kubernaut_storage as storage;
    pub use kubernaut_vector as vector;
    pub use kubernaut_workflow as workflow;
}
