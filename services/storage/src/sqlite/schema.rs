//! The schema's versions. A file of a newer or a foreign schema is refused.

use kubernaut_core::{Error, ErrorKind, Result, model::Timestamp};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::error::Fault;

const OPERATION: &str = "ledger.open";
/// "KNUT": marks the file as a ledger of Kubernaut.
const APPLICATION_ID: i64 = 0x4b4e_5554;

struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

/// In order; never changed once released, only added to.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "ledger", sql: include_str!("../../migrations/sqlite/0001_ledger.sql") },
    Migration { version: 2, name: "memory", sql: include_str!("../../migrations/sqlite/0002_memory.sql") },
    Migration { version: 3, name: "keeping", sql: include_str!("../../migrations/sqlite/0003_keeping.sql") },
];

/// How many migrations this version knows.
pub(crate) const VERSION: usize = MIGRATIONS.len();

/// Refuses a file that is not of this version's schema.
pub(crate) async fn require_current(connection: &mut SqliteConnection) -> Result<()> {
    let known = applied(connection).await?;
    check(&known)?;
    if known.len() == VERSION {
        return Ok(());
    }
    Err(Error::unsupported(OPERATION, "the ledger was written by an older version of kubernaut; start this version on it once, then try again")
        .with("schema", known.len())
        .with("needed", VERSION))
}

/// Brings the file to the schema of this version.
pub(crate) async fn migrate(connection: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    let known = applied(connection).await?;
    check(&known)?;
    for migration in MIGRATIONS.iter().skip(known.len()) {
        apply(connection, migration, now).await.map_err(|f| f.public(OPERATION).with("migration", migration.name))?;
        tracing::debug!(version = migration.version, name = migration.name, "the ledger's schema was brought forward");
    }
    Ok(())
}

/// Version and checksum of what was applied, in order.
async fn applied(connection: &mut SqliteConnection) -> Result<Vec<(i64, String)>> {
    let sql = |e: sqlx::Error| Fault::from(e).public(OPERATION);
    let id: i64 = sqlx::query("PRAGMA application_id").fetch_one(&mut *connection).await.and_then(|r| r.try_get(0)).map_err(sql)?;
    let tables: i64 = sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await.and_then(|r| r.try_get(0)).map_err(sql)?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    if id != APPLICATION_ID {
        return Err(Error::new(ErrorKind::Corrupt, OPERATION, "the file is another program's database; name another path"));
    }
    let rows = sqlx::query("SELECT version, checksum FROM schema_versions ORDER BY version").fetch_all(connection).await.map_err(sql)?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>().map_err(sql)
}

fn check(known: &[(i64, String)]) -> Result<()> {
    for (at, (version, stored)) in known.iter().enumerate() {
        let Some(migration) = MIGRATIONS.get(at) else {
            return Err(Error::unsupported(OPERATION, "the ledger was written by a newer version of kubernaut; use that version or a newer one")
                .with("schema", version)
                .with("supported", MIGRATIONS.len()));
        };
        if *version != migration.version || *stored != checksum(migration) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                OPERATION,
                "the ledger's schema is not the one this version made; restore the ledger from a backup",
            )
            .with("schema", version));
        }
    }
    Ok(())
}

fn checksum(migration: &Migration) -> String {
    hex::encode(Sha256::digest(migration.sql.as_bytes()))
}

async fn apply(connection: &mut SqliteConnection, migration: &Migration, now: Timestamp) -> Result<(), Fault> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    if migration.version == 1 {
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"))).execute(&mut *tx).await?;
        let versions =
            "CREATE TABLE schema_versions (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL)";
        sqlx::raw_sql(versions).execute(&mut *tx).await?;
    }
    sqlx::raw_sql(migration.sql).execute(&mut *tx).await?;
    sqlx::query("INSERT INTO schema_versions (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(migration))
        .bind(now.as_microsecond())
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}
