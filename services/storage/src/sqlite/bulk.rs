//! Many rows in few statements.

use sqlx::{QueryBuilder, Sqlite, query_builder::Separated, sqlite::SqliteRow};

use super::{error::Fault, tx::Tx};

/// Rows in one statement at most; times the columns this stays below SQLite's limit of parameters.
const LARGEST: usize = 64;

/// Runs `head VALUES (…), (…) tail` over all rows.
pub(crate) async fn write<T, B>(tx: &mut Tx, head: &str, tail: &str, rows: &[T], bind: B) -> Result<(), Fault>
where
    B: Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
{
    for part in parts(rows) {
        let mut query = values(head, tail, part, &bind);
        tx.execute(query.build()).await?;
    }
    Ok(())
}

/// Gathers what `head VALUES (…), (…) tail` finds for all keys.
pub(crate) async fn read<T, B>(tx: &mut Tx, head: &str, tail: &str, keys: &[T], bind: B) -> Result<Vec<SqliteRow>, Fault>
where
    B: Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
{
    let mut rows = Vec::new();
    for part in parts(keys) {
        let mut query = values(head, tail, part, &bind);
        rows.extend(tx.all(query.build()).await?);
    }
    Ok(rows)
}

fn values<T, B>(head: &str, tail: &str, part: &[T], bind: &B) -> QueryBuilder<Sqlite>
where
    B: Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
{
    let mut query = QueryBuilder::new(head);
    query.push(" VALUES ");
    for (at, row) in part.iter().enumerate() {
        query.push(if at == 0 { "(" } else { ", (" });
        bind(&mut query.separated(", "), row);
        query.push(")");
    }
    query.push(tail);
    query
}

/// Parts whose sizes are powers of two, so that few different statements are ever prepared.
fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if rows.is_empty() {
            return None;
        }
        let size = LARGEST.min(1 << rows.len().ilog2());
        let (part, rest) = rows.split_at(size);
        rows = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_rows_in_order_with_few_sizes() {
        for n in [0, 1, 2, 3, 64, 65, 199] {
            let rows: Vec<usize> = (0..n).collect();
            let sizes: Vec<usize> = parts(&rows).map(<[usize]>::len).collect();
            assert!(sizes.iter().all(|s| s.is_power_of_two() && *s <= LARGEST), "{sizes:?}");
            assert_eq!(parts(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        }
    }
}
