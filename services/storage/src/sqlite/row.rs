//! From rows to the model and back.

use std::time::Duration;

use kubernaut_core::{
    Error,
    model::{INCIDENT_SCHEMA, Incident, RUN_SCHEMA, Run, Severity, Timestamp},
};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row, sqlite::SqliteRow};

use super::error::Fault;
use crate::rules::{
    audit::ChainEnd,
    intake::{Counts, apply},
};

/// The beginning of every query for whole incidents; `i` is the row, `d` the document.
macro_rules! select_incident {
    ($rest:literal) => {
        concat!(
            "SELECT i.id, i.severity, i.occurrences, i.firing, i.alert_resolved_at, i.lease_epoch, i.lease_until, i.cancel_requested, ",
            "i.audit_seq, i.audit_hash, d.doc FROM incidents i JOIN incident_docs d ON d.incident_id = i.id ",
            $rest
        )
    };
}
pub(crate) use select_incident;

/// An incident with what is kept beside it.
#[derive(Debug)]
pub(crate) struct IncidentRow {
    pub(crate) incident: Incident,
    pub(crate) epoch: u64,
    /// Whether a worker has it, even if the time is over.
    pub(crate) leased: bool,
    pub(crate) cancel_requested: bool,
}

impl IncidentRow {
    pub(crate) fn read(row: &SqliteRow) -> Result<Self, Fault> {
        let id: String = row.try_get("id")?;
        let mut incident: Incident = decode("incident", &id, row.try_get("doc")?)?;
        known_shape("incident", incident.schema, INCIDENT_SCHEMA)?;
        apply(&mut incident, counts(row)?);
        Ok(Self {
            incident,
            epoch: uint(row.try_get("lease_epoch")?),
            leased: row.try_get::<Option<i64>, _>("lease_until")?.is_some(),
            cancel_requested: row.try_get("cancel_requested")?,
        })
    }
}

/// Intake's columns.
pub(crate) fn counts(row: &SqliteRow) -> Result<Counts, Fault> {
    let severity: String = row.try_get("severity")?;
    Ok(Counts {
        occurrences: uint(row.try_get("occurrences")?),
        firing: uint(row.try_get("firing")?),
        alert_resolved_at: optional_time(row.try_get("alert_resolved_at")?)?,
        severity: severity_named(&severity),
    })
}

/// A run with what is kept beside it.
#[derive(Debug)]
pub(crate) struct RunRow {
    pub(crate) run: Run,
    pub(crate) epoch: u64,
    /// Whether an engine has it, even if the time is over.
    pub(crate) leased: bool,
}

impl RunRow {
    pub(crate) fn read(row: &SqliteRow) -> Result<Self, Fault> {
        let id: String = row.try_get("id")?;
        let run: Run = decode("run", &id, row.try_get("doc")?)?;
        known_shape("run", run.schema, RUN_SCHEMA)?;
        let leased = row.try_get::<Option<i64>, _>("lease_until")?.is_some();
        Ok(Self { run, epoch: uint(row.try_get("lease_epoch")?), leased })
    }
}

/// The end of the audit chain in an incident's row.
pub(crate) fn chain_end(row: &SqliteRow) -> Result<ChainEnd, Fault> {
    Ok(ChainEnd { seq: uint(row.try_get("audit_seq")?), hash: row.try_get("audit_hash")? })
}

fn known_shape(what: &'static str, stored: u32, known: u32) -> Result<(), Fault> {
    if stored <= known {
        return Ok(());
    }
    let error = Error::unsupported("ledger.read", format!("the {what} was written by a newer version of kubernaut; use that version or a newer one"));
    Err(error.with("schema", stored).with("supported", known).into())
}

/// The document of a model value.
pub(crate) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|source| Fault::Encode { what, source })
}

/// The model value of a document.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, id: &str, doc: &str) -> Result<T, Fault> {
    serde_json::from_str(doc).map_err(|source| Fault::Document { what, id: id.to_owned(), source })
}

/// The documents of a query with one column, in order.
pub(crate) fn documents<T: DeserializeOwned>(what: &'static str, rows: &[SqliteRow]) -> Result<Vec<T>, Fault> {
    rows.iter().map(|row| decode(what, "", row.try_get::<&str, _>("doc")?)).collect()
}

/// The wire name of a plain enum.
pub(crate) fn wire_name<T: Serialize>(what: &'static str, value: T) -> Result<String, Fault> {
    Ok(encode(what, &value)?.trim_matches('"').to_owned())
}

pub(crate) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn severity_named(name: &str) -> Severity {
    Severity::from_label(name)
}

/// A number as SQLite keeps it.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(crate) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn time(micros: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_microsecond(micros).map_err(|_| Fault::Value { what: "time", value: micros.to_string() })
}

pub(crate) fn optional_time(micros: Option<i64>) -> Result<Option<Timestamp>, Fault> {
    micros.map(time).transpose()
}

pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn optional_micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(micros)
}

/// `now` and a while later; the latest time that can be told if that is beyond it.
pub(crate) fn plus(now: Timestamp, while_: Duration) -> Timestamp {
    let micros = i64::try_from(while_.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(now.as_microsecond().saturating_add(micros)).unwrap_or(Timestamp::MAX)
}

/// `now` and a while before.
pub(crate) fn minus(now: Timestamp, while_: Duration) -> Timestamp {
    let micros = i64::try_from(while_.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(now.as_microsecond().saturating_sub(micros)).unwrap_or(Timestamp::MIN)
}

/// How many rows a caller gets.
pub(crate) fn limit(wanted: Option<u32>, usual: u32, most: u32) -> i64 {
    i64::from(wanted.unwrap_or(usual).min(most))
}
