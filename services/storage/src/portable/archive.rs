//! Archives: a whole ledger as lines of JSON, the same for both databases.
//!
//! A header, then for each table its name, its rows as arrays, and its count and hash; at the end the hash over all lines before.

use std::io::{BufRead, Write};

use kubernaut_core::{Error, ErrorKind, Result, port::Clock};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{
    LedgerPlace, Moved, MovedTable,
    content::{self, PAGE, Sum, Summing},
    side::{Sharing, Side},
    tables::{TABLES, Table},
    target,
};
use crate::{shared::fault::Fault, sqlite::schema};

/// The format this version writes and reads.
pub const ARCHIVE_FORMAT: &str = "kubernaut-archive/1";

const BACKUP: &str = "ledger.backup";
const RESTORE: &str = "ledger.restore";

/// A line that is no row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    Header { format: String, schema: usize, at: String, last_event: i64 },
    Table { name: String },
    TableEnd { name: String, rows: u64, sha256: String },
    End { sha256: String },
}

struct Out<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Out<W> {
    fn line(&mut self, text: &str) -> Result<()> {
        self.hash.update(text.as_bytes());
        self.hash.update(b"\n");
        writeln!(self.to, "{text}").map_err(|e| Error::new(ErrorKind::Unavailable, BACKUP, "cannot write the archive; check the disk").source(e))
    }

    fn control(&mut self, line: &Line) -> Result<()> {
        let text = serde_json::to_string(line).map_err(|e| Error::internal(BACKUP, "a line cannot be written as json").source(e))?;
        self.line(&text)
    }
}

/// Writes all of a ledger, as it stands at one moment; the ledger may be in use.
///
/// # Errors
/// Those of the database and of `to`.
pub async fn backup(place: &LedgerPlace, to: impl Write + Send, clock: &dyn Clock) -> Result<Vec<MovedTable>> {
    let mut source = Side::source(place, Sharing::Snapshot).await?;
    let mut out = Out { to, hash: Sha256::new() };
    let last_event = target::last_event(&mut source).await.map_err(|fault| fault.public(BACKUP))?;
    let at = clock.now().to_string();
    out.control(&Line::Header { format: ARCHIVE_FORMAT.to_owned(), schema: schema::VERSION, at, last_event })?;
    let mut tables = Vec::new();
    for table in TABLES {
        let Sum { rows, sha256 } = save(&mut source, table, &mut out).await.map_err(|fault| fault.public(BACKUP).with("table", table.name))?;
        tables.push(MovedTable { table: table.name, rows, sha256 });
    }
    let sha256 = hex::encode(out.hash.clone().finalize());
    out.control(&Line::End { sha256 })?;
    out.to.flush().map_err(|e| Error::new(ErrorKind::Unavailable, BACKUP, "cannot write the archive; check the disk").source(e))?;
    Ok(tables)
}

async fn save<W: Write + Send>(source: &mut Side, table: &Table, out: &mut Out<W>) -> Result<Sum, Fault> {
    out.control(&Line::Table { name: table.name.to_owned() })?;
    let (mut summing, mut last) = (Summing::default(), None);
    loop {
        let rows = content::page(&mut *source.sql(), table, last.as_ref()).await?;
        summing.add(&rows)?;
        for row in &rows {
            out.line(&content::line(row)?)?;
        }
        let Some(row) = rows.into_iter().last() else { break };
        last = Some(row);
    }
    let sum = summing.sum();
    out.control(&Line::TableEnd { name: table.name.to_owned(), rows: sum.rows, sha256: sum.sha256.clone() })?;
    Ok(sum)
}

struct In<R> {
    lines: std::io::Lines<R>,
    hash: Sha256,
    number: u64,
    last_event: i64,
}

enum Read {
    Row(Vec<Json>),
    Control(Line),
}

impl<R: BufRead> In<R> {
    fn damaged(&self, text: &'static str) -> Error {
        Error::new(ErrorKind::Corrupt, RESTORE, text).with("line", self.number)
    }

