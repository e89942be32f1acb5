//! What every language binding uses: one handle, one table of operations, one adapter for parts that the host program supplies.
//!
//! A binding has no logic of its own. It passes the name of an operation and its parameters as JSON to a [`Host`], and gives a [`HostCall`]
//! through which the engine reaches objects of the host's language. [`interface`] describes all of it: operations, plug-in methods, types and
//! errors; the packages' code is generated from that description.
//!
//! The gate, approvals and the journal stay around whatever a host replaces, for a host's executor is put into the same
//! [`Builder`](crate::Builder) as any other.

mod call;
mod engine;
mod errors;
mod interface;
mod operations;
mod params;
mod plugin;
mod reader;
mod runtime;
mod services;
#[cfg(feature = "testkit")]
pub mod suites;
mod traits;
mod wire;

pub use call::{HostCall, HostRequest, Slot};
pub use engine::{CallOptions, Host};
pub use errors::{ERRORS, ErrorBody, ErrorRow, error_row, kind_from};
pub use interface::interface;
pub use plugin::{Hosted, PluginKind, PluginSpec, Plugins};
pub use runtime::{block_on, runtime};
pub use wire::{Bundle, Evaluation, EventPage, WireContext};
