//! What the end-to-end tests share: the cluster under test, a server, a client, a receiver of notifications.
//!
//! Effects are read with kubectl, never through Kubernaut.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test harness reports by panicking")]

mod client;
mod kubectl;
mod lab;
mod receiver;
mod server;
mod story;

pub use client::Api;
pub use kubectl::Kubectl;
pub use lab::Lab;
pub use receiver::Receiver;
pub use server::{ServerProcess, binary};
pub use story::{Story, wait_for};
