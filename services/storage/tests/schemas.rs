//! Both databases hold the same.

#![cfg(feature = "postgres")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use kubernaut_core::port::SystemClock;
use kubernaut_storage::{PostgresLedger, SqliteConfig, SqliteLedger};
use sqlx::{Connection, PgConnection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

#[path = "common/database.rs"]
mod database;

/// Made anew from other tables, so each database has its own way: which words an entry of the memory holds.
const DERIVED: [&str; 2] = ["memory_words", "memory_vocabulary"];

#[test]
fn each_migration_exists_for_both() {
    let names = |database: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert!(names("sqlite").len() >= 3);
}

#[tokio::test]
async fn both_have_the_same_tables_and_columns() {
    let Some(url) = database::url() else { return };
    let config = database::config(&url);
    PostgresLedger::open(config.clone(), Arc::new(SystemClock)).await.unwrap();
    let mut db = PgConnection::connect(&url).await.unwrap();
    let query = "SELECT table_name::text AS t, column_name::text AS c FROM information_schema.columns WHERE table_schema = $1";
    let mut postgres: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in sqlx::query(query).bind(&config.schema).fetch_all(&mut db).await.unwrap() {
        postgres.entry(row.get("t")).or_default().insert(row.get("c"));
    }
    // There events get their numbers after the commit; in SQLite there is one writer, who gives them at once.
    assert!(postgres.get_mut("events").unwrap().remove("place"));
    assert!(postgres.remove("event_numbers").is_some());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.db");
    SqliteLedger::open(SqliteConfig::file(&path), Arc::new(SystemClock)).await.unwrap().close().await.unwrap();
    let mut db = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
    let query = "SELECT t.name AS t, c.name AS c FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' \
                 AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE 'memory_words_%'";
    let mut sqlite: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in sqlx::query(query).fetch_all(&mut db).await.unwrap() {
        sqlite.entry(row.get("t")).or_default().insert(row.get("c"));
    }
    for derived in DERIVED {
        assert!(postgres.remove(derived).is_some() && sqlite.remove(derived).is_some(), "{derived}");
    }
    assert_eq!(sqlite, postgres);
}
