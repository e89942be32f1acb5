//! The alert gateway: the only door for alerts.
//!
//! A source parses the request ([`SourceKind`]), every alert of it gets a target and an owner, and all of them are committed in one
//! transaction of the ledger before the sender gets its answer.
//!
//! - [`Gateway::receive`]: from headers and body to [`Received`]; the HTTP routes around it belong to the host.
//! - [`Gateway::submit`]: the same for a host that has alerts as values ([`NativeAlert`]).
//! - [`read_limited`], [`check_content_type`]: the checks that come before the body is there.
//!
//! # Storms
//!
//! Where [`GatewayConfig::storms`] says so, alerts of many owners that have a namespace or a node in common become one incident about that
//! namespace or node: from the moment on in which the number of owners is reached, and what was opened for them before is moved there
//! ([`Ledger::absorb`](kubernaut_core::port::Ledger::absorb)). Every alert is kept with its labels, and what it was about stands in its annotation
//! `kubernaut.ai/target`.
//!
//! # Status of a request
//!
//! | status | when |
//! |---|---|
//! | 201 | at least one alert opened an incident |
//! | 202 | nothing new, but at least one alert was recorded: a repetition, an end, or an end of something never seen |
//! | 200 | the batch has no alerts |
//! | 400 | every alert was refused; the answer names each with its JSON path |
//!
//! A batch that is partly bad keeps its good alerts: they decide the status, the bad ones are named. A body that is no batch at all, wrong
//! credentials, a full queue and the like are errors ([`kubernaut_core::ErrorKind`]).

mod assemble;
mod body;
mod config;
mod gateway;
mod measure;
mod reader;
mod signature;
mod sources;
mod storm;
mod target;

pub use body::{check_content_type, read_limited};
pub use config::{GatewayConfig, SourceConfig, SourceKind, StormConfig, StormScope, TargetConfig};
pub use gateway::{Gateway, Received};
pub use kubernaut_core::model::FingerprintStrategy;
pub use reader::AlertReader;
pub use signature::{SIGNATURE_HEADER, sign};
pub use sources::{NativeAlert, NativeBatch, NativeTarget};
