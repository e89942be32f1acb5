//! SQL for both databases, here on PostgreSQL.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _, postgres::PgArguments};

use super::error::Fault;
use crate::shared::sql::{Kind, Row, Sql, Value};

/// A connection to a PostgreSQL database.
pub(crate) struct PostgresSql<'c>(pub(crate) &'c mut PgConnection);

fn query<'q>(sql: &str, values: &[Value]) -> sqlx::query::Query<'q, Postgres, PgArguments> {
    // What is asked for seldom is not worth keeping prepared.
    let mut query = sqlx::query(AssertSqlSafe(numbered(sql))).persistent(false);
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
impl Sql for PostgresSql<'_> {
    async fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, Fault> {
        Ok(query(sql, values).execute(&mut *self.0).await.map_err(Fault::Postgres)?.rows_affected())
    }

    async fn rows(&mut self, sql: &str, values: &[Value], kinds: &[Kind]) -> Result<Vec<Row>, Fault> {
        let rows = query(sql, values).fetch_all(&mut *self.0).await.map_err(Fault::Postgres)?;
        let read = |row: &sqlx::postgres::PgRow| -> Result<Row, Fault> {
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

/// PostgreSQL's way to name the places of values.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for (number, part) in (1..).zip(parts) {
        out.push_str(&format!("${number}{part}"));
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn places_are_numbered_in_order() {
        assert_eq!(super::numbered("a = ? AND b IN (?, ?)"), "a = $1 AND b IN ($2, $3)");
        assert_eq!(super::numbered("SELECT 1"), "SELECT 1");
    }
}
