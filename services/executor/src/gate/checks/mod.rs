//! The checks before a dry-run, in order. Each is a pure function over what was read.

mod blast;
mod capacity;
mod environment;
mod ownership;
mod policy;
mod protected;
mod request;
mod rules;
mod window;

pub(super) use blast::{Blast, Load, blast_radius, reservation};
pub(super) use environment::environment;
pub(super) use ownership::ownership;
pub(super) use policy::policy;
pub(super) use protected::protected;
pub(super) use request::{begin, reviews};
pub(super) use rules::rules;
pub(super) use window::window;
