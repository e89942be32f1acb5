//! From rows to the model and back.

use kubernaut_core::model::{INCIDENT_SCHEMA, Incident, RUN_SCHEMA, Run};
use serde::de::DeserializeOwned;
use sqlx::{Row, postgres::PgRow};

use super::error::Fault;
pub(crate) use crate::shared::value::{
    decode, encode, int, limit, micros, optional_micros, optional_time, plus, severity_name, time, uint, wire_name,
};
use crate::{
    rules::{
        audit::ChainEnd,
        intake::{Counts, apply},
    },
    shared::value::{known_shape, severity_named},
};

/// The columns of a whole incident; `i` is the row, `d` the document.
macro_rules! incident_columns {
    () => {
        "i.id, i.severity, i.occurrences, i.firing, i.alert_resolved_at, i.lease_epoch, i.lease_until, i.cancel_requested, i.audit_seq, \
         i.audit_hash, d.doc"
    };
}
pub(crate) use incident_columns;

/// The beginning of every query for whole incidents.
macro_rules! select_incident {
    ($rest:literal) => {
        concat!("SELECT ", incident_columns!(), " FROM incidents i JOIN incident_docs d ON d.incident_id = i.id ", $rest)
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
    pub(crate) fn read(row: &PgRow) -> Result<Self, Fault> {
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
pub(crate) fn counts(row: &PgRow) -> Result<Counts, Fault> {
    let severity: &str = row.try_get("severity")?;
    Ok(Counts {
        occurrences: uint(row.try_get("occurrences")?),
        firing: uint(row.try_get("firing")?),
        alert_resolved_at: optional_time(row.try_get("alert_resolved_at")?)?,
        severity: severity_named(severity),
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
    pub(crate) fn read(row: &PgRow) -> Result<Self, Fault> {
        let id: String = row.try_get("id")?;
        let run: Run = decode("run", &id, row.try_get("doc")?)?;
        known_shape("run", run.schema, RUN_SCHEMA)?;
        let leased = row.try_get::<Option<i64>, _>("lease_until")?.is_some();
        Ok(Self { run, epoch: uint(row.try_get("lease_epoch")?), leased })
    }
}

/// The end of the audit chain in an incident's row.
pub(crate) fn chain_end(row: &PgRow) -> Result<ChainEnd, Fault> {
    Ok(ChainEnd { seq: uint(row.try_get("audit_seq")?), hash: row.try_get("audit_hash")? })
}

/// The documents of a query with one column, in order.
pub(crate) fn documents<T: DeserializeOwned>(what: &'static str, rows: &[PgRow]) -> Result<Vec<T>, Fault> {
    rows.iter().map(|row| decode(what, "", row.try_get::<&str, _>("doc")?)).collect()
}

/// A number that fits the model's smaller type.
pub(crate) fn small(value: i64) -> Result<u32, Fault> {
    u32::try_from(value).map_err(|_| Fault::Value { what: "number", value: value.to_string() })
}
