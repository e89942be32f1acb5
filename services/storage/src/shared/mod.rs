//! What both databases need: errors, values, waiting.

pub(crate) mod fault;
#[cfg(feature = "postgres")]
pub(crate) mod request;
pub(crate) mod sql;
pub(crate) mod ticket;
pub(crate) mod value;
