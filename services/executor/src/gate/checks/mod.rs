//! The checks before a dry-run, in order. Each is a pure function over what was read.

mod blast;
mod ownership;
mod policy;
mod protected;
mod request;
mod window;

pub(super) use blast::{Blast, Load, blast_radius};
pub(super) use ownership::ownership;
pub(super) use policy::policy;
pub(super) use protected::protected;
pub(super) use request::{begin, reviews};
pub(super) use window::window;
