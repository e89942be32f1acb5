//! The executor and its gate over a recorded cluster and a real ledger, and over a live cluster where one is given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub, reason = "tests")]

mod bundle;
mod crash;
mod gate;
mod killed;
mod limits;
mod live;
mod live_safety;
mod outside;
mod patches;
mod properties;
mod proposals;
mod recorder;
mod stop;
mod suites;
mod world;
