//! Many rows in few statements.
//!
//! Each statement crosses to the thread that runs SQLite and back, which costs more than the rows in it. So all rows go in one statement where they
//! fit, and few different statements are ever prepared: what a size has too many places for is filled with rows of NULL that find and write nothing.

use sqlx::{
    Arguments, AssertSqlSafe, Encode, Sqlite, Type,
    error::BoxDynError,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{error::Fault, tx::Tx};

/// Rows in one statement; times the columns the largest stays below SQLite's limit of parameters.
const SIZES: &[usize] = &[1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128];

/// The values of the rows, in order.
pub(crate) struct Binds {
    arguments: SqliteArguments,
    failed: Option<BoxDynError>,
}

impl Binds {
    pub(crate) fn push_bind<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) {
        if let Err(error) = self.arguments.add(value) {
            self.failed.get_or_insert(error);
        }
    }

    fn finished(self) -> Result<SqliteArguments, Fault> {
        match self.failed {
            None => Ok(self.arguments),
            Some(error) => Err(sqlx::Error::Encode(error).into()),
        }
    }
}

/// Writes all rows: `INSERT INTO table (columns) …`, then `tail`. The first column of a row must not be NULL.
pub(crate) async fn write<T, B>(tx: &mut Tx, table: &str, columns: &[&str], tail: &str, rows: &[T], bind: B) -> Result<(), Fault>
where
    B: Fn(&mut Binds, &T),
{
    let head = format!("INSERT INTO {table} ({}) SELECT * FROM (", columns.join(", "));
    let tail = format!(") WHERE column1 IS NOT NULL {tail}");
    for part in rows.chunks(largest()) {
        let (sql, binds) = statement(&head, &tail, columns.len(), part, &bind);
        tx.execute(sqlx::query_with(AssertSqlSafe(sql), binds.finished()?)).await?;
    }
    Ok(())
}

/// Runs `head … tail`, with a table of the rows in between whose columns are `column1`, `column2` ….
pub(crate) async fn update<T, B>(tx: &mut Tx, head: &str, columns: usize, tail: &str, rows: &[T], bind: B) -> Result<(), Fault>
where
    B: Fn(&mut Binds, &T),
{
    for part in rows.chunks(largest()) {
        let (sql, binds) = statement(head, tail, columns, part, &bind);
        tx.execute(sqlx::query_with(AssertSqlSafe(sql), binds.finished()?)).await?;
    }
    Ok(())
}

/// Gathers what `head … tail` finds for all keys, as [`update`].
pub(crate) async fn read<T, B>(tx: &mut Tx, head: &str, columns: usize, tail: &str, keys: &[T], bind: B) -> Result<Vec<SqliteRow>, Fault>
where
    B: Fn(&mut Binds, &T),
{
    let mut rows = Vec::new();
    for part in keys.chunks(largest()) {
        let (sql, binds) = statement(head, tail, columns, part, &bind);
        rows.extend(tx.all(sqlx::query_with(AssertSqlSafe(sql), binds.finished()?)).await?);
    }
    Ok(rows)
}

fn statement<T, B>(head: &str, tail: &str, columns: usize, part: &[T], bind: &B) -> (String, Binds)
where
    B: Fn(&mut Binds, &T),
{
    let places = places(part.len());
    let mut arguments = SqliteArguments::default();
    arguments.reserve(places * columns, 0);
    let mut binds = Binds { arguments, failed: None };
    part.iter().for_each(|row| bind(&mut binds, row));
    for _ in 0..(places - part.len()) * columns {
        binds.push_bind(None::<i64>);
    }
    (values(head, columns, places, tail), binds)
}

pub(super) fn values(head: &str, columns: usize, places: usize, tail: &str) -> String {
    let row = format!(", ({})", ["?"].repeat(columns).join(", "));
    let rows = row.repeat(places);
    format!("{head}VALUES {}{tail}", rows.strip_prefix(", ").unwrap_or(&rows))
}

fn largest() -> usize {
    SIZES.last().copied().unwrap_or(1)
}

/// How many rows the statement has that takes so many.
fn places(rows: usize) -> usize {
    SIZES.iter().copied().find(|size| *size >= rows).unwrap_or(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_room_for_its_rows_and_a_place_for_every_value() {
        assert_eq!([1, 2, 3, 64, 65, 128].map(places), [1, 2, 4, 64, 96, 128]);
        assert_eq!(values("SELECT * FROM (", 2, 2, ")"), "SELECT * FROM (VALUES (?, ?), (?, ?))");
    }
}
