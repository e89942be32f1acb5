//! Pure decisions, shared by all databases: values in, values out.

pub(crate) mod advance;
pub(crate) mod approval;
pub(crate) mod audit;
pub(crate) mod intake;
pub(crate) mod merge;
pub(crate) mod recall;
