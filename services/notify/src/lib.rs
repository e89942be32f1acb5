//! Telling people and systems what happens to an incident.
//!
//! - [`NotifyRouter`] sends a notification to the channels that its routes name: [`ConsoleChannel`], [`WebhookChannel`], or any other
//!   [`Notifier`](kubernaut_core::service::Notifier).
//! - [`OutboxWorker`] takes notifications from the ledger's outbox and delivers them until it succeeds or gives up, so that none is lost with a
//!   crash.
//! - [`redact`] and [`redact_json`] take out what looks like a credential. The router's channels send nothing that has not passed them.
//!
//! # Routing
//!
//! Routes are tried from the top. The first that matches decides, unless it has `continue: true`. Without routes every notification goes to
//! every channel; without channels there is the console. What no route matches goes nowhere, so that a route without conditions at the end is
//! the default.
//!
//! Kind and severity are the notification's; namespace and environment are read from its `data`: `data.namespace`, else the namespace of
//! `data.target` (`Kind/namespace/name`), and `data.environment`.

mod channels;
mod config;
mod measure;
mod outbox;
mod render;
mod route;
mod router;

pub use channels::{ConsoleChannel, WebhookChannel, verify_signature};
pub use config::{ChannelConfig, ConsoleConfig, ConsoleStream, NotifyConfig, OutboxConfig, RouteConfig, WebhookConfig};
pub use kubernaut_core::redact::{redact, redact_json};
pub use outbox::OutboxWorker;
pub use render::{Rendered, render};
pub use router::NotifyRouter;
