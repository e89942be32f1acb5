//! The reference server: the default services behind HTTP, and the command line.

pub mod cli;
pub mod commands;
pub mod http;
pub mod serve;
pub mod settings;
pub mod telemetry;
