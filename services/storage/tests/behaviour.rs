//! The behaviour suites, on a file, in memory and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;

use kubernaut_core::{
    port::{Ledger, ManualClock, SystemClock},
    testkit,
};
use kubernaut_storage::{SqliteConfig, SqliteLedger};
use tempfile::TempDir;

#[cfg(feature = "postgres")]
#[path = "common/database.rs"]
mod database;

async fn open(config: SqliteConfig, clock: ManualClock) -> Arc<dyn Ledger> {
    Arc::new(SqliteLedger::open(config, Arc::new(clock)).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledger_in_a_file() {
    let folder = TempDir::new().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    testkit::ledger::suite(async |clock| {
        let n = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        open(SqliteConfig::file(folder.path().join(format!("{n}.db"))), clock).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledger_in_memory() {
    testkit::ledger::suite(async |clock| open(SqliteConfig::memory(), clock).await).await;
}

#[tokio::test]
async fn memory_of_incidents() {
    let make = async || SqliteLedger::open(SqliteConfig::memory(), Arc::new(SystemClock)).await.unwrap().context_store();
    testkit::context_store::suite(make).await;
    testkit::context_store::scan_suite(make).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledger_on_postgresql() {
    let Some(url) = database::url() else { return };
    testkit::ledger::suite(async |clock| {
        let ledger = kubernaut_storage::PostgresLedger::open(database::config(&url), Arc::new(clock)).await.unwrap();
        Arc::new(ledger) as Arc<dyn Ledger>
    })
    .await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn memory_of_incidents_on_postgresql() {
    let Some(url) = database::url() else { return };
    let make = async || kubernaut_storage::PostgresLedger::open(database::config(&url), Arc::new(SystemClock)).await.unwrap().context_store();
    testkit::context_store::suite(make).await;
    testkit::context_store::scan_suite(make).await;
}
