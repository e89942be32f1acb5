//! SQL that both databases understand, for work that is not in a hurry: copying, purging, proving.

use async_trait::async_trait;

use super::fault::Fault;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Bool,
}

/// A value of a column, or none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bool(Option<bool>),
}

impl Value {
    pub(crate) fn text(value: impl Into<String>) -> Self {
        Self::Text(Some(value.into()))
    }

    pub(crate) fn int(value: i64) -> Self {
        Self::Int(Some(value))
    }

    /// The number; an error if it is another kind or none.
    pub(crate) fn as_int(&self) -> Result<i64, Fault> {
        match self {
            Self::Int(Some(value)) => Ok(*value),
            other => Err(Fault::Value { what: "number", value: format!("{other:?}") }),
        }
    }

    /// The text; an error if it is another kind or none.
    pub(crate) fn as_text(&self) -> Result<&str, Fault> {
        match self {
            Self::Text(Some(value)) => Ok(value),
            other => Err(Fault::Value { what: "text", value: format!("{other:?}") }),
        }
    }
}

/// One row.
pub(crate) type Row = Vec<Value>;

/// A connection that takes SQL with `?` for each value.
#[async_trait]
pub(crate) trait Sql: Send {
    /// Runs a statement; answers how many rows it changed.
    async fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, Fault>;

    /// The rows of a query; `kinds` are those of its columns.
    async fn rows(&mut self, sql: &str, values: &[Value], kinds: &[Kind]) -> Result<Vec<Row>, Fault>;
}

/// The one number that a query answers with; 0 if it answers with nothing.
pub(crate) async fn number(sql: &mut dyn Sql, query: &str, values: &[Value]) -> Result<i64, Fault> {
    let rows = sql.rows(query, values, &[Kind::Int]).await?;
    match rows.first().and_then(|row| row.first()) {
        Some(Value::Int(Some(value))) => Ok(*value),
        _ => Ok(0),
    }
}

/// `(?, ?, …)` for so many values.
pub(crate) fn places(count: usize) -> String {
    format!("({})", vec!["?"; count].join(", "))
}
