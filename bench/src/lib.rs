//! What the benchmarks share: a cheap sender, load on a schedule, bodies, the programs that are measured; and campaigns that kill them.
//!
//! The sender runs on the cores of what it measures, so it must cost little: requests are written beforehand, answers are read no further than
//! needed.

pub mod alerts;
pub mod chaos;
pub mod http;
pub mod load;
pub mod report;
pub mod subject;
