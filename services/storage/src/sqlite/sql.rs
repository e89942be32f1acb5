//! SQL for both databases, here on SQLite.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _, Sqlite, SqliteConnection, sqlite::SqliteArguments};

use super::error::Fault;
use crate::shared::sql::{Kind, Row, Sql, Value};

/// A connection to a SQLite file.
pub(crate) struct SqliteSql<'c>(pub(crate) &'c mut SqliteConnection);

fn query<'q>(sql: &str, values: &[Value]) -> sqlx::query::Query<'q, Sqlite, SqliteArguments> {
    // What is asked for seldom is not worth keeping prepared.
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false);
    for value in values {
        query = match value.clone() {
            Value::Int(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bool(value) => query.bind(value),
        };
    }
    query
}

#[async_trait]
impl Sql for SqliteSql<'_> {
    async fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, Fault> {
        Ok(query(sql, values).execute(&mut *self.0).await?.rows_affected())
    }

    async fn rows(&mut self, sql: &str, values: &[Value], kinds: &[Kind]) -> Result<Vec<Row>, Fault> {
        let rows = query(sql, values).fetch_all(&mut *self.0).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| -> Result<Row, Fault> {
            let column = |(at, kind): (usize, &Kind)| -> Result<Value, Fault> {
                Ok(match kind {
                    Kind::Int => Value::Int(row.try_get(at)?),
                    Kind::Text => Value::Text(row.try_get(at)?),
                    Kind::Bool => Value::Bool(row.try_get(at)?),
                })
            };
            kinds.iter().enumerate().map(column).collect()
        };
        rows.iter().map(read).collect()
    }
}