    fn next(&mut self) -> Result<Read> {
        self.number += 1;
        let line = self.lines.next().ok_or_else(|| self.damaged("the archive is cut off; use another one"))?;
        let line = line.map_err(|e| self.damaged("the archive cannot be read").source(e))?;
        let broken = |e: serde_json::Error| Error::new(ErrorKind::Corrupt, RESTORE, "a line of the archive is damaged; use another one").source(e);
        let read = if line.starts_with('[') {
            Read::Row(serde_json::from_str(&line).map_err(|e| broken(e).with("line", self.number))?)
        } else {
            Read::Control(serde_json::from_str(&line).map_err(|e| broken(e).with("line", self.number))?)
        };
        if let Read::Control(Line::End { sha256 }) = &read {
            if *sha256 != hex::encode(self.hash.clone().finalize()) {
                return Err(self.damaged("the archive is not what was written; use another one"));
            }
            return Ok(read);
        }
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        Ok(read)
    }

    fn header(&mut self) -> Result<()> {
        let Read::Control(Line::Header { format, schema, last_event, .. }) = self.next()? else {
            return Err(self.damaged("the file is no archive of a ledger"));
        };
        if format != ARCHIVE_FORMAT || schema != schema::VERSION {
            let text = "the archive is of another version; restore it with that version and upgrade then";
            return Err(Error::unsupported(RESTORE, text).with("format", format).with("schema", schema).with("supported", schema::VERSION));
        }
        self.last_event = last_event;
        Ok(())
    }
}

/// Fills an empty ledger from an archive. It is committed only after everything was read again and compared, and the audit has verified.
///
/// # Errors
/// `Conflict` if the ledger holds anything, `Corrupt` if the archive is not what was written, `Unsupported` if it is of another version.
pub async fn restore(place: &LedgerPlace, from: impl BufRead + Send, clock: &dyn Clock) -> Result<Moved> {
    let mut archive = In { lines: from.lines(), hash: Sha256::new(), number: 0, last_event: 0 };
    archive.header()?;
    let mut into = Side::target(place, clock.now()).await?;
    let restored = async {
        target::require_empty(&mut into).await?;
        let mut sums = Vec::new();
        for table in TABLES {
            sums.push((table, load(&mut archive, &mut into, table).await?));
        }
        if !matches!(archive.next()?, Read::Control(Line::End { .. })) {
            return Err(archive.damaged("the archive holds more than this version knows").into());
        }
        target::set_numbers(&mut into, archive.last_event).await?;
        for (table, sum) in &sums {
            target::compare(&mut into, table, sum).await?;
        }
        let audit = target::require_sound(&mut into, clock.now()).await?;
        into.commit().await?;
        let tables = sums.into_iter().map(|(table, sum)| MovedTable { table: table.name, rows: sum.rows, sha256: sum.sha256 }).collect();
        Ok::<_, Fault>(Moved { tables, audit })
    };
    restored.await.map_err(|fault| fault.public(RESTORE))
}

async fn load<R: BufRead>(archive: &mut In<R>, into: &mut Side, table: &Table) -> Result<Sum, Fault> {
    if !matches!(archive.next()?, Read::Control(Line::Table { name }) if name == table.name) {
        return Err(archive.damaged("a table is missing or in another place").with("table", table.name).into());
    }
    let (mut summing, mut rows) = (Summing::default(), Vec::with_capacity(PAGE));
    loop {
        match archive.next()? {
            Read::Row(values) => {
                let row = content::row(table, &values).ok_or_else(|| archive.damaged("a row does not fit its table").with("table", table.name))?;
                rows.push(row);
                if rows.len() == PAGE {
                    summing.add(&rows)?;
                    target::write(into, table, &std::mem::take(&mut rows)).await?;
                }
            }
            Read::Control(Line::TableEnd { name, rows: count, sha256 }) if name == table.name => {
                summing.add(&rows)?;
                target::write(into, table, &rows).await?;
                let sum = summing.sum();
                if sum != (Sum { rows: count, sha256 }) {
                    return Err(archive.damaged("the rows of a table are not those that were written").with("table", table.name).into());
                }
                return Ok(sum);
            }
            Read::Control(_) => return Err(archive.damaged("a table has no end").with("table", table.name).into()),
        }
    }
}
