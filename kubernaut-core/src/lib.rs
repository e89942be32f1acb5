//! The contracts of Kubernaut: model, service traits, ports and errors. No I/O.
//!
//! - [`model`]: what is stored, sent and shown.
//! - [`service`]: the traits a host can replace: [`Classifier`](service::Classifier), [`Analyzer`](service::Analyzer),
//!   [`WorkflowEngine`](service::WorkflowEngine), [`Executor`](service::Executor), [`ContextStore`](service::ContextStore),
//!   [`Notifier`](service::Notifier).
//! - [`port`]: what services need from outside: ledger, cluster, clock, verification.
//! - [`glob`]: names with `*`.
//! - [`schema`]: the JSON Schemas of what is stored, sent and shown.
//! - `testkit` (feature): behaviour suites per trait.
//!
//! # A service of your own
//!
//! ```
//! use kubernaut_core::{
//!     Result, async_trait,
//!     model::Notification,
//!     service::{CallContext, Delivery, Notifier},
//! };
//!
//! #[derive(Debug)]
//! struct Stdout;
//!
//! #[async_trait]
//! impl Notifier for Stdout {
//!     async fn notify(&self, _ctx: CallContext, notification: Notification) -> Result<Delivery> {
//!         println!("{}", notification.title);
//!         Ok(Delivery { channels: vec!["stdout".into()] })
//!     }
//! }
//! ```

pub mod error;
pub mod glob;
pub mod model;
pub mod port;
pub mod redact;
pub mod schema;
pub mod service;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use async_trait::async_trait;
pub use error::{Error, ErrorKind, Result};
