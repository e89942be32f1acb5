//! What both databases need: errors, values, waiting.

pub(crate) mod fault;
pub(crate) mod ticket;
pub(crate) mod value;
