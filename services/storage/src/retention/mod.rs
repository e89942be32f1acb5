//! How long things are kept.

mod config;
mod steps;

pub use config::{RetentionClass, RetentionConfig};
pub(crate) use steps::{hold, holds, purge, release};
