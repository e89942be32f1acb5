mod action;
mod actions;
pub mod quantity;
mod registry;
pub use registry::{find_spec, registry};
