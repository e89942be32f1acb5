//! A PostgreSQL server for tests.
//!
//! Needs `KUBERNAUT_TEST_POSTGRES_URL`, as `cargo xtask test` sets it; skipped without it, unless `KUBERNAUT_REQUIRE_POSTGRES=1` makes that
//! a failure. Each ledger gets a schema of its own.

use std::{
    env,
    sync::atomic::{AtomicU32, Ordering},
};

use kubernaut_storage::PostgresConfig;

/// The server, or `None` with the reason printed.
pub(crate) fn url() -> Option<String> {
    if let Ok(url) = env::var("KUBERNAUT_TEST_POSTGRES_URL") {
        return Some(url);
    }
    assert!(env::var("KUBERNAUT_REQUIRE_POSTGRES").as_deref() != Ok("1"), "KUBERNAUT_REQUIRE_POSTGRES=1 but KUBERNAUT_TEST_POSTGRES_URL is not set");
    eprintln!("skipped: KUBERNAUT_TEST_POSTGRES_URL is not set; run `cargo xtask test`");
    None
}

/// Settings of a ledger that nobody else uses.
pub(crate) fn config(url: &str) -> PostgresConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let schema = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    PostgresConfig { schema, connections: 8, ..PostgresConfig::url(url) }
}
