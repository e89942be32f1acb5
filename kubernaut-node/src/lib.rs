//! The native module of the Node package `kubernaut`. It is private: the package around it gives names, types and errors.

// What is exported to JavaScript is public for napi's macros, in modules that are private.
#![expect(unreachable_pub, reason = "as above")]
// Exports are left out of a build for tests, and with them their only users.
#![cfg_attr(test, allow(dead_code, reason = "as above"))]

mod bridge;
mod engine;
mod testing;
