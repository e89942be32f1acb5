//! The reference server: the default services behind HTTP, and the command line.

pub mod cli;
pub mod commands;
pub mod http;
mod output;
pub mod serve;
pub mod settings;
pub mod telemetry;
