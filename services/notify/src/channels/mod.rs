//! Where notifications go, one file a channel.

mod console;
mod webhook;

pub use console::ConsoleChannel;
pub use webhook::{WebhookChannel, verify_signature};
