//! The schema's versions. A newer or a foreign schema is refused.

use kubernaut_core::{Error, ErrorKind, Result, model::Timestamp};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::error::Fault;

const OPERATION: &str = "ledger.open";
/// Whoever brings a schema forward holds this lock, so that processes which start at once do not do it twice.
const LOCK: i32 = 0x4b4e_5554;

struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

/// In order; never changed once released, only added to. Each has its twin for SQLite.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "ledger", sql: include_str!("../../migrations/postgres/0001_ledger.sql") },
    Migration { version: 2, name: "memory", sql: include_str!("../../migrations/postgres/0002_memory.sql") },
    Migration { version: 3, name: "keeping", sql: include_str!("../../migrations/postgres/0003_keeping.sql") },
];

/// Refuses a schema that is not of this version.
pub(crate) async fn require_current(connection: &mut PgConnection, schema: &str) -> Result<()> {
    let known = applied(connection, schema).await?;
    check(&known)?;
    if known.len() == MIGRATIONS.len() {
        return Ok(());
    }
    Err(Error::unsupported(OPERATION, "the schema is no ledger of this version; start this version on it once, then try again")
        .with("schema", known.len())
        .with("needed", MIGRATIONS.len()))
}

/// Brings the schema to this version.
pub(crate) async fn migrate(connection: &mut PgConnection, schema: &str, now: Timestamp) -> Result<()> {
    let sql = |e: sqlx::Error| Fault::Postgres(e).public(OPERATION);
    let mut tx = connection.begin().await.map_err(sql)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext($2))").bind(LOCK).bind(schema).execute(&mut *tx).await.map_err(sql)?;
    let known = applied(&mut tx, schema).await?;
    check(&known)?;
    for migration in MIGRATIONS.iter().skip(known.len()) {
        apply(&mut tx, schema, migration, now).await.map_err(|f| f.public(OPERATION).with("migration", migration.name))?;
        tracing::debug!(version = migration.version, name = migration.name, "the ledger's schema was brought forward");
    }
    tx.commit().await.map_err(sql)
}

/// Version and checksum of what was applied, in order.
async fn applied(connection: &mut PgConnection, schema: &str) -> Result<Vec<(i64, String)>> {
    let sql = |e: sqlx::Error| Fault::Postgres(e).public(OPERATION);
    let count = sqlx::query(
        "SELECT count(*) AS tables, count(*) FILTER (WHERE table_name = 'schema_versions') AS versions FROM information_schema.tables WHERE table_schema = $1",
    );
    let row = count.bind(schema).fetch_one(&mut *connection).await.map_err(sql)?;
    let (tables, versions): (i64, i64) = (row.try_get("tables").map_err(sql)?, row.try_get("versions").map_err(sql)?);
    if tables == 0 {
        return Ok(Vec::new());
    }
    if versions == 0 {
        let text = "the schema holds tables of another program; name another one in `storage.postgres.schema`";
        return Err(Error::new(ErrorKind::Corrupt, OPERATION, text).with("schema", schema));
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
            let text = "the ledger's schema is not the one this version made; restore the ledger from a backup";
            return Err(Error::new(ErrorKind::Corrupt, OPERATION, text).with("schema", version));
        }
    }
    Ok(())
}

fn checksum(migration: &Migration) -> String {
    hex::encode(Sha256::digest(migration.sql.as_bytes()))
}

async fn apply(connection: &mut PgConnection, schema: &str, migration: &Migration, now: Timestamp) -> Result<(), Fault> {
    if migration.version == 1 {
        // A schema that somebody made for this user needs no right to make another. The name was checked to be a plain one.
        let there = sqlx::query("SELECT 1 FROM pg_namespace WHERE nspname = $1").bind(schema).fetch_optional(&mut *connection).await;
        if there.map_err(Fault::Postgres)?.is_none() {
            sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut *connection).await.map_err(Fault::Postgres)?;
        }
        let versions =
            "CREATE TABLE schema_versions (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";
        sqlx::raw_sql(versions).execute(&mut *connection).await.map_err(Fault::Postgres)?;
    }
    sqlx::raw_sql(migration.sql).execute(&mut *connection).await.map_err(Fault::Postgres)?;
    sqlx::query("INSERT INTO schema_versions (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(migration))
        .bind(now.as_microsecond())
        .execute(connection)
        .await
        .map_err(Fault::Postgres)?;
    Ok(())
}
