//! The index of words over the memory, which is not copied but made anew.

use std::collections::BTreeSet;

use kubernaut_core::model::HistoryEntry;

use crate::{
    rules::recall::searched_text,
    shared::{
        fault::Fault,
        sql::{Row, Sql, Value, places},
        value::decode,
    },
};

/// Terms in one statement at most.
const TERMS: usize = 500;

/// Indexes rows of the table `memory`: the number comes first, the document last.
pub(crate) async fn index(sql: &mut dyn Sql, sqlite: bool, rows: &[Row]) -> Result<(), Fault> {
    for row in rows {
        let (Some(seq), Some(doc)) = (row.first(), row.last()) else { continue };
        let entry: HistoryEntry = decode("history entry", "", doc.as_text()?)?;
        let text = searched_text(&entry);
        if sqlite {
            sql.run("INSERT INTO memory_words (rowid, text) VALUES (?, ?)", &[seq.clone(), Value::text(text)]).await?;
            continue;
        }
        let terms: Vec<String> = terms(&text).into_iter().collect();
        for part in terms.chunks(TERMS) {
            let values: Vec<Value> = part.iter().flat_map(|term| [Value::text(term), seq.clone()]).collect();
            let all = vec![places(2); part.len()].join(", ");
            sql.run(&format!("INSERT INTO memory_words (term, entry) VALUES {all}"), &values).await?;
        }
    }
    Ok(())
}

#[cfg(feature = "postgres")]
fn terms(text: &str) -> BTreeSet<String> {
    crate::rules::recall::words_to_index(text).into_iter().collect()
}

#[cfg(not(feature = "postgres"))]
fn terms(_: &str) -> BTreeSet<String> {
    BTreeSet::new()
}

/// Counts in how many entries each term is, where the database does not do that itself.
pub(crate) async fn count(sql: &mut dyn Sql) -> Result<(), Fault> {
    sql.run("INSERT INTO memory_vocabulary (term, doc) SELECT term, count(*) FROM memory_words GROUP BY term", &[]).await?;
    Ok(())
}
