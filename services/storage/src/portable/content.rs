//! The content of a table, independent of the database: rows as JSON lines in the order of the key, and the hash over them.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::tables::Table;
use crate::shared::{
    fault::Fault,
    sql::{Kind, Row, Sql, Value, places},
};

/// Rows that are read or written at once.
pub(crate) const PAGE: usize = 500;

/// How much a table holds, and the hash over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    pub(crate) sha256: String,
}

/// Adds rows up to a [`Sum`].
#[derive(Debug, Default)]
pub(crate) struct Summing {
    rows: u64,
    hash: Sha256,
}

impl Summing {
    pub(crate) fn add(&mut self, rows: &[Row]) -> Result<(), Fault> {
        for row in rows {
            self.hash.update(line(row)?.as_bytes());
            self.hash.update(b"\n");
            self.rows += 1;
        }
        Ok(())
    }

    pub(crate) fn sum(self) -> Sum {
        Sum { rows: self.rows, sha256: hex::encode(self.hash.finalize()) }
    }
}

/// A row as one JSON array.
pub(crate) fn line(row: &Row) -> Result<String, Fault> {
    let values: Vec<Json> = row
        .iter()
        .map(|value| match value {
            Value::Int(value) => Json::from(*value),
            Value::Text(value) => Json::from(value.as_deref()),
            Value::Bool(value) => Json::from(*value),
        })
        .collect();
    serde_json::to_string(&values).map_err(|source| Fault::Encode { what: "row", source })
}

/// The row of a JSON array; `None` if it does not fit the table.
pub(crate) fn row(table: &Table, values: &[Json]) -> Option<Row> {
    if values.len() != table.columns.len() {
        return None;
    }
    let value = |(value, (_, kind)): (&Json, &(&str, Kind))| match (kind, value) {
        (Kind::Int, Json::Null) => Some(Value::Int(None)),
        (Kind::Text, Json::Null) => Some(Value::Text(None)),
        (Kind::Bool, Json::Null) => Some(Value::Bool(None)),
        (Kind::Int, Json::Number(n)) => n.as_i64().map(Value::int),
        (Kind::Text, Json::String(text)) => Some(Value::text(text.clone())),
        (Kind::Bool, Json::Bool(b)) => Some(Value::Bool(Some(*b))),
        _ => None,
    };
    values.iter().zip(table.columns).map(value).collect()
}

/// The rows after one of them, in the order of the key; from the beginning with `None`.
pub(crate) async fn page(sql: &mut dyn Sql, table: &Table, after: Option<&Row>) -> Result<Vec<Row>, Fault> {
    let (names, name, keys) = (table.names(), table.name, table.key_names());
    let from = after.map_or(String::new(), |_| format!(" WHERE ({keys}) > {}", places(table.key)));
    let values: Vec<Value> = after.map(|row| row.iter().take(table.key).cloned().collect()).unwrap_or_default();
    sql.rows(&format!("SELECT {names} FROM {name}{from} ORDER BY {keys} LIMIT {PAGE}"), &values, &table.kinds()).await
}

/// Writes rows.
pub(crate) async fn insert(sql: &mut dyn Sql, table: &Table, rows: &[Row]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let each = places(table.columns.len());
    let all = vec![each.as_str(); rows.len()].join(", ");
    let values: Vec<Value> = rows.iter().flatten().cloned().collect();
    sql.run(&format!("INSERT INTO {} ({}) VALUES {all}", table.name, table.names()), &values).await?;
    Ok(())
}

/// Counts and hashes what a table holds.
pub(crate) async fn sum(sql: &mut dyn Sql, table: &Table) -> Result<Sum, Fault> {
    let mut summing = Summing::default();
    let mut last: Option<Row> = None;
    loop {
        let rows = page(sql, table, last.as_ref()).await?;
        summing.add(&rows)?;
        match rows.into_iter().last() {
            Some(row) => last = Some(row),
            None => return Ok(summing.sum()),
        }
    }
}
